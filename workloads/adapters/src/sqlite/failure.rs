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
        matches!(
            self,
            Self::Refused(StoreError::Unreadable(_)) | Self::Broken(rusqlite::Error::FromSqlConversionFailure(..))
        )
    }
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
            Failure::Broken(error @ rusqlite::Error::FromSqlConversionFailure(..)) => Self::unreadable(error),
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
