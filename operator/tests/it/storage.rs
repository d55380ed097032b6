//! Volumes that grow, fields that cannot change, pods that are stuck.

use sentinel_operator::{
    build::Kind,
    steps::{apply::repair, observe::Observed},
};
use serde_json::{Value, json};

use crate::{
    api_server::Answer,
    distributed::{self, managed},
    world::{CLAIMS, DEPLOYMENTS, NS, PODS, SETS, World},
};

const SIZE: &str = "/spec/resources/requests/storage";

async fn running() -> World {
    let world = World::with(&json!({}));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

#[tokio::test]
async fn a_larger_size_grows_the_claim_and_leaves_the_template() {
    let world = running().await;
    world.apply("chat", &json!({ "storage": { "size": "20Gi" } }));
    world.settle().await;
    assert_eq!(world.server.get(CLAIMS, NS, "data-chat-0").unwrap().pointer(SIZE), Some(&json!("20Gi")));
    let set = world.server.get(SETS, NS, "chat").unwrap();
    assert_eq!(set["spec"]["volumeClaimTemplates"][0].pointer(SIZE), Some(&json!("8Gi")));
    assert!(world.condition("Degraded").starts_with("False/"));
}

#[tokio::test]
async fn a_claim_that_somebody_scaled_the_platform_to_is_left_alone() {
    let world = running().await;
    let mut left = world.server.get(CLAIMS, NS, "data-chat-0").unwrap();
    left["metadata"]["name"] = json!("data-chat-1");
    world.server.put(CLAIMS, NS, left);
    world.apply("chat", &json!({ "storage": { "size": "20Gi" } }));
    world.settle().await;
    assert_eq!(world.server.get(CLAIMS, NS, "data-chat-0").unwrap().pointer(SIZE), Some(&json!("20Gi")));
    assert_eq!(world.server.get(CLAIMS, NS, "data-chat-1").unwrap().pointer(SIZE), Some(&json!("8Gi")));
}

#[tokio::test]
async fn a_claim_grows_also_while_the_resource_cannot_be_carried_out() {
    let world = running().await;
    let spec =
        |size: &str| json!({ "storage": { "size": size }, "encryption": { "keySecret": { "name": "missing" } } });
    world.apply("chat", &spec("20Gi"));
    world.reconcile().await.unwrap();
    let told = world.condition("Accepted");
    assert!(told.starts_with("False/SecretNotFound: encryption.keySecret: Secret missing does not exist"), "{told}");
    assert!(!told.contains("PersistentVolumeClaim"), "{told}");
    assert_eq!(world.server.get(CLAIMS, NS, "data-chat-0").unwrap().pointer(SIZE), Some(&json!("20Gi")));

    world.server.fault("PATCH", "/persistentvolumeclaims/", Answer::Status(403, "cannot be resized"), 99);
    world.apply("chat", &spec("30Gi"));
    world.reconcile().await.unwrap();
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/SecretNotFound: "), "{told}");
    assert!(told.contains("; StorageNotResized: cannot grow PersistentVolumeClaim data-chat-0"), "{told}");
}

#[tokio::test]
async fn a_claim_that_waits_for_its_volume_grows_once_it_has_one() {
    let world = running().await;
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["status"] = json!({ "phase": "Pending" }));
    world.apply("chat", &json!({ "storage": { "size": "20Gi" } }));
    world.reconcile().await.unwrap();
    let writes = world.server.take_writes();
    assert!(!writes.iter().any(|write| write.contains("/persistentvolumeclaims/")), "{writes:?}");
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["status"] = json!({ "phase": "Bound" }));
    world.settle().await;
    assert_eq!(world.server.get(CLAIMS, NS, "data-chat-0").unwrap().pointer(SIZE), Some(&json!("20Gi")));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_refused_growth_is_a_condition_and_not_asked_again_at_once() {
    let world = running().await;
    world.server.fault(
        "PATCH",
        "/persistentvolumeclaims/",
        Answer::Status(403, "the class does not support resize"),
        99,
    );
    world.apply("chat", &json!({ "storage": { "size": "20Gi" }, "gateway": { "replicas": 2 } }));
    world.reconcile().await.unwrap();
    let condition = world.condition("Degraded");
    assert!(condition.contains("StorageNotResized: cannot grow PersistentVolumeClaim data-chat-0"), "{condition}");
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["replicas"], 2);
    world.run_everything();
    world.reconcile().await.unwrap();
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    world.server.take_writes();
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());
}

/// A chat whose volume has 80Gi and was told to grow to 800Gi by mistake.
async fn mistaken() -> World {
    let world = World::with(&json!({ "storage": { "size": "80Gi" } }));
    world.settle().await;
    world.run_everything();
    has(&world, "data-chat-0", "80Gi");
    world.settle().await;
    world.apply("chat", &json!({ "storage": { "size": "800Gi" } }));
    world.settle().await;
    assert_eq!(asked(&world), "800Gi");
    world
}

fn has(world: &World, claim: &str, amount: &str) {
    world.server.edit(CLAIMS, NS, claim, |claim| claim["status"]["capacity"] = json!({ "storage": amount }));
}

fn asked(world: &World) -> Value {
    world.server.get(CLAIMS, NS, "data-chat-0").unwrap().pointer(SIZE).cloned().unwrap()
}

#[tokio::test]
async fn a_growth_that_has_not_come_to_its_end_is_taken_back() {
    let world = mistaken().await;
    world.apply("chat", &json!({ "storage": { "size": "90Gi" } }));
    world.settle().await;
    assert_eq!(asked(&world), "90Gi");
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    // An API server that takes none back says so once in a while, and the chat goes on.
    let world = mistaken().await;
    let refusal = Answer::Invalid("spec.resources.requests.storage", "field can not be less than previous value");
    world.server.fault("PATCH", "/persistentvolumeclaims/", refusal, 99);
    world.apply("chat", &json!({ "storage": { "size": "90Gi" }, "gateway": { "replicas": 2 } }));
    world.settle().await;
    let told = world.condition("Degraded");
    let start = "True/StorageNotResized: cannot take back the growth of PersistentVolumeClaim data-chat-0: ";
    assert!(told.starts_with(start), "{told}");
    assert!(told.contains("than previous value; Kubernetes takes a growth back from version 1.32 on"), "{told}");
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["replicas"], 2);
    // As it says: the claim goes on asking for that.
    world.apply("chat", &json!({ "storage": { "size": "800Gi" } }));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn no_volume_shrinks_and_what_to_write_is_told() {
    let told = async |world: &World, expected: &str| {
        world.settle().await;
        world.run_everything();
        world.settle().await;
        let degraded = world.condition("Degraded");
        assert_eq!(degraded, format!("True/StorageNotResized: volume claim data-chat-0 has {expected}"));
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    };
    let world = mistaken().await;
    for size in ["80Gi", "8Gi"] {
        world.apply("chat", &json!({ "storage": { "size": size } }));
        let why = "80Gi and asks for 800Gi, and Kubernetes takes a growth back only to more than a volume has: write more \
                   than 80Gi to storage.size";
        told(&world, why).await;
        assert_eq!(asked(&world), "800Gi");
    }
    world.apply("chat", &json!({ "storage": { "size": "81Gi" } }));
    world.settle().await;
    assert_eq!(asked(&world), "81Gi");
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    has(&world, "data-chat-0", "81Gi");
    world.apply("chat", &json!({ "storage": { "size": "8Gi" }, "gateway": { "replicas": 2 } }));
    told(&world, "81Gi and no volume shrinks: write 81Gi or more to storage.size").await;
    assert_eq!(world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["replicas"], 2);
    let set = world.server.get(SETS, NS, "chat").unwrap();
    assert_eq!(set["spec"]["volumeClaimTemplates"][0].pointer(SIZE), Some(&json!("80Gi")), "others are to be like it");
    world.apply("chat", &json!({ "storage": { "size": "81Gi" } }));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    // A class may give more than it was asked for.
    has(&world, "data-chat-0", "100Gi");
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

/// Nobody may be able to make a claim of the size that the chat was made with.
#[tokio::test]
async fn claims_that_could_not_be_made_are_made_with_the_smaller_size() {
    let world = World::with(&json!({ "storage": { "size": "800Gi" } }));
    world.settle().await;
    let template = |world: &World| {
        let set = world.server.get(SETS, NS, "chat").unwrap();
        set["spec"]["volumeClaimTemplates"][0].pointer(SIZE).cloned().unwrap()
    };
    assert_eq!(template(&world), "800Gi");
    world.run_everything();
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| claim["status"] = json!({ "phase": "Pending" }));
    world.apply("chat", &json!({ "storage": { "size": "80Gi" } }));
    world.settle().await;
    assert_eq!(template(&world), "80Gi");
    let degraded = world.condition("Degraded");
    let told = "asks for 800Gi, which cannot change before it has one: kubectl delete pvc data-chat-0";
    assert!(degraded.contains(told), "{degraded}");
    world.server.delete(CLAIMS, NS, "data-chat-0");
    world.run_everything();
    world.settle().await;
    assert_eq!(asked(&world), "80Gi");
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_field_that_cannot_change_is_named_before_it_is_tried() {
    let world = running().await;
    world.server.edit(SETS, NS, "chat", |set| set["spec"]["serviceName"] = json!("other"));
    world.server.take_writes();
    world.reconcile().await.unwrap();
    assert!(!world.server.take_writes().iter().any(|write| write.contains("statefulsets")));
    let condition = world.condition("Degraded");
    assert!(condition.contains("ImmutableField: StatefulSet chat: spec.serviceName cannot change"), "{condition}");
    assert!(world.condition("Ready").starts_with("False/ImmutableField"));
}

#[tokio::test]
async fn a_pod_that_is_stuck_on_an_old_revision_is_replaced_once() {
    let world = running().await;
    world.put_pod("chat-0-old", false, Some("ImagePullBackOff"));
    world.server.edit(SETS, NS, "chat", |set| {
        set["status"]["availableReplicas"] = json!(0);
        set["status"]["updatedReplicas"] = json!(0);
    });
    world.reconcile().await.unwrap();
    let deleted = |writes: &[String]| writes.iter().filter(|write| write.starts_with("DELETE")).count();
    assert_eq!(deleted(&world.server.take_writes()), 1);
    assert!(world.server.get(PODS, NS, "chat-0").is_none());
    // The successor is of the current revision: failing or not, it is left to Kubernetes.
    world.put_pod("chat-1", false, Some("ImagePullBackOff"));
    world.reconcile().await.unwrap();
    assert_eq!(deleted(&world.server.take_writes()), 0);
    assert!(world.condition("Degraded").contains("PodFailing: sentinel: pod chat-0: cannot pull image sentinel:1"));
}

/// Users copy labels, and whoever may make pods may give them ours.
#[tokio::test]
async fn a_stuck_pod_that_no_workload_of_ours_made_is_not_touched() {
    let world = running().await;
    let is_left = async |why: &str| {
        world.reconcile().await.unwrap();
        assert!(world.server.get(PODS, NS, "chat-0").is_some(), "{why}");
    };
    world.put_pod("chat-0-old", false, Some("ImagePullBackOff"));
    let owner = |change: fn(&mut Value)| {
        world.put_pod("chat-0-old", false, Some("ImagePullBackOff"));
        world.server.edit(PODS, NS, "chat-0", |pod| change(&mut pod["metadata"]["ownerReferences"]));
    };
    owner(|owners| *owners = json!([]));
    is_left("it is alone").await;
    owner(|owners| owners[0]["uid"] = json!("that of another one"));
    is_left("a StatefulSet of the same name in another time made it").await;
    owner(|owners| owners[0]["controller"] = json!(false));
    is_left("that StatefulSet does not look after it").await;

    // Theirs, with all of our labels.
    let mut theirs = world.server.get(SETS, NS, "chat").unwrap();
    theirs["metadata"] = json!({ "name": "theirs", "labels": theirs["metadata"]["labels"] });
    let theirs = world.server.put(SETS, NS, theirs);
    world.put_pod("chat-0-old", false, Some("ImagePullBackOff"));
    world.server.edit(PODS, NS, "chat-0", |pod| {
        pod["metadata"]["ownerReferences"][0]["name"] = json!("theirs");
        pod["metadata"]["ownerReferences"][0]["uid"] = theirs["metadata"]["uid"].clone();
    });
    is_left("the resource does not own its StatefulSet").await;
}

#[tokio::test]
async fn a_pod_of_an_old_revision_that_serves_is_left_alone() {
    let world = running().await;
    world.put_pod("chat-0-old", true, None);
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pod_of_an_old_revision_that_runs_and_does_not_start_is_replaced() {
    let world = running().await;
    world.put_pod("chat-0-old", false, None);
    let container = |started: bool| {
        world.server.edit(PODS, NS, "chat-0", |pod| {
            pod["status"]["containerStatuses"][0]["started"] = json!(started);
        });
    };
    container(true);
    world.reconcile().await.unwrap();
    assert!(world.server.get(PODS, NS, "chat-0").is_some(), "it started, so it may become ready again");
    container(false);
    world.reconcile().await.unwrap();
    assert!(world.server.get(PODS, NS, "chat-0").is_none());
}

/// What a container did that was well for weeks, with three restarts in that time, and does not answer now.
fn restarted(world: &World, ended: &str) {
    world.server.edit(PODS, NS, "chat-0", |pod| {
        let container = &mut pod["status"]["containerStatuses"][0];
        container["restartCount"] = json!(3);
        container["started"] = json!(true);
        container["lastState"] = json!({ "terminated": { "exitCode": 137, "finishedAt": ended } });
    });
    world.server.edit(SETS, NS, "chat", |set| {
        set["status"]["readyReplicas"] = json!(0);
        set["status"]["availableReplicas"] = json!(0);
    });
}

/// It may be the peer of one that is made anew: two of three would be away.
#[tokio::test]
async fn restarts_of_long_ago_are_no_trouble_and_a_pod_that_started_is_not_deleted() {
    let world = running().await;
    world.put_pod("chat-0-old", false, None);
    restarted(&world, "2026-01-01T00:00:00Z");
    world.reconcile().await.unwrap();
    assert!(world.server.get(PODS, NS, "chat-0").is_some());
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    restarted(&world, &jiff::Timestamp::now().to_string());
    world.reconcile().await.unwrap();
    assert!(world.server.get(PODS, NS, "chat-0").is_some(), "it runs, and may be well again in a moment");
    let told = world.condition("Degraded");
    assert!(
        told.contains("PodFailing: sentinel: pod chat-0: container sentinel keeps ending, last with 137"),
        "{told}"
    );

    world.server.edit(PODS, NS, "chat-0", |pod| {
        let container = &mut pod["status"]["containerStatuses"][0];
        container["started"] = json!(false);
        container["state"] = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    });
    world.reconcile().await.unwrap();
    assert!(world.server.get(PODS, NS, "chat-0").is_none());
}

/// Kubernetes keeps them to be looked at.
#[tokio::test]
async fn an_evicted_pod_of_a_deployment_does_not_make_the_next_rollout_look_broken() {
    let world = running().await;
    let labels =
        world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    let evicted = |name: &str, labels: &Value| {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
            "spec": { "containers": [] },
            "status": { "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." } })
    };
    world.server.put(PODS, NS, evicted("chat-gateway-1", &labels));
    world.server.edit(DEPLOYMENTS, NS, "chat-gateway", |deployment| deployment["status"]["updatedReplicas"] = json!(0));
    world.reconcile().await.unwrap();
    assert!(world.condition("Progressing").starts_with("True/RollingOut"), "{}", world.condition("Progressing"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    // A StatefulSet has no other pod of that name.
    let labels = world.server.get(SETS, NS, "chat").unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    world.server.put(PODS, NS, evicted("chat-0", &labels));
    world.server.edit(SETS, NS, "chat", |set| set["status"]["availableReplicas"] = json!(0));
    world.reconcile().await.unwrap();
    let told = world.condition("Degraded");
    assert!(told.contains("PodFailing: sentinel: pod chat-0: The node was low on resource"), "{told}");
}

/// Names of pods that are replaced at 12:00, of a StatefulSet for `component`.
fn stuck(component: &str, pods: &[(&str, &str, &str, &str)]) -> Vec<String> {
    let mut observed = Observed::default();
    let set = json!({ "metadata": { "generation": 2, "uid": "set", "ownerReferences": [{ "uid": "chat" }] },
        "status": { "observedGeneration": 2, "updateRevision": "new" } });
    observed.put(Kind::StatefulSet, "chat-x", set);
    let pod = |(name, revision, made, ran): &(&str, &str, &str, &str)| {
        serde_json::from_value(json!({
            "metadata": { "name": name, "creationTimestamp": made,
                "labels": { "app.kubernetes.io/component": component, "controller-revision-hash": revision },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "chat-x", "uid": "set",
                    "controller": true }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "store", "image": "store:1", "imageID": "",
                "ready": false, "started": false, "restartCount": 0, "state": { "running": { "startedAt": ran } } }] },
        }))
        .unwrap()
    };
    observed.pods = pods.iter().map(pod).collect();
    let now = "2026-01-02T12:00:00Z".parse().unwrap();
    repair::stuck(&observed, Some("chat"), now).into_iter().filter_map(|pod| pod.metadata.name.clone()).collect()
}

#[test]
fn a_start_has_its_time_and_a_joining_node_of_cassandra_all_it_needs() {
    let (long, short) = ("2026-01-02T11:54:00Z", "2026-01-02T11:56:00Z");
    let pods = [
        ("chat-x-0", "old", long, long),
        ("chat-x-1", "old", long, long),
        ("chat-x-2", "old", long, short),
        ("chat-x-3", "old", short, short),
        ("chat-x-4", "new", long, long),
    ];
    assert_eq!(stuck("kafka", &pods), ["chat-x-0", "chat-x-1"]);
    assert_eq!(stuck("cassandra", &pods), ["chat-x-0"]);
}

#[tokio::test]
async fn a_stateful_set_without_pods_tells_why() {
    let world = World::with(&json!({}));
    world.settle().await;
    let event = |kind: &str, name: &str, message: &str| -> Value {
        json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": name }, "type": "Warning",
            "involvedObject": { "kind": kind, "name": name }, "message": message })
    };
    world.server.put("v1/events", NS, event("StatefulSet", "chat", "create Pod chat-0 failed: exceeded quota"));
    world.reconcile().await.unwrap();
    let condition = world.condition("Degraded");
    assert!(condition.contains("True/FailedCreate: sentinel: create Pod chat-0 failed: exceeded quota"), "{condition}");
}

#[tokio::test]
async fn a_store_counts_on_the_volumes_that_it_has() {
    let world = distributed::running(&managed()).await;
    let told = |store: &str, file: &str, setting: &str| {
        let map = world.server.get("v1/configmaps", NS, &format!("chat-{store}")).unwrap();
        let text = map["data"][file].as_str().unwrap();
        text.lines().find(|line| line.contains(setting)).unwrap().to_owned()
    };
    let all = || {
        let marks = told("elasticsearch", "elasticsearch.yml", "watermark.low");
        (marks, told("kafka", "server.properties", "log.retention.bytes="))
    };
    let have = |amount: &str| {
        for store in ["kafka", "elasticsearch"] {
            world.server.edit(CLAIMS, NS, &format!("data-chat-{store}-0"), |claim| {
                claim["status"]["capacity"] = json!({ "storage": amount });
            });
        }
    };
    let before = all();
    // A class that gives a little more is no reason to make all nodes anew.
    have("8200Mi");
    world.settle().await;
    assert_eq!(all(), before);

    let mut spec = managed();
    for store in ["kafka", "elasticsearch"] {
        spec["dependencies"][store]["managed"]["storage"] = json!({ "size": "100Gi" });
    }
    have("8Gi");
    world.server.fault("PATCH", "/persistentvolumeclaims/", Answer::Status(403, "cannot be resized"), 99);
    world.apply("chat", &spec);
    world.settle().await;
    assert!(world.condition("Degraded").contains("StorageNotResized"), "{}", world.condition("Degraded"));
    assert_eq!(all(), before, "the volumes are as small as they were");

    have("100Gi");
    world.settle().await;
    assert_ne!(all().0, before.0);
    assert_ne!(all().1, before.1);

    // No volume shrinks: Kafka would throw events away for a size that was written by mistake.
    let large = all();
    for store in ["kafka", "elasticsearch"] {
        world.server.edit(CLAIMS, NS, &format!("data-chat-{store}-0"), |claim| {
            claim["spec"]["resources"]["requests"]["storage"] = json!("100Gi");
        });
    }
    world.apply("chat", &managed());
    world.settle().await;
    let degraded = world.condition("Degraded");
    let told = "data-chat-kafka-0 has 100Gi and no volume shrinks: write 100Gi or more to dependencies.kafka";
    assert!(degraded.contains(told), "{degraded}");
    assert_eq!(all(), large);
}
