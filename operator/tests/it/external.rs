//! Stores of somebody else, where the operator and services do not see the same of them.

use std::{sync::Arc, time::Duration};

use sentinel_domain::findings::{Finding, Findings, Trouble, TroubleKind};
use sentinel_operator::reconcile::Context;
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, external},
    world::{CHATS, JOBS, NS, World},
};

/// What the platform's look found: stores that can be used, but for Redis if there is trouble. It does not look at S3.
fn looked_at(trouble: Option<&Trouble>) -> Findings {
    let finding = |store: &str| {
        let trouble = trouble.cloned().filter(|_| store == "redis");
        (store.to_owned(), trouble.map_or_else(Finding::default, Finding::cannot_be_used))
    };
    Findings { stores: ["postgres", "cassandra", "kafka", "redis", "elasticsearch"].map(finding).into(), failure: None }
}

fn job(world: &World, name: &str) -> Option<String> {
    world.server.names(JOBS, NS).into_iter().find(|job| job.starts_with(name))
}

/// All stores at one address, and S3 at another one that answers.
async fn external_beside_s3(address: &str) -> (Value, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(address);
    let s3 = format!("http://{}", listener.local_addr().unwrap());
    spec["dependencies"]["s3"]["external"]["endpoints"] = json!([s3]);
    (spec, listener)
}

/// A policy of the operator's namespace, or another network, may keep it from stores that services reach.
#[tokio::test]
async fn stores_that_only_services_reach_are_judged_by_what_services_find() {
    let (spec, _s3) = external_beside_s3("127.0.0.1:1").await;
    let world = World::with(&spec);
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
    let redis = || world.server.get(CHATS, NS, "chat").unwrap()["status"]["dependencies"][2].clone();
    assert_eq!(
        (&redis()["name"], &redis()["reachable"], &redis()["ready"]),
        (&json!("redis"), &json!(true), &json!(0))
    );
    let message = redis()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "services reach it, and the operator does not: 127.0.0.1:1 does not answer");
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new(), "it stays so");

    // Later on it goes away for services, too.
    let check = job(&world, "chat-check-").expect("stores are looked at again");
    let trouble = Trouble { kind: TroubleKind::Unreachable, detail: "no answer within 90 s".into() };
    world.end_with(&check, &looked_at(Some(&trouble)), &jiff::Timestamp::now().to_string());
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.starts_with("False/StoreUnreachable: redis: it does not answer"), "{told}");
}

/// Services reached it before, and may not any more.
#[tokio::test]
async fn a_store_that_the_operator_loses_is_lost_until_a_later_look_finds_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (spec, _s3) = external_beside_s3(&listener.local_addr().unwrap().to_string()).await;
    let world = World::with(&spec);
    world.settle().await;
    world.end_job_with(&looked_at(None), LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
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
    let world = World::with(&external("nowhere.invalid:5432"));
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(told.contains("postgres: nowhere.invalid:5432 has a name that cannot be looked up; correct"), "{told}");
    assert!(world.condition("SchemaMigrated").starts_with("False/WaitsForStores"));
    assert!(world.server.names(JOBS, NS).is_empty());
}
