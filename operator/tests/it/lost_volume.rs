//! The volume of profile Embedded, when it is gone: Kubernetes makes an empty one, and the platform starts on it.

use serde_json::{Value, json};

use crate::world::{CHATS, CLAIMS, NS, SECRETS, SETS, World};

const EVENTS: &str = "events.k8s.io/v1/events";

async fn running() -> World {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

/// Somebody deletes the claim and the pod, and Kubernetes makes both anew.
async fn lose(world: &World) {
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.settle().await;
    world.run_everything();
    world.settle().await;
}

fn uid(world: &World) -> String {
    world.server.get(CLAIMS, NS, "data-chat-0").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn remembered(world: &World) -> Value {
    world.server.get(CHATS, NS, "chat").unwrap()["status"]["storage"].clone()
}

fn warnings(world: &World) -> Vec<Value> {
    let names = world.server.names(EVENTS, NS);
    let events = names.iter().map(|name| world.server.get(EVENTS, NS, name).unwrap());
    events.filter(|event| event["type"] == "Warning").map(|event| event["reason"].clone()).collect()
}

#[tokio::test]
async fn an_empty_volume_in_the_place_of_another_one_is_told() {
    let world = running().await;
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["spec"]["volumeName"] = json!("pvc-1"));
    world.settle().await;
    let before = uid(&world);
    assert_eq!(remembered(&world), json!({ "claim": "data-chat-0", "uid": before, "volume": "pvc-1" }));
    lose(&world).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let told = world.condition("Degraded");
    let expected = format!("True/DataLost: volume claim data-chat-0 with uid {before}, volume pvc-1: it is gone");
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.contains("kubectl get pv pvc-1") && told.contains("docs/backup.md"), "{told}");
    assert_eq!(warnings(&world), ["DataLost"], "once");

    // Nothing else makes it forget: not even another one.
    lose(&world).await;
    assert!(world.condition("Degraded").starts_with(&expected), "{}", world.condition("Degraded"));
    world.server.edit(CHATS, NS, "chat", |chat| chat["metadata"]["labels"] = json!({ "team": "a" }));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with(&expected), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn it_is_told_until_somebody_accepts_the_claim_that_is_there() {
    let world = running().await;
    let before = uid(&world);
    lose(&world).await;
    let is_told = || {
        let told = world.condition("Degraded");
        assert!(told.starts_with("True/DataLost: "), "{told}");
        assert_eq!(remembered(&world)["uid"], before, "the old one is not forgotten");
    };
    for change in [json!({ "gateway": { "replicas": 2 } }), json!({ "paused": true }), json!({})] {
        world.apply("chat", &change);
        world.settle().await;
        world.run_everything();
        world.settle().await;
        is_told();
    }
    let accept = |uid: &str| {
        world.server.edit(CHATS, NS, "chat", |chat| {
            chat["metadata"]["annotations"] = json!({ "chat.sentinel.dev/data-lost-accepted": uid });
        });
    };
    accept(&before);
    world.settle().await;
    is_told();
    let after = uid(&world);
    let command = format!("kubectl annotate schat chat --overwrite chat.sentinel.dev/data-lost-accepted={after}");
    assert!(world.condition("Degraded").ends_with(&command), "{}", world.condition("Degraded"));
    accept(&after);
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert_eq!(remembered(&world)["uid"], after);

    lose(&world).await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/DataLost: "), "the next one is told as well: {told}");
}

#[tokio::test]
async fn it_is_told_on_while_the_resource_cannot_be_carried_out_or_the_claim_is_made() {
    let world = running().await;
    lose(&world).await;
    let told_with = async |reason: &str| {
        world.settle().await;
        let told = world.condition("Degraded");
        assert!(told.starts_with("True/DataLost: volume claim data-chat-0"), "{told}");
        assert!(told.contains(&format!("; {reason}: ")) || reason.is_empty(), "{told}");
    };
    let mail = json!({ "mail": { "host": "smtp.example.com", "secret": { "name": "gone" },
        "from": "chat@example.com", "baseUrl": "https://chat.example.com" } });
    world.apply("chat", &mail);
    told_with("SecretNotFound").await;
    assert!(world.condition("Accepted").starts_with("False/SecretNotFound"), "{}", world.condition("Accepted"));
    world.apply("chat", &json!({ "gateway": { "pod": { "affinity": { "nodeAffinity": "near" } } } }));
    told_with("Unreadable").await;
    world.apply("chat", &json!({ "auth": { "accessTokenLifetime": "soon" } }));
    told_with("InvalidSpec").await;
    world.apply("chat", &json!({}));
    world.server.delete(CLAIMS, NS, "data-chat-0");
    told_with("").await;
    let told = world.condition("Degraded");
    let command = "data-lost-accepted=$(kubectl get pvc data-chat-0 -o jsonpath={.metadata.uid})";
    assert!(told.ends_with(command), "{told}");
    assert_eq!(warnings(&world).iter().filter(|reason| **reason == "DataLost").count(), 1, "{:?}", warnings(&world));
}

#[tokio::test]
async fn a_volume_is_found_to_be_lost_while_something_else_is_missing() {
    let world = running().await;
    let push = json!({ "webPush": { "keySecret": { "name": "gone" }, "subject": "mailto:a@example.com" } });
    world.apply("chat", &json!({ "push": push }));
    lose(&world).await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/DataLost: ") && told.contains("; SecretNotFound: push"), "{told}");
}

#[tokio::test]
async fn a_claim_that_is_being_deleted_is_told_while_its_data_can_be_copied() {
    let world = running().await;
    let kept = uid(&world);
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| {
        claim["spec"]["volumeName"] = json!("pvc-1");
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    world.settle().await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/VolumeTerminating: volume claim data-chat-0 is being deleted"), "{told}");
    assert!(
        told.contains("kubectl exec chat-0 -- sentinel backup") && told.contains("kubectl patch pv pvc-1"),
        "{told}"
    );
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert_eq!(warnings(&world), ["VolumeTerminating"]);
    assert_eq!(remembered(&world)["uid"], kept);
}

#[tokio::test]
async fn the_old_volume_with_a_new_claim_is_no_loss() {
    let world = running().await;
    let bind = |volume: &str| {
        world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["spec"]["volumeName"] = json!(volume));
    };
    bind("pvc-1");
    world.settle().await;
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.run_everything();
    bind("pvc-2");
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("True/DataLost: "), "{}", world.condition("Degraded"));
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.run_everything();
    bind("pvc-1");
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert_eq!(remembered(&world), json!({ "claim": "data-chat-0", "uid": uid(&world), "volume": "pvc-1" }));
}

#[tokio::test]
async fn keys_that_come_back_accept_no_loss() {
    let world = running().await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.server.delete(SECRETS, NS, "chat-keys");
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("False/KeysLost: "), "{}", world.condition("Accepted"));
    world.server.put(SECRETS, NS, keys);
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("True/DataLost: "), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_change_before_it_was_told_does_not_keep_it_from_being_told() {
    let world = running().await;
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.run_everything();
    world.apply("chat", &json!({ "gateway": { "replicas": 2 } }));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("True/DataLost: "), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_restored_volume_and_one_that_was_given_up_are_no_loss() {
    let world = World::with(&json!({}));
    let claim = json!({ "metadata": { "name": "data-chat-0", "labels": {
        "app.kubernetes.io/name": "sentinel", "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/component": "sentinel" } }, "status": { "phase": "Bound" } });
    world.server.put(CLAIMS, NS, claim);
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "kept" } }));
    world.reconcile().await.unwrap();
    let told = world.condition("Degraded");
    assert!(told.contains("KeysLost"), "a volume without its keys: {told}");
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    // The way to start afresh after the keys were lost.
    world.server.delete(SECRETS, NS, "chat-keys");
    world.reconcile().await.unwrap();
    assert!(world.condition("Degraded").contains("KeysLost"), "{}", world.condition("Degraded"));
    world.server.delete(SETS, NS, "chat");
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert_eq!(remembered(&world)["uid"], uid(&world));
}
