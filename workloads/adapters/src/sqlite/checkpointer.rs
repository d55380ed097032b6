//! Copies the write-ahead log into the database, on a thread and a connection of its own: the flush of the database
//! takes many times as long as that of the log, and no caller has to wait for it.
//!
//! The log starts over only when all of it is copied and nobody writes. So the writer copies the last pages itself,
//! which are few by then.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::Connection;

/// When to do what, in pages of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// Pages that are not copied yet before the thread copies them: many of them are copies of the same busy pages,
    /// and only the last of each is copied.
    pub(super) step: u32,
    /// Length from which the log should start over.
    pub(super) long: u32,
    /// Pages that the writer copies itself so that it can.
    pub(super) few: u32,
    /// Length at which callers wait after all: the log must not fill the disk.
    pub(super) longest: u32,
}

impl LogLimits {
    /// Up to 32 MiB in turn, 256 MiB when the disk does not keep up.
    pub(super) const DEFAULT: Self = Self { step: 4096, long: 8192, few: 256, longest: 65_536 };

    fn next(self, log: LogLength, busy: bool) -> Step {
        let rest = log.pages.saturating_sub(log.copied);
        let (long, longest) = (log.pages >= self.long, log.pages >= self.longest);
        if rest == 0 || (busy && !longest) {
            Step::Nothing
        } else if longest || (long && rest <= self.few) {
            Step::Finish
        } else if long || rest >= self.step {
            Step::Copy
        } else {
            Step::Nothing
        }
    }
}

/// What to do about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// The thread copies what there is.
    Copy,
    /// The writer copies the rest.
    Finish,
}

/// How long the log is, and how much of it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LogLength {
    pages: u32,
    copied: u32,
}

/// The thread and its connection.
pub(super) struct Checkpointer {
    limits: LogLimits,
    shared: Arc<Shared>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    db: Mutex<Connection>,
    busy: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread for the database at `path`.
    pub(super) fn start(path: &Path, limits: LogLimits) -> Result<Self, super::OpenError> {
        let db = Connection::open(path)?;
        // The copy must be on the disk before the log is written over.
        db.pragma_update(None, "synchronous", "full")?;
        let shared = Arc::new(Shared { db: Mutex::new(db), busy: AtomicBool::new(false) });
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("sqlite-log".into())
            .spawn({
                let shared = shared.clone();
                move || run(&shared, &woken)
            })
            .map_err(super::OpenError::Thread)?;
        Ok(Self { limits, shared, wake: Some(wake), thread: Some(thread) })
    }

    /// Looks after the log; for the writer, between two transactions.
    pub(super) fn look(&self, db: &Connection) -> rusqlite::Result<()> {
        match self.limits.next(length(db)?, self.shared.busy.load(Ordering::Acquire)) {
            Step::Nothing => {}
            Step::Copy => {
                self.shared.busy.store(true, Ordering::Release);
                // When the thread is gone, the writer does all of it once the log is longest.
                if let Some(wake) = &self.wake {
                    let _ = wake.try_send(());
                }
            }
            Step::Finish => {
                let _pause = self.pause();
                copy(db)?;
            }
        }
        Ok(())
    }

    /// Waits until the thread does nothing, and keeps it so.
    pub(super) fn pause(&self) -> MutexGuard<'_, Connection> {
        self.shared.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that copies the write-ahead log panicked");
        }
    }
}

fn run(shared: &Shared, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let db = shared.db.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = copy(&db) {
            tracing::warn!(%error, "the write-ahead log was not copied; the next round tries again");
        }
        drop(db);
        shared.busy.store(false, Ordering::Release);
    }
}

/// Copies what nobody reads any more, waiting for none.
fn copy(db: &Connection) -> rusqlite::Result<()> {
    let began = Instant::now();
    db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?;
    metrics::histogram!("sentinel_sqlite_log_copy_seconds").record(began.elapsed().as_secs_f64());
    Ok(())
}

/// Looks at the log without a lock.
fn length(db: &Connection) -> rusqlite::Result<LogLength> {
    db.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| {
        // Less than zero: there is no log.
        let pages = |at: usize| row.get::<_, i64>(at).map(|pages| u32::try_from(pages).unwrap_or(0));
        Ok(LogLength { pages: pages(1)?, copied: pages(2)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LogLimits = LogLimits { step: 64, long: 256, few: 16, longest: 1024 };

    #[test]
    fn the_thread_copies_most_and_the_writer_the_last_pages() {
        let next = |pages, copied, busy| LIMITS.next(LogLength { pages, copied }, busy);
        assert_eq!(next(63, 0, false), Step::Nothing);
        assert_eq!(next(64, 0, false), Step::Copy);
        assert_eq!(next(64, 0, true), Step::Nothing);
        assert_eq!(next(255, 200, false), Step::Nothing);
        assert_eq!(next(256, 200, false), Step::Copy);
        assert_eq!(next(256, 240, false), Step::Finish);
        assert_eq!(next(256, 240, true), Step::Nothing);
        assert_eq!(next(1024, 0, true), Step::Finish);
        assert_eq!(next(1024, 1024, false), Step::Nothing, "it starts over with the next write");
    }

    /// A database as the store opens it.
    fn open(path: &Path) -> Connection {
        let db = Connection::open(path).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        db.execute_batch("CREATE TABLE filler (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)").unwrap();
        db
    }

    /// Writes ten pages in a transaction of their own.
    fn write(db: &Connection, number: u32) {
        db.execute("INSERT INTO filler VALUES (?1, zeroblob(40000))", [number]).unwrap();
    }

    #[test]
    fn the_log_stays_bounded_while_it_is_written_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let db = open(&path);
        let checkpointer = Checkpointer::start(&path, LIMITS).unwrap();
        for number in 0..1000 {
            write(&db, number);
            checkpointer.look(&db).unwrap();
        }
        let log = std::fs::metadata(folder.path().join("db-wal")).unwrap().len();
        let most = u64::from(LIMITS.longest + 20) * 4120;
        assert!(log < most, "{log} bytes of log after ten times {most} were written");
        drop(checkpointer);
        drop(db);
        let db = Connection::open(&path).unwrap();
        let count: u32 = db.query_row("SELECT count(*) FROM filler", [], |row| row.get(0)).unwrap();
        let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((count, sound.as_str()), (1000, "ok"));
    }

    #[test]
    fn a_long_read_only_puts_the_copying_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let db = open(&path);
        let reader = Connection::open(&path).unwrap();
        let checkpointer = Checkpointer::start(&path, LIMITS).unwrap();
        write(&db, 0);
        let read = reader.unchecked_transaction().unwrap();
        let seen = || read.query_row("SELECT count(*) FROM filler", [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(seen(), 1);
        for number in 1..200 {
            write(&db, number);
            checkpointer.look(&db).unwrap();
        }
        assert_eq!(seen(), 1);
        let log = length(&db).unwrap();
        assert!(log.pages > LIMITS.longest && log.copied < LIMITS.step, "{log:?}");
        drop(read);
        checkpointer.look(&db).unwrap();
        let log = length(&db).unwrap();
        assert_eq!(log.copied, log.pages);
        write(&db, 200);
        assert!(length(&db).unwrap().pages < 20, "the log starts over");
    }
}
