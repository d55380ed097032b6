//! Claims that tell of data which only lost keys or credentials open, and whose they are.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api_server::Answer,
    distributed::managed,
    world::{CLAIMS, NS, PODS, SECRETS, SETS, World},
};

/// Claims are looked for by label, and their pods find them by name.
#[tokio::test]
async fn nothing_new_is_made_over_a_claim_that_was_restored_without_labels() {
    let cases = [
        (json!({}), "sentinel", "data-chat-0", "KeysLost", "chat-keys"),
        (managed(), "cassandra", "data-chat-cassandra-0", "KeysLost", "chat-keys"),
        (managed(), "s3", "data-chat-s3-0", "CredentialsLost", "chat-s3-credentials"),
    ];
    for (spec, part, claim, reason, secret) in cases {
        let world = World::with(&spec);
        world.server.put(CLAIMS, NS, json!({ "metadata": { "name": claim }, "status": { "phase": "Bound" } }));
        for (code, is_told) in [(500, false), (403, true), (404, true)] {
            if code != 404 {
                // The list by labels comes first, and nothing ails it.
                world.server.fault("GET", "/persistentvolumeclaims?labelSelector=", Answer::Late(Duration::ZERO), 1);
                world.server.fault("GET", "/persistentvolumeclaims?", Answer::Status(code, "not now"), 1);
            }
            assert_eq!(world.reconcile().await.is_ok(), is_told, "{code}");
            assert!(world.server.names(SECRETS, NS).is_empty(), "{code}: {:?}", world.server.names(SECRETS, NS));
            assert!(world.server.names(SETS, NS).is_empty(), "{code}");
            let expected = if code == 403 { "Forbidden: cannot read volume claim" } else { reason };
            assert!(!is_told || world.condition("Accepted").contains(expected), "{}", world.condition("Accepted"));
        }
        let label = format!(
            "kubectl label pvc {claim} app.kubernetes.io/component={part} app.kubernetes.io/instance=chat \
             app.kubernetes.io/name=sentinel"
        );
        let told = world.condition("Accepted");
        assert!(told.contains(&format!("Secret {secret} is gone")) && told.ends_with(&label), "{told}");

        // The Secret lacks its labels, too.
        world.server.put(SECRETS, NS, json!({ "metadata": { "name": secret } }));
        world.reconcile().await.unwrap();
        let told = world.condition("Accepted");
        assert!(told.contains("SecretNotOurs") && told.contains("do not delete it"), "{told}");
        assert!(told.contains(&format!("app.kubernetes.io/instance=chat, and {label};")), "{told}");

        // With its labels it is told like any other.
        world.server.delete(SECRETS, NS, secret);
        world.server.edit(CLAIMS, NS, claim, |claim| {
            claim["metadata"]["labels"] = json!({ "app.kubernetes.io/name": "sentinel",
                "app.kubernetes.io/instance": "chat", "app.kubernetes.io/component": part });
        });
        world.reconcile().await.unwrap();
        let told = world.condition("Accepted");
        assert!(told.contains(reason) && told.ends_with("and then the claim"), "{told}");
        world.server.delete(CLAIMS, NS, claim);
        world.settle().await;
        assert!(world.server.get(SECRETS, NS, secret).is_some());
    }
}

/// It would be used, and nothing told of it: not that it is full, nor that it is lost, nor that it outlives the resource.
#[tokio::test]
async fn a_claim_without_labels_is_not_used_whatever_becomes_of_the_secrets() {
    let cases = [
        (json!({}), "sentinel", "chat"),
        (managed(), "elasticsearch", "chat-elasticsearch"),
        (managed(), "postgres", "chat-postgres"),
    ];
    for (spec, part, set) in cases {
        let world = World::with(&spec);
        world.settle().await;
        world.server.delete(SETS, NS, set);
        let claim = format!("data-{set}-0");
        let bound = json!({ "phase": "Bound" });
        world.server.put(CLAIMS, NS, json!({ "metadata": { "name": claim }, "status": bound }));
        world.settle().await;
        let told = world.condition("Accepted");
        assert!(told.starts_with(&format!("False/NotOurs: volume claim {claim} has the name of one")), "{told}");
        let label = format!(
            "run kubectl label pvc {claim} app.kubernetes.io/component={part} app.kubernetes.io/instance=chat \
             app.kubernetes.io/name=sentinel;"
        );
        assert!(told.contains(&label), "{told}");
        assert_eq!(world.server.get(SETS, NS, set), None);

        let labels = |name: &str| {
            json!({ "app.kubernetes.io/name": name, "app.kubernetes.io/instance": "chat",
                "app.kubernetes.io/component": part })
        };
        world.server.edit(CLAIMS, NS, &claim, |claim| claim["metadata"]["labels"] = labels("database"));
        world.settle().await;
        let told = world.condition("Accepted");
        assert!(told.contains("is somebody else's") && !told.contains("kubectl label"), "{told}");
        assert_eq!(world.server.get(SETS, NS, set), None);

        world.server.edit(CLAIMS, NS, &claim, |claim| claim["metadata"]["labels"] = labels("sentinel"));
        world.settle().await;
        assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
        assert!(world.server.get(SETS, NS, set).is_some());
    }
}

/// Pods after the first find theirs by name, too: seen in part, a store would never be whole.
#[tokio::test]
async fn of_a_store_that_was_restored_by_hand_all_claims_are_told() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"] = json!({ "managed": { "replicas": 3 } });
    let world = World::with(&spec);
    world.settle().await;
    world.server.delete(SETS, NS, "chat-cassandra");
    let put = |name: &str, labels: &Value| {
        let claim = json!({ "metadata": { "name": name, "labels": labels }, "status": { "phase": "Bound" } });
        world.server.put(CLAIMS, NS, claim);
    };
    let labels =
        "app.kubernetes.io/component=cassandra app.kubernetes.io/instance=chat app.kubernetes.io/name=sentinel";
    let ours = json!({ "app.kubernetes.io/name": "sentinel", "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/component": "cassandra" });
    for ordinal in 0..3 {
        put(&format!("data-chat-cassandra-{ordinal}"), &Value::Null);
    }
    put("data-chat-cassandra-x", &Value::Null);
    world.settle().await;
    let told = world.condition("Accepted");
    let all = "data-chat-cassandra-0 data-chat-cassandra-1 data-chat-cassandra-2";
    assert!(told.starts_with("False/NotOurs: volume claim data-chat-cassandra-0 has the name of one"), "{told}");
    assert!(told.contains(&format!("run kubectl label pvc {all} {labels};")), "{told}");

    // Whoever labels the first only is told of the others.
    put("data-chat-cassandra-0", &ours);
    world.settle().await;
    let told = world.condition("Accepted");
    assert!(told.starts_with("False/NotOurs: volume claim data-chat-cassandra-1 has the name of one"), "{told}");
    assert!(told.contains("run kubectl label pvc data-chat-cassandra-1 data-chat-cassandra-2 app."), "{told}");
    assert_eq!(world.server.get(SETS, NS, "chat-cassandra"), None);

    // A chart of a database, whose release is called chat: it is in the way where a pod would use it.
    put("data-chat-cassandra-1", &ours);
    put("data-chat-cassandra-2", &json!({ "app.kubernetes.io/name": "database" }));
    world.settle().await;
    let told = world.condition("Accepted");
    assert!(told.starts_with("False/NotOurs: volume claim data-chat-cassandra-2 has the name of one"), "{told}");
    assert!(told.contains("is somebody else's") && !told.contains("kubectl label"), "{told}");
    put("data-chat-cassandra-2", &ours);
    put("data-chat-cassandra-3", &json!({ "app.kubernetes.io/name": "database" }));
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
    assert!(world.server.get(SETS, NS, "chat-cassandra").is_some());
}

/// What runs on it goes on.
#[tokio::test]
async fn a_claim_without_labels_that_is_used_stops_nothing() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["metadata"]["labels"] = Value::Null);
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}

/// The chat `chat-cassandra` of profile Embedded keeps its data on what Cassandra of `chat` would.
#[tokio::test]
async fn a_claim_of_another_chat_keeps_none_from_its_keys() {
    let world = World::with(&json!({}));
    let labels = json!({ "app.kubernetes.io/name": "sentinel", "app.kubernetes.io/instance": "chat-cassandra" });
    let claim = json!({ "metadata": { "name": "data-chat-cassandra-0", "labels": labels } });
    world.server.put(CLAIMS, NS, claim);
    world.settle().await;
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_some(), "{}", world.condition("Accepted"));
}

/// Whoever follows advice about it would take another application's data.
#[tokio::test]
async fn a_claim_of_somebody_else_is_told_as_such_and_not_to_be_deleted_or_labelled() {
    let name = "app.kubernetes.io/name";
    let instance = "app.kubernetes.io/instance";
    let set = json!({ "metadata": { "name": "taken" } });
    let other_chat = json!({ "metadata": { "name": "taken", "ownerReferences": [
        { "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat", "name": "taken", "uid": "x" }] } });
    for (spec, part) in [(json!({}), "chat"), (managed(), "chat-cassandra"), (managed(), "chat-s3")] {
        for (labels, set, sign) in [
            // A chart of a database, whose release is called chat.
            (json!({ name: "cassandra", instance: "chat" }), None, "it is labelled app.kubernetes.io/name=cassandra"),
            (
                json!({ name: "sentinel", instance: "taken" }),
                Some(&other_chat),
                "it is labelled app.kubernetes.io/inst",
            ),
            (json!({ "app": "database" }), Some(&set), "was not made for this SentinelChat"),
            (Value::Null, Some(&other_chat), "was not made for this SentinelChat"),
        ] {
            let world = World::with(&spec);
            let claim = format!("data-{part}-0");
            let bound = json!({ "phase": "Bound" });
            world.server.put(CLAIMS, NS, json!({ "metadata": { "name": claim, "labels": labels }, "status": bound }));
            if let Some(set) = set {
                let mut set = set.clone();
                set["metadata"]["name"] = json!(part);
                world.server.put(SETS, NS, set);
            }
            let before = (world.server.get(CLAIMS, NS, &claim), world.server.get(SETS, NS, part));
            world.settle().await;
            let told = world.condition("Accepted");
            assert!(told.starts_with(&format!("False/NotOurs: volume claim {claim} has the name of one")), "{told}");
            assert!(told.contains(sign) && told.ends_with("give the SentinelChat another name"), "{told}");
            assert!(!told.contains("kubectl label") && !told.contains("delete"), "{told}");
            assert_eq!((world.server.get(CLAIMS, NS, &claim), world.server.get(SETS, NS, part)), before);
            assert!(world.server.names(SECRETS, NS).is_empty(), "{:?}", world.server.names(SECRETS, NS));

            world.server.delete(SETS, NS, part);
            world.server.delete(CLAIMS, NS, &claim);
            world.settle().await;
            assert!(world.server.get(SECRETS, NS, "chat-keys").is_some(), "{}", world.condition("Accepted"));
        }
    }
}

/// Lets somebody delete a claim that a pod uses.
fn delete_in_use(world: &World, claim: &str) {
    world.server.edit(CLAIMS, NS, claim, |claim| {
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    world.server.delete(CLAIMS, NS, claim);
    assert!(world.server.get(CLAIMS, NS, claim).is_some(), "it waits for its pod");
}

/// What runs has them in memory, and the data is lost when it ends.
#[tokio::test]
async fn the_operator_ends_no_pod_whose_claim_and_keys_were_deleted_together() {
    let cases = [
        (json!({}), "chat", "chat-keys", "KeysLost"),
        (managed(), "chat-cassandra", "chat-keys", "KeysLost"),
        (managed(), "chat-postgres", "chat-postgres-credentials", "CredentialsLost"),
        (managed(), "chat-redis", "chat-redis-credentials", "CredentialsLost"),
    ];
    for (spec, set, secret, reason) in cases {
        let world = World::with(&spec);
        world.settle().await;
        world.run_everything();
        world.settle().await;
        let (claim, before) = (format!("data-{set}-0"), world.server.get(SETS, NS, set).unwrap());
        delete_in_use(&world, &claim);
        world.server.delete(SECRETS, NS, secret);
        world.settle().await;
        let told = world.condition("Accepted");
        assert!(told.starts_with(&format!("False/{reason}: Secret {secret} is gone")), "{told}");
        assert_eq!(world.server.get(SECRETS, NS, secret), None);
        assert_eq!(world.server.get(SETS, NS, set).unwrap(), before, "its pod would be made anew");
        let told = world.condition("Degraded");
        assert!(
            set == "chat-redis" || told.starts_with(&format!("True/VolumeTerminating: volume claim {claim}")),
            "{told}"
        );

        // The way to start afresh.
        world.server.delete(SETS, NS, set);
        world.settle().await;
        assert!(world.server.get(SECRETS, NS, secret).is_some(), "{}", world.condition("Accepted"));
        assert_ne!(world.server.get(SETS, NS, set).unwrap()["metadata"]["uid"], before["metadata"]["uid"]);
    }
}

#[tokio::test]
async fn a_claim_that_is_being_deleted_counts_for_as_long_as_its_pod_serves() {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.put_pod("chat-1", true, None);
    delete_in_use(&world, "data-chat-0");
    world.server.delete(SECRETS, NS, "chat-keys");
    // With --cascade=orphan.
    world.server.delete(SETS, NS, "chat");
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("False/KeysLost: "), "{}", world.condition("Accepted"));
    assert_eq!(world.server.get(SECRETS, NS, "chat-keys"), None);

    // Nobody keeps it from ending.
    world.server.edit(PODS, NS, "chat-0", |pod| pod["metadata"]["finalizers"] = json!(["its container runs"]));
    world.server.delete(PODS, NS, "chat-0");
    world.settle().await;
    assert!(world.server.get(SECRETS, NS, "chat-keys").is_some(), "{}", world.condition("Accepted"));
}
