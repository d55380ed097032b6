//! What would be made for a resource, without a cluster.

use k8s_openapi::api::core::v1::Secret;
use sentinel_domain::key_file::{FIRST_ENCRYPTION_KEY, FIRST_SIGNING_KEY, VAPID_FILE};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    api::{SentinelChat, Store},
    build::{self, Facts, Kind, ServiceCredentials, StoreFacts},
    providers,
    settings::Settings,
    steps::{
        observe::Observed,
        validate::{self, ValidChat},
    },
};

/// Why a resource could not be rendered.
#[derive(Debug, Error)]
pub enum Error {
    /// The text is not a resource.
    #[error("cannot read the resource")]
    Parse(#[from] serde_yaml_ng::Error),
    /// It has fields that there are not: an API server would refuse or drop them.
    #[error("no such field: {}; see `kubectl explain sentinelchat.spec`", .0.join(", "))]
    UnknownFields(Vec<String>),
    /// There is none.
    #[error("the file holds no SentinelChat")]
    NoResource,
    /// The resource cannot be carried out.
    #[error(transparent)]
    Invalid(#[from] validate::Error),
    /// The objects could not be built.
    #[error(transparent)]
    Build(#[from] build::Error),
}

/// The resources in a text of one or more YAML documents. Their rules are the API server's to check.
pub fn parse(text: &str) -> Result<Vec<SentinelChat>, Error> {
    let mut chats = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        if value["kind"] == "SentinelChat" {
            // Through text, because YAML's own numbers and tags have no place in a resource.
            let text = serde_yaml_ng::to_string(&value)?;
            let mut unknown = Vec::new();
            // What says which kind it is belongs to no field of the kind.
            let note = |path: serde_ignored::Path| match path.to_string().as_str() {
                "apiVersion" | "kind" => {}
                // A field that may be left out is shown as two.
                path => unknown.push(path.replace(".?", "")),
            };
            chats.push(serde_ignored::deserialize(serde_yaml_ng::Deserializer::from_str(&text), note)?);
            if !unknown.is_empty() {
                return Err(Error::UnknownFields(unknown));
            }
        }
    }
    if chats.is_empty() { Err(Error::NoResource) } else { Ok(chats) }
}

/// What would be made for `chat`, keys left out.
pub fn render(chat: &SentinelChat, settings: &Settings) -> Result<Vec<Value>, Error> {
    let valid = validate::validate(chat, settings)?;
    let facts = unknown_facts(&valid);
    let mut objects = Vec::new();
    if valid.spec.encryption.key_secret.is_none() {
        objects.push(redacted_keys(&valid)?);
    }
    for store in Store::ALL.into_iter().filter(|store| valid.managed(*store).is_some()) {
        if providers::has_credentials(store) {
            objects.push(redacted_credentials(&valid, store, valid.names.credentials(store))?);
        }
        if providers::has_service_user(&valid, store) {
            objects.push(redacted_credentials(&valid, store, valid.names.service_credentials(store))?);
        }
    }
    objects.extend(build::build(&valid, &facts)?.into_iter().map(|child| child.value));
    Ok(objects)
}

/// What only a cluster knows, as placeholders.
pub fn unknown_facts(chat: &ValidChat) -> Facts {
    let key_secret = chat.spec.encryption.key_secret.as_ref();
    Facts {
        key_secret: key_secret.map_or_else(|| chat.names.keys(), |secret| secret.name.clone()),
        key_entries: [FIRST_SIGNING_KEY, FIRST_ENCRYPTION_KEY, VAPID_FILE].map(String::from).to_vec(),
        public_keys: "known in the cluster only".into(),
        keys_digest: "known in the cluster only".into(),
        tls_digest: Some("known in the cluster only".into()),
        push_digest: names_push_secrets(chat).then(|| "known in the cluster only".into()),
        mail_digest: chat.spec.mail.as_ref().map(|_| "known in the cluster only".into()),
        stores: Store::ALL.into_iter().map(|store| (store, unknown_store_facts(chat, store))).collect(),
        ..Facts::default()
    }
}

fn names_push_secrets(chat: &ValidChat) -> bool {
    chat.spec.push.fcm.is_some() || chat.spec.push.web_push.key_secret.is_some()
}

fn unknown_store_facts(chat: &ValidChat, store: Store) -> StoreFacts {
    let external = chat.external(store);
    let tls = external.and_then(|external| external.tls.as_ref());
    let secret = external.and_then(|external| external.secret.as_ref()).map(|secret| secret.name.clone());
    let migration = chat.migration_secret(store).map(|secret| secret.name.clone());
    let service = match &migration {
        Some(_) => secret.clone(),
        None => providers::has_service_user(chat, store).then(|| chat.names.service_credentials(store)),
    };
    StoreFacts {
        secret: match external {
            Some(_) => migration.or(secret.clone()),
            None => providers::has_credentials(store).then(|| chat.names.credentials(store)),
        },
        service: service.map(|secret| ServiceCredentials { secret, digest: "known in the cluster only".into() }),
        ca_secret: tls.and_then(|tls| tls.ca_secret.as_ref()).map(|secret| secret.name.clone()),
        digest: "known in the cluster only".into(),
        replicas: chat.managed(store).map_or(0, |managed| managed.replicas),
        leaving: None,
        founded: false,
        members: None,
        volume: None,
        connections: providers::connections(chat, store, &Observed::default()),
        limit: None,
        first_claim: None,
    }
}

fn redacted_keys(chat: &ValidChat) -> Result<Value, build::Error> {
    let metadata = build::keys_metadata(chat);
    let mut value = serde_json::to_value(Secret { metadata, type_: Some("Opaque".into()), ..Secret::default() })?;
    value["stringData"] = json!({
        (FIRST_SIGNING_KEY): "(generated)", (FIRST_ENCRYPTION_KEY): "(generated)", (VAPID_FILE): "(generated)"
    });
    Ok(value)
}

fn redacted_credentials(chat: &ValidChat, store: Store, name: String) -> Result<Value, build::Error> {
    let metadata = build::credentials_metadata(chat, store, name);
    let mut value = serde_json::to_value(Secret { metadata, type_: Some("Opaque".into()), ..Secret::default() })?;
    value["stringData"] = json!({ "username": "(generated)", "password": "(generated)" });
    Ok(value)
}

/// Several objects as YAML documents.
pub fn to_yaml(objects: &[Value]) -> Result<String, Error> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_yaml_ng::to_string).collect();
    Ok(documents?.join("---\n"))
}

/// How an object is called in messages.
pub fn title(kind: Kind, name: &str) -> String {
    format!("{} {name}", kind.as_str())
}
