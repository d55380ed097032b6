//! The access token for FCM: asked for once however many need it, kept until shortly before its end. That there is none is
//! kept for a moment, too: whoever waited for it does not ask, and wait, again.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use sentinel_domain::time::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    fcm::body,
    service_account::ServiceAccount,
    verdict::{Verdict, retry_after},
};

/// A token is asked for anew when less than this is left of it.
const RENEWED_BEFORE_SECONDS: i64 = 60;
/// How long nobody asks again after a failure. A push that tries again and again outlasts it.
const FAILURE_KEPT: Duration = Duration::from_secs(2);
/// Why a push has to wait for another try.
const NO_TOKEN: &str = "no_access_token";
/// What a request for a token says it is (RFC 7523), encoded as in a form.
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

#[derive(Clone)]
struct Token {
    text: String,
    until: i64,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: i64,
}

/// What the token service said last.
#[derive(Default)]
enum Current {
    #[default]
    Nothing,
    Token(Token),
    Failure(Verdict, Instant),
}

/// The token that all pushes share.
#[derive(Default)]
pub(super) struct AccessToken {
    // Held while it is asked for: others wait for the same answer.
    current: Mutex<Current>,
}

impl AccessToken {
    /// A token that is good now. `refused` is one that FCM just did not take: if it is still the current one, it is
    /// asked for anew.
    pub async fn get(
        &self,
        http: &reqwest::Client,
        account: &ServiceAccount,
        refused: Option<&str>,
    ) -> Result<String, Verdict> {
        let mut current = self.current.lock().await;
        let now = Timestamp::now().seconds();
        match &*current {
            Current::Token(token) if token.until - RENEWED_BEFORE_SECONDS > now && refused != Some(&token.text) => {
                return Ok(token.text.clone());
            }
            Current::Failure(verdict, at) if at.elapsed() < FAILURE_KEPT => return Err(*verdict),
            Current::Nothing | Current::Token(_) | Current::Failure(..) => {}
        }
        *current = Current::Nothing;
        match ask(http, account, now).await {
            Ok(token) => {
                let text = token.text.clone();
                *current = Current::Token(token);
                Ok(text)
            }
            Err(verdict) => {
                *current = Current::Failure(verdict, Instant::now());
                Err(verdict)
            }
        }
    }
}

async fn ask(http: &reqwest::Client, account: &ServiceAccount, now: i64) -> Result<Token, Verdict> {
    let assertion = account.assertion(now).ok_or(Verdict::Refused("credentials"))?;
    // A signed token has no character that a form would encode.
    let request = http
        .post(&account.token_url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("{GRANT}&assertion={assertion}"));
    let answer = request.send().await.map_err(unanswered)?;
    let status = answer.status().as_u16();
    let retry = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match status {
        200 => {
            let answer = read(&body(answer).await.map_err(unanswered)?)?;
            metrics::counter!("sentinel_push_access_tokens_total").increment(1);
            Ok(Token { text: answer.access_token, until: now.saturating_add(answer.expires_in) })
        }
        400..=403 => {
            tracing::error!(status, "FCM's token service refuses the service account");
            Err(Verdict::Refused("credentials"))
        }
        _ => {
            tracing::warn!(status, "no access token for FCM");
            Err(Verdict::Later(retry_after(retry.as_deref()), NO_TOKEN))
        }
    }
}

fn unanswered(error: reqwest::Error) -> Verdict {
    let error = error.without_url();
    tracing::warn!(error = &error as &dyn std::error::Error, "no access token for FCM");
    Verdict::Later(None, NO_TOKEN)
}

/// The answer that gives a token.
fn read(body: &[u8]) -> Result<Answer, Verdict> {
    serde_json::from_slice(body).map_err(|error| {
        // An error's own text may quote what it stumbled over, and that may be the token.
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        tracing::warn!(status = 200, error = ?kind, line, column, "no access token for FCM is in the answer");
        Verdict::Later(None, NO_TOKEN)
    })
}
