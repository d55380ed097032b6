use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::AuditEntry,
    reindex::{Reindex, ReindexAttempt, ReindexEnd},
    time::Timestamp,
};

/// What is known of the last rebuild of the search index. Of several processes one is at it.
#[async_trait]
pub trait ReindexStore: Send + Sync {
    /// The last rebuild; `None` when there was none.
    async fn last_reindex(&self) -> Result<Option<Reindex>, StoreError>;
    /// Stores a new rebuild and the entry; `false`, and nothing is stored, while another has not ended. Nobody else takes
    /// it before `free_at`.
    async fn begin_reindex(
        &self,
        new: Reindex,
        free_at: Timestamp,
        entry: Option<AuditEntry>,
    ) -> Result<bool, StoreError>;
    /// Takes the rebuild that has not ended, if it is free, until `free_at`: one more attempt, which begins at nothing.
    async fn take_reindex(&self, now: Timestamp, free_at: Timestamp) -> Result<Option<Reindex>, StoreError>;
    /// Notes how far an attempt is and keeps the rebuild until `free_at`; `false` when it is no more this attempt's.
    async fn keep_reindex(
        &self,
        attempt: ReindexAttempt,
        done: u64,
        total: Option<u64>,
        free_at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Notes how an attempt ended, and with it the rebuild; `false` when it was no more this attempt's.
    async fn end_reindex(&self, attempt: ReindexAttempt, done: u64, end: ReindexEnd) -> Result<bool, StoreError>;
}
