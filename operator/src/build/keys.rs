//! Fresh keys, which are made once and never again for the same Secret, and which of them a service gets.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    ByteString,
    api::core::v1::{
        ConfigMap, ConfigMapProjection, ProjectedVolumeSource, Secret, SecretProjection, Volume, VolumeProjection,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use sentinel_domain::{
    key_file::{FIRST_ENCRYPTION_KEY, FIRST_SIGNING_KEY, KeyFile, PUBLIC_KEYS_FILE, VAPID_FILE},
    key_generation,
    keyring::KeyError,
};

use super::{
    Facts,
    services::{Given, Service},
    volumes,
};
use crate::{api::Store, names::Component, steps::validate::ValidChat};

/// Metadata of the generated Secret.
///
/// It has no owner: without the keys, data that was kept cannot be read any more.
pub fn metadata(chat: &ValidChat) -> ObjectMeta {
    ObjectMeta {
        name: Some(chat.names.keys()),
        namespace: Some(chat.namespace.clone()),
        labels: Some(chat.names.component_labels(Component::Sentinel)),
        annotations: Some(unpruned()),
        ..ObjectMeta::default()
    }
}

/// Metadata of the generated credentials of a store, in the Secret of that name.
///
/// They have no owner either: without them, data that was kept cannot be opened any more.
pub fn credentials_metadata(chat: &ValidChat, store: Store, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(chat.namespace.clone()),
        labels: Some(chat.names.component_labels(store.component())),
        annotations: Some(unpruned()),
        ..ObjectMeta::default()
    }
}

/// What has no owner and is in no repository is what Argo CD would delete, where it knows objects by their label
/// `app.kubernetes.io/instance` and an application has the name of the chat.
fn unpruned() -> BTreeMap<String, String> {
    [("sync-options", "Prune=false"), ("compare-options", "IgnoreExtraneous")]
        .map(|(name, value)| (format!("argocd.argoproj.io/{name}"), value.to_owned()))
        .into()
}

/// A Secret with one signing key, one key-encryption key and one key for Web Push.
pub fn generate(chat: &ValidChat) -> Result<Secret, KeyError> {
    let data = BTreeMap::from([
        (FIRST_SIGNING_KEY.into(), ByteString(key_generation::signing_key()?.into_bytes())),
        (FIRST_ENCRYPTION_KEY.into(), ByteString(key_generation::encryption_key()?.into_bytes())),
        (VAPID_FILE.into(), ByteString(key_generation::vapid_key()?.into_bytes())),
    ]);
    Ok(Secret { metadata: metadata(chat), type_: Some("Opaque".into()), data: Some(data), ..Secret::default() })
}

/// The public halves of the keys that sign tokens. Nothing of it is secret: `users` publishes the same.
pub(super) fn public_keys(chat: &ValidChat, facts: &Facts) -> ConfigMap {
    ConfigMap {
        metadata: super::metadata(chat, chat.names.public_keys(), None),
        data: Some(BTreeMap::from([(PUBLIC_KEYS_FILE.into(), facts.public_keys.clone())])),
        ..ConfigMap::default()
    }
}

/// The folder of keys of a service: its own entries of the Secret, and the public keys unless it has the private ones.
///
/// Those who sign get a new key only with a new pod, which is made after the public keys were written: so whoever verifies
/// has read it when it signs.
pub(super) fn volume(chat: &ValidChat, facts: &Facts, service: Service) -> Volume {
    if chat.template_revision < 2 {
        return volumes::secret("keys", &facts.key_secret, None);
    }
    // Images of before read them in every service, whether they use them or not.
    let all: &[Given] = if chat.template_revision < 3 { &[Given::EncryptionKeys] } else { &[] };
    let is_given = |entry: &&str| service.given.iter().chain(all).any(|given| given.is_key(entry));
    let entries = facts.key_entries.iter().map(String::as_str);
    // Whoever is started again while a prepared key gets its name must find it by both, or is without it.
    let names = |entry| match KeyFile::named(entry) {
        Some(KeyFile::Encryption { name, .. }) => [entry, name],
        _ => [entry, entry],
    };
    let entries: BTreeSet<&str> = entries.flat_map(names).filter(is_given).collect();
    // No entries would be all of them.
    let secret = (!entries.is_empty()).then(|| SecretProjection {
        name: facts.key_secret.clone(),
        items: Some(entries.into_iter().map(volumes::item).collect()),
        // A pod of before can still be started when an entry has gone or has another name.
        optional: Some(true),
    });
    let public = ConfigMapProjection { name: chat.names.public_keys(), ..ConfigMapProjection::default() };
    let secret = secret.map(|secret| VolumeProjection { secret: Some(secret), ..VolumeProjection::default() });
    let mut sources: Vec<VolumeProjection> = secret.into_iter().collect();
    if !service.given.contains(&Given::SigningKeys) {
        sources.push(VolumeProjection { config_map: Some(public), ..VolumeProjection::default() });
    }
    Volume {
        name: "keys".into(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(sources),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}
