//! What Deployments and StatefulSets have in common: whose pods are whose, how pods are replaced, how many may be missing, what
//! becomes of volumes.

use k8s_openapi::{
    api::{
        apps::v1::{
            Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
            StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetUpdateStrategy,
        },
        core::v1::PodTemplateSpec,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::metadata;
use crate::{names::Component, steps::validate::ValidChat};

/// The pods of a component.
pub(crate) fn selector(chat: &ValidChat, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(chat.names.selector(component)), ..LabelSelector::default() }
}

/// A Deployment in which a new pod is ready before an old one goes. Without `replicas`, it keeps its number of pods.
pub(super) fn deployment(
    metadata: ObjectMeta,
    replicas: Option<i32>,
    selector: LabelSelector,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata,
        spec: DeploymentSpec {
            replicas,
            selector,
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            revision_history_limit: Some(3),
            progress_deadline_seconds: Some(300),
            template,
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

/// Pods of a StatefulSet are replaced one after the other.
pub(crate) fn one_by_one() -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy { type_: Some("RollingUpdate".into()), ..StatefulSetUpdateStrategy::default() }
}

/// Volumes stay whatever becomes of the StatefulSet: deleting data is the finalizer's work, so that it can be seen and
/// repeated.
pub(crate) fn volumes_stay() -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some("Retain".into()),
        when_scaled: Some("Retain".into()),
    }
}

/// How many pods of a component may be missing; none for a single replica: it could never be drained.
pub(super) fn disruption_budget(chat: &ValidChat, component: Component, replicas: i32) -> Option<PodDisruptionBudget> {
    (replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata(chat, chat.names.component(component), Some(component)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(chat, component)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
