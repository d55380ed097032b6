use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::{ids::EventId, outbox::PlatformEvent};

/// A part of a minute of an outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxPage {
    /// Its events, oldest first, without those that can't be read: there may be fewer than were asked for, or none.
    pub events: Vec<PlatformEvent>,
    /// The event after which the next page begins; `None`: the minute has no more.
    pub next: Option<EventId>,
}

/// The outbox of a chat store: events that were written along with what they tell of, until the log has them.
///
/// It is cut into shards, each of which one process works on at a time, and a shard into minutes (of the events' ids),
/// each of which is dropped whole.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// How many shards there are.
    fn shards(&self) -> u16;
    /// Takes or renews the lease of a shard for `holder` for `seconds`; `false` when another has it.
    async fn lease(&self, shard: u16, holder: Uuid, seconds: u16) -> Result<bool, StoreError>;
    /// Gives a lease back, so that another need not wait for its end.
    async fn release(&self, shard: u16, holder: Uuid) -> Result<(), StoreError>;
    /// The first minute (since 1970) of a shard that was not dropped yet; `None` when none ever was.
    async fn first_minute(&self, shard: u16) -> Result<Option<i64>, StoreError>;
    /// Events of one minute after `after`, from up to `limit` places.
    async fn events(
        &self,
        shard: u16,
        minute: i64,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<OutboxPage, StoreError>;
    /// Drops a minute, all of whose events the log has, and remembers that the shard goes on with the next.
    async fn drop_minute(&self, shard: u16, minute: i64) -> Result<(), StoreError>;
}

/// The log that consumers read.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends events, in order; the log has all of them for good when this returns.
    async fn append(&self, events: &[PlatformEvent]) -> Result<(), StoreError>;
}

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// What is needed for it is not available: it will be tried again.
    #[error("not now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It can never be handled: it goes to the dead letters.
    #[error("it can't be handled: {0}")]
    Rejected(String),
}

impl From<StoreError> for HandlerError {
    fn from(error: StoreError) -> Self {
        match error {
            // Only this event is concerned: the others must not wait for what never gets better.
            StoreError::Unreadable(_) | StoreError::TooLarge(_) => {
                let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
                let causes: Vec<String> = causes.map(ToString::to_string).collect();
                Self::Rejected(causes.join(": "))
            }
            error => Self::Unavailable(error.into()),
        }
    }
}

/// A consumer of platform events. Events may come twice and late.
#[async_trait]
pub trait EventHandler: Send + Sync {
    /// Handles events of one partition, in order. When it returns without error, they are not given again.
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::KeyError;

    #[test]
    fn only_what_can_never_be_handled_is_rejected() {
        let rejected = HandlerError::from(StoreError::from(KeyError::Corrupt));
        assert!(matches!(&rejected, HandlerError::Rejected(why) if why.contains("was changed")), "{rejected:?}");
        let rejected = HandlerError::from(StoreError::TooLarge("of 100 KiB".into()));
        assert!(matches!(&rejected, HandlerError::Rejected(why) if why.contains("of 100 KiB")), "{rejected:?}");
        for passing in [
            StoreError::from(KeyError::Missing("kek-0002".into())),
            StoreError::unavailable("away"),
            StoreError::NotFound,
        ] {
            assert!(matches!(HandlerError::from(passing), HandlerError::Unavailable(_)));
        }
    }
}
