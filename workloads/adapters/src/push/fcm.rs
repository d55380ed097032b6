//! Firebase Cloud Messaging, HTTP v1.

use reqwest::header::RETRY_AFTER;
use sentinel_domain::{
    config::FcmConfig,
    push::{Alert, Push},
};
use serde_json::{Value, json};

use super::{
    KEPT_SECONDS, PushError, access_token::AccessToken, fcm_answer, http_client, service_account::ServiceAccount,
    verdict::Verdict,
};

/// Most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The client.
pub(super) struct Fcm {
    http: reqwest::Client,
    account: ServiceAccount,
    url: String,
    token: AccessToken,
}

impl Fcm {
    pub fn load(config: &FcmConfig) -> Result<Self, PushError> {
        let account = ServiceAccount::load(&config.credentials)?;
        let base = config.base_url.trim_end_matches('/');
        if !base.starts_with("https://") && !base.starts_with("http://") {
            return Err(PushError::Setting(format!("fcm.baseUrl: {base:?} must begin with `https://`")));
        }
        let url = format!("{base}/v1/projects/{}/messages:send", account.project);
        Ok(Self { http: http_client().build()?, account, url, token: AccessToken::default() })
    }

    /// Sends once; with a new access token once more if the one in use is refused.
    pub async fn push(&self, token: &str, push: &Push) -> Verdict {
        let message = message(token, push);
        let access = match self.token.get(&self.http, &self.account, None).await {
            Ok(access) => access,
            Err(verdict) => return verdict,
        };
        let verdict = self.send(&access, &message).await;
        if verdict != Verdict::Unauthorized {
            return verdict;
        }
        match self.token.get(&self.http, &self.account, Some(&access)).await {
            Ok(access) => self.send(&access, &message).await,
            Err(verdict) => verdict,
        }
    }

    async fn send(&self, access: &str, message: &Value) -> Verdict {
        let answer = match self.http.post(&self.url).bearer_auth(access).json(message).send().await {
            Ok(answer) => answer,
            Err(error) => return unanswered(error),
        };
        let status = answer.status().as_u16();
        let retry = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match body(answer).await {
            Ok(body) => fcm_answer::read(status, retry.as_deref(), &body),
            Err(error) => unanswered(error),
        }
    }
}

/// The beginning of an answer, which is all of FCM's own, and of its token service's.
pub(super) async fn body(mut answer: reqwest::Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            break;
        }
    }
    Ok(body)
}

pub(super) fn unanswered(error: reqwest::Error) -> Verdict {
    let reason = if error.is_timeout() { "timed_out" } else { "unreachable" };
    // The address is a secret of the device.
    tracing::debug!(error = %error.without_url(), reason, "a push service did not answer");
    Verdict::Later(None, reason)
}

/// The request. Newer pushes about a chat take the place of older ones, on the way and on the device.
fn message(token: &str, push: &Push) -> Value {
    let chat = push.topic().to_string();
    let mut data = json!({
        "kind": push.kind(),
        "notification_id": push.message_id,
        "created_at": push.created_at,
        "badge": push.badge.to_string(),
    });
    if let Some(chat_id) = push.chat_id {
        data["message_id"] = json!(push.message_id);
        data["chat_id"] = json!(chat_id);
    }
    let android = json!({"collapse_key": chat, "ttl": format!("{KEPT_SECONDS}s")});
    let mut message = json!({"token": token, "data": data, "android": android, "apns": {
        "headers": {"apns-collapse-id": chat},
        "payload": {"aps": {"badge": push.badge, "thread-id": chat}},
    }});
    if let Some(Alert { header, body }) = &push.alert {
        message["notification"] = json!({"title": header, "body": body});
        message["android"]["priority"] = "high".into();
        message["android"]["notification"] = json!({"tag": chat, "notification_count": push.badge});
    } else {
        message["apns"]["headers"]["apns-push-type"] = "background".into();
        message["apns"]["headers"]["apns-priority"] = "5".into();
        message["apns"]["payload"]["aps"]["content-available"] = 1.into();
    }
    json!({"message": message})
}
