//! What others change in objects of the operator, and what Kubernetes does not let the operator change.

use serde_json::{Value, json};

use crate::{
    api_server::Answer,
    distributed::{managed, running},
    world::{CLAIMS, DEPLOYMENTS, NS, PODS, SETS, World},
};

const POLICIES: &str = "networking.k8s.io/v1/networkpolicies";
const SERVICES: &str = "v1/services";
const BUDGETS: &str = "policy/v1/poddisruptionbudgets";

/// Profile Embedded with what it has only when it is asked for.
async fn embedded() -> World {
    let world = World::with(&json!({ "gateway": { "replicas": 2, "pod": { "nodeSelector": { "disk": "ssd" } } } }));
    world.settle().await;
    world.run_everything();
    world.settle().await;
    world
}

/// Somebody changes an object, and the operator is to put it back, or to leave it.
async fn changes(world: &World, (path, name): (&str, &str), pointer: &str, is_put_back: bool, change: fn(&mut Value)) {
    let before = world.server.get(path, NS, name).unwrap();
    world.server.edit(path, NS, name, |object| change(object.pointer_mut(pointer).unwrap()));
    let changed = world.server.get(path, NS, name).unwrap();
    assert_ne!(changed.pointer(pointer), before.pointer(pointer), "{name} {pointer} is not changed");
    world.settle().await;
    let expected = if is_put_back { &before } else { &changed };
    let found = world.server.get(path, NS, name).unwrap();
    assert_eq!(found.pointer(pointer), expected.pointer(pointer), "{path} {name} {pointer}");
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

#[tokio::test]
async fn an_addition_to_what_is_applied_as_a_whole_is_taken_back() {
    let world = embedded().await;
    let policy = (POLICIES, "chat-sentinel");
    // Each of these lets somebody in, or makes the policy one of fewer pods.
    changes(&world, policy, "/spec/ingress", true, |rules| push(rules, json!({}))).await;
    changes(&world, policy, "/spec/ingress/0/from", true, |peers| {
        push(peers, json!({ "podSelector": {} }));
    })
    .await;
    changes(&world, policy, "/spec/ingress/0/from/0", true, |peer| peer["namespaceSelector"] = json!({})).await;
    changes(&world, policy, "/spec/ingress/0/ports", true, |ports| {
        push(ports, json!({ "protocol": "TCP", "port": 22 }));
    })
    .await;
    changes(&world, policy, "/spec/podSelector/matchLabels", true, |labels| labels["only"] = json!("some")).await;
    changes(&world, (SERVICES, "chat-sentinel"), "/spec/selector", true, |labels| labels["only"] = json!("some")).await;
    changes(&world, (BUDGETS, "chat-gateway"), "/spec/selector/matchLabels", true, |labels| {
        labels["only"] = json!("some");
    })
    .await;
    let gateway = (DEPLOYMENTS, "chat-gateway");
    let pod = "/spec/template/spec";
    changes(&world, gateway, &format!("{pod}/nodeSelector"), true, |labels| labels["zone"] = json!("a")).await;
    let set = (SETS, "chat");
    let container = format!("{pod}/containers/0");
    changes(&world, set, &format!("{container}/args"), true, |args| push(args, json!("--debug"))).await;
    changes(&world, set, &format!("{container}/securityContext/capabilities/drop"), true, |drop| {
        push(drop, json!("NET_RAW"));
    })
    .await;
}

#[tokio::test]
async fn additions_to_what_is_merged_stay_and_are_not_written_over() {
    let world = embedded().await;
    let set = (SETS, "chat");
    let pod = "/spec/template/spec";
    for (list, item) in [
        ("containers", json!({ "name": "mesh", "terminationMessagePath": "/dev/termination-log" })),
        ("containers/0/env", json!({ "name": "PROXY", "value": "x" })),
        ("containers/0/volumeMounts", json!({ "name": "more", "mountPath": "/more" })),
        ("volumes", json!({ "name": "more" })),
    ] {
        let pointer = format!("{pod}/{list}");
        world.server.edit(SETS, NS, "chat", |set| push(set.pointer_mut(&pointer).unwrap(), item.clone()));
        world.settle().await;
        let found = world.server.get(SETS, NS, "chat").unwrap();
        assert!(found.pointer(&pointer).unwrap().as_array().unwrap().contains(&item), "{list}");
    }
    changes(&world, set, "/metadata/labels", false, |labels| labels["team"] = json!("a")).await;
    changes(&world, (SERVICES, "chat-sentinel"), "/spec/ports", false, |ports| {
        push(ports, json!({ "name": "more", "port": 81 }));
    })
    .await;
}

/// Makes a StatefulSet one that an operator of before made, with other templates.
fn made_before(set: &mut Value) {
    set["metadata"]["annotations"]["chat.sentinel.dev/applied"] = json!("of before");
}

#[tokio::test]
async fn a_stateful_set_that_cannot_become_what_it_is_to_be_is_made_anew_and_its_pods_run_on() {
    for (name, change) in [
        ("chat-message", (|spec| spec["serviceName"] = json!("of-before")) as fn(&mut Value)),
        ("chat-message", |spec| {
            spec["podManagementPolicy"] = json!("OrderedReady");
        }),
        ("chat-message", |spec| spec["volumeClaimTemplates"] = json!([{ "metadata": { "name": "data" }, "spec": {} }])),
        ("chat-kafka", |spec| spec["volumeClaimTemplates"][0]["spec"]["accessModes"] = json!(["ReadWriteMany"])),
        ("chat-kafka", |spec| {
            push(&mut spec["volumeClaimTemplates"], json!({ "metadata": { "name": "more" }, "spec": {} }));
        }),
    ] {
        let world = running(&managed()).await;
        let wanted = world.server.get(SETS, NS, name).unwrap()["spec"].clone();
        world.server.edit(SETS, NS, name, |set| {
            made_before(set);
            change(&mut set["spec"]);
            if name == "chat-message" {
                // An autoscaler's number, which the resource does not have.
                set["spec"]["replicas"] = json!(5);
            }
        });
        let set = world.server.get(SETS, NS, name).unwrap();
        let (pod, claim) = (format!("{name}-0"), "data-chat-kafka-0");
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "controller": true,
            "uid": set["metadata"]["uid"] });
        let before = world.server.put(
            PODS,
            NS,
            json!({ "spec": { "containers": [] }, "metadata": { "name": pod, "ownerReferences": [owner],
                "labels": set["spec"]["template"]["metadata"]["labels"] } }),
        );
        let kept = world.server.get(CLAIMS, NS, claim).unwrap();

        world.reconcile().await.unwrap();
        let made = world.server.get(SETS, NS, name).unwrap();
        assert_ne!(made["metadata"]["uid"], set["metadata"]["uid"]);
        for field in ["serviceName", "podManagementPolicy", "volumeClaimTemplates", "selector"] {
            assert_eq!(made["spec"][field], wanted[field], "{field}");
        }
        assert_eq!(made["spec"]["replicas"], set["spec"]["replicas"], "none of its pods is taken away");
        let adopted = world.server.get(PODS, NS, &pod).expect("its pod runs on");
        assert_eq!(adopted["metadata"]["uid"], before["metadata"]["uid"]);
        assert_eq!(adopted["metadata"]["ownerReferences"], json!([]), "it waits to be adopted");
        assert_eq!(world.server.get(CLAIMS, NS, claim).unwrap(), kept);

        world.run_everything();
        world.settle().await;
        assert!(world.condition("Ready").starts_with("True/"), "{}", world.condition("Ready"));
        assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
    }
}

#[tokio::test]
async fn what_is_made_anew_is_waited_for_until_it_is_gone() {
    let world = embedded().await;
    world.server.edit(SETS, NS, "chat", |set| {
        made_before(set);
        set["spec"]["serviceName"] = json!("of-before");
        set["metadata"]["finalizers"] = json!(["orphan"]);
    });
    let before = world.server.get(SETS, NS, "chat").unwrap();
    let server = world.server.clone();
    // The garbage collector, which first takes the owner off the pods.
    let collector = tokio::spawn(async move {
        while server.get(SETS, NS, "chat").unwrap()["metadata"]["deletionTimestamp"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        server.edit(SETS, NS, "chat", |set| set["metadata"]["finalizers"] = json!([]));
    });
    world.reconcile().await.unwrap();
    collector.await.unwrap();
    let made = world.server.get(SETS, NS, "chat").unwrap();
    assert_ne!(made["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(made["spec"]["serviceName"], "chat-pods");
}

#[tokio::test]
async fn a_service_that_cannot_become_what_it_is_to_be_is_made_anew() {
    let world = embedded().await;
    for name in ["chat-pods", "chat-sentinel"] {
        let wanted = world.server.get(SERVICES, NS, name).unwrap();
        let other = if wanted["spec"]["clusterIP"] == "None" { json!("10.0.0.9") } else { json!("None") };
        world.server.edit(SERVICES, NS, name, |service| {
            made_before(service);
            service["spec"]["clusterIP"] = other;
        });
        world.settle().await;
        let made = world.server.get(SERVICES, NS, name).unwrap();
        assert_ne!(made["metadata"]["uid"], wanted["metadata"]["uid"], "{name}");
        assert_eq!(made["spec"]["clusterIP"], wanted["spec"]["clusterIP"], "{name}");
    }
    assert!(world.condition("Degraded").starts_with("False/"), "{}", world.condition("Degraded"));
}

#[tokio::test]
async fn what_a_user_wrote_or_does_not_belong_to_the_resource_is_not_made_anew() {
    let is_told = async |world: &World, why: &str| {
        let before = world.server.get(SETS, NS, "chat").unwrap();
        world.settle().await;
        assert_eq!(world.server.get(SETS, NS, "chat").unwrap(), before, "{why}");
        let told = world.condition("Degraded");
        assert!(told.starts_with("True/ImmutableField: StatefulSet chat: spec."), "{why}: {told}");
    };
    // What an earlier definition let through.
    let world = embedded().await;
    world.apply("chat", &json!({ "storage": { "className": "fast" } }));
    is_told(&world, "a storage class").await;

    let world = embedded().await;
    world.server.edit(SETS, NS, "chat", |set| {
        made_before(set);
        set["spec"]["serviceName"] = json!("of-before");
        set["metadata"]["ownerReferences"][0]["uid"] = json!("that of another one");
    });
    is_told(&world, "it has another owner").await;

    // It would be rewritten each time.
    let world = embedded().await;
    world.server.edit(SETS, NS, "chat", |set| set["spec"]["serviceName"] = json!("rewritten"));
    is_told(&world, "it was made as it is to be").await;
}

#[tokio::test]
async fn a_stateful_set_that_may_not_be_deleted_is_told() {
    let world = embedded().await;
    world.server.edit(SETS, NS, "chat", |set| {
        made_before(set);
        set["spec"]["serviceName"] = json!("of-before");
    });
    world.server.fault("DELETE", "/statefulsets/chat", Answer::Status(403, "no rights"), 1);
    world.reconcile().await.unwrap_err();
    let told = world.condition("Degraded");
    assert!(told.starts_with("True/Forbidden: cannot delete StatefulSet chat: no rights"), "{told}");
    world.settle().await;
    assert_eq!(world.server.get(SETS, NS, "chat").unwrap()["spec"]["serviceName"], "chat-pods");
}

/// A StatefulSet that an operator of before made, with pods that an autoscaler asked for.
async fn autoscaled() -> (World, Value) {
    let world = running(&managed()).await;
    world.server.edit(SETS, NS, "chat-message", |set| {
        made_before(set);
        set["spec"]["serviceName"] = json!("of-before");
        set["spec"]["replicas"] = json!(5);
    });
    world.server.take_writes();
    let before = world.server.get(SETS, NS, "chat-message").unwrap();
    (world, before)
}

fn is_made_anew(world: &World, before: &Value) {
    let made = world.server.get(SETS, NS, "chat-message").unwrap();
    assert_ne!(made["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!((&made["spec"]["serviceName"], &made["spec"]["replicas"]), (&json!("chat-message-pods"), &json!(5)));
}

#[tokio::test]
async fn what_serves_is_not_deleted_for_one_that_the_cluster_does_not_let_in() {
    let denied = "admission webhook \"limits.example.com\" denied the request: no limits";
    for (answer, reason) in [
        (
            Answer::Status(400, denied),
            "AdmissionDenied: cannot apply StatefulSet chat-message: admission webhook limits",
        ),
        (Answer::Status(403, "no rights"), "Forbidden: cannot apply StatefulSet chat-message: no rights"),
        (Answer::Status(500, "webhook does not answer"), "ApiError: cannot apply StatefulSet chat-message: webhook"),
    ] {
        let (world, before) = autoscaled().await;
        world.server.fault("POST", "/statefulsets?dryRun=All", answer, 1);
        world.reconcile().await.unwrap_err();
        let told = world.condition("Degraded");
        assert!(told.starts_with(&format!("True/{reason}")), "{told}");
        let writes = world.server.take_writes();
        assert!(!writes.iter().any(|write| write.contains("/statefulsets/chat-message")), "{writes:?}");
        assert_eq!(world.server.get(SETS, NS, "chat-message").unwrap(), before);
        world.settle().await;
        is_made_anew(&world, &before);
    }

    // The one that goes is counted.
    let (world, before) = autoscaled().await;
    world.server.fault("POST", "/statefulsets?dryRun=All", Answer::Status(403, "exceeded quota: small"), 1);
    world.settle().await;
    is_made_anew(&world, &before);
}

#[tokio::test]
async fn a_workload_that_could_not_be_made_at_once_gets_as_many_pods_as_it_had() {
    let (world, before) = autoscaled().await;
    world.server.fault("PATCH", "/statefulsets/chat-message", Answer::Status(500, "not now"), 2);
    for _ in 0..2 {
        world.reconcile().await.unwrap_err();
        assert_eq!(world.server.get(SETS, NS, "chat-message"), None);
    }
    world.settle().await;
    is_made_anew(&world, &before);

    // That was so this once.
    world.server.delete(SETS, NS, "chat-message");
    world.settle().await;
    assert_eq!(world.server.get(SETS, NS, "chat-message").unwrap()["spec"]["replicas"], 2);
}
