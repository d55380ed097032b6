//! The configuration that every role of the `sentinel` binary reads at start.
//!
//! The operator renders it as JSON into a `ConfigMap`; `sentinel standalone` fills it from flags.
//! It never holds a secret: keys are read from the files in [`PlatformConfig::keys_dir`], credentials from files too.

mod mail;
mod push;
mod search;
mod stores;

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::retention::MessageRetention;

pub use self::{
    mail::{MailConfig, MailTls},
    push::{FcmConfig, PUSH_SERVICES, PushConfig, WebPushConfig},
    search::{SearchConfig, SearchMode},
    stores::{
        CassandraConfig, Connection, ElasticsearchConfig, KafkaConfig, PostgresConfig, RedisConfig, RedisMode,
        S3Config, SaslMechanism, StoresConfig, TlsConfig,
    },
};

/// Everything a role needs to know before it can serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformConfig {
    /// Address of the client-facing listener.
    pub listen: SocketAddr,
    /// Address of the listener for `/healthz`, `/readyz` and `/metrics`; the gateway never routes it.
    pub admin_listen: SocketAddr,
    /// Folder of the embedded stores; it must survive restarts. Not used with `stores`.
    #[serde(default)]
    pub data_dir: PathBuf,
    /// Folder with the signing keys (`jwt-<name>.pem`) and key-encryption keys (`kek-<name>`).
    pub keys_dir: PathBuf,
    /// Tokens, registration and origins.
    #[serde(default)]
    pub auth: AuthConfig,
    /// Bounds on what one caller can do.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How long things are kept.
    #[serde(default, skip_serializing_if = "RetentionConfig::is_default")]
    pub retention: RetentionConfig,
    /// Seconds between SIGTERM and the last socket's close.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u16,
    /// Address ranges of proxies whose `X-Forwarded-For` is believed, in CIDR notation.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// How mail is sent to the owners of accounts. None: it is not, and links that need it are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Box<MailConfig>>,
    /// Folder of the built web client, served at `/`. None: a page that says what this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_dir: Option<PathBuf>,
    /// Profile Distributed: where the stores are. None: embedded stores in `data_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<Box<StoresConfig>>,
    /// Profile Distributed: how the replicas of the message service reach each other, `host:port` with `{ordinal}` for
    /// the number at the end of a pod's name. The own name is in the environment variable `POD_NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_peers: Option<String>,
    /// Pushes to devices.
    #[serde(default, skip_serializing_if = "PushConfig::is_default")]
    pub push: PushConfig,
    /// Search.
    #[serde(default, skip_serializing_if = "SearchConfig::is_default")]
    pub search: SearchConfig,
}

fn default_drain_seconds() -> u16 {
    15
}

/// Tokens, registration and origins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuthConfig {
    /// `iss` of access tokens; tokens of another issuer are refused.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Lifetime of an access token in seconds.
    pub access_token_seconds: u32,
    /// Lifetime of an unused refresh token in seconds.
    pub refresh_token_seconds: u32,
    /// Exact origins (`https://chat.example.com`) that browsers may call from; the same list guards the WebSocket upgrade.
    pub cors_origins: Vec<String>,
    /// Whether `GET /users/show` lists everybody.
    pub directory: Access,
    /// Whether `POST /register` is open to everybody.
    pub registration: Access,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            issuer: "sentinel".into(),
            audience: "sentinel-clients".into(),
            access_token_seconds: 900,
            refresh_token_seconds: 30 * 24 * 3600,
            cors_origins: Vec::new(),
            directory: Access::Closed,
            registration: Access::Open,
        }
    }
}

/// Whether something is offered to every account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Offered.
    Open,
    /// Refused with `forbidden`.
    Closed,
}

/// Bounds on what one caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Longest message text in bytes of UTF-8.
    pub message_bytes: u32,
    /// Largest HTTP body and socket packet in bytes.
    pub body_bytes: u32,
    /// Sends per second that one user may keep up; ten times as many may come at once.
    pub messages_per_second: u32,
    /// HTTP requests per second that one caller may keep up; ten times as many may come at once.
    pub requests_per_second: u32,
    /// Failed and successful log-ins per minute for one account and one address.
    pub logins_per_minute: u32,
    /// Events of one socket that may wait for their turn.
    pub socket_queue: u32,
    /// Open sockets of one user.
    pub sockets_per_user: u32,
    /// Largest file in bytes.
    pub media_bytes: u32,
    /// Bytes that all files of one user may take.
    pub media_quota_bytes: u64,
    /// Uploads per minute that one user may begin.
    pub uploads_per_minute: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024,
            body_bytes: 128 * 1024,
            messages_per_second: 50,
            requests_per_second: 50,
            logins_per_minute: 10,
            socket_queue: 1024,
            sockets_per_user: 32,
            media_bytes: 25 * 1024 * 1024,
            media_quota_bytes: 1024 * 1024 * 1024,
            uploads_per_minute: 30,
        }
    }
}

/// How long things are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Seconds after which a message is too old to be shown, and is removed. None: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_seconds: Option<NonZeroU32>,
}

impl RetentionConfig {
    /// The rule that stores keep to.
    pub fn messages(&self) -> MessageRetention {
        self.message_seconds.map_or(MessageRetention::FOREVER, |seconds| MessageRetention::seconds(seconds.get()))
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_configuration_gets_every_default() {
        let json = r#"{"listen":"0.0.0.0:8080","adminListen":"0.0.0.0:9090","dataDir":"/d","keysDir":"/k"}"#;
        let config: PlatformConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.auth, AuthConfig::default());
        assert_eq!(config.limits, LimitsConfig::default());
        assert_eq!(config.drain_seconds, 15);
        assert_eq!(config.retention.messages(), MessageRetention::FOREVER);
    }

    #[test]
    fn a_limit_of_messages_is_read_and_an_absent_one_is_not_written() {
        let read = |json: &str| serde_json::from_str::<RetentionConfig>(json).unwrap();
        let week = read(r#"{"messageSeconds":604800}"#);
        assert_eq!(week.messages(), MessageRetention::seconds(604_800));
        assert_eq!(serde_json::to_string(&week).unwrap(), r#"{"messageSeconds":604800}"#);
        assert_eq!(serde_json::to_string(&read("{}")).unwrap(), "{}");
        // Nothing would be kept at all.
        assert!(serde_json::from_str::<RetentionConfig>(r#"{"messageSeconds":0}"#).is_err());
    }

    #[test]
    fn a_misspelt_field_is_refused_by_name() {
        let json = r#"{"listen":"0.0.0.0:8080","adminListen":"0.0.0.0:9090","dataDir":"/d","keysDir":"/k","limit":{}}"#;
        let error = serde_json::from_str::<PlatformConfig>(json).unwrap_err().to_string();
        assert!(error.contains("limit"), "{error}");
    }
}
