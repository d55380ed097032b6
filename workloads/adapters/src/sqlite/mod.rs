//! SQLite: every store of the embedded profile in one file.
//!
//! One thread writes ([`writer`]), in batches that become durable together; reads run on a few read-only connections.
//! What messages say is encrypted with their chat's key, which is stored wrapped by a key-encryption key.

mod accounts;
mod administration;
mod append;
mod batch;
mod chat_cache;
mod chats;
mod checkpointer;
mod consumer;
mod copy;
mod deletion;
mod failure;
mod feed;
mod history;
mod inbox;
mod mail;
mod media;
mod messages;
mod notifications;
mod presence;
mod push;
mod readers;
mod receipts;
mod reindex;
mod reports;
mod retention;
mod rewrap;
mod room;
mod rows;
mod scan;
mod schema;
mod search;
mod sent;
mod sessions;
mod statements;
mod writer;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use sentinel_domain::{
    clock::HybridClock,
    event::Fanout,
    keyring::{KeyError, Keyring, Rewrapped},
    ports::StoreError,
    retention::{Horizon, MessageRetention},
    room::Room,
    session::SessionLifetime,
    time::Timestamp,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use self::{
    consumer::{Begin, Consumer},
    copy::{CopyError, copy},
    presence::LocalPresence,
    search::{SearchDatabase, SearchRebuild},
};
use crate::chat_keys::KeyCache;

use self::{
    batch::Batch,
    checkpointer::Checkpointer,
    failure::{Failure, Interrupted},
    feed::Feed,
    readers::Readers,
    retention::{Retention, Rule},
    room::Volume,
    sent::Sent,
    writer::{Queue, Writer},
};

/// Commands that may wait for the writer; more callers wait before they hand theirs over.
const WAITING_COMMANDS: usize = 8192;
/// How long a connection waits for another process, such as `sentinel keys rotate`.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pages of the log (128 MiB) before the writer sees to it itself that it is copied and begun anew. Most were copied
/// before, yet the rest and the flush take ten milliseconds in which everybody waits: so it is seldom.
const CHECKPOINT_PAGES: u32 = 32_768;
const CACHED_STATEMENTS: usize = 128;

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be made or opened, or is no database.
    #[error("can't open the database")]
    Database(#[from] rusqlite::Error),
    /// The file can't be made.
    #[error("can't make the database file")]
    File(#[source] std::io::Error),
    /// Its tables can't be brought to this version; perhaps a newer version wrote them.
    #[error("can't bring the database's tables to this version")]
    Schema(#[from] rusqlite_migration::Error),
    /// A key-encryption key that chats need is missing or is another one.
    #[error("the chats in the database can't be decrypted with the given keys")]
    Keys(#[from] KeyError),
    /// The system gave no thread.
    #[error("can't start the database's writer")]
    Thread(#[source] std::io::Error),
}

/// The stores of the embedded profile. Clones share one writer; dropping the last one flushes and ends it.
#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Queue,
    permits: Semaphore,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
    keys: Arc<KeyCache>,
    lifetime: SessionLifetime,
    rule: Rule,
    feed: Arc<Feed>,
    busy: Arc<AtomicBool>,
    room: Room,
}

impl Sqlite {
    /// Opens the database at `path`, making or upgrading it if need be, and lets `clock` see its newest id. Messages are kept
    /// for ever.
    pub fn open(
        path: &Path,
        keyring: Arc<Keyring>,
        clock: Arc<HybridClock>,
        fanout: Arc<dyn Fanout>,
    ) -> Result<Self, OpenError> {
        Self::open_keeping(path, keyring, clock, fanout, MessageRetention::FOREVER)
    }

    /// As [`Sqlite::open`], with messages kept for as long as `messages` says. What was once too old stays so.
    pub fn open_keeping(
        path: &Path,
        keyring: Arc<Keyring>,
        clock: Arc<HybridClock>,
        fanout: Arc<dyn Fanout>,
        messages: MessageRetention,
    ) -> Result<Self, OpenError> {
        // The log and the shared memory get the file's permissions.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(OpenError::File)?;
        let mut db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "secure_delete", true)?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update(None, "cache_size", -64 * 1024)?;
        db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        schema::migrate(&mut db)?;
        rewrap::check_keys(&db, &keyring)?;
        if let Some(newest) = db.query_row(statements::CLOCK, [], |row| row.get(0).map(Uuid::from_bytes)).optional()? {
            clock.observe(newest);
        }
        let sent = Sent::load(&db)?;
        let readers = Readers::open(path)?;
        let keys = Arc::new(KeyCache::new(keyring));
        let lifetime = SessionLifetime::default();
        let rule = Rule::of(&db, messages)?;
        let retention = Retention::new(lifetime.clone(), rule);
        let (feed, busy) = (Arc::new(Feed::default()), Arc::new(AtomicBool::new(false)));
        let room = Room::default();
        let writer = Writer {
            db,
            keys: Arc::clone(&keys),
            clock,
            fanout,
            feed: Arc::clone(&feed),
            retention,
            busy: Arc::clone(&busy),
            volume: Volume::new(room.clone()),
            checkpointer: Checkpointer::start(path)?,
        };
        let (queue, thread) = writer::start(writer, sent).map_err(OpenError::Thread)?;
        Ok(Self {
            shared: Arc::new(Shared {
                queue,
                permits: Semaphore::new(WAITING_COMMANDS),
                thread: Mutex::new(Some(thread)),
                readers,
                keys,
                lifetime,
                rule,
                feed,
                busy,
                room,
            }),
        })
    }

    /// Puts every chat key, report's evidence and queued mail under the newest key-encryption key that is under an older
    /// one. Safe to repeat, and while another process serves from the same file. Chats whose key can't be opened are told
    /// once: they count as done.
    pub async fn rewrap_keys(&self) -> Result<Rewrapped, StoreError> {
        let mut total = Rewrapped::default();
        loop {
            let Rewrapped { count, unreadable } = self.write(rewrap::rewrap_some).await?;
            if count == 0 && unreadable.is_empty() {
                break;
            }
            total.count += count;
            total.unreadable.extend(unreadable);
        }
        for kind in rewrap::SEALED {
            let mut after = Some([0; 16]);
            while let Some(from) = after {
                let (done, next) = self.write(move |batch| rewrap::reseal_some(batch, kind, from)).await?;
                total.count += done;
                after = next;
            }
        }
        Ok(total)
    }

    /// A quick read, for readiness. On a full volume it lets the writer look whether there is room again.
    pub async fn check(&self) -> Result<(), StoreError> {
        if self.shared.room.is_full() {
            // It writes nothing, and what comes of it is no matter: the writer looks after each batch.
            let _ = self.write(|_| Ok(())).await;
        }
        if self
            .shared
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_none_or(JoinHandle::is_finished)
        {
            return Err(StoreError::unavailable(Interrupted::Closed));
        }
        self.read(|db| {
            db.prepare_cached(statements::CLOCK)?.exists([])?;
            Ok(())
        })
        .await
    }

    /// Whether the volume of the database takes more.
    pub fn room(&self) -> Room {
        self.shared.room.clone()
    }

    /// Whether so many callers write that work in the background should take little.
    pub fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// Which messages are too old now.
    pub fn horizon(&self) -> Horizon {
        self.shared.rule.horizon(Timestamp::now())
    }

    /// Ends the writer after what was asked of it before, and waits for that. Later writes are refused.
    pub fn close(&self) {
        self.shared.close();
    }

    async fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::unavailable(Interrupted::Closed);
        let _permit = self.shared.permits.acquire().await.map_err(|_| closed())?;
        self.shared.queue.submit(command).await.map_err(|_| closed())?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.readers.run(read).await
    }
}

impl Shared {
    fn close(&self) {
        self.queue.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the database's writer panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// Copies the log into the database and empties it; `false` when readers are in the way.
fn checkpoint(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)).map(|busy| !busy)
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{event::Nobody, ids::UserId, ports::AccountStore};

    use super::*;
    use crate::sqlite::statements::{SET_CLOCK, USERNAME_EXISTS};

    pub(super) fn open(path: &Path) -> Sqlite {
        let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
        Sqlite::open(path, Arc::new(keyring), Arc::new(HybridClock::new()), Arc::new(Nobody)).unwrap()
    }

    /// Makes an account of this name.
    pub(super) async fn account(sqlite: &Sqlite, name: &str) -> UserId {
        sqlite.create_account(sentinel_testing::account(name)).await.unwrap().id
    }

    #[tokio::test]
    async fn a_panic_or_a_broken_command_undoes_its_batch_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&folder.path().join("db"));
        let newest = || sqlite.read(|db| Ok(db.query_row(statements::CLOCK, [], |row| row.get::<_, [u8; 16]>(0)).ok()));
        let panicked = sqlite.write(|batch| -> Result<(), Failure> {
            rows::execute(batch.db, SET_CLOCK, [[9; 16]])?;
            panic!("a command must not end the writer")
        });
        assert!(matches!(panicked.await, Err(StoreError::Unavailable(_))));
        let broken = sqlite.write(|batch| {
            rows::execute(batch.db, SET_CLOCK, [[9; 16]])?;
            Ok(rows::execute(batch.db, "not SQL", [])?)
        });
        assert!(matches!(broken.await, Err(StoreError::Unavailable(_))));
        assert_eq!(newest().await.unwrap(), None);
        sqlite.write(|batch| Ok(rows::execute(batch.db, SET_CLOCK, [[5; 16]])?)).await.unwrap();
        assert_eq!(newest().await.unwrap(), Some([5; 16]));
    }

    #[tokio::test]
    async fn a_panic_in_a_read_costs_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&folder.path().join("db"));
        for _ in 0..10 {
            let read = sqlite.read(|_| -> Result<(), Failure> { panic!("a read must not lose its connection") });
            assert!(matches!(read.await, Err(StoreError::Unavailable(_))));
        }
        assert!(!sqlite.read(|db| Ok(rows::exists(db, USERNAME_EXISTS, ["ann"])?)).await.unwrap());
    }
}
