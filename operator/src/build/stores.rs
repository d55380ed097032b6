//! Where the stores are, as the platform's configuration tells it.

use std::path::PathBuf;

use sentinel_domain::config::{
    CassandraConfig, Connection, ElasticsearchConfig, KafkaConfig, PostgresConfig, RedisConfig, RedisMode, S3Config,
    SaslMechanism, StoresConfig, TlsConfig,
};

use super::{Error, Facts};
use crate::{
    api::{self, Dependencies, Store},
    providers::{self, AUTHORITIES, CREDENTIALS},
    steps::validate::ValidChat,
};

/// Entry of the authorities in a Secret.
pub(crate) const CA: &str = "ca.crt";
/// What the platform calls its database, keyspace, indices and keys unless told otherwise.
const SENTINEL: &str = "sentinel";
/// Bucket of the managed S3, which is also its path at the gateway.
pub(super) const BUCKET: &str = "sentinel-media";
/// Connections to Postgres that a pod opens at most unless told otherwise.
pub(crate) const POOL: u32 = 10;
/// Copies of what must survive the loss of a node.
const COPIES: i32 = 3;

/// The stores of `chat`; none of profile Embedded.
pub(super) fn config(chat: &ValidChat, facts: &Facts) -> Result<Option<Box<StoresConfig>>, Error> {
    let Some(dependencies) = chat.spec.dependencies.as_deref().filter(|_| chat.is_distributed()) else {
        return Ok(None);
    };
    let stores = StoresConfig {
        postgres: postgres(chat, dependencies)?,
        cassandra: cassandra(chat, dependencies, facts)?,
        redis: redis(chat, dependencies),
        kafka: kafka(chat, dependencies, facts)?,
        elasticsearch: elasticsearch(chat, dependencies, facts)?,
        s3: s3(chat, dependencies),
    };
    Ok(Some(Box::new(stores)))
}

fn connection(chat: &ValidChat, store: Store) -> Connection {
    let Some(external) = chat.external(store) else { return providers::connection(chat, store) };
    let folder = |base: &str| PathBuf::from(base).join(store.as_str());
    Connection {
        endpoints: external.endpoints.clone(),
        credentials: external.secret.as_ref().map(|_| folder(CREDENTIALS)),
        tls: external
            .tls
            .as_ref()
            .filter(|tls| tls.enabled)
            .map(|tls| TlsConfig { ca: tls.ca_secret.as_ref().map(|_| folder(AUTHORITIES).join(CA)) }),
    }
}

fn nodes(facts: &Facts, store: Store) -> i32 {
    facts.stores.get(&store).map_or(1, |facts| facts.replicas.max(1))
}

fn number(field: &'static str, value: i32) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Range(field))
}

fn postgres(chat: &ValidChat, dependencies: &Dependencies) -> Result<PostgresConfig, Error> {
    let external = dependencies.postgres.external.as_ref();
    Ok(PostgresConfig {
        connection: connection(chat, Store::Postgres),
        database: external.map_or_else(|| SENTINEL.into(), |external| external.database.clone()),
        max_connections: external
            .and_then(|external| external.max_connections_per_pod)
            .map_or(Ok(POOL), |most| number("dependencies.postgres.external.maxConnectionsPerPod", most))?,
    })
}

fn cassandra(chat: &ValidChat, dependencies: &Dependencies, facts: &Facts) -> Result<CassandraConfig, Error> {
    let external = dependencies.cassandra.external.as_ref();
    let copies = external.map_or_else(|| nodes(facts, Store::Cassandra).min(COPIES), |e| e.replication_factor);
    Ok(CassandraConfig {
        connection: connection(chat, Store::Cassandra),
        keyspace: external.map_or_else(|| SENTINEL.into(), |external| external.keyspace.clone()),
        datacenter: external.map_or_else(|| "datacenter1".into(), |external| external.datacenter.clone()),
        replication_factor: number("dependencies.cassandra.external.replicationFactor", copies)?,
        own_cluster: external.is_none(),
    })
}

fn redis(chat: &ValidChat, dependencies: &Dependencies) -> RedisConfig {
    let external = dependencies.redis.external.as_ref();
    RedisConfig {
        connection: connection(chat, Store::Redis),
        mode: match external.map(|external| external.mode) {
            None | Some(api::RedisMode::Single) => RedisMode::Single,
            Some(api::RedisMode::Sentinel) => RedisMode::Sentinel,
            Some(api::RedisMode::Cluster) => RedisMode::Cluster,
        },
        primary: external.and_then(|external| external.primary.clone()).unwrap_or_else(|| "mymaster".into()),
        // Several chats may share a Redis.
        prefix: if external.is_some() {
            format!("{}:{}", chat.namespace, chat.names.instance)
        } else {
            SENTINEL.into()
        },
    }
}

fn kafka(chat: &ValidChat, dependencies: &Dependencies, facts: &Facts) -> Result<KafkaConfig, Error> {
    let external = dependencies.kafka.external.as_ref();
    let copies = external.map_or_else(|| nodes(facts, Store::Kafka).min(COPIES), |e| e.replication_factor);
    Ok(KafkaConfig {
        connection: connection(chat, Store::Kafka),
        sasl_mechanism: match external.map(|external| external.sasl_mechanism) {
            None | Some(api::SaslMechanism::Plain) => SaslMechanism::Plain,
            Some(api::SaslMechanism::ScramSha256) => SaslMechanism::ScramSha256,
            Some(api::SaslMechanism::ScramSha512) => SaslMechanism::ScramSha512,
        },
        topic: external.map_or_else(|| "received_message".into(), |external| external.topic.clone()),
        dead_letters: external
            .map_or_else(|| "received_message_dead_letters".into(), |external| external.dead_letter_topic.clone()),
        partitions: number("dependencies.kafka.external.partitions", external.map_or(12, |e| e.partitions))?,
        replication_factor: number("dependencies.kafka.external.replicationFactor", copies)?,
    })
}

fn elasticsearch(chat: &ValidChat, dependencies: &Dependencies, facts: &Facts) -> Result<ElasticsearchConfig, Error> {
    let external = dependencies.elasticsearch.external.as_ref();
    let copies = external.map_or_else(|| i32::from(nodes(facts, Store::Elasticsearch) > 1), |e| e.shard_copies);
    Ok(ElasticsearchConfig {
        connection: connection(chat, Store::Elasticsearch),
        prefix: external.map_or_else(|| SENTINEL.into(), |external| external.index_prefix.clone()),
        shards: number("dependencies.elasticsearch.external.shards", external.map_or(1, |e| e.shards))?,
        replicas: number("dependencies.elasticsearch.external.shardCopies", copies)?,
    })
}

fn s3(chat: &ValidChat, dependencies: &Dependencies) -> S3Config {
    let external = dependencies.s3.external.as_ref();
    S3Config {
        connection: connection(chat, Store::S3),
        bucket: external.map_or_else(|| BUCKET.into(), |external| external.bucket.clone()),
        region: external.map_or_else(|| "us-east-1".into(), |external| external.region.clone()),
        path_style: external.is_none_or(|external| external.path_style),
        // Clients reach somebody else's as the platform does, and the operator's own through the gateway.
        public_endpoint: external.and_then(|external| {
            external.public_endpoint.clone().or_else(|| external.access.endpoints.first().cloned())
        }),
        cdn_base_url: chat.spec.media.cdn_base_url.clone(),
    }
}
