//! Waiting a moment before somebody is told: who reads a message at once need not be.

use std::time::Duration;

use sentinel_domain::{
    outbox::{Change, PlatformEvent},
    time::Timestamp,
};

/// Waits until the newest message that events tell of has been there for `millis`.
pub(crate) async fn ripen(events: &[PlatformEvent], millis: u32) {
    let wait = left(events, millis, Timestamp::now());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// How long that is. Clocks differ, so it is never longer than asked.
fn left(events: &[PlatformEvent], millis: u32, now: Timestamp) -> Duration {
    let written = events.iter().filter_map(|event| match event.change {
        Change::Written { message_id, .. } => Some(message_id.timestamp().0),
        _ => None,
    });
    let Some(newest) = written.max() else { return Duration::ZERO };
    let left = (newest + i64::from(millis) - now.0).clamp(0, i64::from(millis));
    Duration::from_millis(left.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        clock::Instant,
        ids::{ChatId, EventId, MessageId, UserId},
    };
    use uuid::Uuid;

    use super::*;

    fn event(change: impl Fn(MessageId, UserId) -> Change, millis: u64) -> PlatformEvent {
        let (low, high) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let id = Instant { millis, counter: 0 }.id(0);
        PlatformEvent {
            event_id: EventId(id),
            chat_id: ChatId::of_pair(low, high),
            members: [low, high],
            change: change(MessageId(id), low),
        }
    }

    #[test]
    fn new_messages_are_waited_for_and_nothing_else() {
        let written = |millis| event(|message_id, sender_id| Change::Written { message_id, sender_id }, millis);
        let read = |millis| event(|message_id, user_id| Change::Read { message_id, user_id, before: None }, millis);
        let now = Timestamp(10_000);
        assert_eq!(left(&[written(8_000), written(9_000), read(9_900)], 3_000, now), Duration::from_secs(2));
        assert_eq!(left(&[written(5_000)], 3_000, now), Duration::ZERO);
        assert_eq!(left(&[read(10_000)], 3_000, now), Duration::ZERO);
        assert_eq!(left(&[written(99_000)], 3_000, now), Duration::from_secs(3), "another's clock is ahead");
    }
}
