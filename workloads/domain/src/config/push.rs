//! Pushes to devices: through whom, how late and with how much content.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Pushes to devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PushConfig {
    /// Firebase Cloud Messaging. None: apps can't be pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<FcmConfig>,
    /// Web Push. It is offered when there is a key.
    pub web_push: WebPushConfig,
    /// Milliseconds between a message and its notification in apps that are open; reading it by then prevents it.
    pub notify_delay_millis: u32,
    /// Milliseconds between a message and its push; reading it by then prevents it.
    pub delay_millis: u32,
    /// Whether pushes may show who wrote and what, to users who want that. Push services see what FCM is given.
    pub show_content: bool,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            fcm: None,
            web_push: WebPushConfig::default(),
            notify_delay_millis: 500,
            delay_millis: 3000,
            show_content: false,
        }
    }
}

impl PushConfig {
    /// Whether nothing but defaults is said, so that it need not be written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Firebase Cloud Messaging, HTTP v1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FcmConfig {
    /// The service account's JSON file.
    pub credentials: PathBuf,
    /// Where FCM is.
    #[serde(default = "fcm_url")]
    pub base_url: String,
}

fn fcm_url() -> String {
    "https://fcm.googleapis.com".into()
}

/// Web Push (RFC 8030) with VAPID (RFC 8292).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct WebPushConfig {
    /// The VAPID key: P-256, PKCS #8, PEM. None: `vapid.pem` among the other keys, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Whom a push service may write to about this deployment: a `mailto:` or `https:` address.
    pub subject: String,
    /// Hosts of push services; a name stands for those below it, too.
    pub allowed_hosts: Vec<String>,
    /// Whether endpoints may be on this machine, without TLS. For tests.
    pub allow_loopback: bool,
}

impl Default for WebPushConfig {
    fn default() -> Self {
        Self {
            key: None,
            subject: "https://github.com/sentinel-chat/sentinel".into(),
            allowed_hosts: PUSH_SERVICES.map(String::from).to_vec(),
            allow_loopback: false,
        }
    }
}

/// The push services of the browsers that there are.
pub const PUSH_SERVICES: [&str; 4] =
    ["fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_no_content_and_the_known_push_services() {
        let config: PushConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, PushConfig::default());
        assert!(!config.show_content && !config.web_push.allow_loopback);
        let config: PushConfig = serde_json::from_str(r#"{"fcm":{"credentials":"/c.json"}}"#).unwrap();
        assert_eq!(config.fcm.unwrap().base_url, "https://fcm.googleapis.com");
    }
}
