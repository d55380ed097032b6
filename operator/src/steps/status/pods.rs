//! What is wrong with a pod, in one sentence.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use serde_json::Value;

use crate::{
    build::Kind,
    names::{Component, component_of},
    providers::LEFT,
    steps::fields,
};

/// What is told of an image first.
const CANNOT_PULL: &str = "cannot pull image";

/// Restarts after which a container that is not ready counts as failing, also while it runs.
const RESTARTS: i32 = 3;
/// For how long a restart counts: those of weeks ago tell nothing of a container that fails a probe now.
const RECENT: SignedDuration = SignedDuration::from_mins(10);
/// How long a pod may still be there after the time by which it had to end.
const GOING: SignedDuration = SignedDuration::from_mins(1);
/// How long a pod that has its node may take to get its volumes and its network.
const BEGIN: SignedDuration = SignedDuration::from_mins(2);
/// How long a pod of a StatefulSet may be unready: as long as Kubernetes lets a Deployment get no further.
const UNREADY: SignedDuration = SignedDuration::from_mins(10);
/// Reason for the condition that tells of a pod that does not go.
pub const HANGS: &str = "PodHangs";
/// Longest explanation that is taken over from a container.
const DETAIL_MAX: usize = 240;

/// Whether the pod serves.
pub fn is_ready(pod: &Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Since when a container of the pod runs.
pub fn runs_since(pod: &Pod) -> Option<Timestamp> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find_map(|container| Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0))
}

/// What a container of the pod said when it ended last, whether it runs again or not.
pub fn said_last(pod: &Pod) -> Option<&str> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find_map(|container| words(container.state.as_ref()).or_else(|| words(container.last_state.as_ref())))
}

/// What a container of the pod said when it ended, unless it runs again.
pub fn ended_with(pod: &Pod) -> Option<&str> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find_map(|container| {
        let state = container.state.as_ref()?;
        if state.waiting.is_some() { words(container.last_state.as_ref()) } else { words(Some(state)) }
    })
}

fn words(state: Option<&ContainerState>) -> Option<&str> {
    state?.terminated.as_ref()?.message.as_deref().map(str::trim).filter(|words| !words.is_empty())
}

/// Whether the pod is of the StatefulSet `set`.
pub fn is_of_set(pod: &Pod, set: &str) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.kind == "StatefulSet" && owner.name == set)
}

/// Whether the controller of `workload`, of that kind and name, made the pod. Those of a Deployment are of its ReplicaSet,
/// which is called after it and the hash of the template, and whose uid nobody tells here.
pub fn is_made_by(pod: &Pod, kind: Kind, name: &str, workload: &Value) -> bool {
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let mut owners = pod.metadata.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
    owners.any(|owner| match kind {
        Kind::Deployment => {
            owner.kind == "ReplicaSet" && hash.is_some_and(|hash| owner.name == format!("{name}-{hash}"))
        }
        _ => owner.kind == kind.as_str() && owner.name == name && workload["metadata"]["uid"] == owner.uid,
    })
}

/// Whether the pod has come to its end, and not to a good one.
pub fn has_failed(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed")
}

/// Whether the pod has come to its end, be it good or not.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Whether a container of the pod does not get to run: what fails a probe later on may be well again in a moment.
pub fn has_not_started(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let is_pausing = |container: &ContainerStatus| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    };
    containers.is_empty() || containers.iter().any(|c| c.started != Some(true) || is_pausing(c))
}

/// Why the pod will not become ready by waiting.
pub fn trouble(pod: &Pod, now: Timestamp) -> Option<String> {
    if ended_with(pod) == Some(LEFT) {
        // It was told to leave, and it did.
        return None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let stuck = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .find_map(|container| container_trouble(container, now));
    if let Some(stuck) = stuck {
        let is_image = stuck.starts_with(CANNOT_PULL);
        let advice = is_image.then(|| format!("; correct {}, or the operator's default", fields::image(pod)));
        return Some(format!("pod {name}: {stuck}{}", advice.unwrap_or_default()));
    }
    if has_failed(pod) {
        let why = status.message.as_deref().or(status.reason.as_deref()).unwrap_or("it failed");
        return Some(format!("pod {name}: {why}"));
    }
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
        })
        .map(|condition| {
            format!("pod {name} fits no node: {}", condition.message.as_deref().unwrap_or("no reason given"))
        })
}

/// Why a pod that was deleted will not go by waiting: its node does not say that it has ended, and until then no other one
/// may take its place. The time of its deletion already is the end of the time that it has to end.
pub fn hangs(pod: &Pod, now: Timestamp) -> Option<String> {
    let node = hangs_on(pod, now)?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "pod {name} was deleted and hangs on node {node}; if that machine is off for good: kubectl delete pod {name} \
         --force, after which it starts elsewhere"
    ))
}

/// The node that does not say that a pod has ended which was deleted.
pub fn hangs_on(pod: &Pod, now: Timestamp) -> Option<&str> {
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("unknown");
    (now.duration_since(end) > GOING).then_some(node)
}

/// Whether the pod has its node and none of its containers has begun for long. It may be pulling an image: Events tell.
pub fn does_not_begin(pod: &Pod, now: Timestamp) -> bool {
    let is_pending = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
    is_pending && pod.metadata.deletion_timestamp.is_none() && is_past(since(pod, "PodScheduled", "True"), BEGIN, now)
}

/// Whether the pod has not been ready for so long that waiting does not seem to help.
pub fn is_unready_for_long(pod: &Pod, now: Timestamp) -> bool {
    let is_told = is_ready(pod) || has_ended(pod) || pod.metadata.deletion_timestamp.is_some();
    // One that its node does not tell of has no such condition.
    let since = since(pod, "Ready", "False").or_else(|| since(pod, "PodScheduled", "True"));
    !is_told && is_past(since, UNREADY, now)
}

fn is_past(since: Option<Timestamp>, wait: SignedDuration, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since) >= wait)
}

/// Since when a condition of the pod is so.
fn since(pod: &Pod, type_: &str, is: &str) -> Option<Timestamp> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let found = conditions.find(|condition| condition.type_ == type_ && condition.status == is)?;
    found.last_transition_time.as_ref().map(|time| time.0)
}

/// A node of Cassandra after the first may be taking over its part of the data, which takes as long as it takes.
pub fn may_join(pod: &Pod) -> bool {
    let is_first = pod.metadata.name.as_deref().is_some_and(|name| name.ends_with("-0"));
    component_of(&pod.metadata) == Some(Component::Cassandra.as_str()) && !is_first
}

/// One wording for all phases of the same trouble, or the status would change with each of them.
fn container_trouble(container: &ContainerStatus, now: Timestamp) -> Option<String> {
    let name = &container.name;
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("CrashLoopBackOff" | "RunContainerError") => Some(ending(container)),
        Some("ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName") => {
            let detail = message.rsplit_once("ErrImagePull: ").map_or(message, |(_, detail)| detail);
            Some(format!("{CANNOT_PULL} {} of container {name}: {}", container.image, shorten(detail)))
        }
        Some("CreateContainerConfigError" | "CreateContainerError") => {
            Some(format!("cannot make container {name}: {}", shorten(message)))
        }
        _ if !container.ready && container.restart_count >= RESTARTS && ended_lately(container, now) => {
            Some(ending(container))
        }
        _ => None,
    }
}

fn ended_lately(container: &ContainerStatus, now: Timestamp) -> bool {
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let time = ended.and_then(|ended| ended.finished_at.as_ref());
    time.is_some_and(|time| now.duration_since(time.0) < RECENT)
}

fn ending(container: &ContainerStatus) -> String {
    let name = &container.name;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(ended) = ended else { return format!("container {name} keeps ending: look at its log") };
    let reason = ended.reason.as_deref().filter(|reason| *reason != "Error").map(|reason| format!(" ({reason})"));
    let message = ended.message.as_deref().and_then(telling).map(|message| format!(": {}", shorten(message)));
    format!(
        "container {name} keeps ending, last with {}{}{}",
        ended.exit_code,
        reason.unwrap_or_default(),
        message.unwrap_or_else(|| ": look at its log".into())
    )
}

/// Words that a line has which tells why something ended.
const GRAVE: [&str; 6] = ["ERROR", "FATAL", "Error", "Exception", "PANIC", "panic"];
/// Levels of lines that tell what went as it should.
const CALM: [&str; 3] = ["INFO", "DEBUG", "TRACE"];

/// The line of what was said that tells most: the last one that tells of an error, or else the last one that tells no more than
/// what went on, and neither is a step of a Java stack trace. What ends in an orderly way because of an error says more after it.
fn telling(message: &str) -> Option<&str> {
    let is_step = |line: &str| line.starts_with("at ") || line.starts_with("...");
    let is_calm = |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| CALM.contains(&word));
    let is_grave = |line: &str| GRAVE.iter().any(|word| line.contains(word));
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = || lines.clone().filter(|line| !is_step(line));
    said()
        .rfind(|line| is_grave(line) && !is_calm(line))
        .or_else(|| said().rfind(|line| !is_calm(line)))
        .or_else(|| said().next_back())
        .or_else(|| lines.next_back())
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(DETAIL_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_and_not_the_way_to_it() {
        let trace = "INFO starting\nException in thread main: no space left\n\tat a.B.c(B.java:1)\n\t... 3 more\n";
        assert_eq!(telling(trace), Some("Exception in thread main: no space left"));
        assert_eq!(telling("the volume is full"), Some("the volume is full"));
        let orderly = "ERROR [main] CassandraDaemon.java:911 - cannot start, directory is not writable\n\
                       INFO  [StorageServiceShutdownHook] HintsService.java:235 - Paused hints dispatch\n\
                       INFO  [StorageServiceShutdownHook] Server.java:206 - shutdown complete\n";
        assert_eq!(
            telling(orderly),
            Some("ERROR [main] CassandraDaemon.java:911 - cannot start, directory is not writable")
        );
        let unmarked = "INFO  begins\nno such file: cassandra.yaml\n[2026-01-01] INFO shutdown complete";
        assert_eq!(telling(unmarked), Some("no such file: cassandra.yaml"));
        let postgres = "FATAL:  could not write lock file: No space left on device\nLOG:  database system is shut down";
        assert_eq!(telling(postgres), Some("FATAL:  could not write lock file: No space left on device"));
        let ours =
            "{\"level\":\"ERROR\",\"message\":\"no keys\"}\n{\"level\":\"INFO\",\"message\":\"an Error is over\"}";
        assert_eq!(telling(ours), Some("{\"level\":\"ERROR\",\"message\":\"no keys\"}"));
        assert_eq!(telling("INFO one\nINFO two"), Some("INFO two"), "when nothing else is there");
        assert_eq!(telling(" \n"), None);
    }
}
