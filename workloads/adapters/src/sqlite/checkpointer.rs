//! Copies the write-ahead log into the database beside the writer, a little at a time. A commit that finds the log full
//! has to copy all of it, and everybody who waits for the commit waits for that; so it finds little left to copy.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
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
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
        let db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "synchronous", "full")?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("sqlite-checkpoint".into()).spawn(move || run(&db, &woken));
        Ok(Self { wake: Some(wake), thread: Some(thread.map_err(OpenError::Thread)?) })
    }

    /// Tells that there is something to copy.
    pub(super) fn committed(&self) {
        if let Some(wake) = &self.wake {
            // A full channel: it will look anyway.
            let _ = wake.try_send(());
        }
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

fn run(db: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        // Passive: what a reader still needs stays in the log, and nobody waits.
        if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log was not copied; the writer will do it");
        }
        std::thread::sleep(PAUSE);
    }
}
