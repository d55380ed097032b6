//! Nodes of managed stores are taken away one by one, and only when they have given their data to the others.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sentinel_operator::reconcile::Context;
use serde_json::{Value, json};

use crate::{
    api_server::Answer,
    distributed::{managed, running},
    world::{CLAIMS, NS, PODS, SETS, World},
};

const CONFIG: &str = "v1/configmaps";

fn with_nodes(store: &str, replicas: i32) -> Value {
    let mut spec = managed();
    spec["dependencies"][store]["managed"]["replicas"] = json!(replicas);
    spec
}

fn nodes(world: &World, store: &str) -> Value {
    world.server.get(SETS, NS, &format!("chat-{store}")).unwrap()["spec"]["replicas"].clone()
}

fn leaving(world: &World, store: &str) -> Option<String> {
    let map = world.server.get(CONFIG, NS, &format!("chat-{store}")).unwrap();
    map["data"]["leaving"].as_str().map(String::from)
}

/// The last node as kubelet tells of it, and its claim with the finalizer that keeps it while there is a pod.
fn put_node(world: &World, name: &str, state: &Value) {
    let labels = json!({ "app.kubernetes.io/name": "sentinel", "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/component": "cassandra" });
    let status = json!({ "containerStatuses": [{ "name": "cassandra", "image": "c", "imageID": "", "ready": false,
        "restartCount": 0, "state": state }] });
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": labels }, "spec": { "containers": [] }, "status": status }),
    );
    world.server.edit(CLAIMS, NS, &format!("data-{name}"), |claim| {
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
}

fn left() -> Value {
    json!({ "terminated": { "exitCode": 143, "message": "left the ring" } })
}

/// What the StatefulSet's controller counts, once it has seen the newest generation.
fn count(world: &World, store: &str, pods: i32, ready: i32) {
    world.server.edit(SETS, NS, &format!("chat-{store}"), |set| {
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
        for (name, number) in
            [("replicas", pods), ("updatedReplicas", pods), ("readyReplicas", ready), ("availableReplicas", ready)]
        {
            set["status"][name] = json!(number);
        }
    });
}

fn assert_serves(world: &World, when: &str) {
    for type_ in ["Ready", "DependenciesReady"] {
        let condition = world.condition(type_);
        assert!(condition.starts_with("True/"), "{when}: {type_} {condition}");
    }
}

/// What the StatefulSet's controller and the garbage collection do once the set is smaller.
fn remove_node(world: &World, name: &str) {
    world.server.delete(PODS, NS, name);
    let claim = format!("data-{name}");
    world.server.edit(CLAIMS, NS, &claim, |claim| claim["metadata"]["finalizers"] = json!([]));
    world.server.delete(CLAIMS, NS, &claim);
    world.run_everything();
}

/// The same cluster with an operator that remembers nothing.
fn restarted(world: World) -> World {
    let settings = world.context.settings.clone();
    let elasticsearch = world.context.elasticsearch.clone();
    let context = Context { elasticsearch, ..Context::new(world.server.client(), settings) };
    World { context: Arc::new(context), ..world }
}

#[tokio::test]
async fn a_node_of_cassandra_goes_when_it_has_left_the_ring() {
    let world = running(&with_nodes("cassandra", 4)).await;
    world.apply("chat", &with_nodes("cassandra", 3));
    world.settle().await;
    assert_eq!(
        (nodes(&world, "cassandra"), leaving(&world, "cassandra").as_deref()),
        (json!(4), Some("chat-cassandra-3"))
    );
    let condition = world.condition("Progressing");
    assert_eq!(condition, "True/ScalingIn: cassandra: 4 nodes become 3: decommissioning chat-cassandra-3");
    assert!(world.condition("Ready").starts_with("True/"), "the platform serves meanwhile");
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    let world = restarted(world);
    count(&world, "cassandra", 4, 3);
    world.reconcile().await.unwrap();
    assert_serves(&world, "the node stops");
    put_node(&world, "chat-cassandra-3", &left());
    world.reconcile().await.unwrap();
    assert_serves(&world, "the node has left");
    let claim = world.server.get(CLAIMS, NS, "data-chat-cassandra-3").unwrap();
    assert!(claim["metadata"]["deletionTimestamp"].is_string(), "a later node must not find its data");
    assert_eq!(nodes(&world, "cassandra"), 4);

    let world = restarted(world);
    world.reconcile().await.unwrap();
    assert_eq!(nodes(&world, "cassandra"), 3);
    assert_eq!(leaving(&world, "cassandra").as_deref(), Some("chat-cassandra-3"), "until its pod is gone");
    assert_serves(&world, "the set shrinks, and its controller has not seen that");
    count(&world, "cassandra", 4, 3);
    world.reconcile().await.unwrap();
    assert_serves(&world, "the pod ends");
    count(&world, "cassandra", 4, 2);
    world.reconcile().await.unwrap();
    let condition = world.condition("Ready");
    assert!(condition.starts_with("False/NotAvailable"), "one of those that stay is missing: {condition}");
    count(&world, "cassandra", 4, 3);
    world.server.delete(PODS, NS, "chat-cassandra-3");
    world.reconcile().await.unwrap();
    assert_serves(&world, "the pod is gone and still counted");
    remove_node(&world, "chat-cassandra-3");
    let world = restarted(world);
    world.settle().await;
    assert_eq!((nodes(&world, "cassandra"), leaving(&world, "cassandra")), (json!(3), None));
    assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.server.get(CLAIMS, NS, "data-chat-cassandra-2").is_some());
}

/// As after a deletion with the policy Retain, or a time with somebody else's store.
#[tokio::test]
async fn nodes_whose_volumes_are_there_start_before_any_of_them_goes() {
    let spec = |nodes: i32| {
        let mut spec = with_nodes("cassandra", nodes);
        spec["dependencies"]["kafka"]["managed"]["replicas"] = json!(nodes);
        spec
    };
    for is_gone in [true, false] {
        let world = running(&spec(5)).await;
        for set in ["chat-cassandra", "chat-kafka"] {
            if is_gone {
                world.server.delete(SETS, NS, set);
            } else {
                world.server.edit(SETS, NS, set, |set| set["spec"]["replicas"] = json!(0));
                count(&world, set.strip_prefix("chat-").unwrap(), 0, 0);
            }
        }
        world.apply("chat", &spec(3));
        world.settle().await;
        assert_eq!((nodes(&world, "cassandra"), nodes(&world, "kafka")), (json!(5), json!(5)));
        let condition = world.condition("Degraded");
        assert!(condition.contains("ScaleRefused: dependencies.kafka.managed.replicas: 5 nodes stay"), "{condition}");
        let condition = world.condition("Progressing");
        let expected = "cassandra: 5 nodes become 3: chat-cassandra-4 leaves when all nodes are ready";
        assert_eq!(condition, format!("True/ScalingIn: {expected}"));

        world.run_everything();
        world.settle().await;
        assert_eq!(leaving(&world, "cassandra").as_deref(), Some("chat-cassandra-4"));
        assert!(world.server.get(CLAIMS, NS, "data-chat-cassandra-4").is_some());
    }
}

#[tokio::test]
async fn a_failure_of_any_step_leaves_the_node_where_it_is() {
    let world = running(&with_nodes("cassandra", 4)).await;
    world.apply("chat", &with_nodes("cassandra", 3));
    let fail = async |method, path: &str| {
        world.server.fault(method, path, Answer::Status(500, "not now"), 1);
        assert!(world.reconcile().await.is_err(), "{method} {path}");
        assert_eq!(nodes(&world, "cassandra"), 4);
    };
    fail("PATCH", "/configmaps/chat-cassandra").await;
    assert_eq!(leaving(&world, "cassandra"), None);
    world.settle().await;
    fail("GET", "/pods?").await;
    put_node(&world, "chat-cassandra-3", &left());
    fail("DELETE", "/persistentvolumeclaims/data-chat-cassandra-3").await;
    let condition = world.condition("Degraded");
    assert!(condition.contains("cannot delete PersistentVolumeClaim data-chat-cassandra-3"), "{condition}");
    assert_eq!(nodes(&world, "cassandra"), 4, "not before its claim");
    world.reconcile().await.unwrap();
    fail("PATCH", "/statefulsets/chat-cassandra").await;
    world.settle().await;
    assert_eq!(nodes(&world, "cassandra"), 3);
}

#[tokio::test]
async fn a_node_that_cannot_leave_says_why_and_one_that_is_wanted_again_stays() {
    let world = running(&with_nodes("cassandra", 4)).await;
    world.apply("chat", &with_nodes("cassandra", 3));
    world.settle().await;
    let words = "cannot leave the ring: error: stream failed";
    put_node(&world, "chat-cassandra-3", &json!({ "terminated": { "exitCode": 143, "message": words } }));
    world.settle().await;
    let condition = world.condition("Degraded");
    assert!(condition.starts_with("True/ScaleInFailing") && condition.contains(words), "{condition}");
    world.apply("chat", &with_nodes("cassandra", 4));
    world.settle().await;
    assert_eq!((nodes(&world, "cassandra"), leaving(&world, "cassandra")), (json!(4), None));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

/// The disk of its machine is broken, and somebody deleted the PersistentVolume.
#[tokio::test]
async fn a_node_whose_volume_is_lost_is_not_taken_for_one_that_never_ran() {
    let world = running(&with_nodes("cassandra", 3)).await;
    world.server.edit(CLAIMS, NS, "data-chat-cassandra-2", |claim| {
        claim["spec"]["volumeName"] = json!("pv-7");
        claim["status"]["phase"] = json!("Lost");
    });
    count(&world, "cassandra", 3, 2);
    world.settle().await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/VolumeLost: the volume of claim data-chat-cassandra-2 is lost: "), "{told}");
    assert!(told.contains("PersistentVolume pv-7") && told.contains("nodetool removenode"), "{told}");
    let commands = "kubectl delete pvc data-chat-cassandra-2 --wait=false && kubectl delete pod chat-cassandra-2";
    assert!(told.contains(commands), "{told}");
    assert!(!told.contains("storage class"), "a class would not bring it back: {told}");

    world.apply("chat", &with_nodes("cassandra", 1));
    world.settle().await;
    assert_eq!(nodes(&world, "cassandra"), 3, "the ring counts on it, and its data may be nowhere else");
    assert!(world.server.get(CLAIMS, NS, "data-chat-cassandra-2").is_some());
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/VolumeLost: "), "it still is the gravest: {told}");
    assert!(told.contains("; ScaleRefused: dependencies.cassandra.managed.replicas: 3 nodes stay"), "{told}");
}

#[tokio::test]
async fn nobody_leaves_while_a_node_is_not_ready() {
    let world = running(&with_nodes("cassandra", 4)).await;
    world.server.edit(SETS, NS, "chat-cassandra", |set| set["status"]["readyReplicas"] = json!(3));
    world.apply("chat", &with_nodes("cassandra", 3));
    world.settle().await;
    assert_eq!(leaving(&world, "cassandra"), None);
    assert!(world.condition("Progressing").contains("chat-cassandra-3 leaves when all nodes are ready"));
}

/// What a search engine tells of its nodes.
#[derive(Default)]
struct Engine {
    excluded: String,
    voteless: Vec<String>,
    shards: Vec<String>,
    /// Shards that have no node, because the one with their data is away.
    unassigned: usize,
    down: bool,
}

type Shared = Arc<Mutex<Engine>>;

async fn answer(State(engine): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let mut engine = engine.lock().unwrap();
    if engine.down {
        return (StatusCode::SERVICE_UNAVAILABLE, "no master").into_response();
    }
    let key = "cluster.routing.allocation.exclude._name";
    match (parts.method.as_str(), parts.uri.path()) {
        ("GET", "/_cluster/settings") if engine.excluded.is_empty() => {
            Json(json!({ "persistent": {} })).into_response()
        }
        ("GET", "/_cluster/settings") => Json(json!({ "persistent": { key: engine.excluded } })).into_response(),
        ("PUT", "/_cluster/settings") => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            body["persistent"][key].as_str().unwrap_or_default().clone_into(&mut engine.excluded);
            Json(json!({ "acknowledged": true })).into_response()
        }
        ("GET", "/_cluster/state/metadata") => {
            let votes: Vec<Value> = engine.voteless.iter().map(|node| json!({ "node_name": node })).collect();
            Json(json!({ "metadata": { "cluster_coordination": { "voting_config_exclusions": votes } } }))
                .into_response()
        }
        ("POST", "/_cluster/voting_config_exclusions") => {
            let query = parts.uri.query().unwrap();
            let node = query.split('&').find_map(|pair| pair.strip_prefix("node_names=")).unwrap();
            engine.voteless.push(node.to_owned());
            StatusCode::OK.into_response()
        }
        ("DELETE", "/_cluster/voting_config_exclusions") => {
            engine.voteless.clear();
            StatusCode::OK.into_response()
        }
        ("GET", "/_cat/shards") => {
            assert_eq!(parts.uri.query(), Some("format=json&h=node,state"));
            let placed = engine.shards.iter().map(
                |node| json!({ "node": node, "state": if node.contains(" -> ") { "RELOCATING" } else { "STARTED" } }),
            );
            let unassigned = (0..engine.unassigned).map(|_| json!({ "node": null, "state": "UNASSIGNED" }));
            Json(placed.chain(unassigned).collect::<Vec<_>>()).into_response()
        }
        other => panic!("{other:?} was not expected"),
    }
}

async fn with_engine(world: World) -> (World, Shared) {
    let engine = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(engine.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = world.context.settings.clone();
    let elasticsearch = Some(format!("http://{address}"));
    let context = Arc::new(Context { elasticsearch, ..Context::new(world.server.client(), settings) });
    (World { context, ..world }, engine)
}

#[tokio::test]
async fn a_node_of_elasticsearch_goes_when_it_holds_no_shard() {
    let (world, engine) = with_engine(running(&with_nodes("elasticsearch", 3)).await).await;
    engine.lock().unwrap().excluded = "chat-elasticsearch-9".into();
    let own = "chat-elasticsearch-2";
    engine.lock().unwrap().shards = vec![own.into(), format!("{own} -> 10.0.0.1 AbC chat-elasticsearch-0")];
    world.apply("chat", &with_nodes("elasticsearch", 2));
    world.reconcile().await.unwrap();
    assert_eq!(leaving(&world, "elasticsearch").as_deref(), Some(own));
    assert!(engine.lock().unwrap().voteless.is_empty(), "it is on record before anything is done");

    let world = restarted(world);
    world.reconcile().await.unwrap();
    world.settle().await;
    assert_eq!(engine.lock().unwrap().excluded, format!("chat-elasticsearch-9,{own}"), "what a user wrote stays");
    assert_eq!(engine.lock().unwrap().voteless, [own]);
    assert_eq!(nodes(&world, "elasticsearch"), 3);
    let condition = world.condition("Progressing");
    assert!(condition.contains("chat-elasticsearch-2 gives its shards away, 2 are left"), "{condition}");
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));

    engine.lock().unwrap().down = true;
    world.settle().await;
    let condition = world.condition("Degraded");
    assert!(condition.starts_with("True/ScaleInFailing") && condition.contains("no master"), "{condition}");
    assert_eq!(nodes(&world, "elasticsearch"), 3);

    engine.lock().unwrap().down = false;
    engine.lock().unwrap().shards.clear();
    // The node restarts: what only it has is on no node until it is back.
    engine.lock().unwrap().unassigned = 2;
    world.settle().await;
    let claim = world.server.get(CLAIMS, NS, "data-chat-elasticsearch-2").unwrap();
    assert!(claim["metadata"]["deletionTimestamp"].is_null(), "its data is nowhere else");
    let condition = world.condition("Progressing");
    assert!(condition.contains("goes when all shards are in place, 2 are not"), "{condition}");
    engine.lock().unwrap().unassigned = 0;
    let ready = |nodes: i32| {
        world.server.edit(SETS, NS, "chat-elasticsearch", |set| set["status"]["readyReplicas"] = json!(nodes));
    };
    ready(2);
    world.settle().await;
    assert!(world.server.get(CLAIMS, NS, "data-chat-elasticsearch-2").is_some(), "a node is not ready");
    ready(3);
    world.reconcile().await.unwrap();
    assert_serves(&world, "the node has left");
    assert!(world.server.get(CLAIMS, NS, "data-chat-elasticsearch-2").is_none());
    let world = restarted(world);
    world.reconcile().await.unwrap();
    assert_eq!(nodes(&world, "elasticsearch"), 2);
    assert_serves(&world, "the set shrinks, and its controller has not seen that");
    count(&world, "elasticsearch", 3, 2);
    world.reconcile().await.unwrap();
    assert_serves(&world, "the pod ends");
    world.run_everything();
    let world = restarted(world);
    world.settle().await;
    assert_eq!(leaving(&world, "elasticsearch"), None);
    assert_eq!(engine.lock().unwrap().excluded, "chat-elasticsearch-9");
    assert!(engine.lock().unwrap().voteless.is_empty());
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
}

#[tokio::test]
async fn elasticsearch_uses_a_node_again_that_is_wanted_again() {
    let (world, engine) = with_engine(running(&with_nodes("elasticsearch", 3)).await).await;
    engine.lock().unwrap().shards = vec!["chat-elasticsearch-2".into()];
    world.apply("chat", &with_nodes("elasticsearch", 2));
    world.settle().await;
    world.settle().await;
    assert_eq!(engine.lock().unwrap().excluded, "chat-elasticsearch-2");
    world.apply("chat", &with_nodes("elasticsearch", 3));
    world.settle().await;
    world.settle().await;
    assert_eq!((nodes(&world, "elasticsearch"), leaving(&world, "elasticsearch")), (json!(3), None));
    assert_eq!(engine.lock().unwrap().excluded, "");
    assert!(engine.lock().unwrap().voteless.is_empty());
}
