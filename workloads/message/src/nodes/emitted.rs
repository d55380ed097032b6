//! What sockets here have been shown lately, so that what is found in an inbox is not shown twice.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use sentinel_domain::{
    event::{InboxBody, LiveEvent},
    ids::{ChatId, EventId, UserId},
    message::Message,
    watermark::Watermarks,
};
use serde_json::value::RawValue;

/// Events that are remembered, counted once per user: some minutes of a busy node, in about 4 MiB.
const REMEMBERED: usize = 100_000;

/// What tells an event from others: the same for the live event and for the inbox's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    /// The key of a live event; `None` for what is in no inbox.
    pub fn of(event: &LiveEvent) -> Option<Self> {
        Some(match event {
            LiveEvent::Message { message, .. } => Self::written(message),
            LiveEvent::Edited { message, .. } => Self::edited(message),
            LiveEvent::Deleted { chat, message_id } => Self::hashed("deleted", (chat.id, message_id)),
            LiveEvent::Receipt { chat, user_id, .. } => Self::receipt(chat.id, *user_id, chat.watermarks_of(*user_id)),
            LiveEvent::ChatStarted { chat, by } => Self::hashed("started", (chat.id, by)),
            LiveEvent::ChatDeleted { chat } => Self::hashed("gone", chat.id),
            // An event that is handled twice is shown once.
            LiveEvent::Notification { shown, .. } => Self::hashed("notification", shown.notification_id),
            LiveEvent::Typing { .. }
            | LiveEvent::NotificationRead { .. }
            | LiveEvent::BlockChanged { .. }
            | LiveEvent::SessionEnded { .. } => return None,
        })
    }

    /// The key of what an inbox says.
    pub fn of_inbox(body: &InboxBody) -> Self {
        match body {
            InboxBody::Message(message) => Self::written(message),
            InboxBody::Edited(message) => Self::edited(message),
            InboxBody::Deleted { chat_id, message_id } => Self::hashed("deleted", (chat_id, message_id)),
            InboxBody::Receipt { chat_id, user_id, watermarks } => Self::receipt(*chat_id, *user_id, *watermarks),
            InboxBody::ChatStarted { chat_id, by } => Self::hashed("started", (chat_id, by)),
            InboxBody::ChatDeleted { chat_id } => Self::hashed("gone", chat_id),
        }
    }

    fn written(message: &Message) -> Self {
        Self::hashed("written", message.id)
    }

    fn edited(message: &Message) -> Self {
        Self::hashed("edited", (message.id, message.edited_at, &message.text))
    }

    /// The key of how far a member of a chat got.
    pub fn receipt(chat: ChatId, member: UserId, marks: Watermarks) -> Self {
        Self::hashed("receipt", (chat, member, marks.delivered_up_to, marks.read_up_to))
    }

    fn hashed(kind: &str, what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, what).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The events that were shown lately.
pub(crate) struct Emitted {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Default for Emitted {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl Emitted {
    fn remembering(most: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Whether an event is shown to a user for the first time; from now on it is not.
    pub fn is_first(&mut self, user: UserId, key: Key) -> bool {
        let mut hasher = DefaultHasher::new();
        (user, key).hash(&mut hasher);
        let print = hasher.finish();
        if !self.known.insert(print) {
            return false;
        }
        self.order.push_back(print);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What was found in a user's inbox and may not have been shown.
pub(crate) struct Missed {
    pub user: UserId,
    pub events: Vec<MissedEvent>,
}

/// One event of an inbox.
pub(crate) struct MissedEvent {
    pub id: EventId,
    pub body: MissedBody,
}

/// What it says.
pub(crate) enum MissedBody {
    /// How far a member of a chat got; sockets here may have been shown more meanwhile.
    Receipt(ChatId, UserId, Watermarks),
    /// Anything else, as sockets get it.
    Other { key: Key, event: &'static str, payload: Box<RawValue> },
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        ids::MessageId,
        message::{Chat, MessageKind},
        time::Timestamp,
        watermark::Progress,
    };
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));

    fn chat() -> Chat {
        Chat {
            id: ChatId::of_pair(ANN, BOB),
            members: [ANN, BOB],
            created_at: Timestamp(0),
            watermarks: Default::default(),
            shown: Default::default(),
        }
    }

    fn message(text: &str, edited_at: Option<Timestamp>) -> Message {
        Message {
            id: MessageId(Uuid::from_u128(7)),
            chat_id: chat().id,
            sender_id: ANN,
            kind: MessageKind::Text,
            text: text.into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: None,
            edited_at,
            deleted: false,
        }
    }

    #[test]
    fn an_event_of_an_inbox_is_known_by_the_live_one() {
        let id = MessageId(Uuid::from_u128(7));
        let mut read = chat();
        read.watermarks[1] = read.watermarks[1].advanced(Progress::Read, id);
        let (watermarks, chat_id) = (read.watermarks[1], read.id);
        let edited = message("b", Some(Timestamp(5)));
        let pairs = [
            (
                LiveEvent::Message { chat: chat(), message: message("a", None), origin: None },
                // An edit meanwhile makes no other message of it.
                InboxBody::Message(edited.clone()),
            ),
            (LiveEvent::Edited { chat: chat(), message: edited.clone() }, InboxBody::Edited(edited)),
            (
                LiveEvent::Deleted { chat: chat(), message_id: id },
                InboxBody::Deleted { chat_id: chat().id, message_id: id },
            ),
            (
                LiveEvent::Receipt { chat: read, user_id: BOB, blocked: false },
                InboxBody::Receipt { chat_id, user_id: BOB, watermarks },
            ),
            (LiveEvent::ChatStarted { chat: chat(), by: ANN }, InboxBody::ChatStarted { chat_id, by: ANN }),
            (LiveEvent::ChatDeleted { chat: chat() }, InboxBody::ChatDeleted { chat_id }),
        ];
        let mut keys = HashSet::new();
        for (live, inbox) in &pairs {
            assert_eq!(Key::of(live), Some(Key::of_inbox(inbox)), "{live:?}");
            assert!(keys.insert(Key::of_inbox(inbox)), "{live:?} is like another");
        }
    }

    #[test]
    fn an_event_is_shown_once_to_each_user_and_old_ones_are_forgotten() {
        let mut emitted = Emitted::remembering(2);
        let key = |n: u64| Key(n);
        assert!(emitted.is_first(ANN, key(1)));
        assert!(emitted.is_first(BOB, key(1)));
        assert!(!emitted.is_first(ANN, key(1)));
        assert!(emitted.is_first(ANN, key(2)));
        assert!(emitted.is_first(ANN, key(1)), "the oldest was forgotten");
        assert_eq!((emitted.known.len(), emitted.order.len()), (2, 2));
    }
}
