//! Pushes: what is sent to devices whose app is not connected, and where to.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ids::{ChatId, MessageId, SessionId, UserId},
    time::Timestamp,
};

/// Most devices of one user. One more takes the place of the one that was registered longest ago.
pub const DEVICES: usize = 20;
/// Most bytes of a device's id.
pub const DEVICE_ID_BYTES: usize = 128;
/// Most bytes of a token of FCM or of an address of a push service.
pub const ADDRESS_BYTES: usize = 4096;

/// A client's own name for its installation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(String);

/// A text that can't be a device's id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be 1 to {DEVICE_ID_BYTES} letters, digits and characters of `-_.:~`")]
pub struct MalformedDeviceId;

impl DeviceId {
    /// The id that is written as `text`.
    pub fn parse(text: &str) -> Result<Self, MalformedDeviceId> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:~".contains(&byte);
        if text.is_empty() || text.len() > DEVICE_ID_BYTES || !text.bytes().all(good) {
            return Err(MalformedDeviceId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a push goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "lowercase")]
pub enum PushAddress {
    /// An app that is registered with Firebase Cloud Messaging.
    Fcm {
        /// Its registration token.
        token: String,
    },
    /// A browser that subscribed by the Push API.
    WebPush {
        /// Where its push service takes messages (an URL).
        endpoint: String,
        /// The browser's public key: a P-256 point, uncompressed, in base64url.
        p256dh: String,
        /// The browser's authentication secret: 16 bytes in base64url.
        auth: String,
    },
}

impl PushAddress {
    /// What is one address, whoever has it: the SHA-256 of platform and token or endpoint.
    pub fn fingerprint(&self) -> [u8; 32] {
        let (platform, text) = match self {
            Self::Fcm { token } => ("fcm", token),
            Self::WebPush { endpoint, .. } => ("webpush", endpoint),
        };
        let mut print = [0; 32];
        print.copy_from_slice(digest(&SHA256, format!("{platform} {text}").as_bytes()).as_ref());
        print
    }

    /// The platform's name in requests and metrics.
    pub fn platform(&self) -> &'static str {
        match self {
            Self::Fcm { .. } => "fcm",
            Self::WebPush { .. } => "webpush",
        }
    }
}

// Whoever has an address can disturb its owner: it stays out of logs.
impl fmt::Debug for PushAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushAddress({})", self.platform())
    }
}

/// A device that wants pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Whose it is.
    pub user_id: UserId,
    /// The client's name for it.
    pub device_id: DeviceId,
    /// The session that registered it. Nothing is pushed once that has ended.
    pub session_id: SessionId,
    /// Where pushes go. No two devices have the same.
    pub address: PushAddress,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// What a device is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The message that it is about; also the notification's id, and the only one of a notice.
    pub message_id: MessageId,
    /// The message's chat: a newer push about it takes the place of the one before. None of a notice.
    pub chat_id: Option<ChatId>,
    /// When the message or notice was written.
    pub created_at: Timestamp,
    /// How many notifications the user has not read.
    pub badge: u32,
    /// What is shown; none for a push that only changes the badge.
    pub alert: Option<Alert>,
}

impl Push {
    /// What a newer push takes the place of this one by: the chat, and by nothing else a notice.
    pub fn topic(&self) -> Uuid {
        self.chat_id.map_or(self.message_id.0, |chat| chat.0)
    }

    /// What it is about, as clients are told.
    pub fn kind(&self) -> &'static str {
        match (&self.alert, self.chat_id) {
            (None, _) => "badge",
            (Some(_), Some(_)) => "new_message",
            (Some(_), None) => "notice",
        }
    }
}

/// What a push shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Alert {
    /// The first line.
    pub header: String,
    /// The text below it.
    pub body: String,
}

// It may be what somebody wrote.
impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alert").finish_non_exhaustive()
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The push service took it.
    Accepted,
    /// The address is no longer one: forget it.
    AddressGone,
    /// It was not taken, for this reason; the address stays.
    Failed(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(endpoint: &str, auth: &str) -> PushAddress {
        PushAddress::WebPush { endpoint: endpoint.into(), p256dh: "key".into(), auth: auth.into() }
    }

    #[test]
    fn an_address_is_known_by_platform_and_token_alone() {
        assert_eq!(web("https://push.example/1", "a").fingerprint(), web("https://push.example/1", "b").fingerprint());
        assert_ne!(web("https://push.example/1", "a").fingerprint(), web("https://push.example/2", "a").fingerprint());
        let token = PushAddress::Fcm { token: "https://push.example/1".into() };
        assert_ne!(token.fingerprint(), web("https://push.example/1", "a").fingerprint());
    }

    #[test]
    fn neither_addresses_nor_texts_get_into_logs() {
        let alert = Alert { header: "ann".into(), body: "secret".into() };
        let shown = format!("{:?} {alert:?}", web("https://push.example/1", "secret"));
        assert!(!shown.contains("secret") && !shown.contains("example") && !shown.contains("ann"), "{shown}");
    }

    #[test]
    fn a_device_id_is_a_short_plain_word() {
        for good in ["a", "0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10", "pixel_9.work:2~"] {
            assert_eq!(DeviceId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert_eq!(DeviceId::parse(bad), Err(MalformedDeviceId), "{bad}");
        }
    }

    #[test]
    fn an_address_is_stored_as_plain_json() {
        let address = web("https://push.example/1", "a");
        let json = serde_json::to_string(&address).unwrap();
        assert!(json.starts_with(r#"{"platform":"webpush","#), "{json}");
        assert_eq!(serde_json::from_str::<PushAddress>(&json).unwrap(), address);
    }
}
