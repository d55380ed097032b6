//! A look at the brokers: whether they can be used. Their version is no part of the protocol.

use std::time::Duration;

use rdkafka::{
    config::FromClientConfigAndContext,
    producer::{FutureProducer, Producer},
};
use sentinel_domain::{
    config::KafkaConfig,
    findings::{Finding, TroubleKind},
};

use super::{
    KafkaError, KafkaLog,
    client::{Complaints, endpoints, settings},
};

/// How long brokers have to answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl KafkaLog {
    /// Connects as services do and asks for the brokers.
    pub async fn inspect(config: &KafkaConfig) -> Finding {
        let config = config.clone();
        // The driver waits for answers on the thread that asks.
        match tokio::task::spawn_blocking(move || look(&config)).await {
            Ok(Ok(())) => Finding::default(),
            Ok(Err(error)) => Finding::trouble(kind(&error), &error),
            Err(error) => Finding::trouble(TroubleKind::Other, &error),
        }
    }
}

fn look(config: &KafkaConfig) -> Result<(), KafkaError> {
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

fn kind(error: &KafkaError) -> TroubleKind {
    match error {
        KafkaError::Unreachable { reason: Some(reason), .. } if reason.to_lowercase().contains("authentication") => {
            TroubleKind::Refused
        }
        KafkaError::Unreachable { .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}
