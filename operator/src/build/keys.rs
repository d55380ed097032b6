//! Fresh keys. They are made once and never again for the same Secret.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use sentinel_domain::{key_generation, keyring::KeyError};

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

/// Metadata of the generated credentials of a store.
///
/// They have no owner either: without them, data that was kept cannot be opened any more.
pub fn credentials_metadata(chat: &ValidChat, store: Store) -> ObjectMeta {
    ObjectMeta {
        name: Some(chat.names.credentials(store)),
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
        ("jwt-0001.pem".into(), ByteString(key_generation::signing_key()?.into_bytes())),
        ("kek-0001".into(), ByteString(key_generation::encryption_key()?.into_bytes())),
        (super::push::VAPID.into(), ByteString(key_generation::vapid_key()?.into_bytes())),
    ]);
    Ok(Secret { metadata: metadata(chat), type_: Some("Opaque".into()), data: Some(data), ..Secret::default() })
}
