//! What Kubernetes says about objects that do not tell themselves what they wait for: workloads that lack pods, and claims
//! without volumes. Its Events stay for an hour, so that one may be about what is over.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{
    observe::{Error, Observed, is_bound},
    sequence::{condition, pods_of},
};
use crate::{build::Kind, names::Names};

/// Reason for the condition that tells why a pod is not made.
pub const FAILED_CREATE: &str = "FailedCreate";
/// Objects of one kind whose Events are asked for at most: the first ones tell enough.
const ASKED_MAX: usize = 6;
/// How a controller calls it when it made a pod.
const MADE: &str = "SuccessfulCreate";

/// An object whose Events are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    kind: &'static str,
    name: String,
    uid: Option<String>,
    /// When the newest of the pods that there are was made.
    made: Option<Timestamp>,
}

/// Whether a StatefulSet has fewer pods than it is to have.
pub fn lacks_pods(set: &Value) -> bool {
    let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_i64);
    number("/status/replicas").unwrap_or(0) < number("/spec/replicas").unwrap_or(1)
}

/// The objects that wait for something and tell only by Events why. The Job that looks at stores now and then is not one:
/// nothing waits for it.
pub fn asked(observed: &Observed, names: &Names) -> Vec<Asked> {
    let of_kind = |kind: Kind| observed.children.iter().filter(move |((found, _), _)| *found == kind);
    let uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(String::from);
    let check = names.check();
    let jobs = of_kind(Kind::Job)
        .filter(|((_, name), job)| {
            let has_ended = ["Complete", "Failed"].into_iter().any(|end| condition(job, end).is_some());
            !name.starts_with(&check) && !has_ended && pods_of(observed, job).next().is_none()
        })
        .map(|((_, name), job)| Asked { kind: "Job", name: name.clone(), uid: uid(job), made: None });
    let sets = of_kind(Kind::StatefulSet).filter(|(_, set)| lacks_pods(set)).map(|((_, name), set)| Asked {
        kind: "StatefulSet",
        name: name.clone(),
        uid: uid(set),
        made: observed.pods.iter().filter(|pod| is_of_set(pod, name)).filter_map(made).max(),
    });
    let claims = observed.claims.iter().filter(|claim| !is_bound(claim)).filter_map(|claim| {
        let (name, uid) = (claim.metadata.name.clone()?, claim.metadata.uid.clone());
        Some(Asked { kind: "PersistentVolumeClaim", name, uid, made: None })
    });
    jobs.take(ASKED_MAX).chain(sets.take(ASKED_MAX)).chain(claims.take(ASKED_MAX)).collect()
}

fn is_of_set(pod: &Pod, set: &str) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.kind == "StatefulSet" && owner.name == set)
}

fn made(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// What is said last about each of `asked` that still counts: object name and message.
pub async fn read(client: &Client, namespace: &str, asked: &[Asked]) -> Result<Vec<(String, String)>, Error> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for object in asked {
        let fields = format!("involvedObject.kind={},involvedObject.name={}", object.kind, object.name);
        let events = api.list(&ListParams::default().fields(&fields)).await;
        let events = events.map_err(|source| Error::List { what: "Event", source })?.items;
        found.extend(newest(object, &events).map(|message| (object.name.clone(), message)));
    }
    Ok(found)
}

/// The newest warning about `object`, unless a pod was made since.
fn newest(object: &Asked, events: &[Event]) -> Option<String> {
    // Another object may have had the name before.
    let is_about = |event: &&Event| {
        let uid = event.involved_object.uid.as_ref();
        uid.is_none() || object.uid.is_none() || uid == object.uid.as_ref()
    };
    let all = || events.iter().filter(is_about);
    let made = all().filter(|event| event.reason.as_deref() == Some(MADE)).filter_map(time).max().max(object.made);
    let warnings = all().filter(|event| event.type_.as_deref() == Some("Warning"));
    warnings.filter(|event| made.is_none() || time(event) > made).max_by_key(|event| time(event))?.message.clone()
}

/// When it happened last.
fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    series
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(reason: &str, minute: u8, uid: &str) -> Event {
        let type_ = if reason == MADE { "Normal" } else { "Warning" };
        serde_json::from_value(json!({ "metadata": {}, "type": type_, "reason": reason,
            "lastTimestamp": at(minute).to_string(), "message": format!("{reason} {minute}"),
            "involvedObject": { "kind": "StatefulSet", "name": "chat-kafka", "uid": uid } }))
        .unwrap()
    }

    fn at(minute: u8) -> Timestamp {
        format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
    }

    fn asked(made: Option<Timestamp>) -> Asked {
        Asked { kind: "StatefulSet", name: "chat-kafka".into(), uid: Some("now".into()), made }
    }

    #[test]
    fn a_warning_counts_until_a_pod_is_made() {
        let refused = [event("FailedCreate", 5, "now"), event("FailedCreate", 9, "now"), event(MADE, 7, "now")];
        assert_eq!(newest(&asked(None), &refused).as_deref(), Some("FailedCreate 9"));
        assert_eq!(newest(&asked(Some(at(8))), &refused).as_deref(), Some("FailedCreate 9"));
        assert_eq!(newest(&asked(Some(at(10))), &refused), None, "a pod that is there is newer");
        let over = [event("FailedCreate", 5, "now"), event(MADE, 7, "now")];
        assert_eq!(newest(&asked(None), &over), None);
        assert_eq!(newest(&asked(None), &[event(MADE, 7, "now")]), None, "no warning at all");
    }

    #[test]
    fn an_object_of_the_same_name_from_before_is_not_told_of() {
        let before = [event("FailedCreate", 5, "before")];
        assert_eq!(newest(&asked(None), &before), None);
        let both = [event("FailedCreate", 5, "now"), event(MADE, 7, "before")];
        assert_eq!(newest(&asked(None), &both).as_deref(), Some("FailedCreate 5"));
    }

    #[test]
    fn a_job_is_asked_for_while_it_has_no_pod_and_a_set_while_one_is_missing() {
        let mut observed = Observed::default();
        let job = |status: Value| json!({ "metadata": { "uid": "j" }, "status": status });
        let set = |pods: i32| json!({ "metadata": {}, "spec": { "replicas": 3 }, "status": { "replicas": pods } });
        observed.put(Kind::Job, "chat-migration-1", job(json!({})));
        observed.put(Kind::Job, "chat-check-1", job(json!({})));
        observed.put(Kind::StatefulSet, "chat-kafka", set(2));
        let names = Names::new("chat");
        let told = |observed: &Observed| asked_names(observed, &names);
        assert_eq!(told(&observed), ["chat-migration-1", "chat-kafka"]);
        observed.put(Kind::StatefulSet, "chat-kafka", set(3));
        let ended = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        observed.put(Kind::Job, "chat-migration-1", job(ended));
        assert!(told(&observed).is_empty());
        observed.put(Kind::Job, "chat-migration-1", job(json!({})));
        let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "chat-migration-1", "uid": "j" }]);
        let pod = json!({ "metadata": { "name": "chat-migration-1-x", "ownerReferences": owner } });
        observed.pods = vec![serde_json::from_value(pod).unwrap()];
        assert!(told(&observed).is_empty());
    }

    fn asked_names(observed: &Observed, names: &Names) -> Vec<String> {
        super::asked(observed, names).into_iter().map(|asked| asked.name).collect()
    }
}
