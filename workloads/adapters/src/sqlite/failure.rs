//! Why a command or a read did not succeed, and what that means for its neighbours in a batch.

use rusqlite::ErrorCode;
use sentinel_domain::{keyring::KeyError, ports::StoreError};

/// A failed command or read.
#[derive(Debug)]
pub(super) enum Failure {
    /// Decided before anything was written: the rest of the batch is not concerned.
    Refused(StoreError),
    /// The database failed, perhaps between two writes: the batch must be rolled back.
    Broken(rusqlite::Error),
}

impl Failure {
    /// Whether the volume has no room for it.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Broken(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Whether what is stored is damaged: reading it again does not help.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error, StoreError::Unreadable(_)),
            Self::Broken(error) => is_about_content(error),
        }
    }
}

/// Whether a value was read and is not what it should be: text that is no UTF-8, another type, a number out of its range.
pub(super) fn is_about_content(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

// Keys are used before the first write of a command, never after.
impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Broken(error) if is_about_content(&error) => Self::unreadable(error),
            Failure::Broken(error) => Self::unavailable(error),
        }
    }
}

/// What callers get when the database did not fail on their own command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    /// The writer has stopped or is about to.
    #[error("the database is closed")]
    Closed,
    /// The transaction with this command was not committed.
    #[error("the batch was rolled back")]
    RolledBack,
    /// The thread that read panicked.
    #[error("the read was interrupted")]
    Read,
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_damaged_value_is_no_outage() {
        let db = Connection::open_in_memory().unwrap();
        let text = |sql: &str| Failure::from(db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap_err());
        let number = |sql: &str| Failure::from(db.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap_err());
        let id = |sql: &str| Failure::from(db.query_row(sql, [], |row| row.get::<_, [u8; 16]>(0)).unwrap_err());
        let damaged = [
            text("SELECT CAST(X'c3' AS TEXT)"),
            text("SELECT 5"),
            number("SELECT -1"),
            number("SELECT 'five'"),
            id("SELECT X'00'"),
            id("SELECT NULL"),
        ];
        for failure in damaged {
            assert!(failure.is_damage(), "{failure:?}");
            assert!(matches!(StoreError::from(failure), StoreError::Unreadable(_)));
        }
        let missing = Failure::from(db.prepare("SELECT 1 FROM nowhere").unwrap_err());
        assert!(!missing.is_damage());
        assert!(matches!(StoreError::from(missing), StoreError::Unavailable(_)));
    }
}
