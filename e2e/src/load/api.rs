//! The calls over HTTP that measurements make.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{accounts::Account, target::Target};

/// The platform's API.
pub struct Api {
    http: reqwest::Client,
    target: Target,
}

impl Api {
    /// At this address.
    pub fn new(target: Target) -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().no_proxy().build()?, target })
    }

    /// A client for what needs no token, such as links.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Posts JSON as an account and reads the answer; a refusal is an error that tells what was said.
    pub async fn post<T: DeserializeOwned>(&self, who: &Account, path: &str, body: &Value, what: &str) -> Result<T> {
        let request = self.http.post(self.target.url(path)).bearer_auth(&who.token).json(body);
        answer(request, what).await
    }

    /// Sends a message into the account's chat; its id when it is acknowledged.
    pub async fn send(&self, from: &Account, text: &str) -> Result<String> {
        let path = format!("/users/chat/{}/messages", from.chat_id);
        let message: Value = self.post(from, &path, &json!({ "message": text }), "sending").await?;
        Ok(message["message_id"].as_str().context("a message without an id")?.to_owned())
    }

    /// How many messages of the first page of a search match.
    pub async fn hits(&self, who: &Account, q: &str) -> Result<usize> {
        // Words of the generator have nothing else to escape.
        let q = q.replace(' ', "%20").replace('"', "%22");
        let request = self.http.get(self.target.url(&format!("/search/messages?q={q}"))).bearer_auth(&who.token);
        let page: Value = answer(request, "searching").await?;
        page["hits"].as_array().map(Vec::len).context("the answer has no hits")
    }

    /// Searches until there is a hit, looking again after `pause`; gives up `patience` after `since`.
    pub async fn found(
        &self,
        who: &Account,
        q: &str,
        since: Instant,
        pause: Duration,
        patience: Duration,
    ) -> Result<()> {
        while self.hits(who, q).await? == 0 {
            if since.elapsed() > patience {
                bail!("{q} is not found after {patience:?}");
            }
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}

/// Sends a request and reads JSON; `what` tells in errors what was tried.
pub async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder, what: &str) -> Result<T> {
    let answer = request.send().await.with_context(|| what.to_owned())?;
    let status = answer.status();
    let body = answer.bytes().await?;
    if !status.is_success() {
        bail!("{what}: {status} {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).with_context(|| what.to_owned())
}
