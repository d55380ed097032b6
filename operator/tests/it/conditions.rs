//! Conditions as a pure function of what is observed.

use kube::runtime::events::EventType;
use sentinel_domain::findings::{Trouble, TroubleKind};
use sentinel_operator::{
    api::SentinelChat,
    build::{Kind, Stage},
    events::transitions,
    settings::Settings,
    steps::{
        apply::Failure,
        observe::{Observed, volumes::FullVolumes},
        plan::Blocked,
        sequence::Sequence,
        status::{Carried, Refused, Report, Verdict, assess},
        validate::validate,
    },
};
use serde_json::{Value, json};

use crate::world::now;

/// A chat of profile Embedded.
pub fn chat() -> SentinelChat {
    serde_json::from_value(json!({
        "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
        "metadata": { "name": "chat", "namespace": "team", "uid": "u", "generation": 3 }, "spec": {},
    }))
    .unwrap()
}

/// A workload with that status.
pub fn set(status: Value) -> Value {
    json!({ "metadata": { "generation": 2 }, "status": status })
}

/// A workload whose pod serves.
pub fn ready_set() -> Value {
    set(json!({ "observedGeneration": 2, "replicas": 1, "availableReplicas": 1, "updatedReplicas": 1 }))
}

/// What exists of a chat of profile Embedded.
pub fn observed(stateful_set: Option<Value>, deployment: Option<Value>) -> Observed {
    let mut observed = Observed::default();
    if let Some(object) = stateful_set {
        observed.put(Kind::StatefulSet, "chat", object);
    }
    if let Some(object) = deployment {
        observed.put(Kind::Deployment, "chat-gateway", object);
    }
    observed
}

/// Ready, Progressing and Degraded as `status/reason`.
fn judged(observed: &Observed, failures: &[Failure], blocked: &[Blocked]) -> [String; 3] {
    let chat = chat();
    let valid = validate(&chat, &Settings::default()).unwrap();
    let status = assess(
        &chat,
        Verdict::Carried(Carried {
            valid: &valid,
            observed,
            failures,
            blocked,
            sequence: &Sequence::default(),
            new_secrets: &[],
        }),
        now(),
    )
    .status;
    ["Ready", "Progressing", "Degraded"].map(|type_| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        assert_eq!(condition.observed_generation, Some(3));
        format!("{}/{}", condition.status, condition.reason)
    })
}

#[test]
fn a_pod_too_many_keeps_nobody_from_being_ready_and_one_of_an_old_revision_does() {
    let of = |replicas: i32, updated: i32| {
        let status = json!({
            "observedGeneration": 2, "replicas": replicas, "availableReplicas": replicas, "updatedReplicas": updated,
        });
        judged(&observed(Some(set(status)), Some(ready_set())), &[], &[])
    };
    assert!(of(2, 2)[0].starts_with("True/"), "{:?}", of(2, 2));
    assert!(of(2, 1)[0].starts_with("False/"), "{:?}", of(2, 1));
}

#[test]
fn table() {
    let failure = |stage| Failure { stage, reason: "Forbidden", message: "no".into(), transient: true };
    let quota = json!({ "observedGeneration": 2, "replicas": 0,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }] });
    let late = json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
        "conditions": [{ "type": "Progressing", "status": "False", "message": "deadline" }] });
    let old = json!({ "observedGeneration": 1, "replicas": 1, "availableReplicas": 1, "updatedReplicas": 1 });
    let rolling = json!({ "observedGeneration": 2, "replicas": 2, "availableReplicas": 1, "updatedReplicas": 1 });
    let blocked = Blocked { kind: Kind::StatefulSet, name: "chat".into(), field: "spec.selector" };
    let ready = || observed(Some(ready_set()), Some(ready_set()));

    for (case, observed, failures, blocked, expected) in [
        (
            "nothing yet",
            observed(None, None),
            vec![],
            vec![],
            ["False/NotAvailable", "True/RollingOut", "False/AsExpected"],
        ),
        ("all there", ready(), vec![], vec![], ["True/AllAvailable", "False/Settled", "False/AsExpected"]),
        (
            "a generation that its controller has not seen",
            observed(Some(set(old)), Some(ready_set())),
            vec![],
            vec![],
            ["False/NotAvailable", "True/RollingOut", "False/AsExpected"],
        ),
        (
            "an old pod is left",
            observed(Some(ready_set()), Some(set(rolling))),
            vec![],
            vec![],
            ["False/NotAvailable", "True/RollingOut", "False/AsExpected"],
        ),
        (
            "quota",
            observed(Some(ready_set()), Some(set(quota))),
            vec![],
            vec![],
            ["False/NotAvailable", "False/Settled", "True/ReplicaFailure"],
        ),
        (
            "no progress",
            observed(Some(ready_set()), Some(set(late))),
            vec![],
            vec![],
            ["False/NotAvailable", "False/Settled", "True/ProgressDeadlineExceeded"],
        ),
        (
            "an essential object cannot be applied",
            ready(),
            vec![failure(Stage::Workload)],
            vec![],
            ["False/Forbidden", "False/Settled", "True/Forbidden"],
        ),
        (
            "an extra object cannot be applied",
            ready(),
            vec![failure(Kind::ServiceMonitor.stage())],
            vec![],
            ["True/AllAvailable", "False/Settled", "True/Forbidden"],
        ),
        (
            "what clients come in by cannot be applied",
            ready(),
            vec![failure(Kind::Ingress.stage())],
            vec![],
            ["False/Forbidden", "False/Settled", "True/Forbidden"],
        ),
        (
            "an immutable field",
            ready(),
            vec![],
            vec![blocked],
            ["False/ImmutableField", "False/Settled", "True/ImmutableField"],
        ),
    ] {
        assert_eq!(judged(&observed, &failures, &blocked), expected, "{case}");
    }
}

#[test]
fn a_pod_that_waits_for_a_volume_is_told_as_the_volumes_trouble() {
    let waiting = set(json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1 }));
    let mut observed = observed(Some(waiting), Some(ready_set()));
    // Before there is a warning about the claim, and without a default class for ever, only the pod tells.
    let pod = |message: &str| {
        serde_json::from_value(json!({
            "metadata": { "name": "chat-0", "labels": { "app.kubernetes.io/component": "sentinel" } },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": message }] },
        }))
        .unwrap()
    };
    observed.claims = vec![
        serde_json::from_value(json!({ "metadata": { "name": "data-chat-0" },
            "spec": { "storageClassName": "wrong" }, "status": { "phase": "Pending" } }))
        .unwrap(),
    ];
    observed.pods = vec![pod("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")];
    assert_eq!(judged(&observed, &[], &[])[2], "True/VolumePending");
    observed.pods = vec![pod("0/1 nodes are available: 1 Insufficient cpu.")];
    assert_eq!(judged(&observed, &[], &[])[2], "True/PodFailing");
}

#[test]
fn a_provisioner_that_never_answers_is_told_after_a_while() {
    let waiting = set(json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1 }));
    let mut observed = observed(Some(waiting), Some(ready_set()));
    observed.read_at = now();
    let mut degraded = |annotations: Value, asked: &str| {
        observed.claims = vec![
            serde_json::from_value(json!({
                "metadata": { "name": "data-chat-0", "annotations": annotations, "creationTimestamp": "2026-01-01T00:00:00Z",
                    "managedFields": [{ "manager": "kube-controller-manager", "time": asked }] },
                "spec": { "storageClassName": "fast" }, "status": { "phase": "Pending" } }))
            .unwrap(),
        ];
        told(&chat(), &observed, "Degraded")
    };
    let asked = json!({ "volume.kubernetes.io/storage-provisioner": "disks.example.com" });
    let soon = degraded(asked.clone(), "2026-01-02T02:55:00Z");
    assert!(soon.starts_with("False/"), "{soon}");
    let late = degraded(asked, "2026-01-02T02:54:00Z");
    assert!(
        late.starts_with("True/VolumePending: volume claim data-chat-0 has no volume: disks.example.com"),
        "{late}"
    );
    assert!(late.contains("see that it runs; it asks for storage class fast, see storage.className"), "{late}");
    let waits_for_its_pod = degraded(json!({}), "2026-01-02T02:54:00Z");
    assert!(waits_for_its_pod.starts_with("False/"), "{waits_for_its_pod}");
}

#[test]
fn a_pod_that_does_not_go_is_told_with_its_node_and_what_to_do() {
    // Kubernetes writes the time by which a pod has to have ended.
    let deleted = |part: &str, name: &str, end: &str| {
        serde_json::from_value(json!({
            "metadata": { "name": name, "deletionTimestamp": end, "labels": { "app.kubernetes.io/component": part } },
            "spec": { "containers": [], "nodeName": "node-2" }, "status": { "phase": "Running" },
        }))
        .unwrap()
    };
    let waiting = || set(json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1 }));
    let mut observed = observed(Some(waiting()), Some(ready_set()));
    observed.read_at = now();
    let mut told_of = |end: &str| {
        observed.pods = vec![deleted("sentinel", "chat-0", end)];
        (told(&chat(), &observed, "Ready"), told(&chat(), &observed, "Degraded"))
    };
    let (ready, degraded) = told_of("2026-01-02T03:03:05Z");
    assert_eq!(ready, "False/NotAvailable: sentinel: 0 of 1 pods are ready", "it has a minute");
    assert!(degraded.starts_with("False/"), "{degraded}");
    let (ready, degraded) = told_of("2026-01-02T03:03:04Z");
    let expected = "pod chat-0 was deleted and hangs on node node-2; if that machine is off for good: kubectl delete pod \
                    chat-0 --force, after which it starts elsewhere";
    assert_eq!(ready, format!("False/NotAvailable: sentinel: {expected}"));
    assert_eq!(degraded, format!("True/PodHangs: sentinel: {expected}"));

    // Pods of a Deployment are replaced before they are gone.
    observed.put(Kind::StatefulSet, "chat", ready_set());
    observed.put(Kind::Deployment, "chat-gateway", waiting());
    observed.pods = vec![deleted("gateway", "chat-gateway-x", "2026-01-02T03:00:00Z")];
    let degraded = told(&chat(), &observed, "Degraded");
    assert!(degraded.starts_with("False/"), "{degraded}");
}

#[test]
fn times_change_with_the_status_only_and_events_tell_transitions_once() {
    let mut chat = chat();
    let valid = validate(&chat, &Settings::default()).unwrap();
    let ready = observed(Some(ready_set()), Some(ready_set()));
    let sequence = Sequence::default();
    let carried =
        Carried { valid: &valid, observed: &ready, failures: &[], blocked: &[], sequence: &sequence, new_secrets: &[] };
    let first = assess(&chat, Verdict::Carried(carried), now()).status;
    let reasons = |events: Vec<kube::runtime::events::Event>| events.into_iter().map(|e| e.reason).collect::<Vec<_>>();
    assert_eq!(reasons(transitions(&[], &first.conditions, &[])), ["Ready"]);

    chat.status = Some(first.clone());
    let later = now() + jiff::SignedDuration::from_hours(1);
    assert_eq!(assess(&chat, Verdict::Carried(carried), later).status, first);

    let gone = observed(Some(ready_set()), None);
    let carried = Carried { observed: &gone, ..carried };
    let second = assess(&chat, Verdict::Carried(carried), later).status;
    assert_eq!(reasons(transitions(&first.conditions, &second.conditions, &[])), ["NotReady"]);
    let since = |status: &sentinel_operator::api::SentinelChatStatus, type_: &str| {
        status.conditions.iter().find(|c| c.type_ == type_).unwrap().last_transition_time.0
    };
    assert_eq!(since(&second, "Ready"), later);
    assert_eq!(since(&second, "Degraded"), now());

    let refused =
        assess(&chat, Verdict::Refused(Refused { reason: "InvalidSpec", message: "no", seen: None }), later).status;
    assert_eq!(refused.url, first.url, "what runs can still be reached");
}

/// A failure that the platform runs with.
pub fn extra(reason: &'static str, message: &str) -> Failure {
    Failure { stage: Stage::Extra, reason, message: message.into(), transient: false }
}

#[test]
fn what_the_platform_goes_on_with_hides_nothing_graver() {
    let mut chat = chat();
    chat.spec = serde_json::from_value(json!({ "gateway": { "tls": { "secret": { "name": "web" } } } })).unwrap();
    let valid = validate(&chat, &Settings::default()).unwrap();
    let sequence = Sequence::default();
    let ready = observed(Some(ready_set()), Some(ready_set()));
    let quota = json!({ "observedGeneration": 2, "replicas": 0,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small" }] });
    let denied = observed(Some(ready_set()), Some(set(quota)));
    let stuck = extra("StorageNotResized", "volume claim data-chat-0 grows from 8Gi to 20Gi: its class cannot");
    let other = extra("CertificateNameMismatch", "gateway.tls.secret: the certificate is for a.example.com");
    let judge = |chat: &SentinelChat, observed: &Observed, failures: &[Failure]| {
        let carried =
            Carried { valid: &valid, observed, failures, blocked: &[], sequence: &sequence, new_secrets: &[] };
        assess(chat, Verdict::Carried(carried), now())
    };
    let told = |report: &Report, type_: &str| {
        let condition = report.status.conditions.iter().find(|c| c.type_ == type_);
        condition.map(|c| format!("{}/{}: {}", c.status, c.reason, c.message)).unwrap_or_default()
    };
    let warnings = |before: &Report, next: &Report| -> Vec<String> {
        let events = transitions(&before.status.conditions, &next.status.conditions, &next.troubles);
        let warnings = events.into_iter().filter(|event| matches!(event.type_, EventType::Warning));
        warnings.map(|event| event.reason).collect()
    };

    let well = judge(&chat, &ready, &[]);
    assert_eq!(told(&well, "CertificateHealthy"), "True/Valid: ");
    let standing = judge(&chat, &ready, std::slice::from_ref(&stuck));
    assert_eq!(told(&standing, "Degraded"), format!("True/StorageNotResized: {}", stuck.message));
    assert_eq!(warnings(&well, &standing), ["StorageNotResized"]);

    chat.status = Some(standing.status.clone());
    let failures = [stuck.clone(), other.clone()];
    let turned_away = judge(&chat, &ready, &failures);
    let expected = format!("True/CertificateNameMismatch: {}; StorageNotResized: {}", other.message, stuck.message);
    assert_eq!(told(&turned_away, "Degraded"), expected);
    assert_eq!(warnings(&standing, &turned_away), ["CertificateNameMismatch"], "the other one was told");

    chat.status = Some(turned_away.status.clone());
    let all = judge(&chat, &denied, &failures);
    let degraded = told(&all, "Degraded");
    assert!(
        degraded.starts_with("True/ReplicaFailure: gateway: exceeded quota: small; CertificateNameMismatch: "),
        "{degraded}"
    );
    assert!(degraded.ends_with(&format!("; StorageNotResized: {}", stuck.message)), "{degraded}");
    assert_eq!(
        told(&all, "CertificateHealthy"),
        format!("False/CertificateNameMismatch: {}", other.message),
        "an alert need not find it among the others"
    );
    assert_eq!(warnings(&turned_away, &all), ["ReplicaFailure"]);
    assert_eq!(warnings(&all, &all), Vec::<String>::new());
    assert_eq!(warnings(&all, &turned_away), Vec::<String>::new(), "what is left was told");
}

#[test]
fn everything_that_is_wrong_fits_into_one_condition() {
    let long = "x".repeat(3000);
    let failures: Vec<Failure> = (0..20).map(|n| extra("ApiError", &format!("{n}: {long}"))).collect();
    let ready = observed(Some(ready_set()), Some(ready_set()));
    let (chat, sequence) = (chat(), Sequence::default());
    let valid = validate(&chat, &Settings::default()).unwrap();
    let carried = Carried {
        valid: &valid,
        observed: &ready,
        failures: &failures,
        blocked: &[],
        sequence: &sequence,
        new_secrets: &[],
    };
    let status = assess(&chat, Verdict::Carried(carried), now()).status;
    let message = &status.conditions.iter().find(|c| c.type_ == "Degraded").unwrap().message;
    assert!(message.len() <= 4096, "{}", message.len());
    assert!(
        message.contains("; ApiError: 1: x") && message.contains("; ApiError: 2: x"),
        "one long one hides no others"
    );
}

#[test]
fn nothing_moves_of_what_could_not_be_applied() {
    let refused = Failure { stage: Stage::Workload, reason: "Invalid", message: "no".into(), transient: true };
    let progressing = |observed: &Observed| judged(observed, std::slice::from_ref(&refused), &[])[1].clone();
    let labelled = |part: &str, mut object: Value| {
        object["metadata"]["labels"] = json!({ "app.kubernetes.io/component": part });
        object
    };
    let there = || Some(labelled("sentinel", ready_set()));
    assert_eq!(progressing(&observed(there(), None)), "False/Settled", "it was never made");
    let mut old = labelled("gateway", ready_set());
    old["spec"] = json!({ "replicas": 1 });
    assert_eq!(progressing(&observed(there(), Some(old.clone()))), "False/Settled");
    old["status"]["updatedReplicas"] = json!(0);
    assert_eq!(progressing(&observed(there(), Some(old))), "True/RollingOut", "what was applied before still rolls");
}

#[test]
fn addresses_are_those_that_clients_use() {
    let url = |spec: Value, service: Value| {
        let mut chat = chat();
        chat.spec = serde_json::from_value(spec).unwrap();
        let valid = validate(&chat, &Settings::default()).unwrap();
        let mut observed = Observed::default();
        observed.put(Kind::Service, "chat-gateway", service);
        let sequence = Sequence::default();
        let carried = Carried {
            valid: &valid,
            observed: &observed,
            failures: &[],
            blocked: &[],
            sequence: &sequence,
            new_secrets: &[],
        };
        assess(&chat, Verdict::Carried(carried), now()).status.url.unwrap_or_default()
    };
    let balanced = |entry: Value| json!({ "status": { "loadBalancer": { "ingress": [entry] } } });
    let load_balancer = json!({ "gateway": { "service": { "type": "LoadBalancer" } } });
    for (spec, service, expected) in [
        (json!({}), json!({}), "http://chat-gateway.team.svc"),
        (json!({ "gateway": { "host": "a.example.com" } }), json!({}), "http://a.example.com"),
        (
            json!({ "gateway": { "host": "a.example.com", "tls": { "secret": { "name": "t" } } } }),
            json!({}),
            "https://a.example.com",
        ),
        (
            json!({ "gateway": { "host": "node", "service": { "type": "NodePort" } } }),
            json!({ "spec": { "ports": [{ "name": "http", "nodePort": 30080 }] } }),
            "http://node:30080",
        ),
        (load_balancer.clone(), balanced(json!({ "ip": "192.0.2.1" })), "http://192.0.2.1"),
        (load_balancer.clone(), balanced(json!({ "ip": "2001:db8::1" })), "http://[2001:db8::1]"),
        (load_balancer.clone(), balanced(json!({ "hostname": "lb.example.com" })), "http://lb.example.com"),
        (load_balancer, json!({}), ""),
    ] {
        assert_eq!(url(spec.clone(), service), expected, "{spec}");
    }
}

fn trouble_of(name: &str) -> FullVolumes {
    let detail = "its volume is full, so it takes no writes".to_owned();
    [(name.to_owned(), Trouble { kind: TroubleKind::Full, detail })].into()
}

/// A condition as `status/reason: message`.
pub fn told(chat: &SentinelChat, observed: &Observed, type_: &str) -> String {
    let valid = validate(chat, &Settings::default()).unwrap();
    let sequence = Sequence::default();
    let carried =
        Carried { valid: &valid, observed, failures: &[], blocked: &[], sequence: &sequence, new_secrets: &[] };
    let status = assess(chat, Verdict::Carried(carried), now()).status;
    let condition = status.conditions.into_iter().find(|condition| condition.type_ == type_).unwrap();
    format!("{}/{}: {}", condition.status, condition.reason, condition.message)
}

#[test]
fn a_full_volume_of_the_embedded_platform_is_told_with_the_field_to_change() {
    let deployment = json!({ "observedGeneration": 2, "replicas": 1, "availableReplicas": 1, "updatedReplicas": 1 });
    let mut observed = observed(Some(ready_set()), Some(set(deployment)));
    assert!(told(&chat(), &observed, "Ready").starts_with("True/"));
    observed.full = trouble_of("volume");
    let degraded = told(&chat(), &observed, "Degraded");
    assert!(degraded.starts_with("True/VolumeFull: storage: the volume of pod chat-0 is full"), "{degraded}");
    assert!(degraded.contains("write a larger storage.size"), "{degraded}");
    assert!(told(&chat(), &observed, "Ready").starts_with("False/NotAvailable: storage: the volume"));
    assert!(told(&chat(), &observed, "Progressing").starts_with("False/"), "waiting does not help");
    observed.full = FullVolumes::new();
    assert!(told(&chat(), &observed, "Degraded").starts_with("False/"), "it heals");
}

#[test]
fn a_full_volume_of_a_store_is_told_with_the_field_to_change() {
    let distributed = |dependencies: Value| -> SentinelChat {
        let mut chat = serde_json::to_value(chat()).unwrap();
        chat["spec"] = json!({ "profile": "Distributed", "dependencies": dependencies });
        serde_json::from_value(chat).unwrap()
    };
    let stores = ["postgres", "cassandra", "redis", "kafka", "elasticsearch", "s3"];
    let managed: serde_json::Map<_, _> =
        stores.iter().map(|store| ((*store).to_owned(), json!({ "managed": {} }))).collect();
    let mut dependencies = Value::Object(managed);
    let observed = Observed { full: trouble_of("postgres"), ..Observed::default() };
    let ready = told(&distributed(dependencies.clone()), &observed, "DependenciesReady");
    assert!(ready.starts_with("False/StoreFull: postgres: its volume is full"), "{ready}");
    assert!(ready.contains("write a larger dependencies.postgres.managed.storage.size"), "{ready}");
    let degraded = told(&distributed(dependencies.clone()), &observed, "Degraded");
    assert!(degraded.starts_with("True/StoreFull: postgres: its volume is full"), "{degraded}");

    dependencies["postgres"] = json!({ "external": { "endpoints": ["db.example.com:5432"] } });
    let ready = told(&distributed(dependencies), &observed, "DependenciesReady");
    assert!(ready.contains("make it larger where it runs; see dependencies.postgres.external"), "{ready}");
}
