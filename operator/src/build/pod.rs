//! What all pods have in common: restricted security, resources and the user's overrides.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, EmptyDirVolumeSource, HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
        SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use crate::{
    api::{PodOverrides, Resources},
    names::{CONTENT, Component},
    steps::validate::ValidChat,
};

/// The end of its log is why a container ended: the reason that the status tells.
pub(crate) const LAST_LINES: &str = "FallbackToLogsOnError";

/// Seconds that a pod goes on serving after it was told to stop: for so long others may still send it requests.
pub(crate) const LINGER: i64 = 5;

/// Has a container go on for [`LINGER`] before it is told to stop.
pub(crate) fn linger() -> Lifecycle {
    let sleep = Some(SleepAction { seconds: LINGER });
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

/// `/tmp` for a root filesystem that cannot be written.
pub(crate) fn tmp() -> (Volume, VolumeMount) {
    (
        Volume {
            name: "tmp".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("256Mi".into())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
        VolumeMount { name: "tmp".into(), mount_path: "/tmp".into(), ..VolumeMount::default() },
    )
}

/// What the user wrote, or amounts that fit a small installation.
pub(crate) fn resources(wanted: Option<&Resources>, cpu: &str, memory: &str, limit: &str) -> ResourceRequirements {
    let amount = |text: &str| Quantity(text.into());
    match wanted {
        Some(resources) => ResourceRequirements {
            requests: Some(resources.requests.clone()).filter(|map| !map.is_empty()),
            limits: Some(resources.limits.clone()).filter(|map| !map.is_empty()),
            ..ResourceRequirements::default()
        },
        None => ResourceRequirements {
            requests: Some(BTreeMap::from([("cpu".into(), amount(cpu)), ("memory".into(), amount(memory))])),
            limits: Some(BTreeMap::from([("memory".into(), amount(limit))])),
            ..ResourceRequirements::default()
        },
    }
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

/// Spread over nodes as far as there are enough of them.
pub(crate) fn spread(chat: &ValidChat, component: Component) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(chat.names.selector(component)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }
}
