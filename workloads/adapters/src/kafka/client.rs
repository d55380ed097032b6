//! What producers, consumers and administration have in common: how brokers are reached, and what they complain about.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext as _,
    error::{KafkaError as DriverError, RDKafkaErrorCode},
    producer::{FutureProducer, Producer as _},
};
use sentinel_domain::config::{KafkaConfig, SaslMechanism};

use super::KafkaError;
use crate::credentials::Credentials;

/// How long brokers have to answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let mechanism = config.sasl_mechanism;
    // Inside the driver it is made with OpenSSL, too.
    if mechanism != SaslMechanism::Plain && !cfg!(feature = "kafka-tls") {
        return Err(KafkaError::NoScram(mechanism.as_str()));
    }
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
        settings
            .set("sasl.mechanisms", mechanism.as_str())
            .set("sasl.username", username)
            .set("sasl.password", password);
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

/// Connects as services do and asks for the brokers; says why they can't be used.
pub(super) async fn ask_brokers(config: &KafkaConfig) -> Result<(), KafkaError> {
    let config = config.clone();
    // The driver waits for answers on the thread that asks.
    match tokio::task::spawn_blocking(move || ask_brokers_blocking(&config)).await {
        Ok(asked) => asked,
        Err(error) => Err(KafkaError::Interrupted(error)),
    }
}

fn ask_brokers_blocking(config: &KafkaConfig) -> Result<(), KafkaError> {
    let complaints = Complaints::default();
    // Of the driver's clients, one for administration never hears why brokers can't be used.
    let client: FutureProducer<Complaints> =
        FutureProducer::from_config_and_context(&settings(config)?, complaints.clone())
            .map_err(KafkaError::Configuration)?;
    let asked = client.client().fetch_metadata(None, PATIENCE);
    asked.map(drop).map_err(|source| KafkaError::Unreachable {
        endpoints: endpoints(config),
        waited: PATIENCE,
        reason: complaints.last(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use sentinel_domain::config::{Connection, TlsConfig};

    use super::*;

    fn config(connection: Connection) -> KafkaConfig {
        KafkaConfig {
            connection,
            sasl_mechanism: SaslMechanism::default(),
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
    fn scram_is_used_by_images_that_can_and_the_others_tell_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "ann").unwrap();
        std::fs::write(folder.path().join("password"), "secret").unwrap();
        for name in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let connection = serde_json::json!({ "endpoints": ["a:9092"], "credentials": folder.path() });
            let config = serde_json::json!({ "connection": connection, "saslMechanism": name });
            let settings = settings(&serde_json::from_value(config).unwrap());
            if cfg!(feature = "kafka-tls") {
                let settings = settings.unwrap();
                assert_eq!(settings.get("sasl.mechanisms"), Some(name));
                let taken: Result<FutureProducer, _> = settings.create();
                assert!(taken.is_ok(), "{:?}", taken.err());
            } else {
                let error = settings.err().unwrap().to_string();
                assert!(error.contains(&format!("`stores.kafka.saslMechanism` is {name}")), "{error}");
                assert!(error.contains("--kafka-tls") && error.contains("PLAIN"), "{error}");
            }
        }
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
