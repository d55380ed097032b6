//! Stores of somebody else, where the operator and services do not see the same of them.

use std::{sync::Arc, time::Duration};

use sentinel_domain::findings::{Finding, Findings, Trouble, TroubleKind};
use sentinel_operator::reconcile::Context;
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, external},
    world::{CHATS, JOBS, NS, PODS, World},
};

/// What the platform's look found: stores that can be used, but for `lost`.
fn looked_at(lost: Option<&str>) -> Findings {
    let finding = |store: &str| {
        let trouble = Trouble { kind: TroubleKind::Unreachable, detail: "no answer within 90 s".into() };
        let trouble = lost.filter(|lost| *lost == store).map(|_| Finding::cannot_be_used(trouble));
        (store.to_owned(), trouble.unwrap_or_default())
    };
    let stores = ["postgres", "cassandra", "kafka", "redis", "elasticsearch", "s3"];
    Findings { stores: stores.map(finding).into(), failure: None }
}

fn job(world: &World, name: &str) -> Option<String> {
    world.server.names(JOBS, NS).into_iter().find(|job| job.starts_with(name))
}

fn dependency(world: &World, name: &str) -> Value {
    let chat = world.server.get(CHATS, NS, "chat").unwrap();
    let all = chat["status"]["dependencies"].as_array().unwrap().clone();
    all.into_iter().find(|dependency| dependency["name"] == name).unwrap()
}

/// A platform that serves with stores at an address that only services reach.
async fn reached_by_services(address: &str) -> World {
    let world = World::with(&external(address));
    world.settle().await;
    world.end_job_with(&looked_at(None), LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

/// A policy of the operator's namespace, or another network, may keep it from stores that services reach.
#[tokio::test]
async fn stores_that_only_services_reach_are_judged_by_what_services_find() {
    let world = World::with(&external("127.0.0.1:1"));
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.starts_with("False/StoreUnreachable: postgres: 127.0.0.1:1 does not answer; correct "), "{told}");
    assert!(job(&world, "chat-migration-").is_some(), "the migration tries: {}", world.condition("SchemaMigrated"));

    world.end_job_with(&looked_at(None), LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    for type_ in ["DependenciesReady", "Ready"] {
        assert!(world.condition(type_).starts_with("True/"), "{}", world.condition(type_));
    }
    for name in ["redis", "s3"] {
        let store = dependency(&world, name);
        assert_eq!((&store["reachable"], &store["ready"]), (&json!(true), &json!(0)));
        let message = store["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("services reach it, and the operator does not: "), "{message}");
        assert!(message.ends_with("127.0.0.1:1 does not answer"), "{message}");
    }
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new(), "it stays so");

    // Later on they go away for services, too.
    let check = job(&world, "chat-check-").expect("stores are looked at again");
    for lost in ["redis", "s3"] {
        world.end_with(&check, &looked_at(Some(lost)), &jiff::Timestamp::now().to_string());
        world.settle().await;
        let told = world.condition("DependenciesReady");
        assert!(told.starts_with(&format!("False/StoreUnreachable: {lost}: it does not answer: correct ")), "{told}");
    }
}

/// What was found is about what the resource named then.
#[tokio::test]
async fn other_endpoints_are_not_told_as_reached_before_somebody_has_looked() {
    let world = reached_by_services("127.0.0.1:1").await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let mut spec = external("127.0.0.1:1");
    spec["dependencies"]["redis"]["external"]["endpoints"] = json!(["127.0.0.1:2", "127.0.0.1:1"]);
    world.apply("chat", &spec);
    world.settle().await;
    let redis = dependency(&world, "redis");
    assert_eq!((&redis["reachable"], &redis["lookedAt"]), (&json!(false), &Value::Null), "{redis}");
    assert_eq!(dependency(&world, "kafka")["reachable"], json!(true), "its endpoints are those of before");
    let told = world.condition("DependenciesReady");
    assert!(
        told.starts_with("False/StoreUnreachable: redis: 127.0.0.1:2 does not answer; 127.0.0.1:1 does "),
        "{told}"
    );

    world.end_job_with(&looked_at(None), LONG_AGO);
    world.settle().await;
    assert_eq!(dependency(&world, "redis")["reachable"], json!(true), "services found it");
    // The same ones in another order are no others.
    spec["dependencies"]["redis"]["external"]["endpoints"] = json!(["127.0.0.1:1", "127.0.0.1:2"]);
    world.apply("chat", &spec);
    world.settle().await;
    assert_eq!(dependency(&world, "redis")["reachable"], json!(true));
}

/// They look at all stores but S3.
#[tokio::test]
async fn with_an_earlier_image_a_lost_s3_is_no_cause_to_look_all_the_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(&listener.local_addr().unwrap().to_string());
    spec["dependencies"]["s3"]["external"]["endpoints"] = json!(["http://127.0.0.1:1"]);
    let world = World::with(&spec);
    let mut findings = looked_at(None);
    findings.stores.remove("s3");
    world.settle().await;
    world.end_job_with(&findings, LONG_AGO);
    world.settle().await;
    let check = job(&world, "chat-check-").expect("stores are looked at");
    let uid = || world.server.get(JOBS, NS, &check).map(|job| job["metadata"]["uid"].clone());
    let (first, a_minute_ago) = (uid(), jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1));
    world.end_with(&check, &findings, &a_minute_ago.to_string());
    world.settle().await;
    assert_eq!(uid(), first, "it tells nothing of S3");
    assert!(world.condition("DependenciesReady").starts_with("False/StoreUnreachable: s3: http://127.0.0.1:1 "));

    world.server.delete(PODS, NS, &format!("{check}-x"));
    world.end_with(&check, &looked_at(Some("s3")), &a_minute_ago.to_string());
    world.settle().await;
    assert_ne!(uid(), first, "a later image does");
}

/// Services reached it before, and may not any more.
#[tokio::test]
async fn a_store_that_the_operator_loses_is_lost_until_a_later_look_finds_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = reached_by_services(&listener.local_addr().unwrap().to_string()).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    drop(listener);
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.starts_with("False/StoreUnreachable: postgres: 127.0.0.1:"), "{told}");
    let check = job(&world, "chat-check-").expect("it is looked at again");
    world.end_with(&check, &looked_at(None), &jiff::Timestamp::now().to_string());
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

/// Whoever may write a resource would learn what listens beside the operator.
#[tokio::test]
async fn addresses_of_the_operators_own_machine_are_not_tried() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut world = World::with(&external(&listener.local_addr().unwrap().to_string()));
    let settings = world.context.settings.clone();
    world.context = Arc::new(Context::new(world.server.client(), settings));
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.contains(" is an address of the machine that connects to it"), "{told}");
    assert!(told.contains("it is not tried; correct dependencies.postgres.external.endpoints"), "{told}");
    let accepted = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(accepted.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_corrected_before_anything_is_started() {
    // A name that is none, of which no server is asked.
    let world = World::with(&external("nowhere..invalid:5432"));
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.contains("postgres: nowhere..invalid:5432 has a name that cannot be looked up; correct"), "{told}");
    assert!(world.condition("SchemaMigrated").starts_with("False/WaitsForStores"));
    assert!(world.server.names(JOBS, NS).is_empty());
}
