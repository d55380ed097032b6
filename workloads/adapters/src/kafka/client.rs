//! What producers, consumers and administration have in common: how brokers are reached, and what they complain about.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError as DriverError, RDKafkaErrorCode},
};
use sentinel_domain::config::KafkaConfig;

use super::KafkaError;
use crate::credentials::Credentials;

/// The settings of every client.
pub(super) fn settings(config: &KafkaConfig) -> Result<ClientConfig, KafkaError> {
    if config.connection.endpoints.is_empty() {
        return Err(KafkaError::NoEndpoint);
    }
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", endpoints(config))
        .set("client.id", "sentinel")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("reconnect.backoff.max.ms", "2000");
    let tls = match &config.connection.tls {
        Some(_) if !cfg!(feature = "kafka-tls") => return Err(KafkaError::NoTls),
        Some(tls) => {
            // OpenSSL inside the driver looks where it was built; the system's certificates are found by probing.
            let ca = tls.ca.as_ref().map_or("probe".into(), |ca| ca.to_string_lossy());
            settings.set("ssl.ca.location", ca);
            true
        }
        None => false,
    };
    let credentials = Credentials::read(&config.connection)?;
    settings.set(
        "security.protocol",
        match (credentials.is_some(), tls) {
            (true, true) => "sasl_ssl",
            (true, false) => "sasl_plaintext",
            (false, true) => "ssl",
            (false, false) => "plaintext",
        },
    );
    if let Some(Credentials { username, password }) = credentials {
        settings.set("sasl.mechanisms", "PLAIN").set("sasl.username", username).set("sasl.password", password);
    }
    Ok(settings)
}

/// The brokers, as messages name them.
pub(super) fn endpoints(config: &KafkaConfig) -> String {
    config.connection.endpoints.join(",")
}

/// Remembers what a client last complained about, for the error that tells of the consequence.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<String>>>);

impl Complaints {
    pub(super) fn note(&self, error: &DriverError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are away follows from what was said of each.
        if last.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(reason.to_owned());
        }
    }

    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Complaints {
    fn error(&self, error: DriverError, reason: &str) {
        self.note(&error, reason);
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::config::{Connection, TlsConfig};

    use super::*;

    fn config(connection: Connection) -> KafkaConfig {
        KafkaConfig {
            connection,
            topic: "events".into(),
            dead_letters: "dead".into(),
            partitions: 1,
            replication_factor: 1,
        }
    }

    #[test]
    fn credentials_are_used_with_sasl_plain() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "ann").unwrap();
        std::fs::write(folder.path().join("password"), "secret").unwrap();
        let endpoints = vec!["a:9092".to_owned(), "b:9092".to_owned()];
        let plain =
            settings(&config(Connection { endpoints: endpoints.clone(), credentials: None, tls: None })).unwrap();
        assert_eq!(plain.get("bootstrap.servers"), Some("a:9092,b:9092"));
        assert_eq!((plain.get("security.protocol"), plain.get("sasl.mechanisms")), (Some("plaintext"), None));
        let sasl = Connection { endpoints, credentials: Some(folder.path().into()), tls: None };
        let sasl = settings(&config(sasl)).unwrap();
        assert_eq!(
            (sasl.get("security.protocol"), sasl.get("sasl.mechanisms")),
            (Some("sasl_plaintext"), Some("PLAIN"))
        );
        assert_eq!((sasl.get("sasl.username"), sasl.get("sasl.password")), (Some("ann"), Some("secret")));
    }

    #[test]
    fn what_is_wrong_with_a_broker_is_not_hidden_by_what_follows_from_it() {
        let complaints = Complaints::default();
        let all_down = DriverError::Global(RDKafkaErrorCode::AllBrokersDown);
        complaints.note(&all_down, "1/1 brokers are down");
        assert_eq!(complaints.last().as_deref(), Some("1/1 brokers are down"));
        complaints.note(&DriverError::Global(RDKafkaErrorCode::SSL), "certificate verify failed");
        complaints.note(&all_down, "1/1 brokers are down");
        assert_eq!(complaints.last().as_deref(), Some("certificate verify failed"));
    }

    #[test]
    fn what_can_not_be_done_is_said() {
        let empty = Connection { endpoints: Vec::new(), credentials: None, tls: None };
        assert!(matches!(settings(&config(empty)), Err(KafkaError::NoEndpoint)));
        let tls = Connection { endpoints: vec!["a:1".into()], credentials: None, tls: Some(TlsConfig::default()) };
        let result = settings(&config(tls));
        if cfg!(feature = "kafka-tls") {
            let settings = result.unwrap();
            assert_eq!(
                (settings.get("security.protocol"), settings.get("ssl.ca.location")),
                (Some("ssl"), Some("probe"))
            );
        } else {
            let error = result.err().unwrap().to_string();
            assert!(error.contains("kafka-tls") && error.contains("stores.kafka.connection.tls"), "{error}");
        }
    }
}
