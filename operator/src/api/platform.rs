//! Settings that end in the platform's own configuration, and what watches over it.

use schemars::JsonSchema;
use sentinel_domain::config::LimitsConfig;
use serde::{Deserialize, Serialize};

use super::{SecretRef, StringMap, schema};

/// Tokens, registration and browser origins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Issuer of access tokens; changing it refuses tokens that are in use.
    #[serde(default = "default_issuer")]
    #[schemars(length(min = 1, max = 253))]
    pub issuer: String,
    /// Lifetime of an access token, for example 15m.
    #[serde(default = "default_access")]
    #[schemars(length(max = 16))]
    pub access_token_lifetime: String,
    /// Lifetime of an unused refresh token, for example 720h.
    #[serde(default = "default_refresh")]
    #[schemars(length(max = 16))]
    pub refresh_token_lifetime: String,
    /// Origins that browsers may call from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 280)))]
    pub cors_origins: Vec<String>,
    /// Open: anybody may register.
    #[serde(default = "open")]
    pub registration: Access,
    /// Open: everybody can list everybody.
    #[serde(default = "closed")]
    pub directory: Access,
}

fn default_issuer() -> String {
    "sentinel".into()
}

fn default_access() -> String {
    "15m".into()
}

fn default_refresh() -> String {
    "720h".into()
}

fn open() -> Access {
    Access::Open
}

fn closed() -> Access {
    Access::Closed
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            issuer: default_issuer(),
            access_token_lifetime: default_access(),
            refresh_token_lifetime: default_refresh(),
            cors_origins: Vec::new(),
            registration: open(),
            directory: closed(),
        }
    }
}

/// Whether something is offered to every account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Offered.
    Open,
    /// Refused.
    Closed,
}

/// Keys that sign tokens and encrypt messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Secret with jwt-NAME.pem (Ed25519, PKCS#8) and kek-NAME (32 bytes, base64) entries; generated when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretRef>,
}

/// What one caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Longest message text in bytes.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub message_bytes: i32,
    /// Largest HTTP body and socket packet in bytes.
    #[schemars(range(min = 4096, max = 16_777_216))]
    pub body_bytes: i32,
    /// Sends a user may keep up per second.
    #[schemars(range(min = 1, max = 100_000))]
    pub messages_per_second: i32,
    /// HTTP requests a caller may keep up per second.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_second: i32,
    /// Log-ins per minute for one account and one address.
    #[schemars(range(min = 1, max = 10_000))]
    pub logins_per_minute: i32,
    /// Events of one socket that may wait.
    #[schemars(range(min = 16, max = 65_536))]
    pub socket_queue: i32,
    /// Open sockets of one user.
    #[schemars(range(min = 1, max = 10_000))]
    pub sockets_per_user: i32,
}

impl Default for Limits {
    fn default() -> Self {
        let platform = LimitsConfig::default();
        Self {
            message_bytes: platform.message_bytes.cast_signed(),
            body_bytes: platform.body_bytes.cast_signed(),
            messages_per_second: platform.messages_per_second.cast_signed(),
            requests_per_second: platform.requests_per_second.cast_signed(),
            logins_per_minute: platform.logins_per_minute.cast_signed(),
            socket_queue: platform.socket_queue.cast_signed(),
            sockets_per_user: platform.sockets_per_user.cast_signed(),
        }
    }
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days after which messages, and files that only they show, are gone for everybody; they are kept when left out. A
    /// shorter time takes effect at once, and what is gone does not come back with a longer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_days: Option<i32>,
}

/// The web client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Web {
    /// Whether the gateway serves the web client at `/`; if not, people need another client.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self { enabled: yes() }
    }
}

/// Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// A ServiceMonitor for the Prometheus operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<ServiceMonitor>,
}

/// A ServiceMonitor for the Prometheus operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitor {
    /// Time between scrapes.
    #[serde(default = "default_interval")]
    #[schemars(length(max = 16))]
    pub interval: String,
    /// Labels that Prometheus selects by.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub labels: StringMap,
}

fn default_interval() -> String {
    "30s".into()
}

impl Default for ServiceMonitor {
    fn default() -> Self {
        Self { interval: default_interval(), labels: StringMap::new() }
    }
}

/// Who may open connections to the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicies {
    /// Whether NetworkPolicies are made. Without them, or with a network that does not enforce them, every pod of the cluster
    /// reaches the services past the gateway, where it can claim any client address, their metrics, and the managed stores,
    /// of which Elasticsearch asks for no password.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Namespaces that may read metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub monitoring_namespaces: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Default for NetworkPolicies {
    fn default() -> Self {
        Self { enabled: yes(), monitoring_namespaces: Vec::new() }
    }
}
