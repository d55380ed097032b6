//! How long things are kept: what the guides promise, whichever store holds them. Of reports, [`crate::report`] says so.
//!
//! A message is as old as its id says. From the moment at which it is too old it is not shown any more, whenever a store
//! gets to removing it: so what clients see does not hang on when that is.

use crate::{
    clock::Instant,
    ids::{ChatId, EventId, MessageId, UserId},
    message::{ClientMessageId, Message, MessageKind},
    time::Timestamp,
};

const DAY_SECONDS: i64 = 24 * 3600;
/// How long inboxes keep events.
pub const INBOX_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long a notification is kept.
pub const NOTIFICATION_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long a client message id is remembered.
pub const CLIENT_MESSAGE_ID_SECONDS: i64 = 7 * DAY_SECONDS;
/// How long an ended session is remembered; longer than any access token lives.
pub const ENDED_SESSION_SECONDS: i64 = 35 * DAY_SECONDS;
/// How long events that a consumer gave up are kept for somebody to look at.
pub const DEAD_LETTER_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long the audit log keeps entries.
pub const AUDIT_SECONDS: i64 = 400 * DAY_SECONDS;

/// How long messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRetention {
    seconds: Option<u32>,
}

impl MessageRetention {
    /// Messages are kept as long as their chat.
    pub const FOREVER: Self = Self { seconds: None };

    /// Messages are kept for this long.
    pub fn seconds(seconds: u32) -> Self {
        Self { seconds: Some(seconds) }
    }

    /// The border between what is too old at `now` and what is kept.
    pub fn horizon(self, now: Timestamp) -> Horizon {
        let Some(seconds) = self.seconds else { return Horizon::NONE };
        Horizon::at(now.plus_seconds(-i64::from(seconds)))
    }
}

/// The border between messages that are too old and those that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon(Instant);

impl Horizon {
    /// Nothing is too old.
    pub const NONE: Self = Self(Instant { millis: 0, counter: 0 });

    /// What was written then or before is too old.
    pub fn at(time: Timestamp) -> Self {
        Self(Instant { millis: u64::try_from(time.0).unwrap_or(0), counter: 0 })
    }

    /// Whether a message is kept.
    pub fn keeps(self, message: MessageId) -> bool {
        message > self.id()
    }

    /// Whether what happened at `at` is kept.
    pub fn keeps_since(self, at: Timestamp) -> bool {
        self == Self::NONE || at > self.time()
    }

    /// The highest id that is too old: every message after it is kept.
    pub fn id(self) -> MessageId {
        MessageId(self.0.id(0))
    }

    /// The same among events.
    pub fn event(self) -> EventId {
        self.id().into()
    }

    /// The moment: what was written then or before is too old.
    pub fn time(self) -> Timestamp {
        self.id().timestamp()
    }

    /// The later of an id and the border: messages after both are those after this.
    pub fn or_later(self, id: MessageId) -> MessageId {
        self.id().max(id)
    }
}

impl Message {
    /// What is known of a message that is too old to be shown: that there was one. Whoever sends it again, under the client
    /// id that made it, gets this in place of a second message.
    pub fn expired(id: MessageId, chat_id: ChatId, sender_id: UserId, client_message_id: ClientMessageId) -> Self {
        Self {
            id,
            chat_id,
            sender_id,
            kind: MessageKind::default(),
            text: String::new(),
            attachments: Vec::new(),
            reply_to: None,
            client_message_id: Some(client_message_id),
            edited_at: None,
            deleted: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn id(at: Timestamp, counter: u16, node: u64) -> MessageId {
        MessageId(Instant { millis: at.0.unsigned_abs(), counter }.id(node))
    }

    #[test]
    fn everything_is_kept_for_as_long_as_the_guides_say() {
        let clients = include_str!("../../../docs/clients.md");
        let operations = include_str!("../../../docs/operations.md");
        let days = |seconds: i64| format!("{} days", seconds / DAY_SECONDS);
        let told = |guide: &str, sentence: String| assert!(guide.contains(&sentence), "no guide says {sentence:?}");
        told(clients, format!("| inbox (`sync`) | {} |", days(INBOX_SECONDS)));
        told(
            clients,
            format!("| `client_message_id` | 128 characters, remembered for {} |", days(CLIENT_MESSAGE_ID_SECONDS)),
        );
        told(operations, format!("stays for {}, to open sockets", days(NOTIFICATION_SECONDS)));
        told(operations, format!("| `ended_sessions` | {} |", days(ENDED_SESSION_SECONDS)));
        told(operations, format!("| `audit_log` | {} |", days(AUDIT_SECONDS)));
        told(operations, format!("dead letters: {} |", days(DEAD_LETTER_SECONDS)));
        told(operations, format!("| `reports` | {} after they were made |", days(crate::report::REPORT_SECONDS)));
    }

    #[test]
    fn a_message_is_kept_until_its_time_is_over() {
        let horizon = MessageRetention::seconds(86_400).horizon(NOW);
        let day_ago = NOW.plus_seconds(-86_400);
        assert_eq!(horizon.time(), day_ago);
        assert!(!horizon.keeps(id(Timestamp(day_ago.0 - 1), 4095, u64::MAX)));
        assert!(!horizon.keeps(horizon.id()));
        for kept in [id(Timestamp(day_ago.0 + 1), 0, 0), id(NOW, 0, 0), id(NOW.plus_seconds(60), 0, 0)] {
            assert!(horizon.keeps(kept), "{kept}");
        }
        assert!(horizon.keeps_since(Timestamp(day_ago.0 + 1)) && !horizon.keeps_since(day_ago));
    }

    #[test]
    fn without_a_limit_everything_is_kept() {
        let horizon = MessageRetention::FOREVER.horizon(NOW);
        assert_eq!(horizon, Horizon::NONE);
        assert!(horizon.keeps(id(Timestamp(1), 0, 0)) && horizon.keeps_since(Timestamp(0)));
    }

    #[test]
    fn a_limit_longer_than_time_itself_keeps_everything() {
        let horizon = MessageRetention::seconds(u32::MAX).horizon(Timestamp(1000));
        assert!(horizon.keeps(id(Timestamp(1), 0, 0)));
    }

    #[test]
    fn the_border_moves_with_time_and_never_back() {
        let retention = MessageRetention::seconds(10);
        let message = id(NOW, 7, 7);
        let kept = [0, 9, 10, 11].map(|seconds| retention.horizon(NOW.plus_seconds(seconds)).keeps(message));
        assert_eq!(kept, [true, true, true, false]);
    }

    #[test]
    fn what_comes_after_an_id_begins_at_the_border() {
        let horizon = MessageRetention::seconds(10).horizon(NOW);
        assert_eq!(horizon.or_later(id(Timestamp(5), 0, 0)), horizon.id());
        assert_eq!(horizon.or_later(id(NOW, 0, 0)), id(NOW, 0, 0));
    }
}
