//! The kinds of objects that the operator makes.

use kube::core::ApiResource;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Identity of the pods.
    ServiceAccount,
    /// Configuration.
    ConfigMap,
    /// Stable address.
    Service,
    /// Who may connect.
    NetworkPolicy,
    /// How many pods may be missing.
    PodDisruptionBudget,
    /// Pods with names of their own.
    StatefulSet,
    /// Pods that are all alike.
    Deployment,
    /// A pod that comes to an end.
    Job,
    /// The way in from outside.
    Ingress,
    /// Scrape instruction of the Prometheus operator.
    ServiceMonitor,
}

/// When a kind is applied; a stage needs the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What pods read at start.
    Content,
    /// What pods are reached by.
    Network,
    /// Pods.
    Workload,
    /// What clients come in by.
    Entrance,
    /// What the platform runs without.
    Extra,
}

impl Kind {
    /// All kinds, for listing what exists.
    pub const ALL: [Self; 10] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::Deployment,
        Self::Job,
        Self::Ingress,
        Self::ServiceMonitor,
    ];

    /// Group, version, kind and plural.
    pub fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::ServiceMonitor => ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
        }
    }

    /// How the API server calls it.
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
            kind: kind.into(),
            plural: plural.into(),
        }
    }

    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        self.names().2
    }

    /// When it is applied.
    pub fn stage(self) -> Stage {
        match self {
            Self::ServiceAccount | Self::ConfigMap => Stage::Content,
            Self::Service | Self::NetworkPolicy | Self::PodDisruptionBudget => Stage::Network,
            Self::StatefulSet | Self::Deployment | Self::Job => Stage::Workload,
            Self::Ingress => Stage::Entrance,
            Self::ServiceMonitor => Stage::Extra,
        }
    }

    /// Whether a cluster may lack it.
    pub fn is_optional(self) -> bool {
        self == Self::ServiceMonitor
    }
}
