//! What stays and what goes with a resource.

use std::{sync::Arc, time::Duration};

use kube::Api;
use sentinel_operator::{reconcile::Context, steps::unreadable::Guarded};
use serde_json::json;

use crate::{
    api_server::Answer,
    distributed::{self, managed},
    world::{CHATS, CLAIMS, NS, SECRETS, World},
};

async fn running(spec: serde_json::Value) -> World {
    let world = World::with(&spec);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

/// Reasons of all Events.
fn events(world: &World) -> Vec<serde_json::Value> {
    const EVENTS: &str = "events.k8s.io/v1/events";
    let names = world.server.names(EVENTS, NS);
    names.iter().map(|name| world.server.get(EVENTS, NS, name).unwrap()["reason"].clone()).collect()
}

fn finalizers(world: &World) -> serde_json::Value {
    world.server.get(CHATS, NS, "chat").unwrap()["metadata"]["finalizers"].clone()
}

#[tokio::test]
async fn retain_has_no_finalizer_and_keeps_keys_and_data() {
    let world = running(json!({})).await;
    assert!(finalizers(&world).is_null());
    world.server.delete(CHATS, NS, "chat");
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none());
    // The next resource of that name picks both up.
    world.apply("chat", &json!({}));
    world.settle().await;
    assert_eq!(world.server.get(SECRETS, NS, "chat-keys").unwrap(), keys);
    assert!(world.server.get(CLAIMS, NS, "data-chat-0").is_some());
}

#[tokio::test]
async fn delete_removes_keys_and_data() {
    let world = running(json!({ "deletionPolicy": "Delete" })).await;
    assert_eq!(finalizers(&world), json!(["chat.sentinel.dev/data"]));
    world.server.delete(CHATS, NS, "chat");
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none());
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_none());
    assert!(world.server.get(CLAIMS, NS, "data-chat-0").is_none());
    assert!(events(&world).contains(&json!("DataDeleted")), "{:?}", events(&world));
}

/// Somebody sees in time what the deletion would take with it.
#[tokio::test]
async fn a_change_of_mind_while_it_is_deleted_keeps_keys_and_data_and_tells_of_no_deletion() {
    let world = running(json!({ "deletionPolicy": "Delete" })).await;
    world.server.delete(CHATS, NS, "chat");
    world.server.edit(CHATS, NS, "chat", |chat| chat["spec"]["deletionPolicy"] = json!("Retain"));
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none());
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_some());
    assert!(world.server.get(CLAIMS, NS, "data-chat-0").is_some());
    assert!(!events(&world).contains(&json!("DataDeleted")), "{:?}", events(&world));
}

#[tokio::test]
async fn delete_removes_what_earlier_stores_and_keys_left_and_nothing_of_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = managed();
    spec["deletionPolicy"] = json!("Delete");
    let world = distributed::running(&spec).await;
    let keys = world.server.get(SECRETS, NS, "chat-keys").unwrap();
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": "own" }, "data": keys["data"] }));
    spec["dependencies"]["postgres"] =
        json!({ "external": { "endpoints": [listener.local_addr().unwrap().to_string()] } });
    spec["encryption"] = json!({ "keySecret": { "name": "own" } });
    world.apply("chat", &spec);
    world.settle().await;
    // Made by the operator for another chat, with a name that one of this could have.
    world.server.edit(SECRETS, NS, "chat-s3-credentials", |secret| {
        secret["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("chat-s3");
    });
    // A chart of a database, whose release is called chat.
    let labels = json!({ "app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": "chat" });
    world.server.put(CLAIMS, NS, json!({ "metadata": { "name": "data-chat-redis-1", "labels": labels } }));
    world.server.delete(CHATS, NS, "chat");
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none());
    assert_eq!(world.server.names(CLAIMS, NS), ["data-chat-redis-1"]);
    assert_eq!(world.server.names(SECRETS, NS), ["chat-s3-credentials", "own"]);
}

/// It may be another application's as well.
#[tokio::test]
async fn a_claim_that_no_label_tells_to_be_anybodys_is_left_and_told() {
    for (labels, is_told) in [
        (json!(null), true),
        (json!({ "app.kubernetes.io/instance": "chat" }), true),
        (json!({ "app.kubernetes.io/name": "database", "app.kubernetes.io/instance": "chat" }), false),
    ] {
        let world = running(json!({ "deletionPolicy": "Delete" })).await;
        world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["metadata"]["labels"] = labels.clone());
        world.server.delete(CHATS, NS, "chat");
        world.reconcile().await.unwrap();
        assert!(world.server.get(CHATS, NS, "chat").is_none(), "it holds up nothing");
        assert!(world.server.get(SECRETS, NS, "chat-keys").is_none());
        assert!(world.server.get(CLAIMS, NS, "data-chat-0").is_some(), "{labels}");
        let told = events(&world);
        assert_eq!(told.contains(&json!("DataLeftBehind")), is_told, "{labels} {told:?}");
        assert_eq!(told.contains(&json!("DataDeleted")), !is_told, "{labels} {told:?}");
    }
}

#[tokio::test]
async fn the_claims_of_all_nodes_that_are_left_are_told() {
    let mut spec = managed();
    spec["deletionPolicy"] = json!("Delete");
    let world = distributed::running(&spec).await;
    for ordinal in 1..3 {
        let name = format!("data-chat-cassandra-{ordinal}");
        world.server.put(CLAIMS, NS, json!({ "metadata": { "name": name } }));
    }
    world.server.delete(CHATS, NS, "chat");
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none(), "it holds up nothing");
    assert_eq!(world.server.names(CLAIMS, NS), ["data-chat-cassandra-1", "data-chat-cassandra-2"]);
    let told = events(&world);
    assert!(told.contains(&json!("DataLeftBehind")) && !told.contains(&json!("DataDeleted")), "{told:?}");
}

/// It may be deleted before it goes on.
#[tokio::test]
async fn a_paused_resource_has_its_finalizer_too() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.apply("chat", &json!({ "paused": true, "deletionPolicy": "Delete" }));
    world.settle().await;
    assert_eq!(finalizers(&world), json!(["chat.sentinel.dev/data"]));
    assert!(world.condition("Paused").starts_with("True/"), "{}", world.condition("Paused"));
}

#[tokio::test]
async fn a_change_of_mind_removes_the_finalizer() {
    let world = running(json!({ "deletionPolicy": "Delete" })).await;
    world.apply("chat", &json!({}));
    world.settle().await;
    assert!(finalizers(&world).as_array().is_none_or(Vec::is_empty));
}

#[tokio::test]
async fn deletion_that_fails_is_tried_again_and_given_up_after_a_deadline() {
    let mut world = running(json!({ "deletionPolicy": "Delete" })).await;
    let deadline = Duration::from_millis(50);
    let settings = world.context.settings.clone();
    world.context = Arc::new(Context { deletion: deadline, ..Context::new(world.server.client(), settings) });
    world.server.fault("DELETE", "/persistentvolumeclaims/", Answer::Status(403, "not allowed"), 99);
    world.server.delete(CHATS, NS, "chat");
    world.server.edit(CHATS, NS, "chat", |chat| {
        // The operator was away since.
        chat["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    let error = world.reconcile().await.unwrap_err().to_string();
    assert!(error.contains("cannot delete PersistentVolumeClaim data-chat-0"), "{error}");
    assert!(world.server.get(CHATS, NS, "chat").is_some());
    tokio::time::sleep(2 * deadline).await;
    world.reconcile().await.unwrap();
    assert!(world.server.get(CHATS, NS, "chat").is_none(), "a resource must not hang for ever");
    assert!(events(&world).contains(&json!("DataLeftBehind")), "{:?}", events(&world));
}

/// The schema lets anything through where Kubernetes checks what it is when a pod is made.
fn break_spec(world: &World) {
    world.server.edit(CHATS, NS, "chat", |chat| {
        chat["spec"]["gateway"] = json!({ "pod": { "affinity": { "nodeAffinity": "near" } } });
    });
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_says_so_and_is_as_before_once_it_is_corrected() {
    let world = running(json!({})).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let status = || world.server.get(CHATS, NS, "chat").unwrap()["status"].clone();
    let before = status();
    break_spec(&world);
    world.reconcile().await.unwrap();
    for (type_, expected) in [("Accepted", "False"), ("Ready", "False"), ("Progressing", "False"), ("Degraded", "True")]
    {
        let told = world.condition(type_);
        assert!(told.starts_with(&format!("{expected}/Unreadable: ")), "{type_} {told}");
        assert!(told.contains("correct spec.gateway.pod.affinity.nodeAffinity: "), "{told}");
    }
    assert_eq!(status()["services"], before["services"]);
    // What `kubectl sentinel status` tells.
    let seen = Api::<Guarded>::namespaced(world.server.client(), NS).get("chat").await.unwrap();
    let told = seen.0.unwrap_err().message;
    assert!(told.contains("correct spec.gateway.pod.affinity.nodeAffinity: "), "{told}");
    assert!(events(&world).contains(&json!("Unreadable")), "{:?}", events(&world));
    world.server.take_writes();
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());

    world.apply("chat", &json!({}));
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_can_be_deleted_and_takes_its_data_along_if_it_is_to() {
    for (policy, is_left) in [("Delete", false), ("Retain", true), ("Nonsense", true)] {
        let world = running(json!({ "deletionPolicy": "Delete" })).await;
        break_spec(&world);
        world.server.edit(CHATS, NS, "chat", |chat| chat["spec"]["deletionPolicy"] = json!(policy));
        world.reconcile().await.unwrap();
        world.server.delete(CHATS, NS, "chat");
        world.reconcile().await.unwrap();
        assert!(world.server.get(CHATS, NS, "chat").is_none(), "{policy}");
        assert_eq!(world.server.get(SECRETS, NS, "chat-keys").is_some(), is_left, "{policy}");
        assert_eq!(world.server.get(CLAIMS, NS, "data-chat-0").is_some(), is_left, "{policy}");
    }
}
