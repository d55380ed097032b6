//! A copy of the database as it is at one moment, while another process serves from it.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use sentinel_domain::ids::MediaId;

use super::PATIENCE;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database can't be read, or the copy can't be written: for want of room, for example.
    #[error("can't copy the database {}", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The copy's file can't be made.
    #[error("can't write {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Copies the database `from` into the new file `to`, and gives the uploaded files that the copy knows. What was committed
/// before is in it. Nobody waits for it; the write-ahead log grows by what is written meanwhile.
pub fn copy(from: &Path, to: &Path) -> Result<BTreeSet<MediaId>, CopyError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| CopyError::Database { path, source }
    };
    // Made beforehand for its permissions; SQLite takes an empty file.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(unwritten(to))?;
    let name = to.to_str().ok_or_else(|| unwritten(to)(io::ErrorKind::InvalidFilename.into()))?;
    let db = open(from).map_err(failed(from))?;
    db.execute("VACUUM INTO ?1", [name]).map_err(failed(from))?;
    file.sync_all().map_err(unwritten(to))?;
    media(to).map_err(failed(to))
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    |source| CopyError::File { path, source }
}

/// For reading only, and never in place of a database that is not there.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(PATIENCE)?;
    Ok(db)
}

fn media(path: &Path) -> rusqlite::Result<BTreeSet<MediaId>> {
    let db = open(path)?;
    let mut select = db.prepare("SELECT id FROM media")?;
    let ids = select.query_map([], |row| super::rows::key(row, 0).map(MediaId::from_bytes))?;
    ids.collect()
}
