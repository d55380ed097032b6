//! Reads what the resource points at: keys, certificate, credentials of stores.
//!
//! Only "not found" counts as absent. Any other failure is an error, because taking it for absence
//! would make new keys and with them unreadable data.

pub mod certificate;
mod contents;
pub mod tls;
pub(super) mod traces;

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client};
use sentinel_domain::{
    key_file::{KeyFile, VAPID_FILE},
    keyring::KeyError,
    token_key,
};
use thiserror::Error;

use self::{contents::Content, tls::Tls, traces::Traces};
use super::{observe::Observed, validate::ValidChat};
use crate::{
    answer,
    api::{SecretRef, Store},
    build::{self, Facts, ServiceCredentials, StoreFacts, digest, push::SERVICE_ACCOUNT, services, stores::CA},
    names::{MANAGED_BY, MANAGER},
    providers,
};

/// Reason when the operator may not read a Secret.
pub const FORBIDDEN: &str = "SecretForbidden";

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
        field: String,
        /// Which.
        name: String,
        /// Where.
        namespace: String,
    },
    /// A Secret lacks an entry.
    #[error("{field}: Secret {name} has no entry {entry}; add it")]
    Incomplete {
        /// Where it is named.
        field: String,
        /// Which.
        name: String,
        /// What is missing.
        entry: String,
    },
    /// An entry of a Secret holds something that the platform cannot use.
    #[error("{field}: entry {entry} of Secret {name} {why}")]
    Wrong {
        /// Where the Secret is named.
        field: String,
        /// Which.
        name: String,
        /// The entry.
        entry: String,
        /// What it has to hold, and what is wrong with it.
        why: String,
    },
    /// A Secret is not there, or not known, and there was one before.
    #[error(transparent)]
    Traced(#[from] traces::Error),
    /// A Secret of somebody else has the name of generated credentials.
    #[error("Secret {0} exists but the operator did not make it: delete it, or give the SentinelChat another name")]
    CredentialsNotOurs(String),
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
            Self::Read { source: kube::Error::Api(status), .. } if answer::is_forbidden(status) => Some(FORBIDDEN),
            Self::Read { .. } | Self::Keys(_) => None,
            Self::Traced(error) => error.reason(),
            Self::Missing { .. } => Some("SecretNotFound"),
            Self::Incomplete { .. } => Some("SecretIncomplete"),
            Self::Wrong { .. } => Some("SecretInvalid"),
            Self::NotOurs(_) | Self::CredentialsNotOurs(_) => Some("SecretNotOurs"),
        }
    }
}

/// What was found, and the Secrets to create that are not there yet.
#[derive(Debug)]
pub struct Dereferenced {
    /// For building.
    pub facts: Facts,
    /// Fresh keys and credentials, not yet in the cluster.
    pub new_secrets: Vec<Secret>,
}

/// Follows the references of `chat`; `tls` is what became of that to the gateway's certificate.
pub async fn dereference(
    client: &Client,
    chat: &ValidChat,
    observed: &Observed,
    tls: Result<Option<Tls>, Error>,
) -> Result<Dereferenced, Error> {
    let secrets = Secrets::of(client, chat);
    let traces = Traces::of(client, chat, observed);
    let mut new_secrets = Vec::new();
    let keys = match &chat.spec.encryption.key_secret {
        Some(named) => secrets.named("encryption.keySecret", &named.name).await?,
        None => match secrets.read(&chat.names.keys()).await? {
            Some(found) if is_ours(&found) => found,
            Some(_) => {
                let lost = traces.keys_not_labelled().await?;
                return Err(lost.map_or_else(|| Error::NotOurs(chat.names.keys()), Error::from));
            }
            None => {
                if let Some(lost) = traces.keys_lost().await? {
                    return Err(lost.into());
                }
                let fresh = build::generate_keys(chat)?;
                new_secrets.push(fresh.clone());
                fresh
            }
        },
    };
    let key_secret = keys.metadata.name.clone().unwrap_or_default();
    require(&keys, "encryption.keySecret", "jwt-NAME.pem", |entry| {
        matches!(KeyFile::named(entry), Some(KeyFile::Signing { .. }))
    })?;
    require(&keys, "encryption.keySecret", "kek-NAME", |entry| {
        matches!(KeyFile::named(entry), Some(KeyFile::Encryption { is_prepared: false, .. }))
    })?;
    // Services would end at the first of them that they cannot read.
    for (name, content) in entries(&keys).filter_map(|name| Some((name, key_content(chat, name)?))) {
        require_content(&keys, "encryption.keySecret", name, content)?;
    }

    let tls_digest = tls?.map(|tls| tls.digest);
    let push_digest = push(chat, &secrets).await?;
    let mail_digest = mail_digest(chat, &secrets).await?;
    let is_key = |entry: &str| key_content(chat, entry).is_some();
    let all = || keys.data.iter().flatten().map(|(name, value)| (name.as_str(), value.0.as_slice()));
    let mut facts = Facts {
        key_secret,
        key_entries: entries(&keys).filter(|entry| is_key(entry)).map(String::from).collect(),
        public_keys: token_key::jwks(all()).to_string(),
        keys_digest: secret_digest(&keys, is_key),
        tls_digest,
        push_digest,
        mail_digest,
        ..Facts::default()
    };
    facts.replicas = services::of(chat).iter().filter_map(|s| Some((s.component, s.live(chat, observed)?))).collect();
    for store in Store::ALL.into_iter().filter(|_| chat.is_distributed()) {
        let found = if chat.external(store).is_some() {
            external_store(chat, store, &secrets).await?
        } else {
            managed_store(chat, store, &secrets, &traces, &mut new_secrets).await?
        };
        facts.stores.insert(store, found);
    }
    // What is wrong with Secrets is told first: it tells of such a claim, too.
    if let Some(unseen) = traces.claim_unseen().await? {
        return Err(unseen.into());
    }
    Ok(Dereferenced { facts, new_secrets })
}

/// Secrets of the namespace of a resource.
struct Secrets<'a> {
    api: Api<Secret>,
    namespace: &'a str,
}

impl<'a> Secrets<'a> {
    /// Those beside `chat`.
    fn of(client: &Client, chat: &'a ValidChat) -> Self {
        Self { api: Api::namespaced(client.clone(), &chat.namespace), namespace: &chat.namespace }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, Error> {
        self.api.get_opt(name).await.map_err(|source| Error::Read { name: name.to_owned(), source })
    }

    /// One that the resource names in `field`.
    async fn named(&self, field: &str, name: &str) -> Result<Secret, Error> {
        self.read(name).await?.ok_or_else(|| Error::Missing {
            field: field.to_owned(),
            name: name.to_owned(),
            namespace: self.namespace.to_owned(),
        })
    }

    /// The hash of credentials that the resource names for a store of somebody else.
    async fn credentials(&self, store: Store, field: &str, named: &SecretRef) -> Result<String, Error> {
        let field = format!("dependencies.{}.external.{field}", store.as_str());
        let secret = self.named(&field, &named.name).await?;
        for entry in ["username", "password"] {
            require(&secret, &field, entry, |found| found == entry)?;
        }
        Ok(secret_digest(&secret, is_credential))
    }
}

/// The hash of the Secrets that the resource names for pushes; `None` when it names none.
async fn push(chat: &ValidChat, secrets: &Secrets<'_>) -> Result<Option<String>, Error> {
    let push = &chat.spec.push;
    let fcm = push
        .fcm
        .as_ref()
        .map(|fcm| ("push.fcm.credentialsSecret", &fcm.credentials_secret, SERVICE_ACCOUNT, Content::ServiceAccount));
    let web = push.web_push.key_secret.as_ref();
    let web = web.map(|key| ("push.webPush.keySecret", key, VAPID_FILE, Content::VapidKey));
    let mut digests = Vec::new();
    for (field, named, entry, content) in fcm.into_iter().chain(web) {
        let secret = secrets.named(field, &named.name).await?;
        require_content(&secret, field, entry, content)?;
        digests.push(secret_digest(&secret, |found| found == entry));
    }
    let parts: Vec<&[u8]> = digests.iter().map(String::as_bytes).collect();
    Ok((!parts.is_empty()).then(|| digest(&parts)))
}

/// Hash of what the resource names for the mail relay; none when no mail is sent.
async fn mail_digest(chat: &ValidChat, secrets: &Secrets<'_>) -> Result<Option<String>, Error> {
    let Some(mail) = &chat.spec.mail else { return Ok(None) };
    let mut digests = Vec::new();
    if let Some(named) = &mail.secret {
        let secret = secrets.named("mail.secret", &named.name).await?;
        for entry in ["username", "password"] {
            require_content(&secret, "mail.secret", entry, Content::Line)?;
        }
        digests.push(secret_digest(&secret, is_credential));
    }
    if let Some(named) = &mail.ca_secret {
        let secret = secrets.named("mail.caSecret", &named.name).await?;
        require_content(&secret, "mail.caSecret", CA, Content::Authorities)?;
        digests.push(secret_digest(&secret, |entry| entry == CA));
    }
    Ok(Some(digest(&digests.iter().map(String::as_bytes).collect::<Vec<_>>())))
}

/// Credentials and authorities that the resource names.
async fn external_store(chat: &ValidChat, store: Store, secrets: &Secrets<'_>) -> Result<StoreFacts, Error> {
    let Some(external) = chat.external(store) else { return Ok(StoreFacts::default()) };
    let mut facts = StoreFacts::default();
    let mut digests = Vec::new();
    if let Some(named) = &external.secret {
        digests.push(secrets.credentials(store, "secret", named).await?);
        facts.secret = Some(named.name.clone());
    }
    if let Some(named) = external.tls.as_ref().filter(|tls| tls.enabled).and_then(|tls| tls.ca_secret.as_ref()) {
        let field = format!("dependencies.{}.external.tls.caSecret", store.as_str());
        let secret = secrets.named(&field, &named.name).await?;
        require(&secret, &field, CA, |entry| entry == CA)?;
        digests.push(secret_digest(&secret, |entry| entry == CA));
        facts.ca_secret = Some(named.name.clone());
    }
    let hash = |digests: &[String]| digest(&digests.iter().map(String::as_bytes).collect::<Vec<_>>());
    facts.digest = hash(&digests);
    if let (Some(named), Some(secret)) = (chat.migration_secret(store), facts.secret.clone()) {
        facts.service = Some(ServiceCredentials { secret, digest: facts.digest });
        digests[0] = secrets.credentials(store, "migrationSecret", named).await?;
        facts.digest = hash(&digests);
        facts.secret = Some(named.name.clone());
    }
    Ok(facts)
}

/// Credentials that are made once, and the nodes that may run now.
async fn managed_store(
    chat: &ValidChat,
    store: Store,
    secrets: &Secrets<'_>,
    traces: &Traces<'_>,
    new_secrets: &mut Vec<Secret>,
) -> Result<StoreFacts, Error> {
    let observed = traces.observed;
    let scale = providers::scale(chat, store, observed);
    let mut facts = StoreFacts {
        volume: providers::smallest_volume(chat, store, observed, scale.replicas),
        members: providers::members(chat, store, observed, &scale),
        replicas: scale.replicas,
        leaving: scale.leaving,
        founded: providers::is_founded(chat, store, observed),
        connections: providers::connections(chat, store, observed),
        limit: providers::limit(chat, store, observed),
        first_claim: providers::first_claim(chat, store, observed),
        ..StoreFacts::default()
    };
    if !providers::has_credentials(store) {
        return Ok(facts);
    }
    let name = chat.names.credentials(store);
    let secret = match secrets.read(&name).await? {
        Some(found) if is_ours(&found) => found,
        Some(_) => {
            let lost = traces.credentials_not_labelled(store).await?;
            return Err(lost.map_or(Error::CredentialsNotOurs(name), Error::from));
        }
        None => {
            if let Some(lost) = traces.credentials_lost(store).await? {
                return Err(lost.into());
            }
            let Some(data) = providers::credentials(chat, store)? else { return Ok(facts) };
            let fresh = fresh_credentials(chat, store, name.clone(), data);
            new_secrets.push(fresh.clone());
            fresh
        }
    };
    facts.digest = digest(&[secret_digest(&secret, |_| true).as_bytes()]);
    facts.secret = Some(name);
    if providers::has_service_user(chat, store) {
        facts.service = Some(service_credentials(chat, store, secrets, new_secrets).await?);
    }
    Ok(facts)
}

/// Credentials of services, which are made once. When they are lost there are others: the migration sets them anew, and they
/// open nothing that it does not.
async fn service_credentials(
    chat: &ValidChat,
    store: Store,
    secrets: &Secrets<'_>,
    new_secrets: &mut Vec<Secret>,
) -> Result<ServiceCredentials, Error> {
    let name = chat.names.service_credentials(store);
    let secret = match secrets.read(&name).await? {
        Some(found) if is_ours(&found) => found,
        Some(_) => return Err(Error::CredentialsNotOurs(name)),
        None => {
            let fresh = fresh_credentials(chat, store, name.clone(), providers::service_credentials()?);
            new_secrets.push(fresh.clone());
            fresh
        }
    };
    Ok(ServiceCredentials { digest: secret_digest(&secret, is_credential), secret: name })
}

fn fresh_credentials(chat: &ValidChat, store: Store, name: String, data: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: build::credentials_metadata(chat, store, name),
        type_: Some("Opaque".into()),
        data: Some(data),
        ..Secret::default()
    }
}

/// What an entry of the Secret with the keys has to hold; `None` when nobody reads it.
fn key_content(chat: &ValidChat, name: &str) -> Option<Content> {
    match KeyFile::named(name)? {
        KeyFile::Signing { .. } => Some(Content::SigningKey),
        KeyFile::Encryption { .. } => Some(Content::EncryptionKey),
        KeyFile::Vapid => chat.spec.push.web_push.key_secret.is_none().then_some(Content::VapidKey),
    }
}

fn is_ours(secret: &Secret) -> bool {
    secret.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

/// Requires an entry that `matches`; `entry` is how it is told.
fn require(secret: &Secret, field: &str, entry: &str, matches: impl Fn(&str) -> bool) -> Result<(), Error> {
    if secret.data.as_ref().is_some_and(|data| data.keys().any(|key| matches(key))) {
        return Ok(());
    }
    Err(Error::Incomplete {
        field: field.to_owned(),
        name: secret.metadata.name.clone().unwrap_or_default(),
        entry: entry.to_owned(),
    })
}

/// Requires an entry that holds what the platform can use.
fn require_content(secret: &Secret, field: &str, name: &str, content: Content) -> Result<(), Error> {
    require(secret, field, name, |found| found == name)?;
    content.check(entry(secret, name).unwrap_or_default()).map_err(|why| Error::Wrong {
        field: field.to_owned(),
        name: secret.metadata.name.clone().unwrap_or_default(),
        entry: name.to_owned(),
        why,
    })
}

fn entries(secret: &Secret) -> impl Iterator<Item = &str> {
    secret.data.iter().flat_map(|data| data.keys().map(String::as_str))
}

/// What an entry holds.
fn entry<'a>(secret: &'a Secret, name: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(name).map(|value| value.0.as_slice())
}

/// An entry of the credentials that a user names.
fn is_credential(entry: &str) -> bool {
    matches!(entry, "username" | "password")
}

/// Hash of the entries that are read. Others may be renewed as often as whoever keeps the Secret likes, as the certificate
/// beside the authorities is.
fn secret_digest(secret: &Secret, is_read: impl Fn(&str) -> bool) -> String {
    let read = secret.data.iter().flatten().filter(|(name, _)| is_read(name));
    let parts: Vec<&[u8]> = read.flat_map(|(name, value)| [name.as_bytes(), value.0.as_slice()]).collect();
    digest(&parts)
}
