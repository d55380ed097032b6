//! Reads what the resource points at: keys and certificate.
//!
//! Only "not found" counts as absent. Any other failure is an error, because taking it for absence
//! would make new keys and with them unreadable data.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use thiserror::Error;

use super::{observe::Observed, validate::ValidChat};
use crate::{
    answer,
    build::{self, Facts, KeyError, digest},
    names::MANAGER,
};

/// Why the references could not be followed.
#[derive(Debug, Error)]
pub enum Error {
    /// The cluster could not be asked.
    #[error("cannot read Secret {name}")]
    Read {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// Keys could not be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A Secret that the user names does not exist.
    #[error("{field}: Secret {name} does not exist in namespace {namespace}; create it")]
    Missing {
        /// Where it is named.
        field: &'static str,
        /// Which.
        name: String,
        /// Where.
        namespace: String,
    },
    /// A Secret lacks an entry.
    #[error("{field}: Secret {name} has no entry {entry}; add it")]
    Incomplete {
        /// Where it is named.
        field: &'static str,
        /// Which.
        name: String,
        /// What is missing.
        entry: &'static str,
    },
    /// The generated keys are gone while their data is still there.
    #[error(
        "Secret {secret} is gone but volume claim {claim} still holds data encrypted with it: restore the Secret from a backup, or delete the claim to start afresh"
    )]
    KeysLost {
        /// The Secret.
        secret: String,
        /// The claim.
        claim: String,
    },
    /// A Secret of somebody else has the name of the generated one.
    #[error(
        "Secret {0} exists but the operator did not make it: write its name to encryption.keySecret to use it, or delete it"
    )]
    NotOurs(String),
}

impl Error {
    /// Reason for the condition; none when it is the cluster that failed.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Read { source: kube::Error::Api(status), .. } if answer::is_forbidden(status) => {
                Some("SecretForbidden")
            }
            Self::Read { .. } | Self::Keys(_) => None,
            Self::Missing { .. } => Some("SecretNotFound"),
            Self::Incomplete { .. } => Some("SecretIncomplete"),
            Self::KeysLost { .. } => Some("KeysLost"),
            Self::NotOurs(_) => Some("SecretNotOurs"),
        }
    }
}

/// What was found, and the keys to create when there are none yet.
#[derive(Debug)]
pub struct Dereferenced {
    /// For building.
    pub facts: Facts,
    /// Fresh keys, not yet in the cluster.
    pub new_keys: Option<Secret>,
}

/// Follows the references of `chat`.
pub async fn dereference(client: &Client, chat: &ValidChat, observed: &Observed) -> Result<Dereferenced, Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &chat.namespace);
    let read =
        async |name: &str| secrets.get_opt(name).await.map_err(|source| Error::Read { name: name.to_owned(), source });

    let mut new_keys = None;
    let keys = match &chat.spec.encryption.key_secret {
        Some(named) => read(&named.name).await?.ok_or_else(|| Error::Missing {
            field: "encryption.keySecret",
            name: named.name.clone(),
            namespace: chat.namespace.clone(),
        })?,
        None => match read(&chat.names.keys()).await? {
            Some(found) if is_ours(&found) => found,
            Some(_) => return Err(Error::NotOurs(chat.names.keys())),
            None => {
                let claim = chat.names.data_claim();
                if observed.claims.iter().any(|c| c.metadata.name.as_deref() == Some(claim.as_str())) {
                    return Err(Error::KeysLost { secret: chat.names.keys(), claim });
                }
                new_keys.insert(build::generate_keys(chat)?).clone()
            }
        },
    };
    let key_secret = keys.metadata.name.clone().unwrap_or_default();
    require(&keys, "encryption.keySecret", "jwt-NAME.pem", is_signing_key)?;
    require(&keys, "encryption.keySecret", "kek-NAME", |entry| entry.starts_with("kek-"))?;

    let gateway = &chat.spec.gateway;
    let tls_digest = match &gateway.tls {
        // The Ingress controller reads the certificate itself.
        Some(tls) if gateway.ingress.is_none() => {
            let name = &tls.secret.name;
            let secret = read(name).await?.ok_or_else(|| Error::Missing {
                field: "gateway.tls.secret",
                name: name.clone(),
                namespace: chat.namespace.clone(),
            })?;
            require(&secret, "gateway.tls.secret", "tls.crt", |entry| entry == "tls.crt")?;
            require(&secret, "gateway.tls.secret", "tls.key", |entry| entry == "tls.key")?;
            Some(secret_digest(&secret))
        }
        _ => None,
    };
    let facts = Facts { key_secret, keys_digest: secret_digest(&keys), tls_digest, ..Facts::default() };
    Ok(Dereferenced { facts, new_keys })
}

/// Named as the platform expects a signing key.
fn is_signing_key(entry: &str) -> bool {
    entry.strip_prefix("jwt-").is_some_and(|name| name.strip_suffix(".pem").is_some())
}

fn is_ours(secret: &Secret) -> bool {
    secret
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("app.kubernetes.io/managed-by"))
        .is_some_and(|manager| manager == MANAGER)
}

fn require(
    secret: &Secret,
    field: &'static str,
    entry: &'static str,
    matches: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    if secret.data.as_ref().is_some_and(|data| data.keys().any(|key| matches(key))) {
        return Ok(());
    }
    Err(Error::Incomplete { field, name: secret.metadata.name.clone().unwrap_or_default(), entry })
}

fn secret_digest(secret: &Secret) -> String {
    let data = secret.data.clone().unwrap_or_default();
    let parts: Vec<&[u8]> = data.iter().flat_map(|(name, value)| [name.as_bytes(), value.0.as_slice()]).collect();
    digest(&parts)
}
