//! As whom services use the stores that the operator runs: as users that read and write rows, which the migration makes.

use sentinel_operator::settings::Settings;
use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, external, managed, running},
    world::{CHATS, DEPLOYMENTS, JOBS, NS, SECRETS, SETS, World},
};

const SERVICE: &str = "-service-credentials";

/// The Secret that a service has credentials of a store from.
fn credentials_of(world: &World, service: &str, store: &str) -> String {
    let path = if service == "message" { SETS } else { DEPLOYMENTS };
    let workload = world.server.get(path, NS, &format!("chat-{service}")).unwrap();
    mounted(&workload["spec"]["template"]["spec"], &format!("/etc/sentinel/credentials/{store}")).unwrap()
}

/// The Secret that is mounted in a folder of a pod.
fn mounted(pod: &Value, folder: &str) -> Option<String> {
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["mountPath"] == folder)?;
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]).unwrap();
    Some(volume["secret"]["secretName"].as_str().unwrap().to_owned())
}

fn job(world: &World) -> (String, Value) {
    let names = world.server.names(JOBS, NS);
    assert_eq!(names.len(), 1, "{names:?}");
    let job = world.server.get(JOBS, NS, &names[0]).unwrap();
    (names[0].clone(), job["spec"]["template"]["spec"].clone())
}

fn content(world: &World, path: &str, name: &str) -> Value {
    let workload = world.server.get(path, NS, name).unwrap();
    workload["spec"]["template"]["metadata"]["annotations"]["chat.sentinel.dev/content"].clone()
}

#[tokio::test]
async fn services_are_other_users_than_the_migration_that_makes_them() {
    let world = running(&managed()).await;
    let (_, pod) = job(&world);
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.ends_with(&[json!("--service-credentials"), json!("/etc/sentinel/service-credentials")]));
    for store in ["postgres", "cassandra"] {
        let (owner, service) = (format!("chat-{store}-credentials"), format!("chat-{store}{SERVICE}"));
        assert_eq!(mounted(&pod, &format!("/etc/sentinel/credentials/{store}")), Some(owner.clone()));
        assert_eq!(mounted(&pod, &format!("/etc/sentinel/service-credentials/{store}")), Some(service.clone()));
        for part in ["users", "message", "presence", "notification", "search", "media"] {
            assert_eq!(credentials_of(&world, part, store), service, "{part}");
        }
        let entry = |secret: &str, name: &str| world.server.get(SECRETS, NS, secret).unwrap()["data"][name].clone();
        assert_ne!(entry(&owner, "password"), entry(&service, "password"));
        assert_ne!(entry(&owner, "username"), entry(&service, "username"));
        let metadata = world.server.get(SECRETS, NS, &service).unwrap()["metadata"].clone();
        assert_eq!(metadata["labels"]["app.kubernetes.io/component"], store);
        assert!(metadata["ownerReferences"].is_null(), "made once, and kept like the others");
    }
    // The others know one user.
    assert_eq!(credentials_of(&world, "users", "redis"), "chat-redis-credentials");
    assert!(world.server.get(SECRETS, NS, &format!("chat-redis{SERVICE}")).is_none());
}

/// One that somebody replaced, or lost.
#[tokio::test]
async fn another_password_of_services_is_set_before_they_have_it_and_no_store_is_made_anew() {
    for is_lost in [false, true] {
        let world = running(&managed()).await;
        let store = || content(&world, SETS, "chat-postgres");
        let (before, first, users) = (store(), job(&world).0, content(&world, DEPLOYMENTS, "chat-users"));
        let secret = format!("chat-postgres{SERVICE}");
        if is_lost {
            world.server.delete(SECRETS, NS, &secret);
        } else {
            world.server.edit(SECRETS, NS, &secret, |secret| secret["data"]["password"] = json!("bmV3"));
        }
        world.settle().await;
        assert_ne!(job(&world).0, first, "the migration sets it, lost: {is_lost}");
        assert_eq!(content(&world, DEPLOYMENTS, "chat-users"), users, "not yet");
        world.end_job(None, LONG_AGO);
        world.settle().await;
        assert_ne!(content(&world, DEPLOYMENTS, "chat-users"), users);
        assert_eq!(store(), before);
        world.run_everything();
        world.settle().await;
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    }
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_taken_for_the_credentials_of_services() {
    let world = World::with(&managed());
    let name = format!("chat-cassandra{SERVICE}");
    world.server.put(SECRETS, NS, json!({ "metadata": { "name": name }, "data": { "username": "eA==" } }));
    world.reconcile().await.unwrap();
    let condition = world.condition("Accepted");
    assert!(condition.contains(&format!("SecretNotOurs: Secret {name} exists")), "{condition}");
    world.server.delete(SECRETS, NS, &name);
    world.settle().await;
    assert!(world.condition("Accepted").starts_with("True/"), "{}", world.condition("Accepted"));
}

/// Somebody else's stores, where an administrator has made both users.
#[tokio::test]
async fn a_migration_of_a_store_of_somebody_else_may_be_another_user_than_services() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = external(&listener.local_addr().unwrap().to_string());
    let postgres = &mut spec["dependencies"]["postgres"]["external"];
    postgres["secret"] = json!({ "name": "rows" });
    postgres["migrationSecret"] = json!({ "name": "tables" });
    let world = World::with(&spec);
    let put = |name: &str, password: &str| {
        let data = json!({ "username": "eA==", "password": password });
        world.server.put(SECRETS, NS, json!({ "metadata": { "name": name }, "data": data }));
    };
    put("rows", "eA==");
    world.reconcile().await.unwrap();
    let condition = world.condition("Accepted");
    assert!(
        condition.contains("dependencies.postgres.external.migrationSecret: Secret tables does not exist"),
        "{condition}"
    );
    put("tables", "eA==");
    world.settle().await;
    let (first, pod) = job(&world);
    assert_eq!(mounted(&pod, "/etc/sentinel/credentials/postgres").as_deref(), Some("tables"));
    assert!(!pod.to_string().contains("service-credentials"), "who made them looks after them: {pod}");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(credentials_of(&world, "users", "postgres"), "rows");
    let check = world.server.names(JOBS, NS).into_iter().find(|name| name.starts_with("chat-check-")).unwrap();
    let check = world.server.get(JOBS, NS, &check).unwrap()["spec"]["template"]["spec"].clone();
    assert_eq!(
        mounted(&check, "/etc/sentinel/credentials/postgres").as_deref(),
        Some("rows"),
        "it sees what services do"
    );

    let users = || content(&world, DEPLOYMENTS, "chat-users");
    let before = users();
    put("tables", "eQ==");
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_eq!(users(), before, "services do not have it");
    put("rows", "eQ==");
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert_ne!(users(), before);
    assert!(!world.server.names(JOBS, NS).contains(&first));
}

/// The keys that are mounted into the pods of a service.
fn has_encryption_keys(world: &World, service: &str) -> bool {
    let workload = world.server.get(DEPLOYMENTS, NS, &format!("chat-{service}")).unwrap();
    let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let keys = volumes.into_iter().find(|volume| volume["name"] == "keys").unwrap();
    keys.to_string().contains("kek-0001")
}

/// The migration of an image of before makes no users for services, and its services start only with all keys.
#[tokio::test]
async fn an_image_of_before_goes_on_with_what_it_has_until_there_is_another() {
    let world = running(&managed()).await;
    world.server.edit(CHATS, NS, "chat", |chat| chat["status"]["templateRevision"] = json!(2));
    world.settle().await;
    world.end_job(None, LONG_AGO);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let (name, pod) = job(&world);
    assert!(!pod.to_string().contains(SERVICE), "{pod}");
    let has_all = |world: &World| {
        assert_eq!(has_encryption_keys(world, "presence"), has_encryption_keys(world, "media"));
        let secret = credentials_of(world, "media", "cassandra");
        assert_eq!(secret == "chat-cassandra-credentials", has_encryption_keys(world, "media"), "{secret}");
        has_encryption_keys(world, "media")
    };
    assert!(has_all(&world));

    // A new operator changes nothing about it, and its users wait for the migration of another image.
    let world = world.upgraded(Settings {
        sentinel_image: "sentinel:2".into(),
        gateway_image: "nginx:1".into(),
        ..Settings::default()
    });
    world.settle().await;
    assert_eq!(job(&world).0, name);
    assert!(has_all(&world));
    let mut spec = managed();
    spec["drainSeconds"] = json!(20);
    world.apply("chat", &spec);
    world.settle().await;
    assert!(job(&world).1.to_string().contains(SERVICE));
    assert!(has_all(&world), "pods of before go on, and start again, with the old ones");
    world.end_job(None, LONG_AGO);
    world.settle().await;
    assert!(!has_all(&world));
}
