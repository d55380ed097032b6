//! Watches: several resources, one of them broken, and lost connections.

use std::time::{Duration, Instant};

use futures::FutureExt;
use sentinel_operator::{controller, settings::Settings};
use serde_json::json;

use crate::{
    api_server::{Answer, ApiServer},
    world::{CHATS, NS, SETS, World},
};

async fn wait_for(server: &ApiServer, path: &str, name: &str) {
    let start = Instant::now();
    while server.get(path, NS, name).is_none() {
        assert!(start.elapsed() < Duration::from_secs(20), "{name} was not made in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_broken_nor_a_slow_resource_delays_another() {
    let world = World::empty(Settings::default());
    world.server.put(
        CHATS,
        NS,
        json!({ "metadata": { "name": "broken" }, "spec": { "gateway": { "replicas": "two" } } }),
    );
    world.server.fault("GET", "instance=slow&", Answer::Hang, 99);
    world.apply("slow", &json!({}));
    // Lost connections are part of every day.
    world.server.fault("GET", "/sentinelchats?watch", Answer::Status(410, "too old"), 1);
    world.server.fault("GET", "/statefulsets?", Answer::Status(429, "too many"), 1);
    world.apply("good", &json!({}));

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = stopped.map(|_| ()).shared();
    let context = world.context.clone();
    let running = tokio::spawn(async move { controller::run(context, &[], stopped).await });
    wait_for(&world.server, SETS, "good").await;
    world.apply("late", &json!({}));
    wait_for(&world.server, SETS, "late").await;
    // A child that somebody deletes is made again, because it is watched.
    world.server.delete(SETS, NS, "good");
    wait_for(&world.server, SETS, "good").await;
    assert!(world.server.get(SETS, NS, "broken").is_none());
    assert!(world.server.get(SETS, NS, "slow").is_none());
    let notes: Vec<String> = world.server.names("events.k8s.io/v1/events", NS);
    assert!(notes.iter().any(|name| name.starts_with("broken.")), "{notes:?}");

    stop.send(()).unwrap();
    // The reconcile that hangs is the only one in progress; it does not end by itself.
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_when_asked_and_watches_named_namespaces_only() {
    let world = World::empty(Settings::default());
    world.apply("here", &json!({}));
    world.server.put(
        CHATS,
        "elsewhere",
        json!({ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat", "metadata": { "name": "there" }, "spec": {} }),
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = stopped.map(|_| ()).shared();
    let context = world.context.clone();
    let running = tokio::spawn(async move { controller::run(context, &[NS.to_owned()], stopped).await });
    wait_for(&world.server, SETS, "here").await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    assert!(world.server.names(SETS, "elsewhere").is_empty());
}

/// Whoever deletes a namespace deletes the operator's rights in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_gone_keeps_neither_the_others_nor_the_end_waiting() {
    let mut world = World::empty(Settings::default());
    std::sync::Arc::get_mut(&mut world.context).unwrap().drain = Duration::from_millis(500);
    world.server.fault("GET", "/namespaces/gone/", Answer::Status(403, "no rights in namespace gone"), usize::MAX);
    world.apply("here", &json!({}));
    let namespaces = ["gone".to_owned(), NS.to_owned()];
    let waited = controller::wait_for_definition(&world.context.client, &namespaces);
    tokio::time::timeout(Duration::from_secs(2), waited).await.expect("the second namespace answers");

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = stopped.map(|_| ()).shared();
    let context = world.context.clone();
    let running = tokio::spawn(async move { controller::run(context, &namespaces, stopped).await });
    wait_for(&world.server, SETS, "here").await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("the lease is to be released").unwrap();
}
