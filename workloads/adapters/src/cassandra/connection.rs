//! How Cassandra is reached: contact points, credentials, encryption, and what holds for every statement.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore};
use scylla::{
    client::{execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder},
    frame::types::{Consistency, SerialConsistency},
    policies::load_balancing::DefaultPolicy,
};
use sentinel_domain::config::{CassandraConfig, TlsConfig};

use super::CassandraError;
use crate::credentials::Credentials;

/// How long a statement may take, retries included.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one statement that changes the schema may take.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it is tried to reach a cluster that may be starting.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one node has to answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_NAME: usize = 48;

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Statements on the tables.
    Use,
    /// Changes to the tables.
    Migrate,
}

/// Opens a session, waiting for a cluster that is just starting.
pub(super) async fn open(config: &CassandraConfig, purpose: Purpose) -> Result<Session, CassandraError> {
    check_names(config)?;
    let credentials = Credentials::read(&config.connection)?;
    let started = Instant::now();
    let mut last = None;
    loop {
        let builder = builder(config, purpose, credentials.as_ref())?;
        let left = PATIENCE.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, builder.build()).await {
            Ok(Ok(session)) => {
                check_datacenter(config, &session)?;
                return Ok(session);
            }
            Ok(Err(error)) => last = Some(Box::new(error)),
            Err(_) => {
                let endpoints = config.connection.endpoints.join(", ");
                return Err(CassandraError::Unreachable { endpoints, waited: PATIENCE, source: last });
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens a session with these credentials, or tells why not; nothing is waited for.
pub(super) async fn attempt(
    config: &CassandraConfig,
    purpose: Purpose,
    credentials: Option<&Credentials>,
) -> Result<Session, CassandraError> {
    check_names(config)?;
    let endpoints = || config.connection.endpoints.join(", ");
    match tokio::time::timeout(PATIENCE, builder(config, purpose, credentials)?.build()).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(CassandraError::Unreachable {
            endpoints: endpoints(),
            waited: CONNECTION_TIMEOUT,
            source: Some(Box::new(error)),
        }),
        Err(_) => Err(CassandraError::Unreachable { endpoints: endpoints(), waited: PATIENCE, source: None }),
    }
}

fn builder(
    config: &CassandraConfig,
    purpose: Purpose,
    credentials: Option<&Credentials>,
) -> Result<SessionBuilder, CassandraError> {
    let tls = config.connection.tls.as_ref().map(client_config).transpose()?;
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.connection.endpoints)
        .default_execution_profile_handle(profile(config, purpose).into_handle())
        .connection_timeout(CONNECTION_TIMEOUT)
        .schema_agreement_timeout(SCHEMA_TIMEOUT)
        // Which nodes have a row follows from its keyspace; of others nothing need be known.
        .keyspaces_to_fetch([config.keyspace.clone()])
        .tls_context(tls);
    if let Some(Credentials { username, password }) = credentials {
        builder = builder.user(username, password);
    }
    Ok(builder)
}

fn profile(config: &CassandraConfig, purpose: Purpose) -> ExecutionProfile {
    // A quorum of this data centre, or none: what a far one acknowledges alone is not seen here.
    let nodes = DefaultPolicy::builder()
        .prefer_datacenter(config.datacenter.clone())
        .token_aware(true)
        .permit_dc_failover(false)
        .build();
    let timeout = if purpose == Purpose::Migrate { SCHEMA_TIMEOUT } else { REQUEST_TIMEOUT };
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(timeout))
        .load_balancing_policy(nodes)
        .build()
}

fn check_names(config: &CassandraConfig) -> Result<(), CassandraError> {
    if config.connection.endpoints.is_empty() {
        return Err(CassandraError::NoEndpoint);
    }
    let plain = |text: &str, extra: &str| {
        (1..=LONGEST_NAME).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c))
    };
    let names = [("keyspace", &config.keyspace, ""), ("datacenter", &config.datacenter, "-.")];
    for (field, value, extra) in names {
        if !plain(value, extra) {
            return Err(CassandraError::Name { field, value: value.clone() });
        }
    }
    Ok(())
}

pub(super) fn check_datacenter(config: &CassandraConfig, session: &Session) -> Result<(), CassandraError> {
    let cluster = session.get_cluster_state();
    let mut found: Vec<String> = cluster.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    found.sort();
    found.dedup();
    if found.contains(&config.datacenter) {
        return Ok(());
    }
    Err(CassandraError::Datacenter { wanted: config.datacenter.clone(), found })
}

/// Nodes are known by their addresses, so their certificates must name those.
fn client_config(tls: &TlsConfig) -> Result<Arc<ClientConfig>, CassandraError> {
    let found = match &tls.ca {
        Some(ca) => rustls_native_certs::load_certs_from_paths(Some(ca), None),
        None => rustls_native_certs::load_native_certs(),
    };
    let invalid = |source| CassandraError::Authorities { file: tls.ca.clone(), source };
    let mut roots = RootCertStore::empty();
    // A bundle of a system may have a certificate that this library does not take; the others are as good.
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 || !found.errors.is_empty() {
        tracing::debug!(ignored, errors = ?found.errors, "certificates of authorities are left out");
    }
    if roots.is_empty() {
        let why =
            found.errors.into_iter().next().map_or_else(|| io::Error::other("no certificate in it"), io::Error::other);
        return Err(invalid(why));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| invalid(io::Error::other(error)))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use sentinel_domain::config::Connection;

    use super::*;

    fn config(keyspace: &str, datacenter: &str) -> CassandraConfig {
        CassandraConfig {
            connection: Connection { endpoints: vec!["c:9042".into()], credentials: None, tls: None },
            keyspace: keyspace.into(),
            datacenter: datacenter.into(),
            replication_factor: 1,
            own_cluster: false,
        }
    }

    #[test]
    fn names_that_would_change_a_statement_are_refused() {
        check_names(&config("sentinel_2", "eu-west.1")).unwrap();
        for (keyspace, datacenter) in [("a b", "dc"), ("", "dc"), ("x\"; DROP", "dc"), ("ks", "dc'1"), ("a-b", "dc")] {
            let error = check_names(&config(keyspace, datacenter)).unwrap_err();
            assert!(matches!(error, CassandraError::Name { .. }), "{error}");
        }
    }

    #[test]
    fn an_authority_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        let told = |tls: &TlsConfig| client_config(tls).unwrap_err().to_string();
        let tls = TlsConfig { ca: Some(ca.clone()) };
        assert!(told(&tls).contains("ca.crt"));
        std::fs::write(&ca, "no certificate").unwrap();
        assert!(told(&tls).contains("tls.ca"));
    }
}
