//! Web Push (RFC 8030): one request to the endpoint that the browser subscribed at.

use std::{path::Path, sync::Arc};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use reqwest::{
    Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use sentinel_domain::{config::WebPushConfig, key_file::VAPID_FILE, ports::UnfitAddress, push::Push, time::Timestamp};
use serde_json::json;

use super::{
    KEPT_SECONDS, PushError,
    encryption::{self, LONGEST_TEXT, Recipient},
    endpoints::{Endpoints, PublicOnly},
    fcm::unanswered,
    http_client,
    vapid::Vapid,
    verdict::Verdict,
    web_answer,
};

/// Some browsers pad, some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Characters of a topic, which must be base64url (RFC 8030, section 5.4).
const TOPIC: usize = 32;

/// The client.
pub(super) struct WebPush {
    http: reqwest::Client,
    endpoints: Endpoints,
    vapid: Vapid,
}

impl WebPush {
    /// `None` when there is no key.
    pub fn load(config: &WebPushConfig, keys: &Path) -> Result<Option<Self>, PushError> {
        let among_keys = keys.join(VAPID_FILE);
        let path = match &config.key {
            Some(path) => path,
            None if among_keys.exists() => &among_keys,
            None => return Ok(None),
        };
        let vapid = Vapid::load(path, &config.subject)?;
        let http = http_client().dns_resolver(Arc::new(PublicOnly { loopback: config.allow_loopback })).build()?;
        Ok(Some(Self { http, endpoints: Endpoints::new(config), vapid }))
    }

    /// The same with another limit on how long one request may take.
    #[cfg(test)]
    pub fn with_time_limit(self, limit: std::time::Duration) -> Self {
        let http = http_client().timeout(limit).build();
        Self { http: http.unwrap_or(self.http), ..self }
    }

    pub fn public_key(&self) -> String {
        self.vapid.public_key()
    }

    /// The push service of an endpoint: whom one calls there.
    pub fn service(endpoint: &str) -> String {
        Url::parse(endpoint).map_or_else(|_| String::new(), |url| origin(&url))
    }

    /// The endpoint, if it and the keys are what they should be.
    pub fn check(&self, endpoint: &str, p256dh: &str, auth: &str) -> Result<Url, UnfitAddress> {
        let endpoint = self.endpoints.allowed(endpoint).ok_or(UnfitAddress::Endpoint)?;
        let recipient = recipient(p256dh, auth)?;
        // Costs a tenth of a millisecond, and tells a point of the curve from 65 bytes.
        let wrong = UnfitAddress::Malformed { field: "p256dh", detail: "must be a point of P-256" };
        encryption::encrypt(&[], &recipient).map(|_| endpoint).map_err(|_| wrong)
    }

    pub async fn push(&self, endpoint: &str, p256dh: &str, auth: &str, push: &Push) -> Verdict {
        // A browser must show something for each push, so what only changes a badge is not sent.
        let Some(alert) = &push.alert else { return Verdict::Accepted };
        let Some(url) = self.endpoints.allowed(endpoint) else { return Verdict::Refused("not_allowed") };
        let Ok(recipient) = recipient(p256dh, auth) else { return Verdict::Refused("malformed_keys") };
        let mut text = json!({
            "kind": push.kind(),
            "notification_id": push.message_id,
            "created_at": push.created_at,
            "badge": push.badge,
            "header": alert.header,
            "body": alert.body,
        });
        if let Some(chat_id) = push.chat_id {
            text["message_id"] = json!(push.message_id);
            text["chat_id"] = json!(chat_id);
        }
        let text = text.to_string();
        if text.len() > LONGEST_TEXT {
            return Verdict::Refused("too_large");
        }
        let authorization = self.vapid.authorization(&origin(&url), Timestamp::now());
        let (Some(authorization), Ok(sealed)) = (authorization, encryption::encrypt(text.as_bytes(), &recipient))
        else {
            return Verdict::Refused("encryption");
        };
        let request = self
            .http
            .post(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("ttl", KEPT_SECONDS)
            .header("urgency", "high")
            .header("topic", topic(push))
            .body(sealed);
        match request.send().await {
            Ok(answer) => {
                let retry = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                web_answer::read(answer.status().as_u16(), retry)
            }
            Err(error) => unanswered(error),
        }
    }
}

fn recipient(p256dh: &str, auth: &str) -> Result<Recipient, UnfitAddress> {
    let malformed = |field, detail| UnfitAddress::Malformed { field, detail };
    let key = BASE64.decode(p256dh).ok().and_then(|bytes| bytes.try_into().ok());
    let secret = BASE64.decode(auth).ok().and_then(|bytes| bytes.try_into().ok());
    Ok(Recipient {
        key: key.ok_or(malformed("p256dh", "must be 65 bytes in base64url"))?,
        secret: secret.ok_or(malformed("auth", "must be 16 bytes in base64url"))?,
    })
}

/// Pushes about one chat that a device has not had yet replace each other.
fn topic(push: &Push) -> String {
    let mut topic = URL_SAFE_NO_PAD.encode(push.topic().as_bytes());
    topic.truncate(TOPIC);
    topic
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
