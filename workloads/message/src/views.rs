//! What clients see of chats and messages.

use sentinel_domain::{
    account::Profile,
    ids::{ChatId, MediaId, MessageId, SessionId, UserId},
    message::{Chat, ClientMessageId, Message, MessageKind},
    notification::{Kind, Shown},
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// How far a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// The service has it.
    Sent,
    /// A device of the receiver has it.
    Delivered,
    /// The receiver has seen it.
    Read,
}

/// A message. It looks the same to both members.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView<'a> {
    /// Its id: sort messages by it.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
    /// Its chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who wrote it.
    #[schema(value_type = uuid::Uuid)]
    pub sender_id: UserId,
    /// `text`, `image` or `file`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "text")]
    pub kind: MessageKind,
    /// What it says; empty once deleted.
    pub message: &'a str,
    /// The same as `message`, for clients of the seed.
    pub content: &'a str,
    /// Ids of the files that it shows.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub attachments: &'a [MediaId],
    /// The message that it answers.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub reply_to: Option<MessageId>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// When it was last edited.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub edited_at: Option<Timestamp>,
    /// Whether only the tombstone is left.
    pub deleted: bool,
    /// How far it has got.
    pub status: MessageStatus,
    /// `null` until it was read, then the earliest time at which it can have been: when it was accepted. That it was read
    /// is known, and not when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
    /// The sender's own id of it.
    #[schema(value_type = Option<String>)]
    pub client_message_id: Option<&'a ClientMessageId>,
}

impl<'a> MessageView<'a> {
    /// The message as members of `chat` see it now.
    pub fn of(chat: &Chat, message: &'a Message) -> Self {
        let receiver = chat.shown_of(chat.peer_of(message.sender_id));
        let read = receiver.read_up_to.is_some_and(|up_to| up_to >= message.id);
        let delivered = receiver.delivered_up_to.is_some_and(|up_to| up_to >= message.id);
        Self {
            message_id: message.id,
            chat_id: message.chat_id,
            sender_id: message.sender_id,
            kind: message.kind,
            message: &message.text,
            content: &message.text,
            attachments: &message.attachments,
            reply_to: message.reply_to,
            timestamp: message.id.timestamp(),
            edited_at: message.edited_at,
            deleted: message.deleted,
            status: match (read, delivered) {
                (true, _) => MessageStatus::Read,
                (false, true) => MessageStatus::Delivered,
                (false, false) => MessageStatus::Sent,
            },
            seen_at: read.then(|| message.id.timestamp()),
            client_message_id: message.client_message_id.as_ref(),
        }
    }
}

/// The other member of a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Peer)]
pub struct PeerView {
    /// The account's id.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// Its unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Where its picture is.
    pub avatar_url: Option<String>,
}

impl PeerView {
    /// A member whose profile can't be read now: its names are empty.
    pub(crate) fn unknown(user_id: UserId) -> Self {
        Self { user_id, username: String::new(), display_name: String::new(), avatar_url: None }
    }
}

impl From<Profile> for PeerView {
    fn from(profile: Profile) -> Self {
        Self {
            user_id: profile.user_id,
            username: profile.username.as_str().to_owned(),
            display_name: profile.display_name,
            avatar_url: profile.avatar_url,
        }
    }
}

/// A chat that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedChat {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Its other member; oneself in a chat with oneself.
    pub peer: PeerView,
    /// Whether it is new.
    pub created: bool,
}

/// A chat in the caller's list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatEntry<'a> {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Its other member; oneself in a chat with oneself.
    pub peer: PeerView,
    /// Its newest message.
    pub last_message: Option<MessageView<'a>>,
    /// Messages that the caller has not read, counted up to 1,000.
    pub unread: u32,
    /// Newest message that a device of the caller has.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub delivered_up_to: Option<MessageId>,
    /// Newest message that the caller has read.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub read_up_to: Option<MessageId>,
    /// Whether the caller muted the chat.
    pub muted: bool,
}

/// How far a member of a chat has got.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub struct ReceiptView {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// The member.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// Newest message that a device of the member has.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub delivered_up_to: Option<MessageId>,
    /// Newest message that the member has read.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub read_up_to: Option<MessageId>,
}

/// A message that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedMessage {
    /// Its chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Which one.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
}

/// A chat that somebody started with the receiver of the event, or that the receiver started on another device.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatStarted {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who started it.
    #[schema(value_type = uuid::Uuid)]
    pub by: UserId,
}

/// A chat that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatDeleted {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
}

/// That the peer types, or does not any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TypingEvent)]
pub(crate) struct TypingView {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// Whether.
    pub typing: bool,
    /// Seconds after which to forget it.
    pub expires_in: u32,
}

/// What a user is told of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub(crate) struct NotificationView<'a> {
    /// Its id, the same as in `GET /notifications`.
    #[schema(value_type = uuid::Uuid)]
    pub notification_id: MessageId,
    /// What it is about: `new_message`, `welcome` or `notice` (of whoever runs the deployment).
    #[schema(value_type = String, example = "new_message")]
    pub kind: Kind,
    /// A line that says what it is about: who wrote, if the user wants that shown.
    pub header: &'a str,
    /// The beginning of the message, if the user wants it shown; all of a notice.
    pub body: &'a str,
    /// The message's chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub chat_id: Option<ChatId>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub message_id: Option<MessageId>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl<'a> From<&'a Shown> for NotificationView<'a> {
    fn from(shown: &'a Shown) -> Self {
        Self {
            notification_id: shown.notification_id,
            kind: shown.kind,
            header: &shown.header,
            body: &shown.body,
            chat_id: shown.chat_id,
            message_id: shown.message_id,
            created_at: shown.created_at,
        }
    }
}

/// That a notification was read by itself, here or on another device of the user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationRead)]
pub(crate) struct NotificationReadView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub notification_id: MessageId,
}

/// A notification as clients of the seed get it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewMessage)]
pub(crate) struct NewMessageView<'a> {
    /// A line that says what it is about.
    pub header: &'a str,
    /// The text below it.
    pub body: &'a str,
}

/// A peer's receipt as clients of the seed get it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Received)]
#[expect(clippy::struct_field_names, reason = "the seed's names")]
pub(crate) struct ReceivedView {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who got the messages.
    #[schema(value_type = uuid::Uuid)]
    pub receiver_id: UserId,
    /// The newest of them.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub message_id: Option<MessageId>,
}

/// That the socket's token is about to expire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenExpiring {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The presence of somebody, as the caller may see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Presence)]
pub(crate) struct PresenceView {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// `online`: a device is in use; `away`: one is connected; `offline`: none is.
    #[schema(value_type = String, example = "online")]
    pub status: PresenceStatus,
    /// When a device was last in use; `null` when that is unknown.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_active: Option<Timestamp>,
}

impl From<Presence> for PresenceView {
    fn from(presence: Presence) -> Self {
        let Presence { user_id, status, last_active } = presence;
        Self { user_id, status, last_active }
    }
}

/// The presence of those who are watched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Presences)]
pub(crate) struct PresencesView {
    /// One for each of them.
    pub presence: Vec<PresenceView>,
}

/// Told to a socket that has joined.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct ReadyView {
    /// Whose socket it is.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// In which session.
    #[schema(value_type = uuid::Uuid)]
    pub session_id: SessionId,
    /// From where to sync; `null` while the store is away: then from the token that the client has.
    pub sync_token: Option<String>,
    /// What to keep to.
    pub limits: LimitsView,
}

/// What a client should keep to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsView {
    /// Longest text of a message, in bytes of UTF-8.
    pub message_bytes: u32,
    /// Largest packet in bytes.
    pub packet_bytes: u32,
    /// Messages per second that may be kept up.
    pub messages_per_second: u32,
    /// Events that may wait for their acknowledgement.
    pub queued_events: u32,
    /// Seconds after which messages are too old and gone: forget them then, too. `null`: they are kept.
    pub message_retention_seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{clock::Instant, watermark::Progress};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn id(millis: u64) -> MessageId {
        MessageId(Instant { millis, counter: 0 }.id(0))
    }

    #[test]
    fn a_message_has_the_contracts_fields_and_its_receivers_progress() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let mut chat = Chat {
            id: ChatId::of_pair(ann, bob),
            members: [ann, bob],
            created_at: Timestamp(0),
            watermarks: Default::default(),
            shown: Default::default(),
        };
        let message = Message {
            id: id(1_706_369_200_007),
            chat_id: chat.id,
            sender_id: ann,
            kind: MessageKind::Text,
            text: "hello".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: Some(ClientMessageId::parse("c-1".into()).unwrap()),
            edited_at: None,
            deleted: false,
        };
        // What the sender has read says nothing about the receiver.
        chat.shown[0] = chat.shown[0].advanced(Progress::Read, message.id);
        // Nor does what the receiver has done behind a block.
        chat.watermarks[1] = chat.watermarks[1].advanced(Progress::Read, message.id);
        assert_eq!(
            serde_json::to_value(MessageView::of(&chat, &message)).unwrap(),
            json!({
                "message_id": message.id.to_string(), "chat_id": chat.id.to_string(), "sender_id": ann.to_string(),
                "type": "text", "message": "hello", "content": "hello", "attachments": [], "reply_to": null,
                "timestamp": "2024-01-27T15:26:40.007Z", "edited_at": null, "deleted": false, "status": "sent",
                "seen_at": null, "client_message_id": "c-1",
            })
        );
        chat.shown[1] = chat.shown[1].advanced(Progress::Delivered, message.id);
        let view = MessageView::of(&chat, &message);
        assert_eq!((view.status, view.seen_at), (MessageStatus::Delivered, None));
        // It stays where it is when later messages are read.
        for up_to in [message.id, id(1_706_369_201_000)] {
            chat.shown[1] = chat.shown[1].advanced(Progress::Read, up_to);
            let view = MessageView::of(&chat, &message);
            assert_eq!((view.status, view.seen_at), (MessageStatus::Read, Some(message.id.timestamp())));
        }
    }
}
