//! Stores of profile Distributed: each is run by the operator, or by somebody else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Image, PodOverrides, Resources, SecretRef, Storage};
use crate::names::Component;

/// A store of profile Distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// Users.
    Postgres,
    /// Messages.
    Cassandra,
    /// Presence and routing.
    Redis,
    /// Events.
    Kafka,
    /// Search.
    Elasticsearch,
    /// Media.
    S3,
}

impl Store {
    /// All stores, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Postgres, Self::Cassandra, Self::Redis, Self::Kafka, Self::Elasticsearch, Self::S3];

    /// The part of the platform that it is when the operator runs it.
    pub fn component(self) -> Component {
        match self {
            Self::Postgres => Component::Postgres,
            Self::Cassandra => Component::Cassandra,
            Self::Redis => Component::Redis,
            Self::Kafka => Component::Kafka,
            Self::Elasticsearch => Component::Elasticsearch,
            Self::S3 => Component::S3,
        }
    }

    /// Its field in `dependencies`.
    pub fn as_str(self) -> &'static str {
        self.component().as_str()
    }
}

/// The stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependencies {
    /// Users.
    pub postgres: Dependency<ExternalPostgres>,
    /// Messages.
    pub cassandra: Dependency<ExternalCassandra>,
    /// Events.
    pub kafka: Dependency<ExternalKafka>,
    /// Presence and routing.
    pub redis: Dependency<ExternalRedis>,
    /// Search.
    pub elasticsearch: Dependency<ExternalElasticsearch>,
    /// Media.
    pub s3: Dependency<ExternalS3>,
}

impl Dependencies {
    /// How the operator runs `store`, if it does.
    pub fn managed(&self, store: Store) -> Option<&Managed> {
        match store {
            Store::Postgres => self.postgres.managed.as_ref(),
            Store::Cassandra => self.cassandra.managed.as_ref(),
            Store::Redis => self.redis.managed.as_ref(),
            Store::Kafka => self.kafka.managed.as_ref(),
            Store::Elasticsearch => self.elasticsearch.managed.as_ref(),
            Store::S3 => self.s3.managed.as_ref(),
        }
    }

    /// How `store` is reached, if somebody else runs it.
    pub fn external(&self, store: Store) -> Option<&External> {
        match store {
            Store::Postgres => self.postgres.external.as_ref().map(|e| &e.access),
            Store::Cassandra => self.cassandra.external.as_ref().map(|e| &e.access),
            Store::Redis => self.redis.external.as_ref().map(|e| &e.access),
            Store::Kafka => self.kafka.external.as_ref().map(|e| &e.access),
            Store::Elasticsearch => self.elasticsearch.external.as_ref().map(|e| &e.access),
            Store::S3 => self.s3.external.as_ref().map(|e| &e.access),
        }
    }

    /// As whom the migration connects to a store of somebody else, if not as services do.
    pub fn migration_secret(&self, store: Store) -> Option<&SecretRef> {
        match store {
            Store::Postgres => self.postgres.external.as_ref()?.migration_secret.as_ref(),
            Store::Cassandra => self.cassandra.external.as_ref()?.migration_secret.as_ref(),
            Store::Redis | Store::Kafka | Store::Elasticsearch | Store::S3 => None,
        }
    }
}

/// One store: exactly one of its providers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", bound(deserialize = "E: Deserialize<'de>"))]
#[schemars(bound = "E: JsonSchema + Serialize")]
pub struct Dependency<E> {
    /// Run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// Run by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<E>,
}

/// A store that the operator runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Nodes.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 99))]
    pub replicas: i32,
    /// Image; what is left out comes from the operator's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Volume of each node.
    #[serde(default)]
    pub storage: Storage,
    /// Resources of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Pod settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodOverrides>,
}

fn one() -> i32 {
    1
}

/// How a store of somebody else is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Addresses: host:port; http:// or https:// and host:port for Elasticsearch and S3.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 280)))]
    pub endpoints: Vec<String>,
    /// Secret with the entries username and password; for S3 the access key and the secret key. The store asks for none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// Encryption of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<StoreTls>,
    /// Ports that NetworkPolicies open beyond those of the endpoints: where nodes are that the endpoints tell of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 65535)))]
    pub extra_ports: Vec<i32>,
}

/// Encryption of the connection to a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreTls {
    /// Whether connections are encrypted.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Secret with the entry ca.crt, the authorities to trust; those of the system when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretRef>,
}

fn yes() -> bool {
    true
}

/// Postgres of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalPostgres {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// Secret with username and password as which the migration connects, and nothing else: services then connect by `secret`, as
    /// a user that need not own the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_secret: Option<SecretRef>,
    /// Database; it must exist.
    #[serde(default = "sentinel")]
    #[schemars(length(min = 1, max = 63))]
    pub database: String,
    /// Connections that each pod opens at most; 10 when left out. The server has to take those of all pods, and of one more of
    /// each service while pods are made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 200))]
    pub max_connections_per_pod: Option<i32>,
}

/// Cassandra of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalCassandra {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// Secret with username and password as which the migration connects, and nothing else: services then connect by `secret`, as
    /// a user that need not make tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_secret: Option<SecretRef>,
    /// Keyspace; it is made if need be.
    #[serde(default = "sentinel")]
    #[schemars(length(min = 1, max = 48))]
    pub keyspace: String,
    /// Data centre that is asked.
    #[serde(default = "datacenter")]
    #[schemars(length(min = 1, max = 63))]
    pub datacenter: String,
    /// Copies of each row, with which the keyspace is made.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub replication_factor: i32,
}

/// Redis of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// What the endpoints are.
    #[serde(default)]
    pub mode: RedisMode,
    /// What sentinels call the primary; needed with mode Sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub primary: Option<String>,
    /// Port of the servers that sentinels tell of; NetworkPolicies open it with mode Sentinel.
    #[serde(default = "redis_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub server_port: i32,
}

fn redis_port() -> i32 {
    6379
}

/// What kind of Redis the endpoints are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// Sentinels that know the primary.
    Sentinel,
    /// Nodes of a cluster.
    Cluster,
}

/// How credentials are shown to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// As they are.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// By a proof that both sides know the password.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Kafka of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalKafka {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// How services log in with the secret. SCRAM needs images that are built with KAFKA_TLS=1.
    #[serde(default)]
    pub sasl_mechanism: SaslMechanism,
    /// Topic of all events.
    #[serde(default = "topic")]
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// Topic of events that could not be handled; made to keep them for 30 days.
    #[serde(default = "dead_letters")]
    #[schemars(length(min = 1, max = 249))]
    pub dead_letter_topic: String,
    /// Partitions with which topics are made.
    #[serde(default = "twelve")]
    #[schemars(range(min = 1, max = 1000))]
    pub partitions: i32,
    /// Copies of each partition, with which topics are made.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub replication_factor: i32,
}

/// Elasticsearch or OpenSearch of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalElasticsearch {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// What names of indices begin with.
    #[serde(default = "sentinel")]
    #[schemars(length(min = 1, max = 63))]
    pub index_prefix: String,
    /// Primary shards with which an index is made.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub shards: i32,
    /// Copies of each shard beyond the primary.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 9))]
    pub shard_copies: i32,
}

/// An S3 service of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalS3 {
    /// How it is reached.
    #[serde(flatten)]
    pub access: External,
    /// Bucket; made if the credentials allow it.
    #[serde(default = "bucket")]
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Region that signatures name.
    #[serde(default = "region")]
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// Whether the bucket is in the path and not in the host name.
    #[serde(default = "yes")]
    pub path_style: bool,
    /// How clients reach it, if not as services do, for example https://media.example.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 280))]
    pub public_endpoint: Option<String>,
}

fn sentinel() -> String {
    "sentinel".into()
}

fn datacenter() -> String {
    "datacenter1".into()
}

fn three() -> i32 {
    3
}

fn twelve() -> i32 {
    12
}

fn topic() -> String {
    "received_message".into()
}

fn dead_letters() -> String {
    "received_message_dead_letters".into()
}

fn bucket() -> String {
    "sentinel-media".into()
}

fn region() -> String {
    "us-east-1".into()
}
