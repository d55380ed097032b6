//! When nothing changes, nothing is written: neither while time passes nor after an unrelated annotation.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use deployed::{Deployed, eventually};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    discovery::{Discovery, Scope, verbs},
};
use serde_json::json;

/// Longer than the longest pause between two looks of the operator at what is settled, so that it looks at least once.
const PAUSE: Duration = Duration::from_secs(55);
/// Longer than two requeues after a change.
const QUIET: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(90);

/// Resource versions of everything that carries the instance's label, by kind and name.
async fn versions(deployed: &Deployed, kinds: &Discovery) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for group in kinds.groups() {
        for (kind, capabilities) in group.recommended_resources() {
            // Metrics are samples, not objects, and have no resource version.
            let is_object = capabilities.scope == Scope::Namespaced && kind.group != "metrics.k8s.io";
            if !is_object || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api = Api::<DynamicObject>::namespaced_with(deployed.client.clone(), &deployed.namespace, &kind);
            let list = api.list(&deployed.selector()).await.unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
            for object in list {
                let key = format!("{} {}", kind.kind, object.name_any());
                versions.insert(key, object.resource_version().unwrap_or_default());
            }
        }
    }
    versions
}

/// What differs between two looks.
fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let keys = before.keys().chain(after.keys());
    let mut changed: Vec<_> = keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
    changed.dedup();
    changed
}

#[tokio::test]
async fn a_second_reconcile_writes_nothing() {
    let deployed = Deployed::ready().await;
    let kinds = Discovery::new(deployed.client.clone()).run().await.expect("API discovery");
    // Pods that an earlier test replaced may still be settling.
    let before = eventually("the objects are at rest", SETTLE, async || {
        let first = versions(&deployed, &kinds).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let second = versions(&deployed, &kinds).await;
        let changed = changes(&first, &second);
        if changed.is_empty() { Ok(second) } else { Err(changed) }
    })
    .await;
    for kind in ["StatefulSet", "Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "Pod"] {
        assert!(before.keys().any(|key| key.starts_with(&format!("{kind} "))), "no {kind} among {:?}", before.keys());
    }
    let chat = deployed.chats().get(&deployed.name).await.expect("the SentinelChat");

    tokio::time::sleep(PAUSE).await;
    let after = versions(&deployed, &kinds).await;
    assert_eq!(changes(&before, &after), Vec::<String>::new(), "written to while nothing happened");
    let same = deployed.chats().get(&deployed.name).await.expect("the SentinelChat");
    assert_eq!(same.resource_version(), chat.resource_version(), "the status was written while nothing happened");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let annotation = json!({"metadata": {"annotations": {"example.com/touched": now}}});
    let params = PatchParams { field_manager: Some("sentinel-e2e".to_owned()), ..PatchParams::default() };
    let touched =
        deployed.chats().patch(&deployed.name, &params, &Patch::Merge(&annotation)).await.expect("an annotation");
    assert_ne!(touched.resource_version(), chat.resource_version());

    tokio::time::sleep(QUIET).await;
    let after = versions(&deployed, &kinds).await;
    assert_eq!(changes(&before, &after), Vec::<String>::new(), "written to after an unrelated annotation");
    let same = deployed.chats().get(&deployed.name).await.expect("the SentinelChat");
    assert_eq!(same.resource_version(), touched.resource_version(), "the status was written after an annotation");
}
