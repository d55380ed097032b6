//! What Kubernetes says about objects that do not tell themselves what they wait for: workloads that lack pods, pods that do
//! not get their volumes or their network, claims without volumes or that grow, a load balancer without address. Its Events
//! stay for an hour, so that one may be about what is over.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{CLAIM, Error, Observed, Warning, is_bound};
use crate::{
    build::Kind,
    names::Names,
    steps::{
        growth::growing,
        sequence::{condition, pods_of},
        status::{endpoints, pods},
    },
};

/// Reason for the condition that tells why a pod is not made.
pub const FAILED_CREATE: &str = "FailedCreate";
/// Objects of one kind whose Events are asked for at most: the first ones tell enough.
const ASKED_MAX: usize = 6;
/// The kind of pods.
pub const POD: &str = "Pod";
/// Length from which a word of hexadecimal digits is the id of a container or of a pod's network.
const ID_MIN: usize = 32;
/// Length of what Kubernetes adds to a name to make it unique.
const GENERATED: usize = 5;
/// What it takes for that.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
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
    /// What the reason of an Event that counts has in it.
    about: &'static str,
}

impl Asked {
    fn of(kind: &'static str, meta: &ObjectMeta) -> Option<Self> {
        Some(Self { kind, name: meta.name.clone()?, uid: meta.uid.clone(), made: None, about: "" })
    }
}

/// Whether a StatefulSet has fewer pods than it is to have.
pub fn lacks_pods(set: &Value) -> bool {
    let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_i64);
    number("/status/replicas").unwrap_or(0) < number("/spec/replicas").unwrap_or(1)
}

/// The objects that wait for something and tell only by Events why.
pub fn asked(observed: &Observed, names: &Names) -> Vec<Asked> {
    let of_kind = |kind: Kind| observed.children.iter().filter(move |((found, _), _)| *found == kind);
    let uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(String::from);
    let jobs = of_kind(Kind::Job)
        .filter(|(_, job)| {
            let has_ended = ["Complete", "Failed"].into_iter().any(|end| condition(job, end).is_some());
            !has_ended && pods_of(observed, job).next().is_none()
        })
        .map(|((_, name), job)| Asked { kind: "Job", name: name.clone(), uid: uid(job), made: None, about: "" });
    let sets = of_kind(Kind::StatefulSet).filter(|(_, set)| lacks_pods(set)).map(|((_, name), set)| Asked {
        kind: "StatefulSet",
        name: name.clone(),
        uid: uid(set),
        made: observed.pods.iter().filter(|pod| pods::is_of_set(pod, name)).filter_map(made).max(),
        about: "",
    });
    let claims = observed.claims.iter().filter(|claim| !is_bound(claim));
    let claims = claims.filter_map(|claim| Asked::of(CLAIM, &claim.metadata));
    let growing = observed.claims.iter().filter(|claim| growing(claim).is_some());
    let growing = growing.filter_map(|claim| Some(Asked { about: "Resize", ..Asked::of(CLAIM, &claim.metadata)? }));
    let pods = observed.pods.iter().filter(|pod| {
        let now = observed.read_at;
        pods::does_not_begin(pod, now) || pods::is_unready_for_long(pod, now)
    });
    let pods = pods.filter_map(|pod| Asked::of(POD, &pod.metadata));
    let gateway = names.gateway();
    let services = of_kind(Kind::Service)
        .filter(|((_, name), service)| *name == gateway && endpoints::lacks_address(service))
        .map(|((_, name), service)| Asked {
            kind: "Service",
            name: name.clone(),
            uid: uid(service),
            made: None,
            about: "",
        });
    let of_workloads = jobs.take(ASKED_MAX).chain(sets.take(ASKED_MAX)).chain(pods.take(ASKED_MAX));
    of_workloads.chain(claims.take(ASKED_MAX)).chain(growing.take(ASKED_MAX)).chain(services).collect()
}

fn made(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// What is said last about each of `asked` that still counts.
pub async fn read(client: &Client, namespace: &str, asked: &[Asked]) -> Result<Vec<Warning>, Error> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for object in asked {
        let fields = format!("involvedObject.kind={},involvedObject.name={}", object.kind, object.name);
        let events = api.list(&ListParams::default().fields(&fields)).await;
        let events = events.map_err(|source| Error::List { what: "Event", source })?.items;
        let warning = |message| Warning { kind: object.kind, name: object.name.clone(), message };
        found.extend(newest(object, &events).map(warning));
    }
    Ok(found)
}

/// The newest warning about `object`, unless a pod was made since, or the pod that it is about has come further.
fn newest(object: &Asked, events: &[Event]) -> Option<String> {
    // Another object may have had the name before.
    let is_about = |event: &&Event| {
        let uid = event.involved_object.uid.as_ref();
        let is_same = uid.is_none() || object.uid.is_none() || uid == object.uid.as_ref();
        is_same && event.reason.as_deref().unwrap_or_default().contains(object.about)
    };
    let all = || events.iter().filter(is_about);
    let is_warning = |event: &Event| event.type_.as_deref() == Some("Warning");
    let is_step = |event: &&Event| {
        if object.kind == POD { !is_warning(event) } else { event.reason.as_deref() == Some(MADE) }
    };
    let made = all().filter(is_step).filter_map(time).max().max(object.made);
    let warnings = all().filter(|event| is_warning(event));
    let newest = warnings.filter(|event| made.is_none() || time(event) > made).max_by_key(|event| time(event))?;
    newest.message.as_deref().map(without_ids)
}

/// The message without what is new with each try, or the status would change with each of them: ids, and the ends of names that
/// are generated for pods.
pub fn without_ids(message: &str) -> String {
    let is_id = |word: &str| word.len() >= ID_MIN && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_generated = |word: &str, before: &str, after: &str| {
        let is_end = before.ends_with('-') && after.starts_with('"') && word.len() == GENERATED;
        is_end && word.bytes().all(|byte| ALPHABET.contains(&byte))
    };
    let mut told = String::with_capacity(message.len());
    for part in message.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let after = &part[word.len()..];
        told.push_str(if is_id(word) || is_generated(word, &told, after) { "…" } else { word });
        told.push_str(after);
    }
    told
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
        Asked { kind: "StatefulSet", name: "chat-kafka".into(), uid: Some("now".into()), made, about: "" }
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
    fn a_warning_about_a_pod_counts_until_it_comes_further() {
        let pod = Asked { kind: POD, ..asked(None) };
        let waits = [event(MADE, 5, "now"), event("FailedMount", 7, "now")];
        assert_eq!(newest(&pod, &waits).as_deref(), Some("FailedMount 7"));
        let mut pulls = event("Pulling", 8, "now");
        pulls.type_ = Some("Normal".into());
        assert_eq!(newest(&pod, &[waits[1].clone(), pulls.clone()]), None, "a large image takes its time");
        assert_eq!(newest(&asked(None), &[waits[1].clone(), pulls]).as_deref(), Some("FailedMount 7"));
    }

    #[test]
    fn what_was_said_before_a_volume_was_there_tells_nothing_of_its_growth() {
        let claim = Asked { kind: CLAIM, about: "Resize", ..asked(None) };
        let said = [event("VolumeResizeFailed", 5, "now"), event("ProvisioningFailed", 7, "now")];
        assert_eq!(newest(&claim, &said).as_deref(), Some("VolumeResizeFailed 5"));
        assert_eq!(newest(&claim, &said[1..]), None);
    }

    #[test]
    fn what_is_new_with_each_try_is_left_out() {
        let id = "0f".repeat(32);
        let told = format!("failed to setup network for sandbox \"{id}\": plugin calico: {id}");
        assert_eq!(without_ids(&told), "failed to setup network for sandbox \"…\": plugin calico: …");
        let kept = "MountVolume.SetUp failed for volume \"pvc-8c0f1b2a-1111-2222-3333-abcdefabcdef\": décommissioned";
        assert_eq!(without_ids(kept), kept);
        let refused = |pod: &str| format!("Error creating: pods \"{pod}\" is forbidden: exceeded quota: small");
        assert_eq!(without_ids(&refused("chat-users-6d4cf56db6-x7k2p")), refused("chat-users-6d4cf56db6-…"));
        for pod in ["chat-kafka-0", "chat-check-1a2b3c4d", "chat-users"] {
            assert_eq!(without_ids(&refused(pod)), refused(pod));
        }
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
        assert_eq!(told(&observed), ["chat-check-1", "chat-migration-1", "chat-kafka"]);
        observed.put(Kind::StatefulSet, "chat-kafka", set(3));
        let ended = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        observed.put(Kind::Job, "chat-check-1", job(ended.clone()));
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
