//! Fresh keys. They are made once and never again for the same Secret.

use std::collections::BTreeMap;

use aws_lc_rs::{
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use sentinel_domain::keyring::KEY_BYTES;
use thiserror::Error;

use crate::{api::Store, names::Component, steps::validate::ValidChat};

/// Why keys could not be made.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The source of randomness or the key generator failed.
    #[error("the key generator failed")]
    Generate,
}

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
        ("jwt-0001.pem".into(), ByteString(signing_key()?.into_bytes())),
        ("kek-0001".into(), ByteString(encryption_key()?.into_bytes())),
        (super::push::VAPID.into(), ByteString(vapid_key()?.into_bytes())),
    ]);
    Ok(Secret { metadata: metadata(chat), type_: Some("Opaque".into()), data: Some(data), ..Secret::default() })
}

/// An Ed25519 key as PKCS#8 PEM.
fn signing_key() -> Result<String, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
    // Version 1 of the format, without the public key, is what every reader takes.
    let der = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
    Ok(private_key_pem(der.as_ref()))
}

/// A P-256 key as PKCS#8 PEM.
fn vapid_key() -> Result<String, KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Generate)?;
    let der = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
    Ok(private_key_pem(der.as_ref()))
}

fn private_key_pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// [`KEY_BYTES`] random bytes in base64.
fn encryption_key() -> Result<String, KeyError> {
    let mut key = [0_u8; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| KeyError::Generate)?;
    Ok(STANDARD.encode(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_key_can_be_read_back_and_signs() {
        let pem = signing_key().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
        assert_eq!(pair.sign(b"x").as_ref().len(), 64);
        assert_ne!(pem, signing_key().unwrap());
    }

    #[test]
    fn vapid_key_can_be_read_back() {
        let pem = vapid_key().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &STANDARD.decode(body).unwrap()).unwrap();
    }

    #[test]
    fn encryption_key_is_32_bytes() {
        assert_eq!(STANDARD.decode(encryption_key().unwrap()).unwrap().len(), 32);
        assert_ne!(encryption_key().unwrap(), encryption_key().unwrap());
    }
}
