//! Making the index anew: asked for by an admin, by the command line, or by a server that has a newer key than its index.
//!
//! Of all processes one is at it, which the store of rebuilds decides. It says every few seconds that it still is; when it
//! falls silent, because it was stopped or killed, another one begins again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    config::SearchMode,
    ids::UserId,
    ports::{IndexRebuild, RebuildProgress, ReindexStore, StoreError},
    reindex::{REINDEX_ATTEMPTS, REINDEX_LEASE_SECONDS, Reindex, ReindexAttempt, ReindexEnd, ReindexFailure, Skipped},
    time::Timestamp,
};
use tokio::sync::Notify;

use crate::{indexer::Indexer, terms::Freshness};

/// How often a rebuild that waits, or was left, is looked for, and the process that is at one says so.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
/// How long a process waits before it begins again of its own accord what did not come through.
const RENEWED_EVERY: Duration = Duration::from_mins(10);
/// How often the command line asks whether another process is through.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Makes the index anew.
pub struct Reindexer {
    runs: Arc<dyn ReindexStore>,
    index: Arc<dyn IndexRebuild>,
    source: Arc<Indexer>,
    /// Whether no other process writes to the index, so that a newer key or another mode needs nobody's word.
    alone: bool,
    wake: Notify,
    freshness: Mutex<Freshness>,
}

/// What is known of the index and its last rebuild.
pub(crate) struct ReindexStatus {
    pub mode: SearchMode,
    pub freshness: Freshness,
    pub last: Option<Reindex>,
}

/// An index that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reindexed {
    /// How many messages were made anew.
    pub messages: u64,
    /// Messages that can't be read, or that the engine refuses, and so are not found.
    pub skipped: Skipped,
}

/// How a rebuild by the command line went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// A store failed.
    #[error("a store failed; what was done stays, and the next rebuild may begin at once")]
    Store(#[from] StoreError),
    /// Another process took it over.
    #[error("another process has taken the rebuild over: this one could not tell in time that it was still at it")]
    TakenOver,
    /// It was begun and left too often.
    #[error("the processes that were at the rebuild ended, again and again; see why before you start another")]
    GivenUp,
}

impl Reindexer {
    /// Makes `index` anew from what `source` reads. `alone`: no other process writes to it.
    pub fn new(runs: Arc<dyn ReindexStore>, index: Arc<dyn IndexRebuild>, source: Arc<Indexer>, alone: bool) -> Self {
        let freshness = Mutex::new(Freshness::Current);
        Self { runs, index, source, alone, wake: Notify::new(), freshness }
    }

    /// What somebody should do about the index, as of a few seconds ago.
    pub fn advice(&self) -> Option<&'static str> {
        self.freshness.lock().unwrap_or_else(PoisonError::into_inner).advice()
    }

    /// Does what is asked for, here or elsewhere, for as long as it is polled.
    pub async fn work(&self) {
        let mut renewed = None;
        loop {
            if let Err(error) = self.look(&mut renewed).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "rebuilds of the search index wait");
            }
            // Either way, it is looked again.
            let _ = tokio::time::timeout(LOOKED_AT_EVERY, self.wake.notified()).await;
        }
    }

    /// `renewed`: when this process last began a rebuild of its own accord.
    async fn look(&self, renewed: &mut Option<Instant>) -> Result<(), StoreError> {
        self.source.terms.announce().await?;
        let freshness = self.source.terms.freshness().await?;
        self.tell(freshness);
        let patient = renewed.is_some_and(|at| at.elapsed() < RENEWED_EVERY);
        if self.alone && freshness != Freshness::Current && !patient {
            *renewed = Some(Instant::now());
            self.runs.begin_reindex(Reindex::now(None), Timestamp::now(), None).await?;
        }
        // Taking is a write, and there is nearly always nothing to take.
        if self.runs.last_reindex().await?.is_none_or(|last| last.end.is_some()) {
            return Ok(());
        }
        let Some(run) = self.runs.take_reindex(Timestamp::now(), free_at()).await? else { return Ok(()) };
        if let Err(error) = self.run(&run).await {
            tracing::error!(id = %run.id, error = &error as &dyn std::error::Error, "the search index was not made anew");
        }
        Ok(())
    }

    /// Logs a change, and shows it where operators look.
    fn tell(&self, freshness: Freshness) {
        let before = std::mem::replace(&mut *self.freshness.lock().unwrap_or_else(PoisonError::into_inner), freshness);
        metrics::gauge!("sentinel_search_reindex_needed").set(if freshness == Freshness::Current { 0.0 } else { 1.0 });
        if before == freshness {
            return;
        }
        match (freshness, freshness.advice()) {
            (Freshness::Outdated, _) if self.alone => {
                tracing::info!("the search index has terms of an older key or of another search mode and is made anew");
            }
            (Freshness::Unreadable, Some(advice)) => tracing::error!("{advice}"),
            // Nearly always one that is running.
            (Freshness::HalfMade, Some(advice)) => tracing::info!("{advice}"),
            (_, Some(advice)) => tracing::warn!("{advice}"),
            (_, None) => tracing::info!("all terms of the search index are of the newest key and of the mode in use"),
        }
    }

    /// What is known of the index and its last rebuild.
    pub(crate) async fn status(&self) -> Result<ReindexStatus, StoreError> {
        let terms = &self.source.terms;
        let (freshness, last) = (terms.freshness().await?, self.runs.last_reindex().await?);
        Ok(ReindexStatus { mode: terms.mode(), freshness, last })
    }

    /// Asks for a rebuild, which begins within seconds; `false` while another has not ended.
    pub(crate) async fn start(&self, by: UserId, entry: AuditEntry) -> Result<bool, StoreError> {
        let new = Reindex::now(Some(by));
        let entry = entry.with_note(Some(new.id.to_string()));
        let begun = self.runs.begin_reindex(new, Timestamp::now(), Some(entry)).await?;
        self.wake.notify_one();
        Ok(begun)
    }

    /// Makes the index anew in this process, as a command. Another rebuild is waited for first. `waits` is called once when
    /// it is.
    pub async fn run_now(&self, waits: impl FnOnce()) -> Result<Reindexed, ReindexError> {
        let mut waits = Some(waits);
        loop {
            let new = Reindex { attempts: 1, ..Reindex::now(None) };
            let entry = AuditEntry::now(AuditAction::ReindexStarted, None, None).with_note(Some(new.id.to_string()));
            if self.runs.begin_reindex(new.clone(), free_at(), Some(entry)).await? {
                return self.run(&new).await;
            }
            // One whose process is gone is taken over.
            if let Some(left) = self.runs.take_reindex(Timestamp::now(), free_at()).await? {
                return self.run(&left).await;
            }
            if let Some(waits) = waits.take() {
                waits();
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }

    /// Does a rebuild that this process has taken, and notes how it ended.
    async fn run(&self, run: &Reindex) -> Result<Reindexed, ReindexError> {
        let attempt = run.attempt();
        if run.attempts > REINDEX_ATTEMPTS {
            let failure = Some(ReindexFailure::Interrupted);
            let end = ReindexEnd { at: Timestamp::now(), failure, skipped: Skipped::default() };
            self.runs.end_reindex(attempt, 0, end).await?;
            return Err(ReindexError::GivenUp);
        }
        tracing::info!(id = %run.id, attempt = attempt.number, "making the search index anew");
        self.source.terms.announce().await?;
        let progress = RebuildProgress::default();
        let rebuilt = tokio::select! {
            rebuilt = self.index.rebuild_index(self.source.as_ref(), self.source.terms.mark(), &progress) => rebuilt,
            () = self.keep(attempt, &progress) => return Err(ReindexError::TakenOver),
        };
        if !self.runs.keep_reindex(attempt, progress.done(), progress.expected(), free_at()).await? {
            return Err(ReindexError::TakenOver);
        }
        let failure = rebuilt.as_ref().err().map(|_| ReindexFailure::StoreUnavailable);
        let skipped = progress.skipped();
        let end = ReindexEnd { at: Timestamp::now(), failure, skipped: skipped.clone() };
        self.runs.end_reindex(attempt, progress.done(), end).await?;
        let messages = rebuilt?;
        tracing::info!(id = %run.id, count = messages, "the search index was made anew");
        if skipped.count > 0 {
            tracing::warn!(
                id = %run.id,
                skipped = skipped.count,
                first = skipped.named(),
                "messages that can't be read, or that the engine refuses, are not in the search index: see above why, put back \
                 keys that are missing, and make it anew"
            );
        }
        Ok(Reindexed { messages, skipped })
    }

    /// Says that this process is at it; ends when another one has it.
    async fn keep(&self, attempt: ReindexAttempt, progress: &RebuildProgress) {
        loop {
            tokio::time::sleep(LOOKED_AT_EVERY).await;
            match self.runs.keep_reindex(attempt, progress.done(), progress.expected(), free_at()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "can't tell how far the rebuild is");
                }
            }
        }
    }
}

/// When others may take what this process takes or keeps now.
fn free_at() -> Timestamp {
    Timestamp::now().plus_seconds(REINDEX_LEASE_SECONDS)
}
