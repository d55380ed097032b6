//! Appending to the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::KafkaError as DriverError,
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use sentinel_domain::{
    config::KafkaConfig,
    outbox::PlatformEvent,
    ports::{EventLog, StoreError},
};

use super::{
    KafkaError,
    client::{Complaints, endpoints, settings},
    topics,
};

/// How long an append may take, all its tries together.
const DELIVERY: &str = "10000";
/// How long a program that starts waits for a broker.
const START: Duration = Duration::from_secs(10);
/// How long a probe waits.
const PROBE: Duration = Duration::from_secs(2);

/// An append that did not succeed; it may have been written all the same.
#[derive(Debug, thiserror::Error)]
#[error("kafka at {endpoints} does not take `{topic}`{}", reason.as_ref().map(|it| format!(" ({it})")).unwrap_or_default())]
struct NotAppended {
    endpoints: String,
    topic: String,
    reason: Option<String>,
    #[source]
    source: DriverError,
}

/// The log. Clones share one connection.
#[derive(Clone)]
pub struct KafkaLog {
    shared: Arc<Shared>,
}

struct Shared {
    config: KafkaConfig,
    settings: ClientConfig,
    complaints: Complaints,
    producer: Mutex<Producer>,
}

type Producer = FutureProducer<Complaints>;

/// One record to be written.
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) headers: Option<OwnedHeaders>,
}

impl KafkaLog {
    /// Waits up to ten seconds for a broker that has the topic.
    pub async fn connect(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let log = Self::open(config)?;
        log.look(START).await?;
        Ok(log)
    }

    /// Waits for nothing: appends fail while no broker can be reached, and succeed as soon as one can. This is for those
    /// who must start in an outage of Kafka.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut settings = settings(config)?;
        settings
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", DELIVERY)
            .set("linger.ms", "2")
            // As Kafka's own clients choose it, so that others who write to the topic agree.
            .set("partitioner", "murmur2_random");
        let complaints = Complaints::default();
        let producer = Mutex::new(make(&settings, &complaints)?);
        Ok(Self { shared: Arc::new(Shared { config: config.clone(), settings, complaints, producer }) })
    }

    /// Makes the topics that are not there. Safe to repeat and to run at the same time elsewhere.
    pub async fn migrate(config: &KafkaConfig) -> Result<(), KafkaError> {
        topics::make(config).await
    }

    /// Whether a broker answers.
    pub async fn check(&self) -> Result<(), KafkaError> {
        self.look(PROBE).await
    }

    async fn look(&self, patience: Duration) -> Result<(), KafkaError> {
        let shared = Arc::clone(&self.shared);
        let producer = shared.producer();
        // The driver blocks here.
        let look = tokio::task::spawn_blocking(move || {
            topics::look(producer.client(), &shared.config, &shared.complaints, patience)
        });
        look.await.unwrap_or_else(|_| {
            Err(KafkaError::Unreachable {
                endpoints: endpoints(&self.shared.config),
                waited: patience,
                reason: Some("the look was interrupted".to_owned()),
                source: Box::new(DriverError::Canceled),
            })
        })
    }

    /// Appends records to a topic in order and waits for all of them.
    pub(super) async fn write(&self, topic: &str, records: &[Record<'_>]) -> Result<(), StoreError> {
        let producer = self.shared.producer();
        let mut failure = None;
        let mut waiting = Vec::with_capacity(records.len());
        for Record { key, payload, headers } in records {
            let record =
                FutureRecord { headers: headers.clone(), ..FutureRecord::to(topic).key(*key).payload(*payload) };
            match producer.send_result(record) {
                Ok(delivery) => waiting.push(delivery),
                // The rest must not overtake this one.
                Err((error, _)) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        for delivery in join_all(waiting).await {
            let error = match delivery {
                Ok(Ok(_)) => continue,
                Ok(Err((error, _))) => error,
                Err(_) => DriverError::Canceled,
            };
            failure = failure.or(Some(error));
        }
        let Some(source) = failure else { return Ok(()) };
        self.shared.replace_if_broken(&producer);
        let Shared { config, complaints, .. } = &*self.shared;
        let (endpoints, reason) = (endpoints(config), complaints.last());
        Err(StoreError::unavailable(NotAppended { endpoints, topic: topic.to_owned(), reason, source }))
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, events: &[PlatformEvent]) -> Result<(), StoreError> {
        let mut written = Vec::with_capacity(events.len());
        for event in events {
            written.push((event.chat_id.to_string(), serde_json::to_vec(event).map_err(StoreError::unavailable)?));
        }
        let records: Vec<_> =
            written.iter().map(|(key, payload)| Record { key: key.as_bytes(), payload, headers: None }).collect();
        self.write(&self.shared.config.topic, &records).await
    }
}

impl Shared {
    fn producer(&self) -> Producer {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An idempotent producer that lost track of what it wrote refuses everything from then on; a new one starts afresh.
    fn replace_if_broken(&self, used: &Producer) {
        let Some((code, reason)) = used.client().fatal_error() else { return };
        tracing::warn!(%code, reason, "the kafka producer is replaced");
        match make(&self.settings, &self.complaints) {
            Ok(fresh) => *self.producer.lock().unwrap_or_else(PoisonError::into_inner) = fresh,
            Err(error) => tracing::error!(?error, "no new kafka producer; it will be tried again"),
        }
    }
}

fn make(settings: &ClientConfig, complaints: &Complaints) -> Result<Producer, KafkaError> {
    Producer::from_config_and_context(settings, complaints.clone()).map_err(KafkaError::Configuration)
}
