//! What the status tells of the nodes of managed stores.

use sentinel_domain::findings::{Finding, Findings};
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, managed, running},
    world::{CHATS, NS, PODS, SETS, World},
};

/// A node of a store on a machine.
fn put_node(world: &World, store: &str, ordinal: i32, machine: &str) {
    let set = format!("chat-{store}");
    let labels = world.server.get(SETS, NS, &set).unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set, "uid": "x" }]);
    let metadata = json!({ "name": format!("{set}-{ordinal}"), "labels": labels, "ownerReferences": owner });
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": { "containers": [], "nodeName": machine }, "status": { "phase": "Running" } }),
    );
}

/// What the status tells of a store.
fn message_of(world: &World, store: &str) -> Value {
    let chat = world.server.get(CHATS, NS, "chat").unwrap();
    let stores = chat["status"]["dependencies"].as_array().unwrap().clone();
    stores.into_iter().find(|found| found["name"] == store).unwrap()["message"].clone()
}

#[tokio::test]
async fn what_the_migration_notes_of_a_store_is_told_beside_what_is_seen_of_its_nodes() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = World::with(&spec);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let note = "keyspace sentinel keeps 1 of 3 copies that its nodes could keep";
    let finding = Finding { note: Some(note.into()), ..Finding::default() };
    let found = Findings { stores: [("cassandra".into(), finding)].into(), failure: None };
    world.end_job_with(&found, LONG_AGO);
    world.settle().await;
    assert_eq!(message_of(&world, "cassandra"), note);
    for (ordinal, machine) in [(0, "one"), (1, "one"), (2, "two")] {
        put_node(&world, "cassandra", ordinal, machine);
    }
    world.settle().await;
    let told = message_of(&world, "cassandra");
    let text = told.as_str().unwrap();
    assert!(text.starts_with("2 of 3 nodes run on machine one") && text.ends_with(&format!("; {note}")), "{text}");
}

#[tokio::test]
async fn nodes_of_a_store_that_share_a_machine_although_there_are_others_are_told() {
    let mut spec = managed();
    spec["dependencies"]["kafka"]["managed"]["replicas"] = json!(3);
    let world = running(&spec).await;
    let message = async || {
        world.settle().await;
        message_of(&world, "kafka")
    };
    for ordinal in 0..3 {
        put_node(&world, "kafka", ordinal, "one");
    }
    assert_eq!(message().await, json!(null), "there may be no other machine");
    put_node(&world, "kafka", 2, "two");
    let told = message().await;
    let text = told.as_str().unwrap();
    assert!(text.starts_with("2 of 3 nodes run on machine one and go down with it"), "{text}");
    assert!(text.contains("dependencies.kafka.managed.pod.topologySpreadConstraints"), "{text}");
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    put_node(&world, "kafka", 1, "three");
    assert_eq!(message().await, json!(null));
    put_node(&world, "redis", 0, "one");
    assert_eq!(message().await, json!(null), "nodes of other stores may");
}
