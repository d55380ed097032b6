//! Read-only connections. Reads never wait for the writer (WAL), and see what was committed when they began.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use sentinel_domain::ports::StoreError;
use tokio::sync::Semaphore;

use super::failure::{Failure, Interrupted};

/// Reads that run at the same time.
const CONNECTIONS: usize = 4;
const CACHED_STATEMENTS: usize = 64;

/// The pool; cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    free: Arc<Semaphore>,
    connections: Arc<[Mutex<Connection>]>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| connect(path).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { free: Arc::new(Semaphore::new(CONNECTIONS)), connections })
    }

    /// Runs a read in one transaction on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| closed())?;
        let connections = Arc::clone(&self.connections);
        let work = move || {
            // Dropped last: whoever holds a permit finds a connection that nobody uses.
            let _permit = permit;
            let connection = connections.iter().find_map(unused).ok_or_else(closed)?;
            let snapshot = connection.unchecked_transaction().map_err(StoreError::unavailable)?;
            read(&snapshot).map_err(StoreError::from)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::unavailable(Interrupted::Read))?
    }
}

fn unused(connection: &Mutex<Connection>) -> Option<MutexGuard<'_, Connection>> {
    match connection.try_lock() {
        Ok(connection) => Some(connection),
        // A read panicked; its transaction was rolled back on the way out, so the connection is as good as new.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn closed() -> StoreError {
    StoreError::unavailable(Interrupted::Closed)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "cache_size", -16 * 1024)?;
    db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(db)
}
