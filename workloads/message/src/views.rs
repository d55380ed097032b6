//! What clients see of chats and messages.

use sentinel_domain::{
    account::Profile,
    ids::{ChatId, MessageId, SessionId, UserId},
    presence::{Presence, PresenceStatus},
    time::Timestamp,
};
use sentinel_http::views::MessageView;
use serde::Serialize;
use utoipa::ToSchema;

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

/// A chat that somebody started, on every device of both members: that of whoever started it, too.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatStarted {
    /// The chat.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Who started it: the peer, or the receiver of the event.
    #[schema(value_type = uuid::Uuid)]
    pub by: UserId,
    /// Both members, of whom the receiver is one; one alone in a chat with oneself.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub members: Vec<UserId>,
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
    /// From where to sync when the client keeps no token: what happened before it, while a client was away, only the token that
    /// the client keeps leads to. `null` while the store is away.
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
