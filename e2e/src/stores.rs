//! The real stores as processes on 127.0.0.1, for tests that need no cluster.
//!
//! A *set* is one of each store that was asked for, with a name, a state folder, ports and a password of its own; several
//! sets run side by side. Everything in a set can be made again: `down` removes processes and data.

mod cassandra;
pub mod cli;
mod cql;
mod elasticsearch;
mod engine;
mod kafka;
mod lifecycle;
mod opensearch;
mod postgres;
mod redis;
mod s3;
mod set;
mod unprivileged;
pub(crate) mod warm_up;
mod web;

use clap::ValueEnum;

use engine::Engine;

/// A store that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Store {
    /// `PostgreSQL`, from Debian.
    Postgres,
    /// Redis, from Debian.
    Redis,
    /// Apache Cassandra.
    Cassandra,
    /// Apache Kafka, broker and controller in one.
    Kafka,
    /// Elasticsearch.
    Elasticsearch,
    /// `OpenSearch`, which can stand in for Elasticsearch.
    Opensearch,
    /// An S3 server that keeps objects as files.
    S3,
}

impl Store {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 7] =
        [Self::Postgres, Self::Redis, Self::Cassandra, Self::Kafka, Self::Elasticsearch, Self::Opensearch, Self::S3];

    /// Its name on the command line, in logs and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Cassandra => "cassandra",
            Self::Kafka => "kafka",
            Self::Elasticsearch => "elasticsearch",
            Self::Opensearch => "opensearch",
            Self::S3 => "s3",
        }
    }

    fn engine(self) -> &'static dyn Engine {
        match self {
            Self::Postgres => &postgres::Postgres,
            Self::Redis => &redis::Redis,
            Self::Cassandra => &cassandra::Cassandra,
            Self::Kafka => &kafka::Kafka,
            Self::Elasticsearch => &elasticsearch::Elasticsearch,
            Self::Opensearch => &opensearch::Opensearch,
            Self::S3 => &s3::S3,
        }
    }
}

/// Those named; without names those that Sentinel uses by default, or all.
fn chosen(named: &[Store], all: bool) -> Vec<Store> {
    let mut stores: Vec<Store> = match named {
        [] if all => Store::ALL.to_vec(),
        [] => Store::ALL.into_iter().filter(|store| *store != Store::Opensearch).collect(),
        named => named.to_vec(),
    };
    stores.sort_unstable();
    stores.dedup();
    stores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opensearch_comes_only_when_asked_for() {
        assert!(!chosen(&[], false).contains(&Store::Opensearch));
        assert_eq!(chosen(&[], true), Store::ALL);
        assert_eq!(chosen(&[Store::S3, Store::Redis, Store::S3], false), [Store::Redis, Store::S3]);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for store in Store::ALL {
            assert_eq!(store.to_possible_value().unwrap().get_name(), store.name());
        }
    }
}
