//! A look at the brokers: whether they can be used. Their version is no part of the protocol.

use sentinel_domain::{
    config::KafkaConfig,
    findings::{Finding, TroubleKind},
};

use super::{KafkaError, KafkaLog, client::ask_brokers};

impl KafkaLog {
    /// Connects as services do and asks for the brokers.
    pub async fn inspect(config: &KafkaConfig) -> Finding {
        match ask_brokers(config).await {
            Ok(()) => Finding::default(),
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }
}

fn kind(error: &KafkaError) -> TroubleKind {
    match error {
        KafkaError::Unreachable { reason: Some(reason), .. } if reason.to_lowercase().contains("authentication") => {
            TroubleKind::Refused
        }
        // It answers, and not to `saslMechanism`: the reason names those that it takes.
        KafkaError::Unreachable { reason: Some(reason), .. } if reason.contains("Unsupported SASL mechanism") => {
            TroubleKind::Other
        }
        KafkaError::Unreachable { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::error::{KafkaError as DriverError, RDKafkaErrorCode};

    use super::*;

    #[test]
    fn a_broker_that_answers_is_not_taken_for_one_that_is_away() {
        let of = |reason: &str| {
            kind(&KafkaError::Unreachable {
                endpoints: "a:9092".into(),
                waited: Duration::from_secs(10),
                reason: Some(reason.into()),
                source: Box::new(DriverError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure)),
            })
        };
        let invalid = "SASL authentication error: Authentication failed during authentication due to invalid credentials \
                       with SASL mechanism SCRAM-SHA-512 (after 307ms in state AUTH_REQ)";
        assert_eq!(of(invalid), TroubleKind::Refused);
        let other = "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported \
                     mechanisms: SCRAM-SHA-512,SCRAM-SHA-256 (after 300ms in state AUTH_HANDSHAKE)";
        assert_eq!(of(other), TroubleKind::Other);
        assert_eq!(of("Connect to ipv4#127.0.0.1:1 failed: Connection refused"), TroubleKind::Unreachable);
    }
}
