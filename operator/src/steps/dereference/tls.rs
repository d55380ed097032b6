//! Reads the certificate of a gateway that ends TLS itself: on its own, so that it is looked at whatever else is missing.

use jiff::Timestamp;
use kube::Client;

use super::{
    Error, FORBIDDEN, Secrets,
    certificate::{self, CHAIN, Certificate, Fault, Health, KEY},
    entry, require, secret_digest,
};
use crate::{
    answer,
    api::Gateway,
    build::{self, Stage},
    steps::{apply::Failure, validate::ValidChat},
};

/// Where the Secret is named.
const FIELD: &str = "gateway.tls.secret";

/// A certificate that the gateway can start with.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: Certificate,
    /// Hash of it and its key.
    pub digest: String,
}

/// Reads the certificate of `chat`'s gateway; none when it has none of its own.
pub async fn read(client: &Client, chat: &ValidChat) -> Result<Option<Tls>, Error> {
    let Some(named) = build::own_certificate(chat) else { return Ok(None) };
    let secret = Secrets::of(client, chat).named(FIELD, named).await?;
    for name in [CHAIN, KEY] {
        require(&secret, FIELD, name, |entry| entry == name)?;
    }
    let of = |name| entry(&secret, name).unwrap_or_default();
    let certificate = certificate::read(of(CHAIN), of(KEY)).map_err(|Fault { entry, why }| Error::Wrong {
        field: FIELD.to_owned(),
        name: named.to_owned(),
        entry: entry.to_owned(),
        why: why.to_owned(),
    })?;
    let digest = secret_digest(&secret, |entry| matches!(entry, CHAIN | KEY));
    Ok(Some(Tls { certificate, digest }))
}

/// How the certificate is that was read.
pub fn health(read: &Result<Option<Tls>, Error>, gateway: &Gateway, now: Timestamp) -> Health {
    match read {
        Ok(tls) => {
            let trouble = tls.as_ref().and_then(|tls| tls.certificate.trouble(gateway, now));
            trouble.map_or(Health::Sound, Health::Troubled)
        }
        Err(error) => match error.reason() {
            None | Some(FORBIDDEN) => Health::Unseen,
            Some(reason) => {
                let message = answer::describe(error);
                Health::Troubled(Failure { stage: Stage::Extra, reason, message, transient: false })
            }
        },
    }
}
