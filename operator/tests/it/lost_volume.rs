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
async fn it_is_told_until_the_resource_changes_or_was_paused() {
    for changes in [
        [json!({ "gateway": { "replicas": 2 } }), json!({ "gateway": { "replicas": 2 } })],
        [json!({ "paused": true }), json!({})],
    ] {
        let world = running().await;
        lose(&world).await;
        assert!(world.condition("Degraded").starts_with("True/DataLost: "), "{}", world.condition("Degraded"));
        for change in &changes {
            world.apply("chat", change);
            world.settle().await;
            world.run_everything();
            world.settle().await;
        }
        assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
        assert_eq!(remembered(&world)["uid"], uid(&world));
    }
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
