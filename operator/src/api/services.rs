//! Replicas, resources and pod settings per service.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, Toleration, TopologySpreadConstraint},
    apimachinery::pkg::api::resource::Quantity,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StringMap, schema};

/// Settings per service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// The one pod of profile Embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<ServiceOverrides>,
    /// Profile Distributed: accounts and tokens. Its pod settings and resources are also those of the Jobs that bring the
    /// stores to their schema and look at them, which have at least the memory that they need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<ServiceOverrides>,
    /// Profile Distributed: chats and sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<ServiceOverrides>,
    /// Profile Distributed: who is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<ServiceOverrides>,
    /// Profile Distributed: push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<ServiceOverrides>,
    /// Profile Distributed: search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<ServiceOverrides>,
    /// Profile Distributed: files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<ServiceOverrides>,
}

/// Settings of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOverrides {
    /// Pods. In profile Distributed, a workload keeps those that it has when this is left out, for an autoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub replicas: Option<i32>,
    /// Resources of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Pod settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodOverrides>,
}

/// Amounts by resource name.
pub type Quantities = BTreeMap<String, Quantity>;

/// Requests and limits. What is left out is as it is by default, name by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub requests: Quantities,
    /// What the pod cannot exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub limits: Quantities,
}

/// Pod settings that are merged into what the operator makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOverrides {
    /// Extra labels.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub labels: StringMap,
    /// Extra annotations.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub annotations: StringMap,
    /// Labels of nodes that may run the pod.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub node_selector: StringMap,
    /// Taints the pod accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::toleration_list")]
    pub tolerations: Vec<Toleration>,
    /// Affinity, as in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub affinity: Option<Affinity>,
    /// Spread over nodes or zones, as in a pod; replaces the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::any_object_list")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}
