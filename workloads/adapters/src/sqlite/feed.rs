//! What consumers hear of while they run: the events of each commit, handed on in memory in the order of their ids. A
//! consumer that is too slow for that loses its queue and reads what it missed from the tables ([`super::scan`]), as it
//! does after a restart. So a message costs no write for its event.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sentinel_domain::outbox::PlatformEvent;
use tokio::sync::Notify;

/// Events that wait for one consumer at most; about 100 bytes each.
const WAITING: usize = 65_536;

/// Where the writer leaves the events of each commit.
#[derive(Default)]
pub(super) struct Feed(Mutex<Vec<Weak<Live>>>);

impl Feed {
    /// A queue that gets what is committed from now on.
    pub(super) fn subscribe(&self) -> Arc<Live> {
        let live = Arc::new(Live::default());
        lock(&self.0).push(Arc::downgrade(&live));
        live
    }

    /// Hands on the events of a commit, in the order of their ids.
    pub(super) fn committed(&self, events: &[PlatformEvent]) {
        if events.is_empty() {
            return;
        }
        lock(&self.0).retain(|live| live.upgrade().inspect(|live| live.push(events)).is_some());
    }
}

/// What waits for one consumer.
#[derive(Default)]
pub(super) struct Live {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<PlatformEvent>,
    missed: bool,
}

/// What a consumer finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The next events; none when nothing happened.
    Events(Vec<PlatformEvent>),
    /// There were more than could wait: they are in the tables. From now on events wait again.
    Missed,
}

impl Live {
    fn push(&self, events: &[PlatformEvent]) {
        let mut waiting = lock(&self.waiting);
        if waiting.missed {
            return;
        }
        if waiting.events.len() + events.len() > WAITING {
            waiting.missed = true;
            waiting.events = VecDeque::new();
        } else {
            waiting.events.extend(events.iter().cloned());
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Takes the next events, at most `limit`.
    pub(super) fn take(&self, limit: usize) -> News {
        let mut waiting = lock(&self.waiting);
        if std::mem::take(&mut waiting.missed) {
            return News::Missed;
        }
        let count = waiting.events.len().min(limit);
        News::Events(waiting.events.drain(..count).collect())
    }

    /// How many wait; of those that there were too many of, as many as can.
    pub(super) fn len(&self) -> usize {
        let waiting = lock(&self.waiting);
        if waiting.missed { WAITING } else { waiting.events.len() }
    }

    /// Waits until there may be something to take.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        ids::{ChatId, EventId, UserId},
        outbox::Change,
    };
    use uuid::Uuid;

    use super::*;

    fn events(numbers: std::ops::Range<u128>) -> Vec<PlatformEvent> {
        let user = UserId(Uuid::nil());
        let event = |number| PlatformEvent {
            event_id: EventId(Uuid::from_u128(number)),
            chat_id: ChatId(Uuid::nil()),
            members: [user, user],
            change: Change::ChatDeleted,
        };
        numbers.map(event).collect()
    }

    #[test]
    fn events_come_in_order_to_everybody_who_is_there() {
        let feed = Feed::default();
        let (first, gone) = (feed.subscribe(), feed.subscribe());
        drop(gone);
        feed.committed(&events(0..3));
        let late = feed.subscribe();
        feed.committed(&events(3..5));
        assert_eq!(first.take(4), News::Events(events(0..4)));
        assert_eq!(first.take(4), News::Events(events(4..5)));
        assert_eq!(first.take(4), News::Events(vec![]));
        assert_eq!(late.take(9), News::Events(events(3..5)));
    }

    #[test]
    fn who_is_too_slow_is_told_once_and_keeps_no_part() {
        let feed = Feed::default();
        let live = feed.subscribe();
        for number in 0..70 {
            feed.committed(&events(number * 1000..(number + 1) * 1000));
        }
        assert!(lock(&live.waiting).events.is_empty());
        assert_eq!(live.len(), WAITING, "who is that far behind is not told as one for whom nothing waits");
        assert_eq!(live.take(9), News::Missed);
        assert_eq!(live.len(), 0);
        feed.committed(&events(7..8));
        assert_eq!(live.take(9), News::Events(events(7..8)));
    }
}
