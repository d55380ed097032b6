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
        KafkaError::Unreachable { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}
