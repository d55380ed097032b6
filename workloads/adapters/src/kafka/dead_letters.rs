//! Events that can't be handled: kept in a topic of their own, with why.

use rdkafka::message::{Header, OwnedHeaders};
use sentinel_domain::{outbox::PlatformEvent, ports::StoreError, time::Timestamp};

use super::producer::{KafkaLog, Record};

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Letter {
    /// When its event happened; `None` when it is no event.
    pub(super) fn happened_at(&self) -> Option<Timestamp> {
        serde_json::from_slice::<PlatformEvent>(&self.payload).ok().map(|event| event.event_id.timestamp())
    }
}

/// Where they go.
#[derive(Clone)]
pub(super) struct DeadLetters {
    pub(super) log: KafkaLog,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) group: String,
}

impl DeadLetters {
    /// Writes one, as it was, with headers that tell where it comes from and why it is here.
    pub(super) async fn write(&self, letter: &Letter, why: &str) -> Result<(), StoreError> {
        let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
        let headers = [
            ("error", why),
            ("group", self.group.as_str()),
            ("topic", self.from.as_str()),
            ("partition", partition.as_str()),
            ("offset", offset.as_str()),
        ]
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let record = Record { key: &letter.key, payload: &letter.payload, headers: Some(headers) };
        self.log.write(&self.to, &[record]).await
    }
}
