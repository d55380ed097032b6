//! Two installations of the operator that watch the same namespace.

use std::{sync::Arc, time::Duration};

use sentinel_operator::{installation::Installation, names::OPERATOR, reconcile::Context, settings::Settings};
use serde_json::{Value, json};

use crate::{
    api_server::{Answer, ApiServer},
    world::{CHATS, NS, SETS, World},
};

const LEASES: &str = "coordination.k8s.io/v1/leases";
const PATIENCE: Duration = Duration::from_millis(300);

/// An installation in that namespace, whose images have its name.
fn installed(server: &ApiServer, namespace: &str) -> World {
    let settings = Settings { sentinel_image: format!("{namespace}:1"), ..Settings::default() };
    let installation = Installation::new(namespace, "sentinel-operator").with_patience(PATIENCE);
    let context = Context { installation: Some(installation), ..Context::new(server.client(), settings) };
    World { server: server.clone(), context: Arc::new(context) }
}

/// What the leader of an installation does every few seconds.
fn lives(server: &ApiServer, namespace: &str) {
    let beat =
        server.get(LEASES, namespace, "sentinel-operator").map_or(0, |lease| lease["spec"]["beat"].as_i64().unwrap());
    server.put(LEASES, namespace, json!({ "metadata": { "name": "sentinel-operator" }, "spec": { "beat": beat + 1 } }));
}

fn keeper(server: &ApiServer) -> Value {
    server.get(CHATS, NS, "chat").unwrap()["metadata"]["annotations"][OPERATOR].clone()
}

fn image(server: &ApiServer) -> Value {
    server.get(SETS, NS, "chat").unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

fn warnings(server: &ApiServer, reason: &str) -> Vec<Value> {
    let names = server.names("events.k8s.io/v1/events", NS);
    let events = names.iter().map(|name| server.get("events.k8s.io/v1/events", NS, name).unwrap());
    events.filter(|event| event["reason"] == reason).collect()
}

/// Looks again and again, for longer than another installation is waited for.
async fn looks(world: &World, meanwhile: impl Fn()) {
    world.server.take_writes();
    for _ in 0..8 {
        meanwhile();
        world.reconcile().await.unwrap();
        tokio::time::sleep(PATIENCE / 4).await;
    }
}

#[tokio::test]
async fn of_two_installations_the_first_works_and_the_other_tells_so_until_the_first_is_gone() {
    let server = ApiServer::default();
    let (first, second) = (installed(&server, "first"), installed(&server, "second"));
    first.apply("chat", &json!({ "upgrades": "Automatic" }));
    lives(&server, "first");
    first.settle().await;
    assert_eq!((keeper(&server), image(&server)), (json!("first/sentinel-operator"), json!("first:1")));

    looks(&second, || lives(&server, "first")).await;
    assert_eq!(server.take_writes(), Vec::<String>::new());
    let told = warnings(&server, "AnotherOperator");
    assert_eq!(told.len(), 1, "{told:?}");
    let note = told[0]["note"].as_str().unwrap();
    assert!(note.contains("first/sentinel-operator looks after") && note.contains("Uninstall one of them"), "{note}");
    assert!(note.contains(&format!("kubectl annotate schat NAME {OPERATOR}-")), "{note}");

    // Uninstalled: its Lease stays as it is.
    second.reconcile().await.unwrap();
    assert_eq!(server.take_writes(), Vec::<String>::new(), "it may be starting again");
    tokio::time::sleep(PATIENCE).await;
    second.settle().await;
    assert_eq!((keeper(&server), image(&server)), (json!("second/sentinel-operator"), json!("second:1")));

    // And comes back.
    looks(&first, || lives(&server, "second")).await;
    assert_eq!(server.take_writes(), Vec::<String>::new());
    assert_eq!((keeper(&server), image(&server)), (json!("second/sentinel-operator"), json!("second:1")));
}

#[tokio::test]
async fn an_installation_whose_lease_is_gone_or_that_is_only_upgraded_is_in_nobodys_way() {
    let server = ApiServer::default();
    let first = installed(&server, "first");
    first.apply("chat", &json!({ "upgrades": "Automatic" }));
    lives(&server, "first");
    first.settle().await;
    // Other pods of the same installation.
    let mut upgraded = installed(&server, "first");
    upgraded.context = Arc::new(Context {
        installation: Some(Installation::new("first", "sentinel-operator")),
        ..Context::new(server.client(), Settings { sentinel_image: "newer:1".into(), ..Settings::default() })
    });
    upgraded.settle().await;
    assert_eq!(image(&server), "newer:1");

    server.delete(LEASES, "first", "sentinel-operator");
    let renamed = installed(&server, "renamed");
    looks(&renamed, || {}).await;
    renamed.settle().await;
    assert_eq!((keeper(&server), image(&server)), (json!("renamed/sentinel-operator"), json!("renamed:1")));
    assert_eq!(warnings(&server, "AnotherOperator"), Vec::<Value>::new());
}

/// Neither has a Lease, so each must take the other for gone; but not at once.
#[tokio::test]
async fn two_installations_without_leases_wait_each_time_before_they_take_a_resource_from_each_other() {
    let server = ApiServer::default();
    let (first, second) = (installed(&server, "first"), installed(&server, "second"));
    first.apply("chat", &json!({}));
    first.settle().await;
    for (one, name) in [(&second, "second"), (&first, "first"), (&second, "second"), (&first, "first")] {
        let before = keeper(&server);
        one.reconcile().await.unwrap();
        assert_eq!(keeper(&server), before, "{name} has waited for nobody");
        tokio::time::sleep(PATIENCE).await;
        one.settle().await;
        assert_eq!(keeper(&server), format!("{name}/sentinel-operator"));
    }
}

#[tokio::test]
async fn what_is_no_name_of_a_lease_is_in_nobodys_way() {
    for written in ["", "/", "first/", "/sentinel-operator", "first/sentinel operator", "first/../sentinel-operator"] {
        let server = ApiServer::default();
        let first = installed(&server, "first");
        first.apply("chat", &json!({}));
        server.edit(CHATS, NS, "chat", |chat| chat["metadata"]["annotations"] = json!({ OPERATOR: written }));
        first.reconcile().await.unwrap();
        tokio::time::sleep(PATIENCE).await;
        first.settle().await;
        assert_eq!(
            (keeper(&server), image(&server)),
            (json!("first/sentinel-operator"), json!("first:1")),
            "{written:?}"
        );
    }
}

#[tokio::test]
async fn an_installation_that_may_not_look_at_the_lease_of_another_works_as_if_alone_and_tells_so() {
    let server = ApiServer::default();
    let first = installed(&server, "first");
    first.apply("chat", &json!({ "upgrades": "Automatic" }));
    first.settle().await;
    server.fault("GET", "/namespaces/first/leases/", Answer::Status(403, "forbidden"), 99);
    let second = installed(&server, "second");
    second.settle().await;
    assert_eq!(image(&server), "second:1");
    assert_eq!(keeper(&server), "first/sentinel-operator", "or both would write it again and again");
    second.reconcile().await.unwrap();
    let told = warnings(&server, "LeaseForbidden");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["series"].is_null(), "once: {told:?}");
    let note = told[0]["note"].as_str().unwrap();
    assert!(note.contains("second/sentinel-operator can't tell whether that installation of the operator"), "{note}");
    assert!(
        note.contains("get leases (coordination.k8s.io) in namespace first") && note.ends_with("(forbidden)"),
        "{note}"
    );
}

#[tokio::test]
async fn of_two_installations_that_begin_at_once_one_gets_the_resource() {
    let server = ApiServer::default();
    let second = installed(&server, "second");
    second.apply("chat", &json!({}));
    server.interrupt("PATCH", "/sentinelchats/chat", |server| {
        server.edit(CHATS, NS, "chat", |chat| {
            chat["metadata"]["annotations"] = json!({ OPERATOR: "first/sentinel-operator" });
        });
    });
    second.reconcile().await.unwrap();
    assert_eq!(keeper(&server), "first/sentinel-operator");
    assert!(server.get(SETS, NS, "chat").is_none());
}
