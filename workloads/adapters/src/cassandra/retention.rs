//! Dropping messages that are too old: whole partitions of chats, and the files that only they showed. What clients see does
//! not wait for it: reads leave out what is too old.

use futures::StreamExt;
use scylla::{client::pager::TypedRowStream, deserialize::row::DeserializeRow, statement::prepared::PreparedStatement};
use sentinel_domain::{
    ids::{ChatId, MediaId},
    ports::StoreError,
    retention::Horizon,
    time::Timestamp,
};
use uuid::Uuid;

use super::{Cassandra, Shared, batch::Writes, media::micros, times::first_kept_bucket};

/// How often all chats are gone through, by one process: whoever does so holds the lease that long.
const EVERY_SECONDS: i32 = 6 * 3600;
/// The lease, which is no shard of the outbox.
const LEASE: i16 = -1;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Partitions of chats.
    pub partitions: usize,
    /// Files that left a chat. Those that no chat shows any more are destroyed soon.
    pub files: usize,
}

impl Cassandra {
    /// Drops what is too old, unless a process did so within the last six hours (then `None`) or messages are kept for ever.
    /// To be called every some minutes, by any number of processes.
    pub async fn drop_expired(&self) -> Result<Option<Dropped>, StoreError> {
        let (shared, holder) = (&self.shared, Uuid::new_v4());
        if shared.horizon() == Horizon::NONE
            || !shared.decide(&shared.statements.take_lease, (EVERY_SECONDS, holder, LEASE)).await?
        {
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

    /// Drops what is too old at once. Safe to repeat, and to do at the same time elsewhere.
    pub async fn drop_expired_now(&self) -> Result<Dropped, StoreError> {
        let horizon = self.shared.horizon();
        if horizon == Horizon::NONE {
            return Ok(Dropped::default());
        }
        let partitions = self.shared.drop_partitions(horizon).await?;
        let files = self.shared.drop_files(horizon).await?;
        Ok(Dropped { partitions, files })
    }
}

impl Shared {
    async fn drop_partitions(&self, horizon: Horizon) -> Result<usize, StoreError> {
        let first_kept = first_kept_bucket(horizon);
        let mut dropped = 0;
        let mut rows = self.all::<(Uuid, i32)>(&self.statements.all_chat_buckets).await?;
        while let Some((chat, bucket)) = rows.next().await.transpose().map_err(StoreError::unavailable)? {
            if bucket >= first_kept {
                continue;
            }
            // One marker for the whole partition, after everything that was ever written there.
            let at = micros(Timestamp::now());
            let mut writes = Writes::new();
            writes.add(&self.statements.delete_messages, (at, chat, bucket));
            writes.add(&self.statements.delete_chat_bucket, (at, chat, bucket));
            self.put(&writes).await?;
            self.listed.forget(&[(chat, bucket)]);
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn drop_files(&self, horizon: Horizon) -> Result<usize, StoreError> {
        let mut dropped = 0;
        let mut rows = self.all::<(Uuid, Uuid)>(&self.statements.all_chat_media).await?;
        while let Some((chat, media)) = rows.next().await.transpose().map_err(StoreError::unavailable)? {
            dropped += usize::from(self.leave_expired(MediaId(media), ChatId(chat), horizon).await?);
        }
        Ok(dropped)
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
