//! Which of several endpoints is used: the first that answers and takes writes.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use sentinel_domain::config::PostgresConfig;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{PostgresError, failure::sqlstate};
use crate::credentials::Credentials;

/// How long one endpoint has to answer.
const PROBE: Duration = Duration::from_secs(2);
/// How long a program that starts waits for a server.
pub(super) const START: Duration = Duration::from_secs(10);
/// Between two looks at all endpoints while starting.
const PAUSE: Duration = Duration::from_millis(250);

/// User name or password is wrong, or the server's rules don't allow this user.
const REFUSED: [&str; 2] = ["28P01", "28000"];
const NO_DATABASE: &str = "3D000";

/// The configured servers.
pub(super) struct Endpoints {
    config: PostgresConfig,
    addresses: Vec<Address>,
    current: AtomicUsize,
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

impl Endpoints {
    pub(super) fn new(config: PostgresConfig) -> Result<Self, PostgresError> {
        let malformed = |text: &String| PostgresError::MalformedEndpoint(text.clone());
        let parse = |text: &String| address(text).ok_or_else(|| malformed(text));
        let addresses: Vec<_> = config.connection.endpoints.iter().map(parse).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(PostgresError::NoEndpoint);
        }
        Ok(Self { config, addresses, current: AtomicUsize::new(0) })
    }

    pub(super) fn max_connections(&self) -> u32 {
        self.config.max_connections.max(1)
    }

    /// The endpoint in use.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Looks for an endpoint that takes writes, the one in use first, and gives its place and how to connect to it.
    /// The error is about the endpoint that tells most.
    pub(super) async fn writable(&self) -> Result<(usize, PgConnectOptions), PostgresError> {
        // Read each time: a changed password is in the files before the server asks for it.
        let credentials = Credentials::read(&self.config.connection)?;
        let mut worst: Option<PostgresError> = None;
        let current = self.current();
        let others = (0..self.addresses.len()).filter(|place| *place != current);
        for place in std::iter::once(current).chain(others) {
            let options = self.options(place, credentials.as_ref());
            let error = match tokio::time::timeout(PROBE, takes_writes(&options)).await {
                Ok(Ok(true)) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok((place, options));
                }
                Ok(Ok(false)) => PostgresError::ReadOnly { endpoint: self.name(place) },
                Ok(Err(error)) => self.classify(place, error),
                Err(_) => PostgresError::Silent { endpoint: self.name(place), waited: PROBE },
            };
            if worst.as_ref().is_none_or(|worst| error.is_definite() && !worst.is_definite()) {
                worst = Some(error);
            }
        }
        Err(worst.unwrap_or(PostgresError::NoEndpoint))
    }

    /// The same, with patience for servers that are just starting.
    pub(super) async fn wait_for_writable(&self) -> Result<(usize, PgConnectOptions), PostgresError> {
        let deadline = tokio::time::Instant::now() + START;
        loop {
            match self.writable().await {
                Err(error) if !error.is_definite() && tokio::time::Instant::now() + PAUSE < deadline => {
                    tracing::debug!(%error, "waiting for postgres");
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// What an error while connecting to an endpoint means.
    pub(super) fn classify(&self, place: usize, source: sqlx::Error) -> PostgresError {
        let endpoint = self.name(place);
        let code = sqlstate(&source).map(Cow::into_owned);
        match (&source, code.as_deref()) {
            (_, Some(code)) if REFUSED.contains(&code) => {
                let user = match Credentials::read(&self.config.connection) {
                    Ok(Some(credentials)) => credentials.username,
                    _ => self.options(place, None).get_username().to_owned(),
                };
                PostgresError::Refused { endpoint, user, source }
            }
            (_, Some(NO_DATABASE)) => PostgresError::NoDatabase { endpoint, database: self.config.database.clone() },
            (sqlx::Error::Tls(_), _) => PostgresError::Tls { endpoint, source },
            (sqlx::Error::PoolTimedOut, _) => PostgresError::Silent { endpoint, waited: super::ACQUIRE },
            _ => PostgresError::Unreachable { endpoint, source },
        }
    }

    fn name(&self, place: usize) -> String {
        self.config.connection.endpoints[place].clone()
    }

    fn options(&self, place: usize, credentials: Option<&Credentials>) -> PgConnectOptions {
        let Address { host, port } = &self.addresses[place];
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(*port)
            .database(&self.config.database)
            .application_name("sentinel")
            // Poolers in front of Postgres refuse parameters that they don't know.
            .extra_float_digits(None);
        if let Some(Credentials { username, password }) = credentials {
            options = options.username(username).password(password);
        }
        match &self.config.connection.tls {
            None => options.ssl_mode(PgSslMode::Disable),
            Some(tls) => {
                let options = options.ssl_mode(PgSslMode::VerifyFull);
                match &tls.ca {
                    Some(ca) => options.ssl_root_cert(ca),
                    None => options,
                }
            }
        }
    }
}

fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && !host.contains('/')).then(|| Address { host: host.to_owned(), port })
}

async fn takes_writes(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let takes = sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await.ok();
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use sentinel_domain::config::{Connection, TlsConfig};

    use super::*;

    fn endpoints(list: &[&str], tls: Option<TlsConfig>) -> Result<Endpoints, PostgresError> {
        let endpoints = list.iter().map(|text| (*text).to_owned()).collect();
        let connection = Connection { endpoints, credentials: None, tls };
        Endpoints::new(PostgresConfig { connection, database: "chats".into(), max_connections: 3 })
    }

    #[test]
    fn endpoints_are_host_and_port() {
        let read = |text| address(text).map(|address| (address.host, address.port));
        assert_eq!(read("db.example.com:5432"), Some(("db.example.com".into(), 5432)));
        assert_eq!(read("[::1]:5433"), Some(("::1".into(), 5433)));
        for bad in ["db", ":5432", "db:", "db:0", "db:65536", "postgres://db:5432/x:1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(matches!(endpoints(&[], None), Err(PostgresError::NoEndpoint)));
        let error = endpoints(&["db"], None).err().unwrap().to_string();
        assert!(error.contains("`db`") && error.contains("stores.postgres.connection.endpoints"), "{error}");
    }

    #[test]
    fn encryption_is_checked_fully_or_not_asked_for() {
        let plain = endpoints(&["db:5432"], None).unwrap().options(0, None);
        assert!(matches!(plain.get_ssl_mode(), PgSslMode::Disable));
        let tls = Some(TlsConfig { ca: Some("/ca.pem".into()) });
        let encrypted = endpoints(&["db:5432"], tls).unwrap().options(0, None);
        assert!(matches!(encrypted.get_ssl_mode(), PgSslMode::VerifyFull));
    }
}
