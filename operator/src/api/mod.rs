//! The `SentinelChat` resource, version `v1alpha1`.
//!
//! Types here are the schema: defaults, bounds and patterns are attributes, rules across fields are
//! the table in [`rules`]. Integers are signed because the API server knows no unsigned format.

// Columns repeat attribute values by nature.
#![allow(clippy::duplicated_attributes)]

mod dependencies;
mod gateway;
mod mail;
mod media;
mod platform;
mod push;
pub mod rules;
pub mod schema;
mod search;
mod services;
mod status;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    dependencies::{
        Dependencies, Dependency, External, ExternalCassandra, ExternalElasticsearch, ExternalKafka, ExternalPostgres,
        ExternalRedis, ExternalS3, Managed, RedisMode, SaslMechanism, Store, StoreTls,
    },
    gateway::{Gateway, Ingress, Service, ServiceType, Tls},
    mail::{Mail, MailTls},
    media::Media,
    platform::{Access, Auth, Encryption, Limits, Monitoring, NetworkPolicies, Retention, ServiceMonitor, Web},
    push::{Fcm, Push, WebPush},
    search::{Search, SearchMode},
    services::{PodOverrides, Quantities, Resources, ServiceOverrides, Services},
    status::{DependencyStatus, Endpoint, MigrationStatus, SentinelChatStatus, ServiceStatus, StorageStatus},
};

/// Group of the API.
pub const GROUP: &str = "chat.sentinel.dev";
/// Version of the API.
pub const VERSION: &str = "v1alpha1";

/// Free-form string map, as labels and annotations are.
pub type StringMap = BTreeMap<String, String>;

/// A private chat platform.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "chat.sentinel.dev",
    version = "v1alpha1",
    kind = "SentinelChat",
    plural = "sentinelchats",
    shortname = "schat",
    category = "all",
    namespaced,
    doc = "A private chat platform.",
    status = "SentinelChatStatus",
    derive = "PartialEq",
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SentinelChatSpec {
    /// Embedded: one pod with its own volume. Distributed: one workload per service over real stores.
    #[serde(default)]
    pub profile: Profile,
    /// Leaves everything as it is until it is false again.
    #[serde(default)]
    pub paused: bool,
    /// What happens to volumes and generated keys when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Pinned: images change only when this resource does. Automatic: they follow the operator.
    #[serde(default)]
    pub upgrades: Upgrades,
    /// Image of the platform; what is left out comes from the operator's settings.
    #[serde(default)]
    pub image: Image,
    /// The front door.
    #[serde(default)]
    pub gateway: Gateway,
    /// The chat in a browser.
    #[serde(default)]
    pub web: Web,
    /// Replicas, resources and pod settings per service.
    #[serde(default)]
    pub services: Services,
    /// The data volume of profile Embedded.
    #[serde(default)]
    pub storage: Storage,
    /// Stores of profile Distributed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Box<Dependencies>>,
    /// Tokens, registration and browser origins.
    #[serde(default)]
    pub auth: Auth,
    /// Keys that sign tokens and encrypt messages.
    #[serde(default)]
    pub encryption: Encryption,
    /// What one caller can do.
    #[serde(default)]
    pub limits: Limits,
    /// How long things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Files that users send each other.
    #[serde(default)]
    pub media: Media,
    /// Pushes to devices whose app is not open.
    #[serde(default)]
    pub push: Push,
    /// Finding messages.
    #[serde(default)]
    pub search: Search,
    /// Mail to the owners of accounts; none is sent when this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// Seconds over which sockets are closed when a pod stops.
    #[serde(default = "default_drain_seconds")]
    #[schemars(range(min = 0, max = 600))]
    pub drain_seconds: i32,
    /// Prometheus.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// Who may open connections to the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicies,
}

fn default_drain_seconds() -> i32 {
    15
}

/// How the platform is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Profile {
    /// One pod, all roles, embedded stores.
    #[default]
    Embedded,
    /// One workload per service over real stores.
    Distributed,
}

/// What deleting the resource does to data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Volumes and generated keys stay; a new resource of the same name picks them up.
    #[default]
    Retain,
    /// Volumes and generated keys are deleted.
    Delete,
}

/// Whether a new operator version changes running pods by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Upgrades {
    /// Only a change of the resource does.
    #[default]
    Pinned,
    /// It does.
    Automatic,
}

/// A container image; parts that are left out come from the operator's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Registry and name, for example `registry.example.com/sentinel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub repository: Option<String>,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// Digest (`sha256:…`); wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub digest: Option<String>,
    /// When the image is pulled.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Secrets with registry credentials for this image; those of spec.image are for all pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<SecretRef>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// The value Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
}

/// The data volume of profile Embedded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size. Volumes can grow and never shrink.
    #[serde(default = "default_size")]
    #[schemars(length(min = 1, max = 20))]
    pub size: String,
    /// Storage class; the cluster's default when left out. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

fn default_size() -> String {
    "8Gi".into()
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_size(), class_name: None }
    }
}
