//! What happens to users: inbox events, which `sync` returns days later, and live events, which go to sockets.

use crate::{
    ids::{ChatId, EventId, MessageId, SessionId, UserId},
    message::{Chat, Message},
    watermark::Watermarks,
};

/// An entry of a user's inbox with what it refers to as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    /// Its place in the inbox.
    pub id: EventId,
    /// What happened.
    pub body: InboxBody,
}

/// What an inbox event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxBody {
    /// A message was written; it is given as it is now (edited or deleted, perhaps).
    Message(Message),
    /// A message was edited.
    Edited(Message),
    /// A message was deleted.
    Deleted {
        /// Its chat.
        chat_id: ChatId,
        /// Which one.
        message_id: MessageId,
    },
    /// A member got further.
    Receipt {
        /// The chat.
        chat_id: ChatId,
        /// The member.
        user_id: UserId,
        /// How far.
        watermarks: Watermarks,
    },
    /// A chat was started.
    ChatStarted {
        /// The chat.
        chat_id: ChatId,
        /// Who started it.
        by: UserId,
    },
    /// A chat is gone because a member deleted the account.
    ChatDeleted {
        /// The chat.
        chat_id: ChatId,
    },
}

/// The socket or request that caused an event, so that it does not get its own echo. Random per socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(pub u64);

/// Something that sockets must hear of now. Published after it is durable, in the order in which it became so.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// A message was written.
    Message {
        /// The chat as of now.
        chat: Chat,
        /// The message.
        message: Message,
        /// The socket that sent it.
        origin: Option<Origin>,
    },
    /// A message was edited.
    Edited {
        /// The chat as of now.
        chat: Chat,
        /// The message as it is now.
        message: Message,
    },
    /// A message was deleted.
    Deleted {
        /// The chat as of now.
        chat: Chat,
        /// Which one.
        message_id: MessageId,
    },
    /// A member got further; `chat` has the new watermarks.
    Receipt {
        /// The chat as of now.
        chat: Chat,
        /// The member.
        user_id: UserId,
        /// Whether the members have blocked each other: then only the member's own devices hear of it.
        blocked: bool,
    },
    /// A chat was started.
    ChatStarted {
        /// The chat.
        chat: Chat,
        /// Who started it.
        by: UserId,
    },
    /// A chat is gone.
    ChatDeleted {
        /// The chat as it was.
        chat: Chat,
    },
    /// A session ended: its sockets must close and its tokens are no longer good.
    SessionEnded {
        /// Which one.
        session_id: SessionId,
    },
}

/// Where live events go. `publish` is called in order and must return at once: it queues, it never waits.
pub trait Fanout: Send + Sync {
    /// Takes the events of one commit.
    fn publish(&self, events: Vec<LiveEvent>);
}
