//! Rebuilding the search index: one at a time, however many processes there are. What is known of the last one is stored,
//! so that any process can tell how far it is, and another one takes it up when the process that was at it is gone.

use uuid::Uuid;

use crate::{
    ids::{MessageId, UserId},
    time::Timestamp,
};

/// Seconds for which a process has a rebuild for itself; it says again and again that it is still at it.
pub const REINDEX_LEASE_SECONDS: i64 = 30;
/// Of how many messages that were skipped the ids are kept.
pub const SKIPPED_NAMED: usize = 10;
/// How often a rebuild may be taken up again before it counts as failed.
pub const REINDEX_ATTEMPTS: u32 = 5;

/// The last rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reindex {
    /// Its id (`UUIDv7`).
    pub id: Uuid,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// By whom; nobody for the command line and for what a server does by itself.
    pub started_by: Option<UserId>,
    /// How many processes have begun it, the one at it included; 0 until the first.
    pub attempts: u32,
    /// Messages that this attempt has made anew.
    pub done: u64,
    /// About how many there are; `None` until that is known.
    pub total: Option<u64>,
    /// How it ended; `None` until then.
    pub end: Option<ReindexEnd>,
}

/// How a rebuild ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReindexEnd {
    /// When.
    pub at: Timestamp,
    /// Why it did not come through; `None` when it did.
    pub failure: Option<ReindexFailure>,
    /// What is not found any more because it can't be read, or the engine refuses it.
    pub skipped: Skipped,
}

/// Messages that a rebuild left out because they can't be read, being damaged or without their key, or because the search engine
/// refuses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// Some of them, at most [`SKIPPED_NAMED`].
    pub first: Vec<MessageId>,
}

impl Skipped {
    /// The ids of some, separated by commas.
    pub fn named(&self) -> String {
        self.first.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// What [`Skipped::named`] gave, and the count; `None` when it is something else.
    pub fn of_named(count: u64, named: &str) -> Option<Self> {
        let ids = named.split(',').filter(|id| !id.is_empty());
        Some(Self { count, first: ids.map(|id| id.parse().ok()).collect::<Option<_>>()? })
    }
}

/// Why a rebuild did not come through. The index goes on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReindexFailure {
    /// A store failed or could not be reached; the log tells which.
    StoreUnavailable,
    /// The processes that were at it ended, again and again.
    Interrupted,
}

impl ReindexFailure {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StoreUnavailable => "store_unavailable",
            Self::Interrupted => "interrupted",
        }
    }

    /// The failure of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::StoreUnavailable, Self::Interrupted].into_iter().find(|failure| failure.as_str() == name)
    }
}

/// One process's work at a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReindexAttempt {
    /// Of which rebuild.
    pub id: Uuid,
    /// The how-manieth process it is.
    pub number: u32,
}

impl Reindex {
    /// One that was asked for now.
    pub fn now(by: Option<UserId>) -> Self {
        Self {
            id: Uuid::now_v7(),
            started_at: Timestamp::now(),
            started_by: by,
            attempts: 0,
            done: 0,
            total: None,
            end: None,
        }
    }

    /// The work of the process that took it last.
    pub fn attempt(&self) -> ReindexAttempt {
        ReindexAttempt { id: self.id, number: self.attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_read_back() {
        let skipped = Skipped { count: 7, first: [1, 2].map(|id| MessageId(Uuid::from_u128(id))).into() };
        for skipped in [skipped, Skipped::default()] {
            assert_eq!(Skipped::of_named(skipped.count, &skipped.named()), Some(skipped));
        }
        assert_eq!(Skipped::of_named(1, "no id"), None);
    }

    #[test]
    fn every_name_of_a_failure_is_read_back() {
        for failure in [ReindexFailure::StoreUnavailable, ReindexFailure::Interrupted] {
            assert_eq!(ReindexFailure::parse(failure.as_str()), Some(failure));
        }
        assert_eq!(ReindexFailure::parse("something else"), None);
    }
}
