//! Giving platform events to a handler: one decision, whatever log they are read from, about what is waited for and what
//! goes to the dead letters.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use sentinel_domain::{
    outbox::PlatformEvent,
    ports::{EventHandler, HandlerError},
};

/// A pause that doubles from one try to the next, up to a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    /// Between tries of what is away.
    pub(crate) const GROWING: Self = Self { next: Duration::from_millis(100), longest: Duration::from_secs(5) };
    /// For tests.
    #[cfg(test)]
    pub(crate) const SHORT: Self = Self { next: Duration::from_millis(1), longest: Duration::from_millis(2) };

    /// Waits; the next time twice as long.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

/// Gives events to a handler of `group` until it has them. What they need may be away for as long as an outage takes:
/// whoever no longer needs the answer drops it. An error says why one of them, at least, can never be handled: it was
/// rejected, or the handler panicked.
pub(crate) async fn handle(
    handler: &dyn EventHandler,
    events: &[PlatformEvent],
    group: &str,
    mut pause: Pause,
) -> Result<(), String> {
    loop {
        match AssertUnwindSafe(handler.handle(events)).catch_unwind().await {
            Ok(Ok(())) => {
                count(group, "handled", events.len());
                return Ok(());
            }
            Ok(Err(HandlerError::Rejected(why))) => return Err(why),
            Ok(Err(error @ HandlerError::Unavailable(_))) => {
                tracing::warn!(error = told(&error), group, "events wait for what they need");
                count(group, "postponed", events.len());
            }
            Err(_) => return Err("the handler panicked".to_owned()),
        }
        pause.wait().await;
    }
}

/// Lets the counts of a group begin at 0, so that the first dead letter is one more.
pub(crate) fn count_from_zero(group: &str) {
    for outcome in ["handled", "postponed", "dead"] {
        count(group, outcome, 0);
    }
}

/// Counts what became of events.
pub(crate) fn count(group: &str, outcome: &'static str, events: usize) {
    metrics::counter!("sentinel_events_total", "group" => group.to_owned(), "outcome" => outcome)
        .increment(u64::try_from(events).unwrap_or(u64::MAX));
}

/// An error with what led to it.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use sentinel_domain::{
        ids::{ChatId, EventId, UserId},
        outbox::Change,
    };
    use uuid::Uuid;

    use super::*;

    /// Is away for some tries; then it does something else.
    struct Away {
        tries: AtomicUsize,
        back_after: usize,
        then: fn() -> Result<(), HandlerError>,
    }

    #[async_trait]
    impl EventHandler for Away {
        async fn handle(&self, _events: &[PlatformEvent]) -> Result<(), HandlerError> {
            if self.tries.fetch_add(1, Ordering::Relaxed) < self.back_after {
                return Err(HandlerError::Unavailable("the disk is full".into()));
            }
            (self.then)()
        }
    }

    /// What comes of an event, and after how many tries.
    async fn outcome(back_after: usize, then: fn() -> Result<(), HandlerError>) -> (Result<(), String>, usize) {
        let user = UserId(Uuid::from_u128(1));
        let event = PlatformEvent {
            event_id: EventId(Uuid::from_u128(2)),
            chat_id: ChatId(Uuid::from_u128(3)),
            members: [user, user],
            change: Change::ChatDeleted,
        };
        let handler = Away { tries: AtomicUsize::new(0), back_after, then };
        let result = handle(&handler, &[event], "test", Pause::SHORT).await;
        (result, handler.tries.into_inner())
    }

    #[tokio::test]
    async fn an_outage_is_waited_for_however_long_it_takes() {
        assert_eq!(outcome(200, || Ok(())).await, (Ok(()), 201));
    }

    #[tokio::test]
    async fn what_is_refused_for_what_it_is_is_tried_no_more() {
        let refused = outcome(20, || Err(HandlerError::Rejected("damaged".into()))).await;
        assert_eq!(refused, (Err("damaged".to_owned()), 21));
        assert_eq!(outcome(0, || panic!("a fault")).await, (Err("the handler panicked".to_owned()), 1));
    }

    #[tokio::test]
    async fn pauses_grow_up_to_a_bound() {
        let mut pause = Pause::SHORT;
        for expected in [1, 2, 2] {
            assert_eq!(pause.next, Duration::from_millis(expected));
            pause.wait().await;
        }
    }
}
