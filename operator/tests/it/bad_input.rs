//! What cannot work becomes a condition that names the field to change, and heals by itself once it is mended.

use sentinel_domain::findings::{Finding, Findings, Trouble, TroubleKind};
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, external, managed, running},
    world::{CHATS, CLAIMS, DEPLOYMENTS, JOBS, NS, PODS, SECRETS, SETS, World},
};

async fn listening() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn trouble(store: &str, kind: TroubleKind, detail: &str) -> Findings {
    let mut findings = versions();
    let trouble = Trouble { kind, detail: detail.into() };
    findings.stores.insert(store.into(), Finding::cannot_be_used(trouble));
    findings
}

fn versions() -> Findings {
    let of = |(store, version): (&str, &str)| {
        (store.to_owned(), Finding { version: Some(version.into()), ..Finding::default() })
    };
    let known =
        [("postgres", "15.4 (Debian)"), ("cassandra", "5.0.9"), ("redis", "7.0.15"), ("elasticsearch", "8.19.7")];
    let mut findings = Findings { stores: known.map(of).into(), failure: None };
    findings.stores.insert("kafka".into(), Finding::default());
    findings
}

fn dependency(world: &World, name: &str) -> Value {
    let chat = world.server.get(CHATS, NS, "chat").unwrap();
    let all = chat["status"]["dependencies"].as_array().unwrap().clone();
    all.into_iter().find(|store| store["name"] == name).unwrap()
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[tokio::test]
async fn credentials_that_a_store_refuses_are_told_by_the_field_that_names_them() {
    let (_listener, address) = listening().await;
    let mut spec = external(&address);
    spec["dependencies"]["postgres"]["external"]["secret"] = json!({ "name": "own-postgres" });
    let world = World::with(&spec);
    let secret = |password: &str| json!({ "metadata": { "name": "own-postgres" }, "data": { "username": "eA==", "password": password } });
    world.server.put(SECRETS, NS, secret("d3Jvbmc="));
    world.settle().await;
    let first = world.server.names(JOBS, NS);
    world.end_job_with(&trouble("postgres", TroubleKind::Refused, "password authentication failed"), &now());
    world.settle().await;
    let condition = world.condition("DependenciesReady");
    assert!(condition.starts_with("False/StoreRefused: postgres: "), "{condition}");
    assert!(condition.contains("Secret own-postgres") && condition.contains("dependencies.postgres.external.secret"));
    assert!(world.condition("Degraded").contains("StoreRefused"), "{}", world.condition("Degraded"));
    assert!(world.condition("SchemaMigrated").contains("password authentication failed"));
    assert_eq!(
        (&dependency(&world, "postgres")["reachable"], &dependency(&world, "postgres")["problem"]),
        (&json!(false), &json!("Refused"))
    );
    assert_eq!(dependency(&world, "cassandra")["version"], "5.0.9");

    world.server.put(SECRETS, NS, secret("cmlnaHQ="));
    world.settle().await;
    let second: Vec<String> = world.server.names(JOBS, NS);
    assert!(second.len() == 1 && second != first, "other credentials are tried at once: {second:?}");
    world.end_job_with(&versions(), &now());
    world.settle().await;
    assert!(world.condition("DependenciesReady").starts_with("True/"), "{}", world.condition("DependenciesReady"));
    assert_eq!(dependency(&world, "postgres")["version"], "15.4 (Debian)");
    assert_eq!(dependency(&world, "postgres")["problem"], Value::Null);
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

/// Stores of the operator, whose versions the migration has found.
async fn migrated() -> World {
    let world = World::with(&managed());
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world.end_job_with(&versions(), &now());
    world.settle().await;
    world
}

#[tokio::test]
async fn a_version_is_the_stores_own_or_marked_as_that_of_its_image() {
    let world = migrated().await;
    let told = |name: &str| {
        let store = dependency(&world, name);
        (store["version"].clone(), store["versionSource"].clone())
    };
    let expect = || {
        assert_eq!(told("postgres"), (json!("15.4 (Debian)"), json!("Store")));
        // Neither of their protocols has it.
        assert_eq!(told("kafka"), (json!("4.4.0"), json!("Image")));
        assert_eq!(told("s3").1, json!("Image"));
    };
    expect();
    for pod in world.server.names(PODS, NS) {
        world.server.delete(PODS, NS, &pod);
    }
    world.settle().await;
    expect();

    let (_listener, address) = listening().await;
    let world = World::with(&external(&address));
    world.settle().await;
    world.end_job_with(&versions(), &now());
    world.settle().await;
    let kafka = dependency(&world, "kafka");
    assert_eq!((&kafka["version"], &kafka["versionSource"]), (&Value::Null, &Value::Null));
    assert_eq!(dependency(&world, "redis")["versionSource"], "Store");
}

#[tokio::test]
async fn a_store_of_somebody_else_has_not_the_version_of_the_one_before() {
    let world = migrated().await;
    assert_eq!(dependency(&world, "redis")["version"], "7.0.15");

    let (_listener, address) = listening().await;
    let mut spec = managed();
    spec["dependencies"]["redis"] = json!({ "external": { "endpoints": [address] } });
    world.apply("chat", &spec);
    world.settle().await;
    let redis = dependency(&world, "redis");
    assert_eq!(
        (&redis["provider"], &redis["version"], &redis["lookedAt"]),
        (&json!("external"), &json!(null), &json!(null))
    );
    assert_eq!(dependency(&world, "postgres")["version"], "15.4 (Debian)", "it is the same as before");

    let mut found = versions();
    found.stores.insert("redis".into(), Finding { version: Some("7.4.1".into()), ..Finding::default() });
    world.end_job_with(&found, &now());
    world.settle().await;
    assert_eq!(dependency(&world, "redis")["version"], "7.4.1");
}

#[tokio::test]
async fn wrong_credentials_never_reach_services_that_run() {
    let (_listener, address) = listening().await;
    let mut spec = external(&address);
    spec["dependencies"]["redis"]["external"]["secret"] = json!({ "name": "own-redis" });
    let world = World::with(&spec);
    let secret = |password: &str| json!({ "metadata": { "name": "own-redis" }, "data": { "username": "eA==", "password": password } });
    world.server.put(SECRETS, NS, secret("cmlnaHQ="));
    world.settle().await;
    world.end_job_with(&versions(), &now());
    world.settle().await;
    let content = || {
        let users = world.server.get(DEPLOYMENTS, NS, "chat-users").unwrap();
        users["spec"]["template"]["metadata"]["annotations"]["chat.sentinel.dev/content"].clone()
    };
    let before = content();
    world.server.put(SECRETS, NS, secret("d3Jvbmc="));
    world.settle().await;
    world.end_job_with(&trouble("redis", TroubleKind::Refused, "WRONGPASS"), &now());
    world.settle().await;
    assert_eq!(content(), before);
    assert!(world.condition("DependenciesReady").contains("dependencies.redis.external.secret"));
}

#[tokio::test]
async fn a_store_that_is_too_old_is_told_with_what_is_needed() {
    let (_listener, address) = listening().await;
    let world = World::with(&external(&address));
    world.settle().await;
    let detail = "version 9.6 is too old, 13.0 or later is needed";
    world.end_job_with(&trouble("postgres", TroubleKind::TooOld, detail), &now());
    world.settle().await;
    let condition = world.condition("Degraded");
    assert!(condition.starts_with("True/StoreTooOld: postgres: "), "{condition}");
    assert!(
        condition.contains(detail) && condition.contains("dependencies.postgres.external.endpoints"),
        "{condition}"
    );

    let world = World::with(&managed());
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
        .end_job_with(&trouble("redis", TroubleKind::TooOld, "version 6.2 is too old, 7.0 or later is needed"), &now());
    world.settle().await;
    assert!(
        world.condition("Degraded").contains("dependencies.redis.managed.image"),
        "{}",
        world.condition("Degraded")
    );
}

#[tokio::test]
async fn stores_of_somebody_else_are_looked_at_again_and_again() {
    let (_listener, address) = listening().await;
    let world = World::with(&external(&address));
    world.settle().await;
    world.end_job_with(&versions(), LONG_AGO);
    world.settle().await;
    let check = |world: &World| world.server.names(JOBS, NS).into_iter().find(|job| job.starts_with("chat-check-"));
    let name = check(&world).expect("a look is due some time after the migration");
    world.run_everything();
    world.end_with(&name, &versions(), &now());
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    let uid = |world: &World| world.server.get(JOBS, NS, &name).map(|job| job["metadata"]["uid"].clone());
    let first = uid(&world);
    world.settle().await;
    assert_eq!(uid(&world), first, "it rests");

    let again = |world: &World| {
        world
            .server
            .edit(JOBS, NS, &name, |job| job["status"]["conditions"][0]["lastTransitionTime"] = json!(LONG_AGO));
    };
    again(&world);
    world.reconcile().await.unwrap();
    world.server.delete(PODS, NS, &format!("{name}-x"));
    world.settle().await;
    assert!(uid(&world).is_some() && uid(&world) != first);
    world.end_with(&name, &trouble("kafka", TroubleKind::Refused, "SASL authentication error"), &now());
    world.settle().await;
    let told = world.condition("DependenciesReady");
    assert!(
        told.contains("kafka: it asks for credentials: name a Secret in dependencies.kafka.external.secret"),
        "{told}"
    );
    // While the next look is under way, what the last one found stands.
    again(&world);
    world.reconcile().await.unwrap();
    world.server.delete(PODS, NS, &format!("{name}-x"));
    world.settle().await;
    assert_eq!(world.condition("DependenciesReady"), told);
    world.end_with(&name, &versions(), &now());
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn a_look_whose_machine_is_lost_is_taken_again() {
    let (_listener, address) = listening().await;
    let world = World::with(&external(&address));
    world.settle().await;
    world.end_job_with(&versions(), LONG_AGO);
    world.settle().await;
    let name = world.server.names(JOBS, NS).into_iter().find(|job| job.starts_with("chat-check-")).unwrap();
    let job = || world.server.get(JOBS, NS, &name).unwrap();
    let first = job()["metadata"]["uid"].clone();
    let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": first });
    let labels = job()["spec"]["template"]["metadata"]["labels"].clone();
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [], "nodeName": "node-2" },
            "metadata": { "name": format!("{name}-x"), "labels": labels, "ownerReferences": [owner],
                "finalizers": ["batch.kubernetes.io/job-tracking"] },
            "status": { "phase": "Running" } }),
    );
    world.settle().await;
    assert_eq!(job()["metadata"]["uid"], first, "it runs");
    let deleted = json!("2026-01-01T00:00:00Z");
    world.server.edit(PODS, NS, &format!("{name}-x"), |pod| pod["metadata"]["deletionTimestamp"] = deleted);
    world.settle().await;
    assert_ne!(job()["metadata"]["uid"], first, "Kubernetes would wait for that pod for ever");
}

/// A pod of a store as kubelet tells of it.
fn put_pod(world: &World, store: &str, status: &Value) {
    let labels =
        world.server.get(SETS, NS, &format!("chat-{store}")).unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
        "metadata": { "name": format!("chat-{store}-0"), "labels": labels }, "status": status }),
    );
    world.server.edit(SETS, NS, &format!("chat-{store}"), |set| {
        set["status"]["readyReplicas"] = json!(0);
        set["status"]["availableReplicas"] = json!(0);
    });
}

fn container(state: &Value, last: &Value) -> Value {
    json!({ "containerStatuses": [{ "name": "store", "image": "nowhere/store:1", "imageID": "", "ready": false,
        "restartCount": 4, "state": state, "lastState": last }] })
}

#[tokio::test]
async fn troubles_of_pods_name_the_field_and_go_when_the_pods_are_well() {
    let world = running(&managed()).await;
    let full =
        "the volume of chat-cassandra-0 is full: write a larger spec.dependencies.cassandra.managed.storage.size";
    let crash = |message: &str| {
        container(
            &json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
            &json!({ "terminated": { "exitCode": 1, "message": message } }),
        )
    };
    let pull = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
    for (store, status, expected) in [
        ("cassandra", crash(full), "dependencies.cassandra.managed.storage.size"),
        ("kafka", crash("java.lang.Error: no space\n\tat a.B.c(B.java:1)"), "java.lang.Error: no space"),
        ("redis", container(&pull, &json!({})), "correct dependencies.redis.managed.image"),
    ] {
        put_pod(&world, store, &status);
        world.settle().await;
        let condition = world.condition("Degraded");
        assert!(condition.starts_with("True/PodFailing") && condition.contains(expected), "{condition}");
        world.server.delete(PODS, NS, &format!("chat-{store}-0"));
        world.run_everything();
        world.settle().await;
        assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    }
}

#[tokio::test]
async fn a_storage_class_of_a_store_that_is_missing_is_told_by_its_field() {
    let world = running(&managed()).await;
    world.server.edit(CLAIMS, NS, "data-chat-kafka-0", |claim| {
        claim["status"]["phase"] = json!("Pending");
        claim["spec"]["storageClassName"] = json!("nope");
    });
    world.server.put(
        "v1/events",
        NS,
        json!({ "apiVersion": "v1", "kind": "Event", "type": "Warning",
        "metadata": { "name": "e" }, "message": "storageclass.storage.k8s.io \"nope\" not found",
        "involvedObject": { "kind": "PersistentVolumeClaim", "name": "data-chat-kafka-0" } }),
    );
    world.settle().await;
    let condition = world.condition("Degraded");
    assert!(condition.starts_with("True/VolumePending"), "{condition}");
    assert!(condition.contains("storage class nope, see dependencies.kafka.managed.storage.className"), "{condition}");
    world.server.edit(CLAIMS, NS, "data-chat-kafka-0", |claim| claim["status"]["phase"] = json!("Bound"));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}
