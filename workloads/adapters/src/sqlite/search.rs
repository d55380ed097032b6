//! The search index of the embedded profile, in a database file of its own.
//!
//! A message has some fifty terms, so the index is larger than what it is about and costs more to write. In its own file
//! it shares neither lock nor log nor flush with the messages: a send never waits for it. When the file is lost or put
//! aside, a new one is filled from the messages.

mod entries;
mod find;
mod forget;
mod marks;
mod rebuild;
mod statements;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};
use rusqlite_migration::{M, Migrations};
use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{Removal, SearchDocument, SearchIndex, SearchPage, SearchQuery, StoreError, Version},
    search::Mark,
};
use uuid::Uuid;

pub use self::rebuild::SearchRebuild;
use self::statements::{ABOUT, INSERT_ABOUT};
use super::{
    CACHED_STATEMENTS, OpenError, PATIENCE,
    failure::{Failure, Interrupted},
    readers::Readers,
    rows::execute,
};

const STEPS: &[M<'static>] =
    &[M::up(include_str!("search/schema.sql")), M::up(include_str!("search/schema_words.sql"))];
/// Terms of one transaction, about; a tenth of a second of work.
const PIECE: usize = 20_000;
/// Pages of the log before it is copied into the database.
const CHECKPOINT_PAGES: u32 = 4096;
/// How long emptying the log waits for searches that read it, how often it is tried, and the pause between.
const LOG_PATIENCE: Duration = Duration::from_millis(100);
const LOG_TRIES: u32 = 20;
const LOG_PAUSE: Duration = Duration::from_millis(250);

/// The search index; cheap to clone.
#[derive(Clone)]
pub struct SearchDatabase {
    db: Arc<Mutex<Option<Connection>>>,
    readers: Readers,
    id: Uuid,
}

impl SearchDatabase {
    /// Opens the index at `path`, making it if need be.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(OpenError::File)?;
        let mut db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        // A consumer's progress is noted elsewhere: what it has written must not be lost after that.
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "secure_delete", true)?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update(None, "cache_size", -32 * 1024)?;
        db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        Migrations::from_slice(STEPS).to_latest(&mut db)?;
        execute(&db, INSERT_ABOUT, params![Uuid::new_v4().as_bytes()])?;
        let id = db.query_row(ABOUT, [], |row| row.get(0).map(Uuid::from_bytes))?;
        let readers = Readers::open(path)?;
        Ok(Self { db: Arc::new(Mutex::new(Some(db))), readers, id })
    }

    /// Which index this is: a new file is another one.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Copies the log into the file and closes it. Later writes are refused.
    pub fn close(&self) {
        let Some(db) = self.db.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Err(error) = super::checkpoint(&db) {
            tracing::warn!(%error, "the search index's log was left for the next start");
        }
    }

    /// Takes what was taken out of the index out of its log, too, where it would be until others overwrite it.
    async fn empty_log(&self) {
        for _ in 0..LOG_TRIES {
            match self.try_empty_log().await {
                Ok(true) => return,
                Ok(false) => tokio::time::sleep(LOG_PAUSE).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    return tracing::warn!(error, "the search index's log was not emptied");
                }
            }
        }
        tracing::warn!("searches keep the search index's log from being emptied; the next deletion tries again");
    }

    /// `false`: searches read it.
    async fn try_empty_log(&self) -> Result<bool, StoreError> {
        let emptied = self.alone(|db| {
            db.busy_timeout(LOG_PATIENCE)?;
            let emptied = super::checkpoint(db);
            db.busy_timeout(PATIENCE)?;
            emptied
        });
        // Closing has emptied it.
        Ok(emptied.await?.unwrap_or(true))
    }

    /// Makes the file anew and empties the log. Rows that moved from page to page leave copies of themselves between the
    /// others, which nothing overwrites when the rows are deleted; only here they go.
    async fn make_anew(&self) {
        if let Err(error) = self.alone(|db| db.execute_batch("VACUUM")).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the search index's file was not made anew: parts of what was replaced may still be in it"
            );
        }
        self.empty_log().await;
    }

    /// Does what no transaction can, on a thread that may block; `None` when the index is closed.
    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let db = Arc::clone(&self.db);
        let work = move || db.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(work).transpose();
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| StoreError::unavailable(Interrupted::RolledBack))?.map_err(StoreError::unavailable)
    }

    /// Puts messages in; gives whether that took any terms out.
    async fn put_all(&self, documents: Vec<SearchDocument>) -> Result<bool, StoreError> {
        let (mut piece, mut terms, mut taken_out) = (Vec::new(), 0, false);
        for document in documents {
            terms += document.terms.len();
            piece.push(document);
            if terms >= PIECE {
                let full = std::mem::take(&mut piece);
                terms = 0;
                taken_out |= self.write(move |db| entries::put(db, &full)).await?;
            }
        }
        if !piece.is_empty() {
            taken_out |= self.write(move |db| entries::put(db, &piece)).await?;
        }
        Ok(taken_out)
    }

    async fn remove_all(&self, removals: Vec<Removal>) -> Result<(), StoreError> {
        if removals.is_empty() { Ok(()) } else { self.write(move |db| entries::remove(db, &removals)).await }
    }

    /// Runs one transaction on a thread that may block.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = Arc::clone(&self.db);
        let work = move || {
            // After a panic the transaction was rolled back on the way out.
            let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
            let db = db.as_mut().ok_or(StoreError::unavailable(Interrupted::Closed))?;
            let transaction =
                db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::unavailable)?;
            let value = write(&transaction)?;
            transaction.commit().map_err(StoreError::unavailable)?;
            Ok(value)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::unavailable(Interrupted::RolledBack))?
    }
}

#[async_trait]
impl SearchIndex for SearchDatabase {
    async fn put(&self, documents: Vec<SearchDocument>) -> Result<(), StoreError> {
        if self.put_all(documents).await? {
            self.empty_log().await;
        }
        Ok(())
    }

    async fn remove(&self, removals: Vec<Removal>) -> Result<(), StoreError> {
        if !removals.is_empty() {
            self.remove_all(removals).await?;
            self.empty_log().await;
        }
        Ok(())
    }

    async fn remove_chat(&self, chat: ChatId, version: Version) -> Result<(), StoreError> {
        self.write(move |db| entries::remove_chat(db, chat, version)).await?;
        self.empty_log().await;
        Ok(())
    }

    async fn forget_up_to(&self, message: MessageId) -> Result<u64, StoreError> {
        let forgotten = self.forget(message).await?;
        if forgotten > 0 {
            self.empty_log().await;
        }
        Ok(forgotten)
    }

    async fn marks(&self) -> Result<Option<Vec<Mark>>, StoreError> {
        // A file without marks is a new one.
        self.readers.run(|db| Ok(Some(marks::read(db)?.all()))).await
    }

    async fn add_marks(&self, marks: Vec<Mark>) -> Result<(), StoreError> {
        self.add_marks_now(marks).await
    }

    async fn query(&self, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let query = query.clone();
        self.readers.run(move |db| find::page(db, &query)).await
    }
}
