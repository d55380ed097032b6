//! An admission webhook that rewrites what the operator applies.

use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, managed},
    policies::egress,
    world::{DEPLOYMENTS, JOBS, NS, SETS, World},
};

/// All images come from a mirror and are always pulled, as many a company has it.
fn mirror(object: &mut Value) {
    let containers = object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let image = container["image"].as_str().unwrap_or_default().to_owned();
        if !image.starts_with("mirror.example.com/") {
            container["image"] = json!(format!("mirror.example.com/{image}"));
        }
        container["imagePullPolicy"] = json!("Always");
    }
}

/// Long enough for all that the operator does by itself. It never comes to rest: what was rewritten is applied again.
async fn go_on(world: &World) {
    for _ in 0..4 {
        world.reconcile().await.unwrap();
    }
}

async fn running() -> World {
    let world = World::empty(sentinel_operator::settings::Settings {
        sentinel_image: "sentinel:1".into(),
        gateway_image: "nginx:1".into(),
        ..Default::default()
    });
    world.server.admit(mirror);
    world.apply("chat", &managed());
    go_on(&world).await;
    assert!(world.server.names(JOBS, NS).is_empty());
    assert!(world.condition("SchemaMigrated").starts_with("False/WaitsForStores"));

    world.run_everything();
    go_on(&world).await;
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"), "{}", world.condition("SchemaMigrated"));
    world.end_job(None, LONG_AGO);
    go_on(&world).await;
    world.run_everything();
    go_on(&world).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    for (path, name) in [(SETS, "chat-kafka"), (DEPLOYMENTS, "chat-users")] {
        let container = world.server.get(path, NS, name).unwrap()["spec"]["template"]["spec"]["containers"][0].clone();
        assert!(container["image"].as_str().unwrap().starts_with("mirror.example.com/"), "{container}");
    }
    world
}

#[tokio::test]
async fn rewritten_stores_are_migrated_and_a_change_of_them_is_waited_for() {
    let world = running().await;
    let mut spec = managed();
    spec["dependencies"]["kafka"]["managed"]["image"] = json!({ "tag": "4.2.0" });
    spec["image"] = json!({ "tag": "2" });
    world.apply("chat", &spec);
    world.reconcile().await.unwrap();
    let kafka = world.server.get(SETS, NS, "chat-kafka").unwrap();
    let image = &kafka["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "mirror.example.com/apache/kafka:4.2.0");
    go_on(&world).await;
    assert!(world.server.names(JOBS, NS).is_empty(), "nodes of before are not what the migration is to find");
    assert!(world.condition("SchemaMigrated").starts_with("False/WaitsForStores"));
    world.run_everything();
    go_on(&world).await;
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"), "{}", world.condition("SchemaMigrated"));
}

#[tokio::test]
async fn a_store_that_rewritten_services_left_goes_with_the_way_to_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = running().await;
    let mut spec = managed();
    spec["dependencies"]["redis"] = json!({ "external": { "endpoints": [address.to_string()] } });
    world.apply("chat", &spec);
    go_on(&world).await;
    world.end_job(None, LONG_AGO);
    go_on(&world).await;
    let left = || {
        let policy = world.server.get("networking.k8s.io/v1/networkpolicies", NS, "chat-users").unwrap();
        (world.server.get(SETS, NS, "chat-redis").is_some(), egress(&policy).contains(&6379))
    };
    assert_eq!(left(), (true, true), "pods of before use it until they are replaced");
    world.run_everything();
    go_on(&world).await;
    assert_eq!(left(), (false, false));
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

/// A Job's template cannot change, so one that was rewritten when it was made stays as it is.
#[tokio::test]
async fn a_migration_that_was_rewritten_when_it_was_made_is_not_applied_again() {
    let world = World::empty(sentinel_operator::settings::Settings::default());
    world.server.admit_creation(mirror);
    world.apply("chat", &managed());
    go_on(&world).await;
    world.run_everything();
    go_on(&world).await;
    assert_eq!(world.server.names(JOBS, NS).len(), 1);
    world.server.take_writes();
    world.reconcile().await.unwrap();
    let writes = world.server.take_writes();
    assert!(!writes.iter().any(|write| write.contains("/jobs/")), "{writes:?}");
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    world.end_job(None, LONG_AGO);
    go_on(&world).await;
    world.run_everything();
    go_on(&world).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}
