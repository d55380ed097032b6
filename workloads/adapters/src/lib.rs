//! Adapters of the domain's ports, one module per store.

pub mod cassandra;
mod chat_keys;
mod content;
pub mod credentials;
pub mod elasticsearch;
pub mod files;
mod handling;
pub mod kafka;
pub mod keys;
pub mod linked_accounts;
mod outage;
pub mod postgres;
pub mod push;
pub mod redis;
pub mod s3;
mod skipping;
pub mod sqlite;
pub mod versions;
