//! What all pods have in common: restricted security, resources and the user's overrides.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference,
        ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
        SecurityContext, SleepAction, TopologySpreadConstraint,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::workload::selector;
use crate::{
    api::{Image, PodOverrides, Quantities, Resources},
    names::{CONTENT, Component},
    steps::validate::ValidChat,
    subset::amount,
};

/// Name of memory among resources.
const MEMORY: &str = "memory";

/// The end of its log is why a container ended: the reason that the status tells.
pub(crate) const LAST_LINES: &str = "FallbackToLogsOnError";

/// Seconds that a pod goes on serving after it was told to stop: for so long others may still send it requests.
pub(crate) const LINGER: i64 = 5;

/// Has a container go on for that many seconds before it is told to stop.
pub(crate) fn linger(seconds: i64) -> Lifecycle {
    let sleep = Some(SleepAction { seconds });
    Lifecycle { pre_stop: Some(LifecycleHandler { sleep, ..LifecycleHandler::default() }), ..Lifecycle::default() }
}

/// Security of a pod whose processes are user and group `id`.
pub(crate) fn pod_security(id: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(id),
        run_as_group: Some(id),
        fs_group: Some(id),
        // Changing owners file by file would make start-up grow with the volume.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// Security of every container.
pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
        ..SecurityContext::default()
    }
}

/// A variable of the environment.
pub(crate) fn env(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), ..EnvVar::default() }
}

/// A variable of the environment with what the pod has at `path`.
pub(crate) fn env_of_field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.into(), ..ObjectFieldSelector::default() };
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    }
}

/// A probe by HTTP.
pub(crate) fn probe(path: &str, port: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(port.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Requests and limits of a small installation.
fn defaults(cpu: &str, memory: &str, limit: &str) -> (Quantities, Quantities) {
    let quantity = |text: &str| Quantity(text.into());
    let requests = Quantities::from([("cpu".into(), quantity(cpu)), (MEMORY.into(), quantity(memory))]);
    (requests, Quantities::from([(MEMORY.into(), quantity(limit))]))
}

/// What the user wrote; what is not written is as the amounts are, so that a request for more CPU does not take the limit of
/// memory away. A default gives way to what is written: a limit alone is the request, too, as Kubernetes has it, and a request
/// raises the limit. Templates of `revision` 1 have nothing but what is written, if anything is.
pub(crate) fn resources(
    revision: i32,
    wanted: Option<&Resources>,
    cpu: &str,
    memory: &str,
    limit: &str,
) -> ResourceRequirements {
    let (mut requests, mut limits) = defaults(cpu, memory, limit);
    if let Some(wanted) = wanted {
        requests.retain(|name, _| revision > 1 && !wanted.limits.contains_key(name));
        limits.retain(|_, _| revision > 1);
        requests.extend(wanted.requests.clone());
        limits.extend(wanted.limits.clone());
        // Where both are written, the API server says what is wrong.
        for (name, request) in wanted.requests.iter().filter(|(name, _)| !wanted.limits.contains_key(*name)) {
            if let Some(limit) = limits.get_mut(name).filter(|limit| amount(&limit.0) < amount(&request.0)) {
                limit.clone_from(request);
            }
        }
    }
    ResourceRequirements {
        requests: Some(requests).filter(|map| !map.is_empty()),
        limits: Some(limits).filter(|map| !map.is_empty()),
        ..ResourceRequirements::default()
    }
}

/// What the user wrote for something else that runs at the same place, and no less memory than is needed here. What is not
/// written is as the amounts are; a request never exceeds its limit.
pub(crate) fn at_least(wanted: Option<&Resources>, cpu: &str, memory: &str, limit: &str) -> ResourceRequirements {
    let (mut requests, mut limits) = defaults(cpu, memory, limit);
    let nothing = Resources::default();
    let wanted = wanted.unwrap_or(&nothing);
    for (amounts, written) in [(&mut requests, &wanted.requests), (&mut limits, &wanted.limits)] {
        let needed = amounts.get(MEMORY).cloned();
        amounts.extend(written.clone());
        if let (Some(needed), Some(memory)) = (needed, amounts.get_mut(MEMORY))
            && amount(&memory.0) < amount(&needed.0)
        {
            *memory = needed;
        }
    }
    for (name, request) in &mut requests {
        let Some(limit) = limits.get_mut(name).filter(|limit| amount(&limit.0) < amount(&request.0)) else { continue };
        if name == MEMORY { limit.clone_from(request) } else { request.clone_from(limit) }
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), ..ResourceRequirements::default() }
}

/// Completes a pod template: labels, content hash, identity and the user's overrides.
pub(crate) fn template(
    chat: &ValidChat,
    component: Component,
    content: String,
    overrides: Option<&PodOverrides>,
    mut spec: PodSpec,
) -> PodTemplateSpec {
    let defaults = PodOverrides::default();
    let overrides = overrides.unwrap_or(&defaults);
    let mut labels = overrides.labels.clone();
    // Ours last: a user's label must not take a pod out of its Service.
    labels.extend(chat.names.component_labels(component));
    let mut annotations = overrides.annotations.clone();
    annotations.insert(CONTENT.into(), content);

    spec.service_account_name = Some(chat.names.service_account());
    spec.automount_service_account_token = Some(false);
    spec.enable_service_links = Some(false);
    spec.image_pull_secrets = Some(
        chat.spec.image.pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() }).collect(),
    )
    .filter(|secrets: &Vec<_>| !secrets.is_empty());
    spec.node_selector = Some(overrides.node_selector.clone()).filter(|map| !map.is_empty());
    spec.tolerations = Some(overrides.tolerations.clone()).filter(|list| !list.is_empty());
    spec.affinity.clone_from(&overrides.affinity);
    spec.priority_class_name.clone_from(&overrides.priority_class_name);
    if !overrides.topology_spread_constraints.is_empty() {
        spec.topology_spread_constraints = Some(overrides.topology_spread_constraints.clone());
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(spec),
    }
}

/// Adds the registry credentials of an image that comes from elsewhere than the platform's. Kubernetes takes each name once.
pub(crate) fn add_pull_secrets(template: &mut PodTemplateSpec, image: &Image) {
    let Some(spec) = template.spec.as_mut() else { return };
    for secret in &image.pull_secrets {
        let secrets = spec.image_pull_secrets.get_or_insert_default();
        if !secrets.iter().any(|known| known.name == secret.name) {
            secrets.push(LocalObjectReference { name: secret.name.clone() });
        }
    }
}

/// Spread over nodes as far as there are enough of them.
pub(crate) fn spread(chat: &ValidChat, component: Component) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector(chat, component)),
        ..TopologySpreadConstraint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests and limits as lines.
    fn lines(found: ResourceRequirements) -> [String; 2] {
        let line = |map: Option<Quantities>| {
            let texts = map.unwrap_or_default().into_iter().map(|(name, amount)| format!("{name}={}", amount.0));
            texts.collect::<Vec<_>>().join(" ")
        };
        [line(found.requests), line(found.limits)]
    }

    #[test]
    fn what_is_not_written_stays_as_it_is_by_default_and_gives_way_to_what_is() {
        let json = |json: serde_json::Value| serde_json::from_value::<Resources>(json).unwrap();
        assert_eq!(lines(resources(2, None, "50m", "64Mi", "256Mi")), ["cpu=50m memory=64Mi", "memory=256Mi"]);
        for (written, expected) in [
            (serde_json::json!({}), ["cpu=50m memory=64Mi", "memory=256Mi"]),
            (serde_json::json!({ "requests": { "cpu": "4" } }), ["cpu=4 memory=64Mi", "memory=256Mi"]),
            // What is not requested is requested up to the limit: such a pod is evicted last.
            (serde_json::json!({ "limits": { "memory": "8Gi" } }), ["cpu=50m", "memory=8Gi"]),
            (serde_json::json!({ "limits": { "cpu": "20m" } }), ["memory=64Mi", "cpu=20m memory=256Mi"]),
            (serde_json::json!({ "limits": { "cpu": "1", "memory": "1Gi" } }), ["", "cpu=1 memory=1Gi"]),
            (serde_json::json!({ "requests": { "memory": "1Gi" } }), ["cpu=50m memory=1Gi", "memory=1Gi"]),
            (
                serde_json::json!({ "requests": { "memory": "1Gi" }, "limits": { "memory": "2Gi", "example.com/x": "1" } }),
                ["cpu=50m memory=1Gi", "example.com/x=1 memory=2Gi"],
            ),
        ] {
            assert_eq!(
                lines(resources(2, Some(&json(written.clone())), "50m", "64Mi", "256Mi")),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn with_the_templates_of_before_there_is_what_is_written_and_nothing_else() {
        let json = |json: serde_json::Value| serde_json::from_value::<Resources>(json).unwrap();
        assert_eq!(lines(resources(1, None, "50m", "64Mi", "256Mi")), ["cpu=50m memory=64Mi", "memory=256Mi"]);
        for (written, expected) in [
            (serde_json::json!({}), ["", ""]),
            (serde_json::json!({ "requests": { "memory": "1Gi" } }), ["memory=1Gi", ""]),
            (serde_json::json!({ "limits": { "memory": "32Mi" } }), ["", "memory=32Mi"]),
        ] {
            assert_eq!(
                lines(resources(1, Some(&json(written.clone())), "50m", "64Mi", "256Mi")),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn what_is_written_for_another_pod_leaves_enough_memory_and_a_valid_request() {
        let resources = |json: serde_json::Value| serde_json::from_value::<Resources>(json).unwrap();
        let of = |written: serde_json::Value| lines(at_least(Some(&resources(written)), "50m", "64Mi", "256Mi"));
        for (written, expected) in [
            (serde_json::json!({}), ["cpu=50m memory=64Mi", "memory=256Mi"]),
            (serde_json::json!({ "limits": { "cpu": "1" } }), ["cpu=50m memory=64Mi", "cpu=1 memory=256Mi"]),
            (serde_json::json!({ "limits": { "memory": "128Mi" } }), ["cpu=50m memory=64Mi", "memory=256Mi"]),
            (serde_json::json!({ "requests": { "memory": "1Gi" } }), ["cpu=50m memory=1Gi", "memory=1Gi"]),
            (serde_json::json!({ "limits": { "cpu": "20m" } }), ["cpu=20m memory=64Mi", "cpu=20m memory=256Mi"]),
        ] {
            assert_eq!(of(written.clone()), expected, "{written}");
        }
    }
}
