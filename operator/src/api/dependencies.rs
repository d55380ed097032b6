//! Stores of profile Distributed. The shape is fixed now so that resources can be written and
//! checked; the operator refuses the profile until it can run it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, SecretRef, Storage};

/// The stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependencies {
    /// Users.
    pub postgres: Dependency,
    /// Messages.
    pub cassandra: Dependency,
    /// Events.
    pub kafka: Dependency,
    /// Presence and routing.
    pub redis: Dependency,
    /// Search.
    pub elasticsearch: Dependency,
    /// Media.
    pub s3: Dependency,
}

/// One store: exactly one of its providers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// Run by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// A store that the operator runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Nodes.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 99))]
    pub replicas: i32,
    /// Volume of each node.
    #[serde(default)]
    pub storage: Storage,
    /// Resources of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

fn one() -> i32 {
    1
}

/// A store that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Addresses: host:port or URL.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 280)))]
    pub endpoints: Vec<String>,
    /// Secret with credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}
