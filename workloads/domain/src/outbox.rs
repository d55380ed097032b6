//! What consumers such as search and notification hear of: platform events, kept in an outbox until the log has them.
//!
//! An event names what changed and holds no text: whoever needs it reads the message as it is now. So events may come
//! late, twice or out of order without harm.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ChatId, EventId, MessageId, UserId},
    message::peer_of,
};

/// Something that happened to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformEvent {
    /// Its id, which is its time and its place in the outbox.
    pub event_id: EventId,
    /// Its chat; events of one chat stay in order in the log.
    pub chat_id: ChatId,
    /// The chat's members, the lower id first.
    pub members: [UserId; 2],
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

impl PlatformEvent {
    /// The chat's other member; in a chat with oneself, oneself.
    pub fn peer_of(&self, member: UserId) -> UserId {
        peer_of(self.members, member)
    }
}

/// What happened to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A message was written.
    Written {
        /// Which one.
        message_id: MessageId,
        /// Who wrote it.
        sender_id: UserId,
    },
    /// A message was edited.
    Edited {
        /// Which one.
        message_id: MessageId,
        /// Who wrote it.
        sender_id: UserId,
    },
    /// A message was deleted.
    Deleted {
        /// Which one.
        message_id: MessageId,
        /// Who wrote it.
        sender_id: UserId,
    },
    /// A member read up to a message.
    Read {
        /// The newest message read.
        message_id: MessageId,
        /// Who read it.
        user_id: UserId,
        /// Up to where they had read before, if that is known and they had read anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<MessageId>,
    },
    /// The chat is gone with all its messages.
    ChatDeleted,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_plain_json_without_text() {
        let id = |n| Uuid::from_u128(n);
        let event = PlatformEvent {
            event_id: EventId(id(1)),
            chat_id: ChatId(id(2)),
            members: [UserId(id(3)), UserId(id(4))],
            change: Change::Written { message_id: MessageId(id(1)), sender_id: UserId(id(3)) },
        };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], "written");
        assert_eq!(json["message_id"], id(1).to_string());
        assert_eq!(json["members"][1], id(4).to_string());
        assert_eq!(serde_json::from_value::<PlatformEvent>(json).unwrap(), event);
    }

    #[test]
    fn what_was_read_is_understood_by_versions_before_and_of_them() {
        let id = |n| Uuid::from_u128(n);
        let read = |before| PlatformEvent {
            event_id: EventId(id(1)),
            chat_id: ChatId(id(2)),
            members: [UserId(id(3)), UserId(id(4))],
            change: Change::Read { message_id: MessageId(id(6)), user_id: UserId(id(3)), before },
        };
        let mut json = serde_json::to_value(read(Some(MessageId(id(5))))).unwrap();
        assert_eq!(serde_json::from_value::<PlatformEvent>(json.clone()).unwrap(), read(Some(MessageId(id(5)))));
        assert_eq!(json.as_object_mut().unwrap().remove("before"), Some(id(5).to_string().into()));
        assert_eq!(serde_json::to_value(read(None)).unwrap(), json, "as versions before write it");
        assert_eq!(serde_json::from_value::<PlatformEvent>(json).unwrap(), read(None));
    }
}
