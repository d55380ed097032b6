//! What cannot work is told within a minute, with the field to change, and heals by itself once it is mended.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod deployed;
mod trial;

use std::time::Duration;

use deployed::{Deployed, eventually};
use k8s_openapi::{
    ByteString,
    api::{core::v1::Secret, storage::v1::StorageClass},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use trial::Trial;

/// How long a condition may take to tell.
const TOLD: Duration = Duration::from_mins(1);
/// How long a mended resource may take; references that are not watched are looked at every half minute.
const HEALED: Duration = Duration::from_mins(2);
const CLASS: &str = "trial-class";

#[tokio::test]
async fn a_storage_class_that_is_missing_is_named_and_used_once_it_is_there() {
    let deployed = Deployed::find().await;
    let classes: Api<StorageClass> = Api::all(deployed.client.clone());
    let trial =
        Trial::make(&deployed, "trial-storage", &json!({ "storage": { "className": CLASS, "size": "64Mi" } })).await;
    let told = trial.condition("Degraded", "True", TOLD).await;
    assert!(told.message.contains(CLASS) && told.message.contains("storage.className"), "{}", told.message);

    let existing = classes.list(&ListParams::default()).await.expect("storage classes can be listed");
    let mut class = existing.items.into_iter().next().expect("a storage class");
    class.metadata = kube::core::ObjectMeta { name: Some(CLASS.into()), ..Default::default() };
    classes.create(&PostParams::default(), &class).await.expect("a storage class can be made");
    let healed = trial.condition("Degraded", "False", HEALED).await;
    println!("storage class: {healed:?}");
    trial.end().await;
    classes.delete(CLASS, &DeleteParams::default()).await.expect("the storage class can be deleted");
}

#[tokio::test]
async fn an_entry_that_a_secret_lacks_is_named_and_read_once_it_is_there() {
    let deployed = Deployed::find().await;
    let secrets: Api<Secret> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
    let keys = secrets.get(&format!("{}-keys", deployed.name)).await.expect("the keys of the chat");
    let mut entries = keys.data.expect("keys");
    let kek = entries.keys().find(|entry| entry.starts_with("kek-")).cloned().expect("a key-encryption key");
    let removed = entries.remove(&kek).expect("just found");
    let name = "trial-own-keys";
    let incomplete = Secret {
        metadata: kube::core::ObjectMeta { name: Some(name.into()), ..Default::default() },
        data: Some(entries),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &incomplete).await.expect("a Secret can be made");
    let spec = json!({ "encryption": { "keySecret": { "name": name } }, "storage": { "size": "64Mi" } });
    let trial = Trial::make(&deployed, "trial-secret", &spec).await;
    let told = trial.condition("Accepted", "False", TOLD).await;
    assert_eq!(told.reason, "SecretIncomplete");
    assert!(told.message.contains("encryption.keySecret") && told.message.contains("kek-"), "{}", told.message);

    let complete = json!({ "data": { kek: ByteString(removed.0) } });
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(complete)).await.expect("the Secret can be completed");
    trial.condition("Accepted", "True", HEALED).await;
    trial.end().await;
    secrets.delete(name, &DeleteParams::default()).await.expect("the Secret can be deleted");
}

#[tokio::test]
async fn stores_that_nobody_answers_for_are_named_and_nothing_is_started() {
    let deployed = Deployed::find().await;
    let trial =
        Trial::make(&deployed, "trial-endpoint", &trial::stores_at("nowhere.chat.svc.cluster.local", &[])).await;
    let told = trial.condition("DependenciesReady", "False", TOLD).await;
    assert_eq!(told.reason, "StoreUnreachable", "{}", told.message);
    assert!(told.message.contains("dependencies.postgres.external.endpoints"), "{}", told.message);
    eventually("no service is started", TOLD, async || {
        let pods = deployed.pods().list(&trial.selector()).await.expect("pods can be listed");
        let part = |pod: &k8s_openapi::api::core::v1::Pod| {
            pod.metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/component")).cloned()
        };
        let parts: Vec<_> = pods.items.iter().filter_map(part).filter(|part| part != "gateway").collect();
        if parts.is_empty() { Ok(()) } else { Err(parts) }
    })
    .await;
    trial.end().await;
}
