//! Where the stores of profile Distributed are, and how to talk to them. Credentials are files, never values.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// All stores of profile Distributed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoresConfig {
    /// Accounts, sessions and blocks.
    pub postgres: PostgresConfig,
    /// Chats, messages and inboxes.
    pub cassandra: CassandraConfig,
    /// Routing, presence and caches.
    pub redis: RedisConfig,
    /// Events for search and notification.
    pub kafka: KafkaConfig,
    /// Search.
    pub elasticsearch: ElasticsearchConfig,
    /// Media.
    pub s3: S3Config,
}

/// How a store is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// `host:port` each; URLs with scheme for Elasticsearch and S3.
    pub endpoints: Vec<String>,
    /// Folder, usually a mounted Secret, with the files `username` and `password`. None: the store asks for none.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// How the connection is encrypted. None: it is not.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
}

/// How a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities that are trusted. None: those of the system.
    pub ca: Option<PathBuf>,
}

/// Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresConfig {
    /// How it is reached; the first endpoint that answers and takes writes is used.
    pub connection: Connection,
    /// The database; it must exist.
    #[serde(default = "sentinel")]
    pub database: String,
    /// Connections that one process holds at most.
    #[serde(default = "default_pool")]
    pub max_connections: u32,
}

/// Cassandra, or another store that speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CassandraConfig {
    /// How it is reached: contact points.
    pub connection: Connection,
    /// The keyspace; `sentinel migrate` makes it if need be.
    #[serde(default = "sentinel")]
    pub keyspace: String,
    /// The data centre of this deployment: its nodes are asked, and a quorum of them answers.
    #[serde(default = "default_datacenter")]
    pub datacenter: String,
    /// Copies of each row, with which the keyspace is made.
    #[serde(default = "default_replication")]
    pub replication_factor: u32,
    /// Whether the cluster is this platform's own: then `sentinel migrate` makes the role of `connection.credentials` and
    /// shuts the one that every new cluster has.
    #[serde(default)]
    pub own_cluster: bool,
}

/// What kind of Redis the endpoints are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// Sentinels that know the primary.
    Sentinel,
    /// Nodes of a cluster.
    Cluster,
}

/// Redis 7 or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisConfig {
    /// How it is reached.
    pub connection: Connection,
    /// What the endpoints are.
    #[serde(default)]
    pub mode: RedisMode,
    /// What sentinels call the primary.
    #[serde(default = "default_primary")]
    pub primary: String,
    /// What every key and channel begins with.
    #[serde(default = "sentinel")]
    pub prefix: String,
}

/// How credentials are shown to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl SaslMechanism {
    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Kafka 3.3 or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaConfig {
    /// How it is reached: bootstrap servers.
    pub connection: Connection,
    /// How credentials are shown, if the connection has some.
    #[serde(default)]
    pub sasl_mechanism: SaslMechanism,
    /// The topic of all events, keyed by chat.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// The topic of events that could not be handled.
    #[serde(default = "default_dead_letters")]
    pub dead_letters: String,
    /// Partitions with which topics are made.
    #[serde(default = "default_partitions")]
    pub partitions: u32,
    /// Copies of each partition, with which topics are made.
    #[serde(default = "one")]
    pub replication_factor: u32,
}

/// Elasticsearch 8 or OpenSearch 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ElasticsearchConfig {
    /// How it is reached: `http://host:port` or `https://host:port`.
    pub connection: Connection,
    /// What indices and aliases begin with.
    #[serde(default = "sentinel")]
    pub prefix: String,
    /// Primary shards with which an index is made.
    #[serde(default = "one")]
    pub shards: u32,
    /// Copies of each shard beyond the primary.
    #[serde(default)]
    pub replicas: u32,
}

/// S3, or another store that speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Config {
    /// How services reach it; `username` is the access key, `password` the secret key.
    pub connection: Connection,
    /// The bucket; it must exist, or the credentials must allow to make it.
    #[serde(default = "default_bucket")]
    pub bucket: String,
    /// The region that signatures name.
    #[serde(default = "default_region")]
    pub region: String,
    /// Whether the bucket is in the path and not in the host name.
    #[serde(default = "yes")]
    pub path_style: bool,
    /// How clients reach it, if not as services do: `https://media.example.com`.
    #[serde(default)]
    pub public_endpoint: Option<String>,
    /// What stands before the bucket's objects for whoever looks at them, if not the endpoint: the base URL of a content
    /// delivery network that asks the endpoint with the same path and query.
    #[serde(default)]
    pub cdn_base_url: Option<String>,
}

impl S3Config {
    /// Origins other than the platform's own that clients exchange files with.
    pub fn origins(&self) -> Vec<String> {
        let origin = |url: &String| {
            let (scheme, rest) = url.split_once("://")?;
            Some((scheme.to_owned(), rest.split('/').next()?.to_owned()))
        };
        let endpoint = self.public_endpoint.as_ref().and_then(origin).map(|(scheme, host)| {
            if self.path_style { format!("{scheme}://{host}") } else { format!("{scheme}://{}.{host}", self.bucket) }
        });
        let cdn = self.cdn_base_url.as_ref().and_then(origin).map(|(scheme, host)| format!("{scheme}://{host}"));
        endpoint.into_iter().chain(cdn).collect()
    }
}

fn sentinel() -> String {
    "sentinel".into()
}

fn default_pool() -> u32 {
    10
}

fn default_datacenter() -> String {
    "datacenter1".into()
}

fn default_replication() -> u32 {
    3
}

fn default_primary() -> String {
    "mymaster".into()
}

// The seed design's name, so that its consumers go on working.
fn default_topic() -> String {
    "received_message".into()
}

fn default_dead_letters() -> String {
    "received_message_dead_letters".into()
}

fn default_partitions() -> u32 {
    12
}

fn default_bucket() -> String {
    "sentinel-media".into()
}

fn default_region() -> String {
    "us-east-1".into()
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_alone_are_enough() {
        let json = r#"{
            "postgres":{"connection":{"endpoints":["db:5432"]}}, "cassandra":{"connection":{"endpoints":["c:9042"]}},
            "redis":{"connection":{"endpoints":["r:6379"]}}, "kafka":{"connection":{"endpoints":["k:9092"]}},
            "elasticsearch":{"connection":{"endpoints":["http://e:9200"]}},
            "s3":{"connection":{"endpoints":["http://s:9000"]}}}"#;
        let stores: StoresConfig = serde_json::from_str(json).unwrap();
        assert_eq!(stores.postgres.database, "sentinel");
        assert_eq!(stores.kafka.topic, "received_message");
        assert_eq!(stores.redis.mode, RedisMode::Single);
        assert!(stores.s3.path_style);
    }

    #[test]
    fn files_may_come_from_where_clients_reach_them() {
        let json = r#"{"connection":{"endpoints":["http://s:9000"]},"bucket":"b"}"#;
        let mut s3: S3Config = serde_json::from_str(json).unwrap();
        assert!(s3.origins().is_empty());
        s3.public_endpoint = Some("https://s3.example.com:9000/".into());
        s3.cdn_base_url = Some("https://cdn.example.com/files".into());
        assert_eq!(s3.origins(), ["https://s3.example.com:9000", "https://cdn.example.com"]);
        s3.path_style = false;
        assert_eq!(s3.origins()[0], "https://b.s3.example.com:9000");
    }

    #[test]
    fn a_password_in_the_configuration_is_refused() {
        let json = r#"{"endpoints":["db:5432"],"password":"secret"}"#;
        let error = serde_json::from_str::<Connection>(json).unwrap_err().to_string();
        assert!(error.contains("password"), "{error}");
    }
}
