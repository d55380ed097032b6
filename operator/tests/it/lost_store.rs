//! The volume of a managed store, when it is gone: Kubernetes makes an empty one, and the chat goes on without what was on it.

use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, managed, running},
    world::{CHATS, CLAIMS, NS, SECRETS, SETS, World},
};

fn claim(store: &str) -> String {
    format!("data-chat-{store}-0")
}

/// Somebody deletes the claim and the pod of a store, and Kubernetes makes both anew.
async fn lose(world: &World, store: &str) {
    world.server.delete(CLAIMS, NS, &claim(store));
    world.settle().await;
    run(world).await;
}

/// Everything runs, with the migration that new claims need.
async fn run(world: &World) {
    world.run_everything();
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
}

fn uid(world: &World, store: &str) -> String {
    world.server.get(CLAIMS, NS, &claim(store)).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// Uids that are remembered, by claim.
fn remembered(world: &World) -> Value {
    let status = world.server.get(CHATS, NS, "chat").unwrap()["status"].clone();
    let volumes = status["storeVolumes"].as_array().cloned().unwrap_or_default();
    volumes.iter().map(|volume| (volume["claim"].as_str().unwrap().to_owned(), volume["uid"].clone())).collect()
}

fn accept(world: &World, uids: &str) {
    world.server.edit(CHATS, NS, "chat", |chat| {
        chat["metadata"]["annotations"] = json!({ "chat.sentinel.dev/data-lost-accepted": uids });
    });
}

fn is_told(world: &World, store: &str, uid: &str) -> bool {
    let degraded = world.condition("Degraded");
    degraded.starts_with("True/DataLost: ")
        && degraded.contains(&format!("volume claim {} with uid {uid}", claim(store)))
}

fn is_well(world: &World) -> bool {
    world.condition("Degraded").starts_with("False/")
}

#[tokio::test]
async fn an_empty_volume_in_the_place_of_that_of_a_store_is_told() {
    for store in ["postgres", "cassandra", "s3"] {
        let world = running(&managed()).await;
        let before = uid(&world, store);
        assert_eq!(remembered(&world)[claim(store)], json!(before));
        lose(&world, store).await;
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
        assert!(is_told(&world, store, &before), "{store}: {}", world.condition("Degraded"));
        let told = world.condition("Degraded");
        assert!(told.contains("docs/backup.md") && !told.contains("sentinel backup"), "{told}");
        let command = format!("chat.sentinel.dev/data-lost-accepted={}", uid(&world, store));
        assert!(told.ends_with(&command), "{told}");
        lose(&world, store).await;
        assert!(is_told(&world, store, &before), "nothing makes it forget: {}", world.condition("Degraded"));
        accept(&world, &uid(&world, store));
        world.settle().await;
        assert!(is_well(&world), "{}", world.condition("Degraded"));
        assert_eq!(remembered(&world)[claim(store)], json!(uid(&world, store)));
    }
}

#[tokio::test]
async fn stores_whose_content_is_made_again_lose_nothing() {
    let world = running(&managed()).await;
    for store in ["redis", "kafka", "elasticsearch"] {
        lose(&world, store).await;
        assert!(is_well(&world), "{store}: {}", world.condition("Degraded"));
    }
}

#[tokio::test]
async fn of_two_that_were_lost_each_is_told_until_it_is_accepted() {
    let world = running(&managed()).await;
    let (postgres, s3) = (uid(&world, "postgres"), uid(&world, "s3"));
    lose(&world, "postgres").await;
    lose(&world, "s3").await;
    assert!(is_told(&world, "postgres", &postgres) && is_told(&world, "s3", &s3), "{}", world.condition("Degraded"));
    accept(&world, &uid(&world, "postgres"));
    world.settle().await;
    assert!(!is_told(&world, "postgres", &postgres) && is_told(&world, "s3", &s3), "{}", world.condition("Degraded"));

    let s3_after = uid(&world, "s3");
    lose(&world, "postgres").await;
    accept(&world, &format!("{s3_after}, {}", uid(&world, "postgres")));
    world.settle().await;
    assert!(is_well(&world), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn it_is_told_on_while_the_resource_cannot_be_carried_out_or_the_claim_is_made() {
    let world = running(&managed()).await;
    let before = uid(&world, "postgres");
    lose(&world, "postgres").await;
    let changed = |field: &str, value: Value| {
        let mut spec = managed();
        spec[field] = value;
        world.apply("chat", &spec);
    };
    let key = json!({ "webPush": { "keySecret": { "name": "gone" }, "subject": "mailto:a@example.com" } });
    let near = json!({ "pod": { "affinity": { "nodeAffinity": "near" } } });
    for (field, value, reason) in [
        ("push", key, "SecretNotFound"),
        ("gateway", near, "Unreadable"),
        ("auth", json!({ "accessTokenLifetime": "soon" }), "InvalidSpec"),
    ] {
        changed(field, value);
        world.settle().await;
        assert!(is_told(&world, "postgres", &before), "{reason}: {}", world.condition("Degraded"));
        assert!(world.condition("Degraded").contains(&format!("; {reason}: ")), "{}", world.condition("Degraded"));
    }
    world.apply("chat", &managed());
    world.server.delete(CLAIMS, NS, &claim("postgres"));
    world.settle().await;
    assert!(is_told(&world, "postgres", &before), "{}", world.condition("Degraded"));
    // Another one that is lost meanwhile is not hidden by it.
    let s3 = uid(&world, "s3");
    world.server.delete(CLAIMS, NS, &claim("s3"));
    run(&world).await;
    assert!(is_told(&world, "postgres", &before) && is_told(&world, "s3", &s3), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_claim_of_a_store_that_is_being_deleted_is_told_while_its_data_can_be_copied() {
    for (store, is_deleted) in [("postgres", true), ("cassandra", true), ("s3", true), ("redis", false)] {
        let world = running(&managed()).await;
        let kept = uid(&world, store);
        world.server.edit(CLAIMS, NS, &claim(store), |claim| {
            claim["spec"]["volumeName"] = json!("pvc-1");
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        });
        world.settle().await;
        let told = world.condition("Degraded");
        if !is_deleted {
            assert!(is_well(&world), "{store}: {told}");
            continue;
        }
        let expected = format!("True/VolumeTerminating: volume claim {} is being deleted", claim(store));
        assert!(told.starts_with(&expected) && !told.contains("sentinel backup"), "{told}");
        assert!(told.contains("stores.sh save FOLDER") && told.contains("kubectl patch pv pvc-1"), "{told}");
        assert_eq!(remembered(&world)[claim(store)], json!(kept));
    }
}

#[tokio::test]
async fn what_is_lost_comes_before_what_will_be() {
    let world = running(&managed()).await;
    world.server.edit(CLAIMS, NS, &claim("postgres"), |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    lose(&world, "s3").await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/DataLost: ") && told.contains("; VolumeTerminating: "), "{told}");
}

#[tokio::test]
async fn nodes_of_cassandra_that_have_copies_of_each_others_data_lose_nothing() {
    let mut three = managed();
    three["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = running(&three).await;
    lose(&world, "cassandra").await;
    assert!(is_well(&world), "{}", world.condition("Degraded"));

    // Nodes that come later have nothing of what the first one lost before.
    let world = running(&managed()).await;
    let before = uid(&world, "cassandra");
    lose(&world, "cassandra").await;
    world.apply("chat", &three);
    world.settle().await;
    run(&world).await;
    assert!(world.server.get(CLAIMS, NS, "data-chat-cassandra-2").is_some());
    assert!(is_told(&world, "cassandra", &before), "{}", world.condition("Degraded"));
    accept(&world, &uid(&world, "cassandra"));
    world.settle().await;
    assert!(is_well(&world), "{}", world.condition("Degraded"));
    assert!(remembered(&world)[claim("cassandra")].is_null());
}

/// Lets somebody delete a claim that a pod uses.
fn delete_in_use(world: &World, claim: &str) {
    world.server.edit(CLAIMS, NS, claim, |claim| {
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    world.server.delete(CLAIMS, NS, claim);
}

#[tokio::test]
async fn nodes_of_cassandra_have_copies_also_while_another_one_is_to_take_its_place() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = running(&spec).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    spec["dependencies"]["cassandra"] =
        json!({ "external": { "endpoints": [listener.local_addr().unwrap().to_string()] } });
    world.apply("chat", &spec);
    world.settle().await;
    assert!(world.server.get(SETS, NS, "chat-cassandra").is_some(), "pods of before use it");
    delete_in_use(&world, &claim("cassandra"));
    world.settle().await;
    assert!(is_well(&world), "{}", world.condition("Degraded"));
    world.server.edit(CLAIMS, NS, &claim("cassandra"), |claim| claim["metadata"]["finalizers"] = json!([]));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(is_well(&world), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn nodes_whose_claims_are_being_deleted_or_that_are_not_to_run_have_no_copies() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = running(&spec).await;
    for ordinal in 0..3 {
        assert!(is_well(&world), "{}", world.condition("Degraded"));
        delete_in_use(&world, &format!("data-chat-cassandra-{ordinal}"));
        world.settle().await;
    }
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/VolumeTerminating: volume claim data-chat-cassandra-0 is being deleted"), "{told}");

    // One that a node left behind.
    let world = running(&managed()).await;
    let left = world.server.get(CLAIMS, NS, &claim("cassandra")).unwrap();
    let before = uid(&world, "cassandra");
    let mut other = left.clone();
    other["metadata"] = json!({ "name": "data-chat-cassandra-1", "labels": left["metadata"]["labels"] });
    world.server.put(CLAIMS, NS, other);
    lose(&world, "cassandra").await;
    assert!(is_told(&world, "cassandra", &before), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_volume_that_was_given_up_is_no_loss() {
    for (secret, stores) in [
        ("chat-postgres-credentials", vec!["postgres"]),
        ("chat-cassandra-credentials", vec!["cassandra"]),
        ("chat-keys", vec!["cassandra"]),
    ] {
        let world = running(&managed()).await;
        world.server.delete(SECRETS, NS, secret);
        world.reconcile().await.unwrap();
        assert!(world.condition("Accepted").starts_with("False/"), "{secret}: {}", world.condition("Accepted"));
        for store in stores {
            world.server.delete(SETS, NS, &format!("chat-{store}"));
            world.server.delete(CLAIMS, NS, &claim(store));
        }
        world.settle().await;
        run(&world).await;
        assert!(is_well(&world), "{secret}: {}", world.condition("Degraded"));
    }

    // A Secret that nobody was told of and that goes with the claim gives up nothing.
    let world = running(&managed()).await;
    let before = uid(&world, "s3");
    world.server.delete(SECRETS, NS, "chat-s3-credentials");
    lose(&world, "s3").await;
    assert!(is_told(&world, "s3", &before), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn what_a_store_has_lost_that_is_used_no_more_is_not_told() {
    let world = running(&managed()).await;
    let before = uid(&world, "postgres");
    lose(&world, "postgres").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = managed();
    spec["dependencies"]["postgres"] =
        json!({ "external": { "endpoints": [listener.local_addr().unwrap().to_string()] } });
    world.apply("chat", &spec);
    world.settle().await;
    assert!(is_told(&world, "postgres", &before), "pods of before use it: {}", world.condition("Degraded"));
    world.end_job(None, LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    assert!(world.server.get(SETS, NS, "chat-postgres").is_none());
    assert!(is_well(&world), "{}", world.condition("Degraded"));
    assert!(remembered(&world)[claim("postgres")].is_null() && remembered(&world)[claim("s3")].is_string());
}
