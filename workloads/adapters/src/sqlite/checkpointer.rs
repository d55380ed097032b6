//! Copies the write-ahead log into the database beside the writer, a little at a time. A commit that finds the log full
//! has to copy all of it, and everybody who waits for the commit waits for that; so it finds little left to copy.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

use super::{OpenError, PATIENCE};

/// Between two copies: pages that change often are copied once in that time.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread that copies; dropping this waits for its end.
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    /// Held during a copy.
    copying: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
        let db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "synchronous", "full")?;
        let (wake, woken) = sync_channel(1);
        let copying = Arc::new(Mutex::new(()));
        let held = Arc::clone(&copying);
        let run = move || run(&db, &woken, &held);
        let thread =
            std::thread::Builder::new().name("sqlite-checkpoint".into()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Self { wake: Some(wake), copying, thread: Some(thread) })
    }

    /// Tells that there is something to copy.
    pub(super) fn committed(&self) {
        if let Some(wake) = &self.wake {
            // A full channel: it will look anyway.
            let _ = wake.try_send(());
        }
    }

    /// Waits for the end of a copy and lets none begin while the guard lives: SQLite has one copy at a time and does not
    /// make the second one wait, it refuses it.
    pub(super) fn pause(&self) -> MutexGuard<'_, ()> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
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

fn run(db: &Connection, woken: &Receiver<()>, copying: &Mutex<()>) {
    let mut failing = false;
    while woken.recv().is_ok() {
        let held = copying.lock().unwrap_or_else(PoisonError::into_inner);
        // Passive: what a reader still needs stays in the log, and nobody waits.
        let copied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        drop(held);
        if let (Err(error), false) = (&copied, failing) {
            tracing::warn!(%error, "the write-ahead log is not copied beside the writer, which does it until that works");
        }
        failing = copied.is_err();
        std::thread::sleep(PAUSE);
    }
}
