//! What keeps a chat waiting and does not tell so itself: pods that do not begin or do not get ready, a load balancer without
//! address, volumes that do not grow.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    distributed::{self, managed},
    world::{CLAIMS, DEPLOYMENTS, JOBS, NS, PODS, SETS, World},
};

const SERVICES: &str = "v1/services";

async fn running(spec: &Value) -> World {
    let world = World::with(spec);
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

fn ago(minutes: i64) -> String {
    (Timestamp::now() - SignedDuration::from_mins(minutes)).to_string()
}

/// An Event of that many minutes ago.
fn tell(world: &World, (kind, name): (&str, &str), (type_, reason): (&str, &str), message: &str, minutes: i64) {
    world.server.put(
        "v1/events",
        NS,
        json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": format!("{name}.{reason}") },
            "type": type_, "reason": reason, "involvedObject": { "kind": kind, "name": name }, "message": message,
            "lastTimestamp": ago(minutes) }),
    );
}

/// A pod of a StatefulSet with these conditions, which lacks it.
fn put_pod(world: &World, set: &str, name: &str, phase: &str, conditions: &Value) {
    let labels = world.server.get(SETS, NS, set).unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
            "metadata": { "name": name, "labels": labels },
            "status": { "phase": phase, "conditions": conditions } }),
    );
    world.server.edit(SETS, NS, set, |set| {
        for count in ["readyReplicas", "availableReplicas"] {
            set["status"][count] = json!(0);
        }
    });
}

fn scheduled(minutes: i64) -> Value {
    json!([{ "type": "PodScheduled", "status": "True", "lastTransitionTime": ago(minutes) }])
}

fn unready(minutes: i64) -> Value {
    json!([{ "type": "Ready", "status": "False", "lastTransitionTime": ago(minutes) }])
}

#[tokio::test]
async fn a_pod_that_does_not_get_its_volume_tells_why_after_two_minutes() {
    let world = running(&json!({})).await;
    let multi = "Multi-Attach error for volume \"pvc-1\": Volume is already exclusively attached to one node";
    tell(&world, ("Pod", "chat-0"), ("Warning", "FailedAttachVolume"), multi, 1);
    put_pod(&world, "chat", "chat-0", "Pending", &scheduled(1));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    put_pod(&world, "chat", "chat-0", "Pending", &scheduled(3));
    world.settle().await;
    let told = format!("pod chat-0 does not start: {multi}");
    assert_eq!(world.condition("Degraded"), format!("True/PodFailing: sentinel: {told}"));
    assert_eq!(world.condition("Ready"), format!("False/NotAvailable: sentinel: {told}"));
    assert!(world.condition("Progressing").starts_with("False/"), "waiting does not help");

    // It is attached now, and pulls a large image.
    tell(&world, ("Pod", "chat-0"), ("Normal", "SuccessfulAttachVolume"), "AttachVolume.Attach succeeded", 0);
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert!(world.condition("Progressing").starts_with("True/RollingOut"), "{}", world.condition("Progressing"));
}

#[tokio::test]
async fn a_pod_of_a_stateful_set_that_is_unready_for_long_is_told() {
    let world = running(&json!({})).await;
    let refused = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    tell(&world, ("Pod", "chat-0"), ("Warning", "Unhealthy"), refused, 0);
    put_pod(&world, "chat", "chat-0", "Running", &unready(9));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    put_pod(&world, "chat", "chat-0", "Running", &unready(11));
    world.settle().await;
    let told = format!("pod chat-0 has not been ready for ten minutes: {refused}; look at its log");
    assert_eq!(world.condition("Degraded"), format!("True/ProgressDeadlineExceeded: sentinel: {told}"));
    world.run_everything();
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn a_node_of_cassandra_may_join_for_as_long_as_it_takes() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = distributed::running(&spec).await;
    put_pod(&world, "chat-cassandra", "chat-cassandra-2", "Running", &unready(600));
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    put_pod(&world, "chat-cassandra", "chat-cassandra-2", "Pending", &scheduled(5));
    tell(&world, ("Pod", "chat-cassandra-2"), ("Warning", "FailedMount"), "MountVolume.SetUp failed", 0);
    world.settle().await;
    let told = world.condition("DependenciesReady");
    let expected = "pod chat-cassandra-2 does not start: MountVolume.SetUp failed";
    assert_eq!(told, format!("False/PodFailing: cassandra: {expected}"));
    world.server.delete(PODS, NS, "chat-cassandra-2");
    put_pod(&world, "chat-kafka", "chat-kafka-0", "Running", &unready(600));
    world.settle().await;
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/ProgressDeadlineExceeded: kafka: pod chat-kafka-0 has not been ready"), "{told}");
}

#[tokio::test]
async fn pods_of_the_gateway_and_the_migration_that_do_not_begin_tell_why_as_well() {
    let pending = |name: &str, labels: &Value, owners: Value| {
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
            "metadata": { "name": name, "labels": labels, "ownerReferences": owners },
            "status": { "phase": "Pending", "conditions": scheduled(3) } })
    };
    let words = "MountVolume.SetUp failed for volume \"config\"";
    let world = running(&json!({})).await;
    let gateway = world.server.get(DEPLOYMENTS, NS, "chat-gateway").unwrap();
    let labels = &gateway["spec"]["template"]["metadata"]["labels"];
    world.server.put(PODS, NS, pending("chat-gateway-x", labels, json!([])));
    world
        .server
        .edit(DEPLOYMENTS, NS, "chat-gateway", |deployment| deployment["status"]["availableReplicas"] = json!(0));
    tell(&world, ("Pod", "chat-gateway-x"), ("Warning", "FailedMount"), words, 0);
    world.settle().await;
    let told = format!("True/PodFailing: gateway: pod chat-gateway-x does not start: {words}");
    assert_eq!(world.condition("Degraded"), told);

    let world = running(&managed()).await;
    let name = world.server.names(JOBS, NS).remove(0);
    let job = world.server.get(JOBS, NS, &name).unwrap();
    let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"] }]);
    let pod = format!("{name}-x");
    world.server.put(PODS, NS, pending(&pod, &job["spec"]["template"]["metadata"]["labels"], owner));
    tell(&world, ("Pod", &pod), ("Warning", "FailedMount"), words, 0);
    world.settle().await;
    let told = world.condition("SchemaMigrated");
    assert_eq!(told, format!("False/PodFailing: pod {pod} does not start: {words}"));
}

#[tokio::test]
async fn a_chat_is_ready_when_its_load_balancer_has_an_address() {
    let world = running(&json!({ "gateway": { "service": { "type": "LoadBalancer" } } })).await;
    for type_ in ["Ready", "Progressing"] {
        let told = world.condition(type_);
        assert!(
            told.contains("/AddressPending: the load balancer of Service chat-gateway has no address yet"),
            "{told}"
        );
    }
    assert!(world.condition("Ready").starts_with("False/"));
    assert!(world.condition("Degraded").starts_with("False/"));
    let quota = "Error syncing load balancer: quota exceeded";
    tell(&world, ("Service", "chat-gateway"), ("Warning", "SyncLoadBalancerFailed"), quota, 0);
    world.settle().await;
    assert!(
        world.condition("Ready").ends_with(&format!("has no address yet: {quota}")),
        "{}",
        world.condition("Ready")
    );

    world.server.edit(SERVICES, NS, "chat-gateway", |service| {
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }] } });
    });
    world.settle().await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
    assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
}

#[tokio::test]
async fn clients_that_come_through_an_ingress_need_no_address_of_the_service() {
    let spec =
        json!({ "gateway": { "host": "chat.example.com", "ingress": {}, "service": { "type": "LoadBalancer" } } });
    let world = running(&spec).await;
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn a_look_at_external_stores_that_does_not_begin_is_told_after_ten_minutes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = distributed::running(&distributed::external(&listener.local_addr().unwrap().to_string())).await;
    let name = world.server.names(JOBS, NS).into_iter().find(|job| job.starts_with("chat-check-")).unwrap();
    let made = |minutes| {
        world.server.edit(JOBS, NS, &name, |job| job["metadata"]["creationTimestamp"] = json!(ago(minutes)));
    };
    let told = async |expected: Option<&str>| {
        world.settle().await;
        let degraded = world.condition("Degraded");
        match expected {
            None => assert!(degraded.starts_with("False/"), "{degraded}"),
            Some(expected) => {
                let (reason, why) = expected.split_once(": ").unwrap();
                let start = format!("True/{reason}: check: external stores are not looked at any more: {why}");
                assert!(degraded.starts_with(&start), "{degraded}");
                assert!(degraded.ends_with(&format!("(Job {name} runs where and with what services.users says)")));
            }
        }
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
        assert!(world.condition("DependenciesReady").starts_with("True/"));
    };
    let quota = |pod: &str| format!("Error creating: pods \"{name}-{pod}\" is forbidden: exceeded quota: small");
    tell(&world, ("Job", &name), ("Warning", "FailedCreate"), &quota("x7k2p"), 0);
    made(9);
    told(None).await;
    made(11);
    told(Some(&format!("FailedCreate: {}", quota("…")))).await;
    tell(&world, ("Job", &name), ("Warning", "FailedCreate"), &quota("bcdfg"), 0);
    world.reconcile().await.unwrap();
    assert_eq!(world.server.take_writes(), Vec::<String>::new(), "each try is told the same");

    let job = world.server.get(JOBS, NS, &name).unwrap();
    let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"] }]);
    let pod = format!("{name}-bcdfg");
    let is = |status: Value| {
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        let metadata = json!({ "name": pod, "labels": labels, "ownerReferences": owner });
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [] },
            "metadata": metadata, "status": status });
        world.server.put(PODS, NS, object);
    };
    is(json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu." }] }));
    told(Some(&format!("PodFailing: pod {pod} fits no node: 0/3 nodes are available: 3 Insufficient cpu."))).await;
    is(json!({ "phase": "Pending", "conditions": scheduled(3), "containerStatuses": [{ "name": "migration",
        "image": "nowhere/sentinel:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such host" } } }] }));
    told(Some(&format!(
        "PodFailing: pod {pod}: cannot pull image nowhere/sentinel:1 of container migration: no such host; correct image"
    )))
    .await;
    is(json!({ "phase": "Pending", "conditions": scheduled(3) }));
    let mount = "MountVolume.SetUp failed for volume \"redis-credentials\"";
    tell(&world, ("Pod", &pod), ("Warning", "FailedMount"), mount, 0);
    told(Some(&format!("PodFailing: pod {pod} does not start: {mount}"))).await;
    let runs = |minutes| {
        json!({ "phase": "Running", "containerStatuses": [{ "name": "migration", "image": "sentinel:1", "imageID": "",
            "ready": true, "restartCount": 0, "state": { "running": { "startedAt": ago(minutes) } } }] })
    };
    is(runs(1));
    told(None).await;
    assert_eq!(world.server.get(JOBS, NS, &name).unwrap()["metadata"]["uid"], job["metadata"]["uid"]);
    is(runs(4));
    world.settle().await;
    let again = world.server.get(JOBS, NS, &name).unwrap();
    assert_ne!(again["metadata"]["uid"], job["metadata"]["uid"], "one that hangs is made anew");
}

fn edit_claim(world: &World, change: impl FnOnce(&mut Value)) {
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| change(&mut claim["status"]));
}

#[tokio::test]
async fn a_volume_that_grows_is_progress_and_one_that_cannot_is_told() {
    let world = running(&json!({})).await;
    edit_claim(&world, |status| status["capacity"] = json!({ "storage": "8Gi" }));
    // It was made slowly, and that is over.
    let claim = ("PersistentVolumeClaim", "data-chat-0");
    tell(&world, claim, ("Warning", "ProvisioningFailed"), "failed to provision", 9);
    world.apply("chat", &json!({ "storage": { "size": "20Gi" } }));
    world.settle().await;
    let grows = "volume claim data-chat-0 grows from 8Gi to 20Gi";
    assert_eq!(world.condition("Progressing"), format!("True/StorageResizing: {grows}"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));

    let stuck = async |expected: &str| {
        world.settle().await;
        let degraded = world.condition("Degraded");
        assert_eq!(degraded, format!("True/StorageNotResized: {grows} and does not get there: {expected}"));
        assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
        assert!(world.condition("Ready").starts_with("True/"), "the platform goes on");
    };
    let pending = |minutes| {
        edit_claim(&world, |status| {
            status["conditions"] = json!([{ "type": "FileSystemResizePending", "status": "True",
                "lastTransitionTime": ago(minutes) }]);
        });
    };
    pending(1);
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "its node is at it: {}", world.condition("Degraded"));
    pending(6);
    stuck("its file system grows when its pod starts again; kubectl delete pod chat-0, when all others are ready")
        .await;

    tell(&world, claim, ("Warning", "VolumeResizeFailed"), "resize volume failed: no room", 0);
    stuck("resize volume failed: no room").await;
    edit_claim(&world, |status| {
        status["allocatedResourceStatuses"] = json!({ "storage": "ControllerResizeInfeasible" });
    });
    stuck(
        "its storage driver cannot (resize volume failed: no room); write a size to storage.size that it can, more than 8Gi",
    )
    .await;

    // As it says.
    world.apply("chat", &json!({ "storage": { "size": "12Gi" } }));
    world.settle().await;
    let claim = world.server.get(CLAIMS, NS, "data-chat-0").unwrap();
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "12Gi");
    world.server.edit(CLAIMS, NS, "data-chat-0", |claim| {
        claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": "12Gi" } });
    });
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert!(world.condition("Progressing").starts_with("False/"), "{}", world.condition("Progressing"));
}

#[tokio::test]
async fn a_driver_that_says_nothing_of_a_growth_is_told_of_after_a_while() {
    let world = running(&json!({})).await;
    edit_claim(&world, |status| status["capacity"] = json!({ "storage": "8Gi" }));
    world.apply("chat", &json!({ "storage": { "size": "20Gi" } }));
    world.settle().await;
    let asked = |minutes| {
        world.server.edit(CLAIMS, NS, "data-chat-0", |claim| {
            let request = json!({ "f:spec": { "f:resources": { "f:requests": { "f:storage": {} } } } });
            claim["spec"]["storageClassName"] = json!("fast");
            claim["metadata"]["managedFields"] = json!([
                { "manager": "kube-controller-manager", "time": ago(900), "fieldsV1": request },
                { "manager": "sentinel-operator", "time": ago(minutes), "fieldsV1": request },
                { "manager": "else", "time": ago(0), "fieldsV1": { "f:metadata": {} } },
            ]);
        });
    };
    let grows = "volume claim data-chat-0 grows from 8Gi to 20Gi";
    asked(9);
    world.settle().await;
    assert_eq!(world.condition("Progressing"), format!("True/StorageResizing: {grows}"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    asked(11);
    world.settle().await;
    let told = world.condition("Degraded");
    assert!(
        told.starts_with(&format!("True/StorageNotResized: {grows} and does not get there: nothing has")),
        "{told}"
    );
    assert!(told.contains("see that the storage driver of class fast runs"), "{told}");
    assert!(world.condition("Ready").starts_with("True/"), "the platform goes on");

    let begun = |minutes| {
        edit_claim(&world, |status| {
            status["conditions"] =
                json!([{ "type": "Resizing", "status": "True", "lastTransitionTime": ago(minutes) }]);
        });
    };
    begun(1);
    world.settle().await;
    assert_eq!(world.condition("Progressing"), format!("True/StorageResizing: {grows}"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    begun(11);
    world.settle().await;
    let told = world.condition("Progressing");
    assert!(told.starts_with(&format!("True/StorageResizing: {grows}; its storage driver has begun")), "{told}");
    assert!(told.contains("kubectl describe pvc data-chat-0"), "{told}");
    assert!(world.condition("Degraded").starts_with("False/"), "some take long: {}", world.condition("Degraded"));
}
