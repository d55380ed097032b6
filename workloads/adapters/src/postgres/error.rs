//! Why the database can't be used.

use std::time::Duration;

use crate::{credentials::CredentialsError, versions::TableVersions};

/// Why the database can't be used, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No endpoint is configured.
    #[error("`stores.postgres.connection.endpoints` is empty; give the database's host:port")]
    NoEndpoint,
    /// An endpoint is no `host:port`.
    #[error("`{0}` in `stores.postgres.connection.endpoints` is not of the form host:port")]
    MalformedEndpoint(String),
    /// A file of credentials can't be read.
    #[error("`stores.postgres.connection.credentials`")]
    Credentials(#[from] CredentialsError),
    /// The server does not let this user in.
    #[error(
        "postgres at {endpoint} refuses the user `{user}`; correct the files `username` and `password` in the folder of \
         `stores.postgres.connection.credentials`, or the server's rules for this user"
    )]
    Refused {
        /// The server.
        endpoint: String,
        /// The user.
        user: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
    /// The server has no such database.
    #[error("postgres at {endpoint} has no database `{database}`; make it or change `stores.postgres.database`")]
    NoDatabase {
        /// The server.
        endpoint: String,
        /// The database.
        database: String,
    },
    /// The connection can't be encrypted as asked.
    #[error(
        "no trusted connection to postgres at {endpoint}; compare `stores.postgres.connection.tls.ca` and the host's \
         name with the server's certificate"
    )]
    Tls {
        /// The server.
        endpoint: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The server can't be reached or failed.
    #[error("postgres at {endpoint} can't be used; see that it runs and can be reached from here")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The server did not answer in time.
    #[error("postgres at {endpoint} did not answer within {} s; see that it runs and can be reached from here", waited.as_secs())]
    Silent {
        /// The server.
        endpoint: String,
        /// How long it had.
        waited: Duration,
    },
    /// The server is a copy of another one.
    #[error("postgres at {endpoint} takes no writes; add the primary to `stores.postgres.connection.endpoints`")]
    ReadOnly {
        /// The server.
        endpoint: String,
    },
    /// The tables are not there, or of another version.
    #[error("the database's tables {0}")]
    Schema(TableVersions),
    /// The tables' version can't be read.
    #[error("can't read the version of the database's tables; the user needs the rights of their owner")]
    SchemaUnreadable(#[source] sqlx::Error),
    /// The tables can't be brought to this version.
    #[error("can't bring the database's tables to this version; the user needs the right to create tables")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Services can't be let in as a role of their own.
    #[error(
        "can't make the role `{role}` of services or give it its rights; the user of the migration must be a superuser"
    )]
    ServiceRole {
        /// The role.
        role: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl PostgresError {
    /// Whether waiting won't help.
    pub(super) fn is_definite(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::ReadOnly { .. })
    }
}
