//! What the operator was started with and every reconcile needs.

use crate::{
    api::{DependencyStatus, SentinelChat, Store},
    build::{Kind, cluster_dns_of, operator_namespace_of},
    cluster_dns::ClusterDns,
    names::{Component, Names},
    steps::observe::Observed,
};

/// Defaults for resources that leave a choice to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Full reference of the platform's image.
    pub sentinel_image: String,
    /// Full reference of the gateway's image.
    pub gateway_image: String,
    /// Full references of the images of managed stores.
    pub store_images: StoreImages,
    /// How the gateway looks names up; nothing leaves that to its start.
    pub cluster_dns: Option<ClusterDns>,
    /// Namespace that the operator runs in; stores let it in.
    pub operator_namespace: String,
}

impl Settings {
    /// What `live` and its objects tell of the settings that they were made with. For plans that are made outside of the
    /// operator: they must not show its images and name servers as a change.
    pub fn in_use(live: &SentinelChat, observed: &Observed) -> Self {
        let defaults = Self::default();
        let status = live.status.clone().unwrap_or_default();
        let gateway = live.metadata.name.clone().map(|name| Names::new(name).gateway()).unwrap_or_default();
        let config = observed.get(Kind::ConfigMap, &gateway).and_then(|map| map["data"]["nginx.conf"].as_str());
        Self {
            sentinel_image: status.sentinel_image.unwrap_or(defaults.sentinel_image),
            gateway_image: status.gateway_image.unwrap_or(defaults.gateway_image),
            store_images: defaults.store_images.in_use(&status.dependencies),
            cluster_dns: config.and_then(cluster_dns_of),
            operator_namespace: live
                .metadata
                .name
                .clone()
                .and_then(|name| {
                    let names = Names::new(name);
                    let live = |part| observed.get(Kind::NetworkPolicy, &names.component(part));
                    let lets_in = |part| live(part).and_then(operator_namespace_of);
                    // Those of earlier operators are let in by Elasticsearch only.
                    [Component::Users, Component::Sentinel, Component::Elasticsearch].into_iter().find_map(lets_in)
                })
                .unwrap_or(defaults.operator_namespace),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sentinel_image: DEFAULT_SENTINEL_IMAGE.into(),
            gateway_image: DEFAULT_GATEWAY_IMAGE.into(),
            store_images: StoreImages::default(),
            cluster_dns: None,
            operator_namespace: DEFAULT_OPERATOR_NAMESPACE.into(),
        }
    }
}

/// Images of managed stores, as they are given on a command line or in the environment.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct StoreImages {
    /// Image of managed Postgres for resources that name none.
    #[arg(long, env = "SENTINEL_POSTGRES_IMAGE", default_value = DEFAULT_POSTGRES_IMAGE)]
    pub postgres_image: String,
    /// Image of managed Cassandra for resources that name none.
    #[arg(long, env = "SENTINEL_CASSANDRA_IMAGE", default_value = DEFAULT_CASSANDRA_IMAGE)]
    pub cassandra_image: String,
    /// Image of managed Redis for resources that name none.
    #[arg(long, env = "SENTINEL_REDIS_IMAGE", default_value = DEFAULT_REDIS_IMAGE)]
    pub redis_image: String,
    /// Image of managed Kafka for resources that name none.
    #[arg(long, env = "SENTINEL_KAFKA_IMAGE", default_value = DEFAULT_KAFKA_IMAGE)]
    pub kafka_image: String,
    /// Image of managed Elasticsearch for resources that name none.
    #[arg(long, env = "SENTINEL_ELASTICSEARCH_IMAGE", default_value = DEFAULT_ELASTICSEARCH_IMAGE)]
    pub elasticsearch_image: String,
    /// Image of the managed S3 server for resources that name none.
    #[arg(long, env = "SENTINEL_S3_IMAGE", default_value = DEFAULT_S3_IMAGE)]
    pub s3_image: String,
}

impl StoreImages {
    /// The image of `store`.
    pub fn of(&self, store: Store) -> &str {
        match store {
            Store::Postgres => &self.postgres_image,
            Store::Cassandra => &self.cassandra_image,
            Store::Redis => &self.redis_image,
            Store::Kafka => &self.kafka_image,
            Store::Elasticsearch => &self.elasticsearch_image,
            Store::S3 => &self.s3_image,
        }
    }

    fn of_mut(&mut self, store: Store) -> &mut String {
        match store {
            Store::Postgres => &mut self.postgres_image,
            Store::Cassandra => &mut self.cassandra_image,
            Store::Redis => &mut self.redis_image,
            Store::Kafka => &mut self.kafka_image,
            Store::Elasticsearch => &mut self.elasticsearch_image,
            Store::S3 => &mut self.s3_image,
        }
    }

    /// These images with those that a status tells of.
    #[must_use]
    pub fn in_use(mut self, dependencies: &[DependencyStatus]) -> Self {
        for store in Store::ALL {
            let told = dependencies.iter().find(|dependency| dependency.name == store.as_str());
            if let Some(image) = told.and_then(|dependency| dependency.image.clone()) {
                *self.of_mut(store) = image;
            }
        }
        self
    }
}

impl Default for StoreImages {
    fn default() -> Self {
        Self {
            postgres_image: DEFAULT_POSTGRES_IMAGE.into(),
            cassandra_image: DEFAULT_CASSANDRA_IMAGE.into(),
            redis_image: DEFAULT_REDIS_IMAGE.into(),
            kafka_image: DEFAULT_KAFKA_IMAGE.into(),
            elasticsearch_image: DEFAULT_ELASTICSEARCH_IMAGE.into(),
            s3_image: DEFAULT_S3_IMAGE.into(),
        }
    }
}

/// Where the operator is taken to run when nothing else is said; as the chart's README has it.
pub const DEFAULT_OPERATOR_NAMESPACE: &str = "sentinel-system";
// Images of managed stores when nothing else is said: versions that the stores of the tests have, as far as these are whole
// releases of their engines. The images themselves are upstream's and were not run.
const DEFAULT_POSTGRES_IMAGE: &str = "postgres:15";
const DEFAULT_CASSANDRA_IMAGE: &str = "cassandra:5.0";
const DEFAULT_REDIS_IMAGE: &str = "redis:7";
const DEFAULT_KAFKA_IMAGE: &str = "apache/kafka:4.4.0";
const DEFAULT_ELASTICSEARCH_IMAGE: &str = "elasticsearch:8.19.21";
/// Image of the S3 server when nothing else is said; the project builds it.
pub const DEFAULT_S3_IMAGE: &str = concat!("sentinel-s3:", env!("CARGO_PKG_VERSION"));
/// Image of the platform when nothing else is said.
pub const DEFAULT_SENTINEL_IMAGE: &str = concat!("sentinel:", env!("CARGO_PKG_VERSION"));
/// Image of the gateway when nothing else is said. The tests run the NGINX of Debian, which is older.
pub const DEFAULT_GATEWAY_IMAGE: &str = "nginx:1.29";
