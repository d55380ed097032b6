//! Readiness of one workload, from the object and its pods.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{part::Part, pods};
use crate::{
    build::Kind,
    names::{Component, Names, component_of},
    steps::{
        fields,
        observe::{Observed, warnings},
    },
};

/// Reason for the condition that tells of a workload that gets no further.
const NO_PROGRESS: &str = "ProgressDeadlineExceeded";

/// Judges the workload of `component`.
pub fn assess(observed: &Observed, names: &Names, kind: Kind, component: Component, desired: i32) -> Part {
    let name = names.workload(component);
    let mut workload = Part::of_pods(component.as_str(), desired);
    let Some(object) = observed.get(kind, &name) else { return workload };
    workload.exists = true;
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let seen = number("/status/observedGeneration") >= number("/metadata/generation");
    let updated = number("/status/updatedReplicas");
    let total = number("/status/replicas");
    // The counts are about the generation that the controller has seen, so they say nothing before that.
    if seen {
        let available = number("/status/availableReplicas");
        workload.ready = i32::try_from(available.min(updated)).unwrap_or(0);
        // One too many serves nobody ill while it ends.
        workload.settled = updated == total && total >= i64::from(desired);
    }
    if workload.is_ready() {
        return workload;
    }
    let live = || {
        pods_of(observed, component).filter(|pod| pod.metadata.deletion_timestamp.is_none() && !is_replaced(kind, pod))
    };
    if let Some(message) = failed_condition(object, "ReplicaFailure", "True") {
        let told = fields::with_field(component.as_str(), warnings::without_ids(&message));
        workload.with_trouble("ReplicaFailure", told)
    } else if let Some(warning) = observed.warning(kind.as_str(), &name).filter(|_| warnings::lacks_pods(object)) {
        workload.with_trouble(warnings::FAILED_CREATE, fields::with_field(component.as_str(), warning.to_owned()))
    } else if let Some(message) = hung(observed, kind, component) {
        // Before what others say that miss it.
        workload.with_trouble(pods::HANGS, message)
    } else if let Some(message) = live()
        .find_map(|pod| pods::trouble(pod, observed.read_at))
        .or_else(|| live().find_map(|pod| does_not_begin(observed, pod)))
    {
        workload.with_trouble("PodFailing", message)
    } else if let Some(message) = live().find_map(|pod| gets_no_further(observed, kind, pod)) {
        workload.with_trouble(NO_PROGRESS, message)
    } else if failed_condition(object, "Progressing", "False").is_some() {
        let told = format!(
            "its rollout made no progress for too long, {} of {desired} pods are ready: look at their logs",
            workload.ready
        );
        workload.with_trouble(NO_PROGRESS, told)
    } else {
        workload
    }
}

/// Whether pods of a workload are on their way, told by what its controller says of it.
pub fn rolls(object: &Value) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let counts = ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"];
    number("/status/observedGeneration") < number("/metadata/generation")
        || counts.into_iter().any(|count| number(count) != wanted)
}

/// Why a pod that has its node does not begin: its volumes, its network, what it mounts. Only Events tell that.
pub fn does_not_begin(observed: &Observed, pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let warning = observed.warning(warnings::POD, name).filter(|_| pods::does_not_begin(pod, observed.read_at))?;
    Some(format!("pod {name} does not start: {warning}"))
}

/// Kubernetes has a deadline for Deployments only.
fn gets_no_further(observed: &Observed, kind: Kind, pod: &Pod) -> Option<String> {
    let is_late = kind == Kind::StatefulSet && pods::is_unready_for_long(pod, observed.read_at) && !pods::may_join(pod);
    let name = pod.metadata.name.as_deref().filter(|_| is_late)?;
    let why = match observed.warning(warnings::POD, name) {
        Some(warning) => format!("{warning}; look at its log"),
        None => format!("kubectl describe pod {name} and its log tell more"),
    };
    Some(format!("pod {name} has not been ready for ten minutes: {why}"))
}

fn failed_condition(object: &Value, type_: &str, status: &str) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|c| c["type"] == type_ && c["status"] == status)?;
    Some(condition["message"].as_str().unwrap_or("no reason given").to_owned())
}

fn pods_of(observed: &Observed, component: Component) -> impl Iterator<Item = &Pod> {
    observed.pods.iter().filter(move |pod| component_of(&pod.metadata) == Some(component.as_str()))
}

/// Whether a pod is over and another one takes its place: a Deployment leaves those that were evicted, or whose node was
/// shut down, where they are.
fn is_replaced(kind: Kind, pod: &Pod) -> bool {
    kind == Kind::Deployment && pods::has_ended(pod)
}

/// What keeps a pod of a StatefulSet from being made anew. A Deployment does not wait for its pods to go.
fn hung(observed: &Observed, kind: Kind, component: Component) -> Option<String> {
    let mut pods = pods_of(observed, component).filter(|_| kind == Kind::StatefulSet);
    pods.find_map(|pod| pods::hangs(pod, observed.read_at))
}

/// Selector of the platform's pods of the current revision only: averages over pods of several
/// revisions mislead autoscalers.
pub fn current_selector(observed: &Observed, names: &Names) -> Option<String> {
    let set = observed.get(Kind::StatefulSet, &names.stateful_set())?;
    let revision = set.pointer("/status/updateRevision").and_then(Value::as_str)?;
    let mut parts: Vec<String> =
        names.selector(Component::Sentinel).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.push(format!("controller-revision-hash={revision}"));
    Some(parts.join(","))
}
