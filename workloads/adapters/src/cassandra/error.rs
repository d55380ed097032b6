//! Why Cassandra can't be used.

use std::{io, path::PathBuf, time::Duration};

use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};
use sentinel_domain::{keyring::KeyError, ports::StoreError};

use super::wall::ClockOff;
use crate::{credentials::CredentialsError, versions::TableVersions};

/// Whether replicas were there, and failed at reading. It is another error when there are too few of them, or when they
/// don't answer in time.
pub(super) fn is_read_failure(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<ExecutionError>().is_some_and(|error| {
        matches!(error, ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::ReadFailure { .. }, _)))
    })
}

/// Cassandra refused a batch before it did anything of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "cassandra takes no batch of this size; let its `batch_size_fail_threshold` be 16 KiB more than `limits.messageBytes`"
)]
struct BatchTooLarge(#[source] ExecutionError);

/// What came of a batch that was not carried out.
pub(super) fn of_batch(error: ExecutionError) -> StoreError {
    match &error {
        // There is no code of its own for it.
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, told))
            if told.to_ascii_lowercase().contains("batch too large") =>
        {
            StoreError::TooLarge(BatchTooLarge(error).into())
        }
        _ => StoreError::unavailable(error),
    }
}

/// Why Cassandra can't be used, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum CassandraError {
    /// No endpoint is configured.
    #[error("`stores.cassandra.connection.endpoints` is empty; give contact points as host:port")]
    NoEndpoint,
    /// A name that would have to be quoted.
    #[error(
        "`stores.cassandra.{field}` is `{value}`; it has 1 to 48 letters, digits, underscores (and hyphens in a data centre)"
    )]
    Name {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A file of credentials can't be read.
    #[error("`stores.cassandra.connection.credentials`")]
    Credentials(#[from] CredentialsError),
    /// The authorities' certificates can't be read.
    #[error(
        "no certificates of authorities in {}; correct `stores.cassandra.connection.tls.ca`",
        file.as_ref().map_or("the system's own store".into(), |file| file.display().to_string())
    )]
    Authorities {
        /// Which file; none for those that the system trusts.
        file: Option<PathBuf>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No endpoint can be reached, or they refuse this user.
    #[error(
        "cassandra at {endpoints} can't be used after {} s; see that it runs and can be reached from here, and that the \
         user name and password are right", waited.as_secs()
    )]
    Unreachable {
        /// The contact points.
        endpoints: String,
        /// How long was tried.
        waited: Duration,
        /// What happened last; none when no answer came at all.
        #[source]
        source: Option<Box<NewSessionError>>,
    },
    /// The cluster has no such data centre.
    #[error("cassandra has the data centres {found:?} but not `{wanted}`; correct `stores.cassandra.datacenter`")]
    Datacenter {
        /// What is configured.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The tables are not there, or of another version.
    #[error("the tables in keyspace `{keyspace}` {versions}")]
    Schema {
        /// The keyspace.
        keyspace: String,
        /// Their version, and the one that this program knows.
        versions: TableVersions,
    },
    /// The tables can't be brought to this version.
    #[error(
        "can't bring the tables in keyspace `{keyspace}` to version {version}; the user needs the right to create tables"
    )]
    Migration {
        /// The keyspace.
        keyspace: String,
        /// The version.
        version: i32,
        /// Why.
        #[source]
        source: Box<ExecutionError>,
    },
    /// Services can't be let in as a role of their own.
    #[error(
        "can't make the role `{role}` of services or give it its rights; the user of the migration must be a superuser"
    )]
    ServiceRole {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: Box<ExecutionError>,
    },
    /// Another process has been changing the tables for long.
    #[error("another process is changing the tables in keyspace `{0}`; try again when it is done")]
    Busy(String),
    /// A statement is not understood.
    #[error("cassandra does not understand a statement; see that its version is 4.0 or later")]
    Statement(#[from] Box<PrepareError>),
    /// A statement failed.
    #[error("cassandra did not carry out a statement")]
    Execution(#[from] Box<ExecutionError>),
    /// An answer that is none.
    #[error("cassandra gave an answer that can't be understood")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What messages are too old can't be read.
    #[error("cassandra does not say which messages are too old")]
    Horizon(#[source] StoreError),
    /// Nobody says what time it is.
    #[error("the clock here can't be compared with cassandra's")]
    Time(#[source] StoreError),
    /// The clock here is far off.
    #[error(transparent)]
    Clock(#[from] ClockOff),
    /// A key-encryption key that chats need is missing or is another one.
    #[error("the chats in keyspace `{keyspace}` can't be decrypted with the given keys")]
    Keys {
        /// The keyspace.
        keyspace: String,
        /// Why.
        #[source]
        source: KeyError,
    },
}

#[cfg(test)]
mod tests {
    use scylla::statement::Consistency;

    use super::*;

    #[test]
    fn a_batch_that_is_too_large_is_told_from_one_that_may_be_carried_out_later() {
        let of = |error, told: &str| {
            of_batch(ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, told.into())))
        };
        assert!(matches!(of(DbError::Invalid, "Batch too large"), StoreError::TooLarge(_)));
        assert!(matches!(of(DbError::Invalid, "Unknown table"), StoreError::Unavailable(_)));
        assert!(matches!(of(DbError::Overloaded, "Batch too large"), StoreError::Unavailable(_)));
    }

    #[test]
    fn a_partition_that_replicas_fail_to_read_is_told_from_replicas_that_are_away() {
        let told = |error| {
            let error = StoreError::unavailable(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                error,
                "Operation failed".into(),
            )));
            let StoreError::Unavailable(source) = error else { panic!("{error:?}") };
            is_read_failure(&*source)
        };
        let consistency = Consistency::LocalQuorum;
        assert!(told(DbError::ReadFailure {
            consistency,
            received: 1,
            required: 2,
            numfailures: 2,
            data_present: false
        }));
        assert!(!told(DbError::ReadTimeout { consistency, received: 1, required: 2, data_present: false }));
        assert!(!told(DbError::Unavailable { consistency, required: 2, alive: 1 }));
        assert!(!told(DbError::Overloaded));
    }
}
