//! Dropping messages that are too old: whole partitions of chats, and the files that only they showed. What clients see does
//! not wait for it: reads leave out what is too old.

use std::{
    sync::{
        Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use scylla::{
    client::pager::TypedRowStream, deserialize::row::DeserializeRow, statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};
use sentinel_domain::{
    ids::{ChatId, MediaId},
    ports::StoreError,
    retention::Horizon,
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Cassandra, Shared,
    batch::Writes,
    media::{SOON_SECONDS, micros},
    times::first_kept_bucket,
};

/// How often all chats are gone through, by one process: whoever does so holds the lease that long.
const EVERY_SECONDS: i32 = 6 * 3600;
/// The lease, which is no shard of the outbox.
const LEASE: i16 = -1;
/// How often a process notes what is too old. What gets too old after the last note shows again when messages are kept longer
/// from then on.
const NOTED_EVERY: Duration = Duration::from_mins(1);
/// Files that a walk has looked at in one hour: looking at them leaves markers, which reads of that hour go over.
const FILES_PER_HOUR: i64 = 10_000;
/// Failures of a walk, one after the other, after which it is given up.
const FAILURES_IN_A_ROW: usize = 10;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Partitions of chats.
    pub partitions: usize,
    /// Files that left a chat. Those that no chat shows any more are destroyed soon.
    pub files: usize,
}

/// What was noted as too old by any process, as far as this one has heard.
pub(super) struct Noted(AtomicI64);

impl Noted {
    pub(super) fn nothing() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    fn learn(&self, at: i64) {
        self.0.fetch_max(at, Ordering::Relaxed);
    }

    pub(super) fn horizon(&self) -> Horizon {
        match self.0.load(Ordering::Relaxed) {
            i64::MIN => Horizon::NONE,
            at => Horizon::at(Timestamp(at)),
        }
    }
}

impl Cassandra {
    /// Which messages are too old now.
    pub fn horizon(&self) -> Horizon {
        self.shared.horizon()
    }

    /// Drops what is too old, unless a process did so within the last six hours (then `None`) or nothing is too old.
    /// To be called every some minutes, by any number of processes.
    pub async fn drop_expired(&self) -> Result<Option<Dropped>, StoreError> {
        let (shared, holder) = (&self.shared, Uuid::new_v4());
        if shared.horizon() == Horizon::NONE {
            return Ok(None);
        }
        if !shared.decide(&shared.statements.take_lease, (EVERY_SECONDS, holder, LEASE)).await? {
            return Ok(None);
        }
        let dropped = self.drop_expired_now().await;
        if dropped.is_err()
            && let Err(error) = shared.decide(&shared.statements.release_lease, (LEASE, holder)).await
        {
            tracing::warn!(%error, "what is too old is dropped when the lease of this try has ended");
        }
        dropped.map(Some)
    }

    /// Drops what is too old at once. Safe to repeat, and to do at the same time elsewhere. What can't be dropped is left
    /// out; then the first error is given at the end.
    pub async fn drop_expired_now(&self) -> Result<Dropped, StoreError> {
        let shared = &self.shared;
        let horizon = shared.horizon();
        if horizon == Horizon::NONE {
            return Ok(Dropped::default());
        }
        let (partitions, files) = (shared.drop_partitions(horizon).await, shared.drop_files(horizon).await);
        Ok(Dropped { partitions: partitions.end()?, files: files.end()? })
    }
}

/// What a walk did, and what it could not do.
#[derive(Default)]
struct Walk {
    dropped: usize,
    failed: usize,
    in_a_row: usize,
    first: Option<StoreError>,
}

impl Walk {
    /// Notes an outcome; gives whether to go on.
    fn note(&mut self, outcome: Result<bool, StoreError>) -> bool {
        match outcome {
            Ok(dropped) => {
                self.dropped += usize::from(dropped);
                self.in_a_row = 0;
            }
            Err(error) => {
                self.failed += 1;
                self.in_a_row += 1;
                self.first.get_or_insert(error);
            }
        }
        self.in_a_row < FAILURES_IN_A_ROW
    }

    /// How much was dropped, or the first error.
    fn end(self) -> Result<usize, StoreError> {
        let Some(error) = self.first else { return Ok(self.dropped) };
        tracing::warn!(dropped = self.dropped, failed = self.failed, "not all that is too old could be dropped");
        Err(error)
    }
}

impl Shared {
    /// The time by the clock of one of the store's nodes.
    pub(super) async fn store_time(&self) -> Result<Timestamp, StoreError> {
        let there: Vec<(CqlTimestamp,)> = self.rows(&self.statements.now, ()).await?;
        let (CqlTimestamp(there),) = there.first().ok_or_else(|| StoreError::unavailable("cassandra has no time"))?;
        Ok(Timestamp(*there))
    }

    /// Notes what is too old, so that it stays so when messages are kept longer one day; learns what others have noted.
    pub(super) async fn note_horizon(&self) -> Result<(), StoreError> {
        let own = self.messages.horizon(Timestamp::now());
        if own != Horizon::NONE {
            // The write time is the value, so the highest stays.
            let at = own.time();
            self.write(&self.statements.set_horizon, (at.0, micros(at))).await?;
        }
        let noted: Vec<(Option<i64>,)> = self.rows(&self.statements.horizon, ()).await?;
        if let Some((Some(at),)) = noted.first() {
            self.noted.learn(*at);
        }
        Ok(())
    }

    async fn drop_partitions(&self, horizon: Horizon) -> Walk {
        let (first_kept, mut walk) = (first_kept_bucket(horizon), Walk::default());
        let mut rows = match self.all::<(Uuid, i32)>(&self.statements.all_chat_buckets).await {
            Ok(rows) => rows,
            Err(error) => return Walk { first: Some(error), ..walk },
        };
        while let Some(row) = rows.next().await {
            let outcome = match row.map_err(StoreError::unavailable) {
                Ok((_, bucket)) if bucket >= first_kept => Ok(false),
                Ok((chat, bucket)) => self.drop_partition(chat, bucket).await.map(|()| true),
                Err(error) => Err(error),
            };
            if !walk.note(outcome) {
                break;
            }
        }
        walk
    }

    async fn drop_partition(&self, chat: Uuid, bucket: i32) -> Result<(), StoreError> {
        // One marker for the whole partition, after everything that was ever written there.
        let at = micros(Timestamp::now());
        let mut writes = Writes::new();
        writes.add(&self.statements.delete_messages, (at, chat, bucket));
        writes.add(&self.statements.delete_chat_bucket, (at, chat, bucket));
        self.put(&writes).await?;
        self.listed.forget(&[(chat, bucket)]);
        Ok(())
    }

    async fn drop_files(&self, horizon: Horizon) -> Walk {
        let mut walk = Walk::default();
        let mut rows = match self.all::<(Uuid, Uuid)>(&self.statements.all_chat_media).await {
            Ok(rows) => rows,
            Err(error) => return Walk { first: Some(error), ..walk },
        };
        while let Some(row) = rows.next().await {
            let outcome = match row.map_err(StoreError::unavailable) {
                Ok((chat, media)) => {
                    let due = due_at(Timestamp::now(), walk.dropped);
                    self.leave_expired(MediaId(media), ChatId(chat), horizon, due).await
                }
                Err(error) => Err(error),
            };
            if !walk.note(outcome) {
                break;
            }
        }
        walk
    }

    /// All rows of a statement that has many, page by page.
    async fn all<R: for<'f, 'm> DeserializeRow<'f, 'm>>(
        &self,
        statement: &PreparedStatement,
    ) -> Result<TypedRowStream<R>, StoreError> {
        self.check_open()?;
        let pager = self.session.execute_iter(statement.clone(), ()).await.map_err(StoreError::unavailable)?;
        pager.rows_stream().map_err(StoreError::unavailable)
    }
}

/// When to look at the file that is dropped as the n-th of a walk: those of one hour share a partition.
fn due_at(now: Timestamp, place: usize) -> Timestamp {
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    let later = place.saturating_mul(3600 * 1000 / FILES_PER_HOUR);
    Timestamp(now.plus_seconds(SOON_SECONDS).0.saturating_add(later))
}

/// Notes again and again what is too old, for as long as there is the store.
pub(super) async fn keep_noting(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(NOTED_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_closed() {
            return;
        }
        if let Err(error) = shared.note_horizon().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is too old is noted later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    #[test]
    fn an_hour_gets_no_more_files_than_may_share_a_partition() {
        let hour = |place| due_at(NOW, place).0 / (3600 * 1000);
        assert_eq!(due_at(NOW, 0), NOW.plus_seconds(SOON_SECONDS));
        let of_second = (0..50_000).filter(|place| hour(*place) == hour(0) + 1).count();
        assert_eq!(of_second, usize::try_from(FILES_PER_HOUR).unwrap());
    }

    #[test]
    fn a_walk_goes_on_after_a_failure_and_ends_when_all_fail() {
        let mut walk = Walk::default();
        let failure = || Err(StoreError::unavailable("away"));
        assert!(walk.note(Ok(true)) && walk.note(failure()) && walk.note(Ok(true)));
        assert!((1..FAILURES_IN_A_ROW).all(|_| walk.note(failure())));
        assert!(!walk.note(failure()));
        assert_eq!((walk.dropped, walk.failed), (2, FAILURES_IN_A_ROW + 1));
        assert!(walk.end().is_err());
    }

    #[test]
    fn what_was_noted_last_is_the_highest() {
        let noted = Noted::nothing();
        assert_eq!(noted.horizon(), Horizon::NONE);
        noted.learn(NOW.0);
        noted.learn(NOW.0 - 1);
        assert_eq!(noted.horizon(), Horizon::at(NOW));
    }
}
