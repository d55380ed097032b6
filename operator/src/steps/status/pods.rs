//! What is wrong with a pod, in one sentence.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Reasons that do not go away by waiting.
const STUCK: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Whether the pod serves.
pub fn is_ready(pod: &Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Why the pod will not become ready by waiting.
pub fn trouble(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let stuck = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .find_map(container_trouble);
    if let Some(stuck) = stuck {
        return Some(format!("pod {name}: {stuck}"));
    }
    if status.phase.as_deref() == Some("Failed") {
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

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| STUCK.contains(reason))?;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let detail = match (&waiting.message, ended) {
        (_, Some(ended)) => format!(
            "last exit {}{}",
            ended.exit_code,
            ended.reason.as_deref().filter(|r| *r != "Error").map(|r| format!(" ({r})")).unwrap_or_default()
        ),
        (Some(message), None) => message.clone(),
        (None, None) => "no reason given".into(),
    };
    Some(format!("{reason} in container {}: {detail}", container.name))
}
