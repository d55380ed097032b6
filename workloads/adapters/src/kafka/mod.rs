//! Kafka: the log of platform events, between the outbox and the consumers.
//!
//! Events are JSON, keyed by their chat, so events of one chat stay in order. A consumer marks events as done after their
//! effect, so each is handled at least once.

mod client;
mod consumer;
mod dead_letters;
mod error;
mod inspect;
mod membership;
mod partitions;
mod producer;
mod settings;
mod topics;
mod work;

pub use self::{consumer::KafkaConsumer, error::KafkaError, producer::KafkaLog};
