//! Names and labels of everything that is made for one resource.

use std::collections::BTreeMap;

/// Field manager of every apply.
pub const MANAGER: &str = "sentinel-operator";
/// Finalizer of resources whose data goes with them.
pub const FINALIZER: &str = "chat.sentinel.dev/data";
/// Annotation with the hash of what was last applied to an object.
pub const APPLIED: &str = "chat.sentinel.dev/applied";
/// Annotation of pod templates with the hash of the configuration and keys they use.
pub const CONTENT: &str = "chat.sentinel.dev/content";
/// Label with the name of the resource.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the part of the platform.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Selects everything the operator makes.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=sentinel-operator";

/// A part of the platform with its own pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// All roles in one pod.
    Sentinel,
    /// NGINX.
    Gateway,
}

impl Component {
    /// The value of the component label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinel",
            Self::Gateway => "gateway",
        }
    }
}

/// Names of the objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the resource.
    pub instance: String,
}

impl Names {
    /// Names for the resource called `instance`.
    pub fn new(instance: impl Into<String>) -> Self {
        Self { instance: instance.into() }
    }

    fn with(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.instance)
    }

    /// ServiceAccount of all pods.
    pub fn service_account(&self) -> String {
        self.instance.clone()
    }

    /// StatefulSet of profile Embedded.
    pub fn stateful_set(&self) -> String {
        self.instance.clone()
    }

    /// ConfigMap with the platform's configuration.
    pub fn config(&self) -> String {
        self.with("config")
    }

    /// Generated Secret with keys.
    pub fn keys(&self) -> String {
        self.with("keys")
    }

    /// Headless Service that gives pods their names.
    pub fn pods(&self) -> String {
        self.with("pods")
    }

    /// Service and NetworkPolicy of the platform.
    pub fn sentinel(&self) -> String {
        self.with("sentinel")
    }

    /// ConfigMap, Deployment, Service, PodDisruptionBudget, Ingress and NetworkPolicy of the gateway.
    pub fn gateway(&self) -> String {
        self.with("gateway")
    }

    /// Volume claim of the one pod of profile Embedded.
    pub fn data_claim(&self) -> String {
        format!("data-{}-0", self.stateful_set())
    }

    /// Labels of an object that belongs to no component.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".into(), "sentinel".into()),
            (INSTANCE.into(), self.instance.clone()),
            ("app.kubernetes.io/part-of".into(), "sentinel".into()),
            ("app.kubernetes.io/managed-by".into(), MANAGER.into()),
        ])
    }

    /// Labels of an object of a component.
    pub fn component_labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(COMPONENT.into(), component.as_str().into());
        labels
    }

    /// Selector of a component's pods. Selectors are immutable: this set must never change.
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".into(), "sentinel".into()),
            (INSTANCE.into(), self.instance.clone()),
            (COMPONENT.into(), component.as_str().into()),
        ])
    }

    /// Label selector of everything made for this resource.
    pub fn list_selector(&self) -> String {
        format!("{MANAGED},{INSTANCE}={}", self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rules::NAME_MAX;

    #[test]
    fn longest_child_leaves_room_for_labels_that_kubernetes_derives() {
        let names = Names::new("a".repeat(NAME_MAX));
        for name in [names.config(), names.keys(), names.pods(), names.sentinel(), names.gateway()] {
            assert!(name.len() <= 52, "{name} has {} characters", name.len());
        }
    }
}
