//! Why work on a connection did not succeed, and what that means for the connection and the endpoint.

use std::borrow::Cow;

use sentinel_domain::ports::{StoreError, TakenField};

/// The server is a copy, or became one.
const READ_ONLY: &str = "25006";
/// The server's volume has no room for what was to be written.
const DISK_FULL: &str = "53100";

/// Failed work.
#[derive(Debug)]
pub(super) enum Failure {
    /// Decided by what the tables hold.
    Refused(StoreError),
    /// The database failed or can't be reached.
    Database(sqlx::Error),
    /// It took too long.
    TimedOut,
}

/// See [`Failure::TimedOut`].
#[derive(Debug, thiserror::Error)]
#[error("postgres did not answer in time")]
struct TimedOut;

impl Failure {
    /// Whether the connection is in no known state.
    pub(super) fn of_connection(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Database(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)))
            || self.read_only()
    }

    /// Whether another endpoint may do better.
    pub(super) fn of_endpoint(&self) -> bool {
        self.of_connection()
    }

    /// Whether the server's volume is full. It reads and answers all the same.
    pub(super) fn is_full(&self) -> bool {
        self.has_code(DISK_FULL)
    }

    fn read_only(&self) -> bool {
        self.has_code(READ_ONLY)
    }

    fn has_code(&self, wanted: &str) -> bool {
        let Self::Database(error) = self else { return false };
        sqlstate(error).is_some_and(|code| code == wanted)
    }
}

/// The server's code of an error (SQLSTATE).
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else { return Self::Database(error) };
        match database.constraint() {
            Some("accounts_by_username") => StoreError::Taken(TakenField::Username).into(),
            Some("accounts_by_email") => StoreError::Taken(TakenField::Email).into(),
            // All foreign keys are to accounts.
            Some(_) if database.is_foreign_key_violation() => StoreError::NotFound.into(),
            _ => Self::Database(error),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error @ (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })) => {
                Self::unreadable(error)
            }
            Failure::Database(error) => Self::unavailable(error),
            Failure::TimedOut => Self::unavailable(TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt};

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;
    use crate::postgres::rows::malformed;

    /// What the server says when it refuses a statement.
    #[derive(Debug)]
    struct Said(&'static str);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn a_full_volume_is_told_from_other_refusals_and_clients_are_to_try_again() {
        let said = |code| Failure::from(sqlx::Error::Database(Box::new(Said(code))));
        let full = said(DISK_FULL);
        assert!(full.is_full() && !full.of_connection(), "the connection is as good as before");
        assert!(matches!(StoreError::from(full), StoreError::Unavailable(_)));
        let read_only = said(READ_ONLY);
        assert!(!read_only.is_full() && read_only.of_connection());
        assert!(!said("42601").is_full() && !Failure::TimedOut.is_full());
    }

    #[test]
    fn what_is_malformed_is_told_from_what_is_away() {
        let of = |error: sqlx::Error| StoreError::from(Failure::from(error));
        assert!(matches!(of(malformed("username")), StoreError::Unreadable(_)));
        for away in [sqlx::Error::PoolTimedOut, sqlx::Error::WorkerCrashed] {
            assert!(matches!(of(away), StoreError::Unavailable(_)));
        }
    }
}
