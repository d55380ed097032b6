//! Names and labels of everything that is made for one resource.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::Store;

/// Field manager of every apply.
pub const MANAGER: &str = "sentinel-operator";
/// Field manager that keeps the number of pods of a workload when [`MANAGER`] leaves it to others.
pub const REPLICAS_MANAGER: &str = "sentinel-operator-replicas";
/// Finalizer of resources whose data goes with them.
pub const FINALIZER: &str = "chat.sentinel.dev/data";
/// Annotation with the hash of what was last applied to an object.
pub const APPLIED: &str = "chat.sentinel.dev/applied";
/// Annotation of a resource with the installation of the operator that looks after it.
pub const OPERATOR: &str = "chat.sentinel.dev/operator";
/// Annotation of a resource with uids of claims, with commas between them, that may go on in the place of those whose data was
/// lost.
pub const DATA_LOST_ACCEPTED: &str = "chat.sentinel.dev/data-lost-accepted";
/// Annotation of pod templates with the hash of the configuration and keys they use.
pub const CONTENT: &str = "chat.sentinel.dev/content";
/// Label with the name of the resource.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the part of the platform.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label with who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Selects everything the operator makes.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=sentinel-operator";

/// A part of the platform with its own pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// All roles in one pod: profile Embedded.
    Sentinel,
    /// NGINX.
    Gateway,
    /// Accounts and tokens.
    Users,
    /// Chats and sockets.
    Message,
    /// Who is online.
    Presence,
    /// Push.
    Notification,
    /// Search.
    Search,
    /// Files.
    Media,
    /// The Job that brings the stores to the schema of an image.
    Migration,
    /// The store of accounts.
    Postgres,
    /// The store of messages.
    Cassandra,
    /// The store of presence and routing.
    Redis,
    /// The log of events.
    Kafka,
    /// The search engine.
    Elasticsearch,
    /// The store of files.
    S3,
}

impl Component {
    /// The value of the component label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinel",
            Self::Gateway => "gateway",
            Self::Users => "users",
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Notification => "notification",
            Self::Search => "search",
            Self::Media => "media",
            Self::Migration => "migration",
            Self::Postgres => "postgres",
            Self::Cassandra => "cassandra",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::Elasticsearch => "elasticsearch",
            Self::S3 => "s3",
        }
    }
}

/// What an object is called among those of all namespaces: `namespace/name`.
pub fn full_name(meta: &ObjectMeta) -> String {
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The part of the platform that an object belongs to.
pub fn component_of(meta: &ObjectMeta) -> Option<&str> {
    meta.labels.as_ref()?.get(COMPONENT).map(String::as_str)
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

    /// ServiceAccount of all pods. Kubernetes has one called `default` in each namespace, whose name a resource may have;
    /// what it is called then has a dot, which no resource has.
    pub fn service_account(&self) -> String {
        if self.instance == "default" { "default.pods".into() } else { self.instance.clone() }
    }

    /// StatefulSet of profile Embedded.
    pub fn stateful_set(&self) -> String {
        self.instance.clone()
    }

    /// What the name of the Job begins with that looks at stores of somebody else.
    pub fn check(&self) -> String {
        self.with("check-")
    }

    /// ConfigMap with the platform's configuration.
    pub fn config(&self) -> String {
        self.with("config")
    }

    /// Generated Secret with keys.
    pub fn keys(&self) -> String {
        self.with("keys")
    }

    /// ConfigMap with the public halves of the keys that sign tokens.
    pub fn public_keys(&self) -> String {
        self.with("public-keys")
    }

    /// Headless Service that gives the pods of a component their names.
    pub fn pods(&self, component: Component) -> String {
        match component {
            Component::Sentinel => self.with("pods"),
            other => format!("{}-pods", self.component(other)),
        }
    }

    /// Service, NetworkPolicy, PodDisruptionBudget and, but for profile Embedded, workload of a component; ConfigMap of a
    /// store, and the one that Jobs read.
    pub fn component(&self, component: Component) -> String {
        self.with(component.as_str())
    }

    /// StatefulSet or Deployment of a component.
    pub fn workload(&self, component: Component) -> String {
        match component {
            Component::Sentinel => self.stateful_set(),
            other => self.component(other),
        }
    }

    /// Generated Secret with the credentials of a store.
    pub fn credentials(&self, store: Store) -> String {
        format!("{}-credentials", self.component(store.component()))
    }

    /// Generated Secret with the credentials as which services use a store that has others of its own.
    pub fn service_credentials(&self, store: Store) -> String {
        format!("{}-service-credentials", self.component(store.component()))
    }

    /// Service and NetworkPolicy of the platform.
    pub fn sentinel(&self) -> String {
        self.with("sentinel")
    }

    /// ConfigMap, Deployment, Service, PodDisruptionBudget, Ingress and NetworkPolicy of the gateway.
    pub fn gateway(&self) -> String {
        self.with("gateway")
    }

    /// Labels of an object that belongs to no component.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".into(), "sentinel".into()),
            (INSTANCE.into(), self.instance.clone()),
            ("app.kubernetes.io/part-of".into(), "sentinel".into()),
            (MANAGED_BY.into(), MANAGER.into()),
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

    /// Label selector of the pods and volume claims of this resource, which carry the labels of their templates only.
    pub fn template_selector(&self) -> String {
        format!("app.kubernetes.io/name=sentinel,{INSTANCE}={}", self.instance)
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
        let components = [Component::Sentinel, Component::Gateway, Component::Notification, Component::Elasticsearch];
        for name in
            [names.config(), names.keys(), names.public_keys()].into_iter().chain(components.map(|c| names.workload(c)))
        {
            assert!(name.len() <= 52, "{name} has {} characters", name.len());
        }
        // Names of Services are labels; names of pods, too, and they are a workload's with a number.
        for name in components.map(|component| names.pods(component)) {
            assert!(name.len() <= 63, "{name} has {} characters", name.len());
        }
    }

    #[test]
    fn names_of_profile_embedded_stay_as_they_are() {
        let names = Names::new("chat");
        assert_eq!(names.service_account(), "chat");
        assert_eq!(names.workload(Component::Sentinel), "chat");
        assert_eq!(names.pods(Component::Sentinel), "chat-pods");
        assert_eq!(names.component(Component::Sentinel), names.sentinel());
        assert_eq!(names.component(Component::Gateway), names.gateway());
        assert_eq!(names.pods(Component::Cassandra), "chat-cassandra-pods");
        assert_eq!(names.credentials(Store::S3), "chat-s3-credentials");
        assert_eq!(names.service_credentials(Store::Postgres), "chat-postgres-service-credentials");
    }
}
