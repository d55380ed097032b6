//! Pushes to devices whose app is not open.

use schemars::JsonSchema;
use sentinel_domain::config::PUSH_SERVICES;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Pushes to devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Push {
    /// Firebase Cloud Messaging, for apps; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fcm: Option<Fcm>,
    /// Web Push, for browsers.
    #[serde(default)]
    pub web_push: WebPush,
    /// Seconds between a message and its push; reading it by then prevents the push.
    #[serde(default = "default_delay")]
    #[schemars(range(min = 0, max = 300))]
    pub delay_seconds: i32,
    /// Whether pushes may show who wrote and what to users who want that; Google and Apple can read what FCM is given.
    #[serde(default)]
    pub show_content: bool,
}

fn default_delay() -> i32 {
    3
}

impl Default for Push {
    fn default() -> Self {
        Self { fcm: None, web_push: WebPush::default(), delay_seconds: default_delay(), show_content: false }
    }
}

/// Firebase Cloud Messaging, HTTP v1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fcm {
    /// Secret with service-account.json, the file that the Firebase console gives for a service account.
    pub credentials_secret: SecretRef,
    /// Where FCM is; Google's own address when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub base_url: Option<String>,
}

/// Web Push with VAPID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebPush {
    /// Secret with vapid.pem (P-256, PKCS#8); when left out, that entry of the Secret with the other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretRef>,
    /// Whom push services may write to about this deployment: mailto:ADDRESS or https://PAGE. When left out, the page of
    /// gateway.host, else the address of mail.from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub subject: Option<String>,
    /// Hosts of push services that are called; a name stands for those below it, too.
    #[serde(default = "push_services")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub allowed_hosts: Vec<String>,
}

fn push_services() -> Vec<String> {
    PUSH_SERVICES.map(String::from).to_vec()
}

impl Default for WebPush {
    fn default() -> Self {
        Self { key_secret: None, subject: None, allowed_hosts: push_services() }
    }
}
