//! What is wrong with a pod, in one sentence.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Restarts after which a container that is not ready counts as failing, also while it runs.
const RESTARTS: i32 = 3;
/// Longest explanation that is taken over from a container.
const DETAIL_MAX: usize = 240;

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

/// One wording for all phases of the same trouble, or the status would change with each of them.
fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let name = &container.name;
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("CrashLoopBackOff" | "RunContainerError") => Some(ending(container)),
        Some("ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName") => {
            let detail = message.rsplit_once("ErrImagePull: ").map_or(message, |(_, detail)| detail);
            Some(format!("cannot pull image {} of container {name}: {}", container.image, shorten(detail)))
        }
        Some("CreateContainerConfigError" | "CreateContainerError") => {
            Some(format!("cannot make container {name}: {}", shorten(message)))
        }
        _ if !container.ready && container.restart_count >= RESTARTS => Some(ending(container)),
        _ => None,
    }
}

fn ending(container: &ContainerStatus) -> String {
    let name = &container.name;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(ended) = ended else { return format!("container {name} keeps ending: look at its log") };
    let reason = ended.reason.as_deref().filter(|reason| *reason != "Error").map(|reason| format!(" ({reason})"));
    let message = ended.message.as_deref().map(|message| format!(": {}", shorten(message)));
    format!(
        "container {name} keeps ending, last with {}{}{}",
        ended.exit_code,
        reason.unwrap_or_default(),
        message.unwrap_or_else(|| ": look at its log".into())
    )
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(DETAIL_MAX).collect()
}
