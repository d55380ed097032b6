//! Pods that Kubernetes does not let be made: quota, limits, pod security.

use serde_json::{Value, json};

use crate::{
    distributed::{LONG_AGO, managed, running},
    world::{JOBS, NS, PODS, SETS, World},
};

/// What a controller tells about making a pod of `name`.
fn tell(world: &World, kind: &str, name: &str, message: &str, time: &str) {
    let is_made = message.ends_with("successful");
    world.server.put(
        "v1/events",
        NS,
        json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": format!("{name}.{time}") },
            "type": if is_made { "Normal" } else { "Warning" },
            "reason": if is_made { "SuccessfulCreate" } else { "FailedCreate" },
            "involvedObject": { "kind": kind, "name": name }, "message": message, "lastTimestamp": time }),
    );
}

#[tokio::test]
async fn a_store_that_lacks_one_of_its_pods_tells_why() {
    let mut spec = managed();
    spec["dependencies"]["cassandra"]["managed"]["replicas"] = json!(3);
    let world = running(&spec).await;
    world.server.edit(SETS, NS, "chat-cassandra", |set| {
        for count in ["replicas", "readyReplicas", "availableReplicas", "updatedReplicas"] {
            set["status"][count] = json!(2);
        }
    });
    let tell = |message: &str, time: &str| tell(&world, "StatefulSet", "chat-cassandra", message, time);
    tell("create Pod chat-cassandra-1 in StatefulSet chat-cassandra failed error: too early", "2026-01-01T10:00:00Z");
    tell("create Pod chat-cassandra-1 in StatefulSet chat-cassandra successful", "2026-01-01T10:01:00Z");
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}: this is over", world.condition("Degraded"));
    let refused = "create Pod chat-cassandra-2 in StatefulSet chat-cassandra failed error: exceeded quota: small";
    tell(refused, "2026-01-01T10:02:00Z");
    world.settle().await;
    assert_eq!(world.condition("Degraded"), format!("True/FailedCreate: cassandra: {refused}"));
    assert!(world.condition("Ready").contains("exceeded quota: small"), "{}", world.condition("Ready"));
    let told = world.condition("DependenciesReady");
    assert_eq!(told, format!("False/FailedCreate: cassandra: {refused}"));

    world.run_everything();
    world.settle().await;
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
}

#[tokio::test]
async fn a_migration_whose_pod_is_refused_tells_why() {
    let world = World::with(&managed());
    world.settle().await;
    world.run_everything();
    world.settle().await;
    let name = world.server.names(JOBS, NS).remove(0);
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"), "{}", world.condition("SchemaMigrated"));
    let refused = "Error creating: pods is forbidden: maximum memory usage per Container is 128Mi, but limit is 256Mi";
    tell(&world, "Job", &name, refused, "2026-01-01T10:00:00Z");
    world.settle().await;
    assert_eq!(world.condition("SchemaMigrated"), format!("False/FailedCreate: {refused}"));
    assert_eq!(world.condition("Degraded"), format!("True/FailedCreate: migration: {refused}"));

    let job = world.server.get(JOBS, NS, &name).unwrap();
    let labels: &Value = &job["spec"]["template"]["metadata"]["labels"];
    let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"] });
    let pod = format!("{name}-x");
    world.server.put(
        PODS,
        NS,
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": [], "nodeName": "node-2" },
            "metadata": { "name": pod, "labels": labels, "ownerReferences": [owner],
                "finalizers": ["batch.kubernetes.io/job-tracking"] },
            "status": { "phase": "Running" } }),
    );
    world.settle().await;
    assert!(world.condition("SchemaMigrated").starts_with("False/Migrating"), "{}", world.condition("SchemaMigrated"));
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));

    // Its node is lost.
    world.server.edit(PODS, NS, &pod, |pod| pod["metadata"]["deletionTimestamp"] = json!(LONG_AGO));
    world.settle().await;
    let told = world.condition("SchemaMigrated");
    assert!(told.starts_with(&format!("False/PodHangs: pod {pod} was deleted and hangs on node node-2")), "{told}");
}
