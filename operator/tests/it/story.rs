//! What `kubectl sentinel` tells.

use sentinel_operator::{
    api::SentinelChat,
    build,
    names::Names,
    steps::{
        dereference::{self, tls},
        observe, plan, validate,
    },
    story,
};
use serde_json::{Value, json};

use crate::{
    distributed::{external, running},
    world::{CHATS, JOBS, NS},
};

fn chat(status: Value) -> SentinelChat {
    serde_json::from_value(json!({
        "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
        "metadata": { "name": "chat", "namespace": "team", "generation": 2 }, "spec": {}, "status": status,
    }))
    .unwrap()
}

fn told(status: Value) -> String {
    story::tell(&chat(status))
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-02T03:04:05Z" })
}

#[test]
fn the_same_trouble_is_told_once() {
    insta::assert_snapshot!(told(json!({
        "observedGeneration": 2,
        "url": "https://chat.example.com", "version": "1.2.3",
        "conditions": [
            condition("Ready", "False", "NotAvailable", "gateway: no node fits"),
            condition("Degraded", "True", "PodFailing", "gateway: no node fits"),
            condition("Accepted", "True", "Valid", ""),
            condition("Paused", "False", "Running", ""),
        ],
        "services": [
            { "name": "sentinel", "desired": 1, "ready": 1 },
            { "name": "gateway", "desired": 2, "ready": 1, "message": "no node fits" },
        ],
    })));
}

#[test]
fn an_old_status_and_no_status_are_told() {
    assert!(told(json!(null)).contains("the operator has not seen it yet"));
    assert!(told(json!({ "observedGeneration": 1 })).contains("has not seen the latest change"));
}

#[test]
fn a_pause_is_a_change_that_was_seen() {
    let unseen = "has not seen the latest change";
    let paused = |status: &str, generation: i64| {
        let mut paused = condition("Paused", status, "Paused", "spec.paused is true");
        paused["observedGeneration"] = json!(generation);
        told(json!({ "observedGeneration": 1, "conditions": [paused] }))
    };
    let now = paused("True", 2);
    assert!(!now.contains(unseen) && now.contains("paused (Paused) since"), "{now}");
    assert!(paused("True", 1).contains(unseen), "it was changed since");
    assert!(paused("False", 2).contains(unseen));
}

#[test]
fn what_was_ready_before_the_latest_change_is_not_ready() {
    let is_ready = |generation: i64, ready: &str| {
        let ready = condition("Ready", ready, "AllAvailable", "the platform serves");
        story::is_ready(&chat(json!({ "observedGeneration": generation, "conditions": [ready] })))
    };
    assert!(is_ready(2, "True"));
    assert!(!is_ready(1, "True"), "it is about what was before");
    assert!(!is_ready(2, "False"));
    assert!(!story::is_ready(&chat(json!(null))), "nobody has looked at it");
}

#[tokio::test]
async fn a_plan_without_a_change_has_none_whether_stores_are_being_looked_at_or_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = running(&external(&listener.local_addr().unwrap().to_string())).await;
    let planned = async || {
        let chat: SentinelChat = serde_json::from_value(world.server.get(CHATS, NS, "chat").unwrap()).unwrap();
        let client = world.server.client();
        let observed = observe::observe(&client, NS, &Names::new("chat")).await.unwrap();
        let valid = validate::validate(&chat, &world.context.settings).unwrap();
        let found =
            dereference::dereference(&client, &valid, &observed, tls::read(&client, &valid).await).await.unwrap();
        let children = build::build(&valid, &found.facts).unwrap();
        let children = plan::made_by_a_change(&valid, children, &observed, None);
        let plan = plan::plan(children, &[], &observed, chat.metadata.uid.as_deref());
        let names = plan.apply.into_iter().map(|child| child.name);
        (names.collect::<Vec<_>>(), plan.prune)
    };
    let mut checks = world.server.names(JOBS, NS);
    checks.retain(|job| job.starts_with("chat-check-"));
    assert_eq!(checks.len(), 1, "a look is due");
    assert_eq!(planned().await, (vec![], vec![]));
    world.server.delete(JOBS, NS, &checks[0]);
    assert_eq!(planned().await, (vec![], vec![]));
}
