//! Fresh credentials of managed stores. They are made once and never again for the same Secret.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use k8s_openapi::ByteString;
use sentinel_domain::keyring::{KeyError, random_bytes};

use super::kafka;
use crate::api::{Managed, Store};

/// Name of the user that owns what is in the store.
const USER: &str = "sentinel";
/// Name of the user that services are, where it is another one.
const SERVICE: &str = "sentinel_service";

/// Entries of the Secret of `store`.
pub(super) fn fresh(managed: &Managed, store: Store) -> Result<BTreeMap<String, ByteString>, KeyError> {
    let mut entries =
        BTreeMap::from([(String::from("username"), String::from(USER)), ("password".into(), random::<24>()?)]);
    if store == Store::Kafka {
        // Both are what the cluster begins with and cannot change, so they live as long as its credentials.
        entries.insert("cluster-id".into(), random::<16>()?);
        entries.insert("controllers".into(), kafka::controllers(managed.replicas).to_string());
    }
    Ok(bytes(entries))
}

/// Entries of the Secret as which services use a store.
pub(super) fn of_services() -> Result<BTreeMap<String, ByteString>, KeyError> {
    Ok(bytes(BTreeMap::from([("username".into(), SERVICE.into()), ("password".into(), random::<24>()?)])))
}

fn bytes(entries: BTreeMap<String, String>) -> BTreeMap<String, ByteString> {
    entries.into_iter().map(|(name, value)| (name, ByteString(value.into_bytes()))).collect()
}

/// `N` random bytes as letters, digits, `-` and `_`, so that no configuration has to quote them.
fn random<const N: usize>() -> Result<String, KeyError> {
    loop {
        let text = URL_SAFE_NO_PAD.encode(random_bytes::<N>()?);
        // Command lines would take it for an option.
        if !text.starts_with('-') {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entries: &BTreeMap<String, ByteString>, name: &str) -> String {
        String::from_utf8(entries[name].0.clone()).unwrap()
    }

    #[test]
    fn no_two_are_alike_and_none_needs_quotes() {
        let managed: Managed = serde_json::from_str("{}").unwrap();
        let passwords: Vec<String> =
            (0..200).map(|_| text(&fresh(&managed, Store::Redis).unwrap(), "password")).collect();
        for password in &passwords {
            assert_eq!(password.len(), 32);
            assert!(password.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{password}");
            assert!(!password.starts_with('-'), "{password}");
        }
        assert!(passwords.iter().all(|one| passwords.iter().filter(|other| one == *other).count() == 1));
    }

    #[test]
    fn kafka_also_gets_what_its_cluster_begins_with() {
        for (replicas, controllers) in [(1, "1"), (2, "1"), (3, "3"), (5, "3")] {
            let managed: Managed = serde_json::from_value(serde_json::json!({ "replicas": replicas })).unwrap();
            let entries = fresh(&managed, Store::Kafka).unwrap();
            assert_eq!(text(&entries, "controllers"), controllers);
            assert_eq!(text(&entries, "cluster-id").len(), 22);
        }
    }
}
