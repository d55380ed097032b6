//! Pushes: Firebase Cloud Messaging (HTTP v1) and Web Push.
//!
//! What an answer of a push service means is decided by pure functions ([`fcm_answer`], [`web_answer`]); what is done
//! about it, here. An address is forgotten only when its push service says that it is none: never because of what we
//! sent, of our own credentials, or of what a proxy in between answers.

mod access_token;
mod circuit_breaker;
mod encryption;
mod endpoints;
mod fcm;
mod fcm_answer;
mod service_account;
mod vapid;
mod verdict;
mod web;
mod web_answer;

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use sentinel_domain::{
    config::PlatformConfig,
    ports::{PushSender, UnfitAddress},
    push::{ADDRESS_BYTES, Push, PushAddress, Pushed},
};

use self::{
    circuit_breaker::{CircuitBreakers, Tolerance},
    fcm::Fcm,
    verdict::{AWAY, Patience, until_settled},
    web::WebPush,
};

/// How long one request may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// The name of FCM among push services; those of browsers are known by their origin.
const FCM: &str = "fcm";
/// How long a push service keeps a push for a device that is off, in seconds: a day.
const KEPT_SECONDS: u32 = 24 * 3600;

/// Why pushes can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no service account.
    #[error("{} must be a service account's JSON file, as the Firebase console gives it: {why}", path.display())]
    ServiceAccount {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file is no VAPID key.
    #[error("{} must hold a P-256 key in PKCS #8 (PEM), as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` prints it", path.display())]
    VapidKey {
        /// Which one.
        path: PathBuf,
    },
    /// A setting is wrong.
    #[error("push: {0}")]
    Setting(String),
    /// The HTTP client can't be made.
    #[error("can't make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Sends pushes to the platforms that are configured.
pub struct Pushes {
    fcm: Option<Fcm>,
    web: Option<WebPush>,
    patience: Patience,
    breakers: CircuitBreakers,
}

impl Pushes {
    /// Reads the keys and credentials that the configuration names.
    pub fn load(config: &PlatformConfig) -> Result<Self, PushError> {
        let fcm = config.push.fcm.as_ref().map(Fcm::load).transpose()?;
        let web = WebPush::load(&config.push.web_push, &config.keys_dir)?;
        Ok(Self { fcm, web, patience: Patience::default(), breakers: CircuitBreakers::new(Tolerance::default()) })
    }
}

#[async_trait]
impl PushSender for Pushes {
    fn web_push_key(&self) -> Option<String> {
        self.web.as_ref().map(WebPush::public_key)
    }

    fn check(&self, address: &PushAddress) -> Result<PushAddress, UnfitAddress> {
        match address {
            PushAddress::Fcm { .. } if self.fcm.is_none() => Err(UnfitAddress::NotOffered("fcm")),
            PushAddress::Fcm { token } => {
                let plain = |byte: u8| byte.is_ascii_graphic();
                if token.is_empty() || token.len() > ADDRESS_BYTES || !token.bytes().all(plain) {
                    return Err(UnfitAddress::Malformed { field: "token", detail: "must be a registration token" });
                }
                Ok(address.clone())
            }
            PushAddress::WebPush { endpoint, p256dh, auth } => {
                let web = self.web.as_ref().ok_or(UnfitAddress::NotOffered("webpush"))?;
                let endpoint = web.check(endpoint, p256dh, auth)?.into();
                Ok(PushAddress::WebPush { endpoint, p256dh: p256dh.clone(), auth: auth.clone() })
            }
        }
    }

    async fn push(&self, address: &PushAddress, push: &Push) -> Pushed {
        // What was allowed once may not be allowed now.
        if self.check(address).is_err() {
            return counted(address, Pushed::Failed("not_allowed"));
        }
        let pushed = match (address, &self.fcm, &self.web) {
            (PushAddress::Fcm { token }, Some(fcm), _) => {
                until_settled(self.patience, &self.breakers, FCM, || fcm.push(token, push)).await
            }
            (PushAddress::WebPush { endpoint, p256dh, auth }, _, Some(web)) => {
                let service = WebPush::service(endpoint);
                until_settled(self.patience, &self.breakers, &service, || web.push(endpoint, p256dh, auth, push)).await
            }
            _ => Pushed::Failed("not_offered"),
        };
        counted(address, pushed)
    }
}

fn counted(address: &PushAddress, pushed: Pushed) -> Pushed {
    let outcome = match pushed {
        Pushed::Accepted => "accepted",
        Pushed::AddressGone => "address_gone",
        // That was told once, when it began.
        Pushed::Failed(AWAY) => AWAY,
        Pushed::Failed(reason) => {
            tracing::warn!(platform = address.platform(), reason, "a push was not taken");
            reason
        }
    };
    metrics::counter!("sentinel_pushes_total", "platform" => address.platform(), "outcome" => outcome).increment(1);
    pushed
}

/// A client that follows no redirect, since an address that was checked could lead to one that was not.
fn http_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECTED_WITHIN)
        .timeout(ANSWERED_WITHIN)
}
