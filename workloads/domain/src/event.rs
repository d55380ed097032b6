//! What happens to users: inbox events, which `sync` returns days later, and live events, which go to sockets.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ChatId, EventId, MessageId, SessionId, UserId},
    message::{Chat, Message},
    notification::Shown,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(pub u64);

impl Origin {
    /// A session as a device: one that tells over HTTP that it is in use.
    pub fn of_session(session: SessionId) -> Self {
        let (high, low) = session.0.as_u64_pair();
        Self(high ^ low)
    }
}

/// Something that sockets must hear of now. Published after it is durable, in the order in which it became so; what is
/// never durable says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// A member is typing, or no longer. Shown now or never: it is in no inbox.
    Typing {
        /// The chat.
        chat_id: ChatId,
        /// Who types.
        user_id: UserId,
        /// Who shall see it.
        peer: UserId,
        /// Whether it began or ended.
        typing: bool,
    },
    /// A user blocked another, or took that back: what either may see of the other is another now.
    BlockChanged {
        /// Whose block it is, and whom it is about.
        between: [UserId; 2],
    },
    /// A user is told of something, on sockets that ask for that.
    Notification {
        /// Whom it is for.
        user_id: UserId,
        /// What is shown.
        shown: Shown,
    },
    /// A user read a notification by itself: the user's other devices show it as read. The list has it in any case.
    NotificationRead {
        /// Whose it is.
        user_id: UserId,
        /// Which one.
        notification_id: MessageId,
    },
    /// A session ended: its sockets must close and its tokens are no longer good.
    SessionEnded {
        /// Which one.
        session_id: SessionId,
    },
}

impl LiveEvent {
    /// Whose sockets hear of it, each user once; nobody for the end of a session, which each process finds by itself.
    pub fn audience(&self) -> &[UserId] {
        match self {
            Self::Message { chat, .. }
            | Self::Edited { chat, .. }
            | Self::Deleted { chat, .. }
            | Self::Receipt { chat, blocked: false, .. }
            | Self::ChatStarted { chat, .. }
            | Self::ChatDeleted { chat } => chat.distinct_members(),
            Self::Receipt { user_id, blocked: true, .. }
            | Self::Notification { user_id, .. }
            | Self::NotificationRead { user_id, .. } => std::slice::from_ref(user_id),
            Self::Typing { peer, .. } => std::slice::from_ref(peer),
            Self::BlockChanged { between } => between,
            Self::SessionEnded { .. } => &[],
        }
    }
}

/// Where live events go when there is nobody to hear them, as in a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Fanout for Nobody {
    fn publish(&self, _: Vec<LiveEvent>) {}
}

/// Where live events go. `publish` is called in order and must return at once: it queues, it never waits.
pub trait Fanout: Send + Sync {
    /// Takes the events of one commit.
    fn publish(&self, events: Vec<LiveEvent>);
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        message::{ClientMessageId, MessageKind},
        time::Timestamp,
        watermark::Progress,
    };

    fn message_event() -> LiveEvent {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let id = MessageId(Uuid::from_u128(3));
        let read = Watermarks::default().advanced(Progress::Read, id);
        let chat = Chat {
            id: ChatId::of_pair(ann, bob),
            members: [ann, bob],
            created_at: Timestamp(1_706_369_200_007),
            watermarks: [read, Watermarks::default()],
            shown: [Watermarks::default(), read],
        };
        let message = Message {
            id,
            chat_id: chat.id,
            sender_id: ann,
            kind: MessageKind::File,
            text: "secret ✉".into(),
            attachments: vec![crate::ids::MediaId(Uuid::from_u128(4))],
            reply_to: Some(MessageId(Uuid::from_u128(5))),
            client_message_id: Some(ClientMessageId::parse("c-1".into()).unwrap()),
            edited_at: Some(Timestamp(-1)),
            deleted: false,
        };
        LiveEvent::Message { chat, message, origin: Some(Origin(u64::MAX)) }
    }

    #[test]
    fn an_event_is_the_same_on_another_node_and_is_not_written_to_logs() {
        let event = message_event();
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<LiveEvent>(&json).unwrap(), event);
        assert!(json.contains("secret") && !format!("{event:?}").contains("secret"));
    }

    #[test]
    fn a_notification_is_for_one_user_and_its_words_stay_out_of_logs() {
        let LiveEvent::Message { chat, .. } = message_event() else { panic!("a message") };
        let shown = Shown::of_message(MessageId(Uuid::from_u128(3)), chat.id, Some(("ann", "secret")));
        let event = LiveEvent::Notification { user_id: chat.members[1], shown };
        assert_eq!(event.audience(), [chat.members[1]]);
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<LiveEvent>(&json).unwrap(), event);
        assert!(json.contains("secret") && !format!("{event:?}").contains("secret"));
        let read = LiveEvent::NotificationRead { user_id: chat.members[1], notification_id: MessageId(Uuid::nil()) };
        assert_eq!(read.audience(), [chat.members[1]]);
    }

    #[test]
    fn a_receipt_behind_a_block_is_for_the_members_own_devices() {
        let LiveEvent::Message { chat, .. } = message_event() else { panic!("a message") };
        let [ann, bob] = chat.members;
        let receipt = |blocked| LiveEvent::Receipt { chat: chat.clone(), user_id: bob, blocked };
        assert_eq!(receipt(true).audience(), [bob]);
        assert_eq!(receipt(false).audience(), [ann, bob]);
    }
}
