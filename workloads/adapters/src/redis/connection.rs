//! Connecting: one server, the primary that sentinels know, or a cluster; with TLS and credentials if configured.

use std::{path::PathBuf, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisConnectionInfo, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use sentinel_domain::config::{Connection, RedisConfig, RedisMode};
use tokio::time::timeout;

use super::PATIENCE;
use crate::credentials::{Credentials, CredentialsError};

/// Time for asking one sentinel after the other.
const SENTINELS_PATIENCE: Duration = Duration::from_secs(4);
const CLUSTER_PATIENCE: Duration = Duration::from_secs(4);

/// Why Redis can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The credentials can't be read.
    #[error("can't read the credentials of redis")]
    Credentials(#[from] CredentialsError),
    /// The certificates of the authorities can't be read.
    #[error("can't read {}, the file with the authorities' certificates for redis", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not of the form `host:port`.
    #[error("`{0}` is no endpoint of redis; write host:port")]
    Endpoint(String),
    /// No endpoint is configured.
    #[error("redis has no endpoints; give at least one as host:port")]
    NoEndpoints,
    /// It can't be reached, refused what was asked, or answered something else.
    #[error(
        "redis at {endpoints} failed; check that it runs, that it may be reached and that the credentials are right"
    )]
    Failed {
        /// Where it should be.
        endpoints: String,
        /// What happened.
        #[source]
        source: redis::RedisError,
    },
    /// No answer in time.
    #[error("redis at {endpoints} did not answer within {} s; check that it runs and that it may be reached", PATIENCE.as_secs())]
    Silent {
        /// Where it should be.
        endpoints: String,
    },
    /// It failed a moment ago, so it was not asked.
    #[error("redis at {endpoints} was away a moment ago")]
    Away {
        /// Where it should be.
        endpoints: String,
    },
}

impl RedisError {
    /// Whether trying again can't help.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Silent { .. } | Self::Away { .. })
    }
}

/// A connection.
#[derive(Clone)]
pub(super) enum Line {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Line {
    /// Subscribes the connection to a channel.
    pub async fn subscribe(&mut self, channel: &str) -> redis::RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.ssubscribe(channel).await,
        }
    }
}

/// What is called with each message that the server pushes; it must not wait.
pub(super) type Pushed = Box<dyn Fn(PushInfo) + Send + Sync>;

/// Opens connections.
pub(super) struct Opener {
    config: RedisConfig,
    addresses: Vec<(String, u16)>,
    authorities: Option<Vec<u8>>,
}

impl Opener {
    pub fn new(config: &RedisConfig) -> Result<Self, RedisError> {
        let Connection { endpoints, tls, .. } = &config.connection;
        if endpoints.is_empty() {
            return Err(RedisError::NoEndpoints);
        }
        let addresses = endpoints.iter().map(|endpoint| address(endpoint)).collect::<Result<_, _>>()?;
        // They are read once; credentials are read anew for each connection, so that they may change.
        Credentials::read(&config.connection)?;
        let authorities = match tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
            None => None,
            Some(path) => {
                Some(std::fs::read(path).map_err(|source| RedisError::Authorities { path: path.clone(), source })?)
            }
        };
        if tls.is_some() {
            // Fails when there is a default already, which is as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self { config: config.clone(), addresses, authorities })
    }

    pub fn mode(&self) -> RedisMode {
        self.config.mode
    }

    /// Opens a connection; with `pushed`, one that can subscribe.
    pub async fn open(&self, pushed: Option<Pushed>) -> Result<Line, RedisError> {
        let credentials = Credentials::read(&self.config.connection)?;
        let patience = match self.mode() {
            RedisMode::Single => PATIENCE * u32::try_from(self.addresses.len()).unwrap_or(1),
            RedisMode::Sentinel => SENTINELS_PATIENCE,
            RedisMode::Cluster => CLUSTER_PATIENCE,
        };
        let opened = timeout(patience, async {
            match self.mode() {
                RedisMode::Single => self.open_single(credentials.as_ref(), pushed).await,
                RedisMode::Sentinel => self.open_primary(credentials.as_ref(), pushed).await,
                RedisMode::Cluster => self.open_cluster(credentials.as_ref(), pushed).await,
            }
        });
        match opened.await {
            Ok(opened) => opened.map_err(|error| self.failed(error)),
            Err(_) => Err(self.silent()),
        }
    }

    async fn open_single(&self, credentials: Option<&Credentials>, pushed: Option<Pushed>) -> redis::RedisResult<Line> {
        let settings = settings(pushed);
        let mut failure = None;
        for address in &self.addresses {
            let info = self.addr(address).into_connection_info()?.set_redis_settings(identity(credentials));
            match self.client(info)?.get_multiplexed_async_connection_with_config(&settings).await {
                Ok(connection) => return Ok(Line::Single(connection)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| (redis::ErrorKind::InvalidClientConfig, "no endpoint").into()))
    }

    async fn open_primary(
        &self,
        credentials: Option<&Credentials>,
        pushed: Option<Pushed>,
    ) -> redis::RedisResult<Line> {
        let settings = settings(pushed);
        // Sentinels often ask for no password where the servers do, and refuse to be given one.
        let asked = self.primary(credentials, None).await;
        let client = match (asked, credentials) {
            (Err(_), Some(_)) => self.primary(credentials, credentials).await?,
            (asked, _) => asked?,
        };
        Ok(Line::Single(client.get_multiplexed_async_connection_with_config(&settings).await?))
    }

    async fn primary(
        &self,
        credentials: Option<&Credentials>,
        for_sentinels: Option<&Credentials>,
    ) -> redis::RedisResult<Client> {
        let sentinels = self.addresses.iter().map(|address| self.addr(address));
        let mut builder = SentinelClientBuilder::new(sentinels, &self.config.primary, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3);
        if let Some(Credentials { username, password }) = credentials {
            builder = builder.set_client_to_redis_username(username).set_client_to_redis_password(password);
        }
        if let Some(Credentials { username, password }) = for_sentinels {
            builder = builder.set_client_to_sentinel_username(username).set_client_to_sentinel_password(password);
        }
        if self.config.connection.tls.is_some() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates())
                .set_client_to_sentinel_certificates(self.certificates());
        }
        builder.build()?.async_get_client().await
    }

    async fn open_cluster(
        &self,
        credentials: Option<&Credentials>,
        pushed: Option<Pushed>,
    ) -> redis::RedisResult<Line> {
        let nodes = self.addresses.iter().map(|address| self.addr(address));
        let mut builder = ClusterClient::builder(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE);
        if let Some(Credentials { username, password }) = credentials {
            builder = builder.username(username).password(password);
        }
        if self.config.connection.tls.is_some() {
            builder = builder.certs(self.certificates());
        }
        if let Some(pushed) = pushed {
            builder = builder.push_sender(sender(pushed));
        }
        Ok(Line::Cluster(builder.build()?.get_async_connection().await?))
    }

    fn addr(&self, (host, port): &(String, u16)) -> ConnectionAddr {
        if self.config.connection.tls.is_some() {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
    }

    fn client(&self, info: ConnectionInfo) -> redis::RedisResult<Client> {
        if self.config.connection.tls.is_some() {
            Client::build_with_tls(info, self.certificates())
        } else {
            Client::open(info)
        }
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.authorities.clone() }
    }

    pub fn failed(&self, source: redis::RedisError) -> RedisError {
        RedisError::Failed { endpoints: self.endpoints(), source }
    }

    pub fn silent(&self) -> RedisError {
        RedisError::Silent { endpoints: self.endpoints() }
    }

    pub fn away(&self) -> RedisError {
        RedisError::Away { endpoints: self.endpoints() }
    }

    fn endpoints(&self) -> String {
        self.config.connection.endpoints.join(", ")
    }
}

fn settings(pushed: Option<Pushed>) -> AsyncConnectionConfig {
    let settings =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    match pushed {
        Some(pushed) => settings.set_push_sender(sender(pushed)),
        None => settings,
    }
}

fn sender(pushed: Pushed) -> impl redis::aio::AsyncPushSender {
    move |info: PushInfo| {
        pushed(info);
        Ok::<(), redis::aio::SendError>(())
    }
}

fn identity(credentials: Option<&Credentials>) -> RedisConnectionInfo {
    let identity = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    match credentials {
        Some(Credentials { username, password }) => identity.set_username(username).set_password(password),
        None => identity,
    }
}

/// `host:port`, with an IPv6 address in brackets.
fn address(endpoint: &str) -> Result<(String, u16), RedisError> {
    let wrong = || RedisError::Endpoint(endpoint.to_owned());
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']')).ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || host.contains("//") { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        assert_eq!(address("redis.chat.svc:6379").unwrap(), ("redis.chat.svc".to_owned(), 6379));
        assert_eq!(address("[::1]:6379").unwrap(), ("::1".to_owned(), 6379));
        for bad in ["redis", "redis:", ":6379", "redis:70000", "redis://redis:6379", "[::1:6379"] {
            assert!(matches!(address(bad), Err(RedisError::Endpoint(_))), "{bad}");
        }
    }
}
