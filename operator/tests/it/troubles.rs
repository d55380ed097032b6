//! What is told of several things that are wrong, and of what is not.

use kube::runtime::events::EventType;
use sentinel_operator::{
    events::transitions,
    settings::Settings,
    steps::{
        apply::Failure,
        observe::Observed,
        sequence::Sequence,
        status::{Carried, Verdict, assess},
        validate::validate,
    },
};
use serde_json::json;

use crate::{
    conditions::{chat, extra, observed, ready_set, set, told},
    world::now,
};

#[test]
fn the_same_trouble_of_two_parts_is_told_of_both_and_each_is_an_event() {
    let late = || {
        set(json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
            "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small" }] }))
    };
    let mut chat = chat();
    let (valid, sequence) = (validate(&chat, &Settings::default()).unwrap(), Sequence::default());
    let mut judge = |observed: &Observed, failures: &[Failure]| {
        let carried =
            Carried { valid: &valid, observed, failures, blocked: &[], sequence: &sequence, new_secrets: &[] };
        let before = chat.status.clone().map(|status| status.conditions).unwrap_or_default();
        let report = assess(&chat, Verdict::Carried(carried), now());
        let events = transitions(&before, &report.status.conditions, &report.troubles).into_iter();
        let warnings = events.filter(|event| matches!(event.type_, EventType::Warning));
        chat.status = Some(report.status);
        warnings.map(|event| event.note.unwrap()).collect::<Vec<_>>()
    };
    let (one, two) = (observed(Some(late()), Some(ready_set())), observed(Some(late()), Some(late())));
    assert_eq!(judge(&one, &[]), ["sentinel: exceeded quota: small"]);
    assert_eq!(judge(&two, &[]), ["gateway: exceeded quota: small"], "the other one was told");
    assert_eq!(judge(&two, &[]), Vec::<String>::new());

    // The name of one begins as that of the other.
    let of = |pod: &str| extra("ApiError", &format!("pod chat-kafka-{pod}: no"));
    judge(&observed(Some(ready_set()), Some(ready_set())), &[of("10")]);
    assert_eq!(judge(&two, &[of("10"), of("1")]).last().unwrap(), "pod chat-kafka-1: no");
    assert_eq!(judge(&two, &[of("1")]), Vec::<String>::new());
}

#[test]
fn claims_that_no_node_uses_are_no_trouble() {
    let mut observed = observed(Some(ready_set()), Some(ready_set()));
    for phase in ["Lost", "Pending"] {
        let claim = |name: &str| {
            serde_json::from_value(json!({ "metadata": { "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": { "volume.kubernetes.io/storage-provisioner": "disks.example.com" } },
                "status": { "phase": phase } }))
            .unwrap()
        };
        observed.read_at = now();
        observed.claims = vec![claim("data-chat-1"), claim("data-chat-postgres-0")];
        let degraded = told(&chat(), &observed, "Degraded");
        assert!(degraded.starts_with("False/"), "{degraded}");
        observed.claims.push(claim("data-chat-0"));
        let degraded = told(&chat(), &observed, "Degraded");
        assert!(degraded.starts_with("True/Volume") && degraded.contains("claim data-chat-0 "), "{degraded}");
    }
}
