//! What clients send, over HTTP and over sockets. That `user_id` and `sender_id`, where they are given, must be the caller is
//! seen to where requests are read.

use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    message::MessageKind,
};
use serde::Deserialize;
use utoipa::ToSchema;

/// A message to be sent to a chat.
#[derive(Deserialize, ToSchema)]
pub struct NewMessage {
    /// What it says.
    #[serde(default)]
    pub message: String,
    /// `text`, `image` or `file`. Left out, it follows the attachments: `text` without any, `image` where all are pictures,
    /// else `file`.
    #[serde(default, rename = "type")]
    #[schema(value_type = Option<String>, example = "text")]
    pub kind: Option<MessageKind>,
    /// The sender's own id of it, at most 128 printable ASCII characters: a repeat returns the first message.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub client_message_id: Option<String>,
    /// Ids of completed uploads.
    #[serde(default)]
    #[schema(value_type = Option<Vec<uuid::Uuid>>)]
    pub attachments: Option<Vec<MediaId>>,
    /// The message that it answers.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub reply_to: Option<MessageId>,
}

/// `start_private_chat`, and the body of `POST /users/chat`.
#[derive(Deserialize, ToSchema)]
pub struct StartChat {
    /// The account to talk to.
    #[schema(value_type = uuid::Uuid)]
    pub receiver_id: UserId,
}

/// The body of `PATCH …/messages/{message_id}`.
#[derive(Deserialize, ToSchema)]
#[serde(try_from = "GivenText")]
pub struct EditedText {
    /// What it says from now on; `content` if left out.
    pub message: String,
}

/// The text of an edit, which has the name of today or that of the seed. A message that was got, changed and sent back has both;
/// then it is as in `send_message`, which reads no `content`.
fn text(message: Option<String>, content: Option<String>) -> Result<String, &'static str> {
    // Said as serde does, so that the field is named to clients as others are.
    message.or(content).ok_or("missing field `message`")
}

#[derive(Deserialize)]
struct GivenText {
    message: Option<String>,
    content: Option<String>,
}

impl TryFrom<GivenText> for EditedText {
    type Error = &'static str;

    fn try_from(given: GivenText) -> Result<Self, &'static str> {
        Ok(Self { message: text(given.message, given.content)? })
    }
}

/// The body of `POST …/read`.
#[derive(Deserialize, ToSchema)]
pub struct ReadUpTo {
    /// The newest message that was read.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
}

/// `send_message`: a [`NewMessage`] with its chat. Repeated field by field because flattening costs a copy.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SendMessage {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// What it says.
    #[serde(default)]
    pub message: String,
    /// `text`, `image` or `file`. Left out, it follows the attachments: `text` without any, `image` where all are pictures,
    /// else `file`.
    #[serde(default, rename = "type")]
    #[schema(value_type = Option<String>, example = "text")]
    pub kind: Option<MessageKind>,
    /// The sender's own id of it, at most 128 printable ASCII characters: a repeat returns the first message.
    #[serde(default)]
    pub client_message_id: Option<String>,
    /// Ids of completed uploads.
    #[serde(default)]
    #[schema(value_type = Option<Vec<uuid::Uuid>>)]
    pub attachments: Option<Vec<MediaId>>,
    /// The message that it answers.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub reply_to: Option<MessageId>,
}

impl SendMessage {
    pub fn split(self) -> (ChatId, NewMessage) {
        let Self { chat_id, message, kind, client_message_id, attachments, reply_to } = self;
        (chat_id, NewMessage { message, kind, client_message_id, attachments, reply_to })
    }
}

/// `edit_message`.
#[derive(Deserialize, ToSchema)]
#[serde(try_from = "GivenEdit")]
pub(crate) struct EditMessage {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// The message.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
    /// What it says from now on; `content` if left out.
    pub message: String,
}

#[derive(Deserialize)]
struct GivenEdit {
    chat_id: ChatId,
    message_id: MessageId,
    message: Option<String>,
    content: Option<String>,
}

impl TryFrom<GivenEdit> for EditMessage {
    type Error = &'static str;

    fn try_from(given: GivenEdit) -> Result<Self, &'static str> {
        let GivenEdit { chat_id, message_id, message, content } = given;
        Ok(Self { chat_id, message_id, message: text(message, content)? })
    }
}

/// `delete_message`, `message_delivered` and `message_read`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OneMessage {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// The message.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
}

/// The seed's `receive_message`: everything of this chat has been delivered.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ReceivedAll {
    /// Who wrote the messages.
    #[schema(value_type = uuid::Uuid)]
    pub sender_id: UserId,
    /// Who got them.
    #[schema(value_type = uuid::Uuid)]
    pub receiver_id: UserId,
}

/// `typing`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Typing {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Whether the caller types.
    pub typing: bool,
}

/// `sync`, and the query of `GET /sync`.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct SyncSince {
    /// `next` of the page before, or the token of `ready`; without it, from the oldest event that is kept.
    #[serde(default)]
    pub since: Option<String>,
    /// Events of a page, 1 to 100.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// `heartbeat`: whether somebody is at the device; that is so when nothing else is said.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Heartbeat {
    /// False: nobody is.
    #[serde(default)]
    pub active: Option<bool>,
}

/// `presence_subscribe` and `presence_unsubscribe`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct WatchedUsers {
    /// Whom; at most 200 of a socket.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub user_ids: Vec<UserId>,
}

/// `reauthenticate`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Reauthenticate {
    /// The new access token.
    pub token: String,
}
