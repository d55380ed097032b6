//! What the operator reports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What the operator reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentinelChatStatus {
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Hash of the spec that was carried out last, without `paused`: to pause is no change that brings newer images. Empty while a change of it can't be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spec_hash: Option<String>,
    /// Ready, Progressing, Degraded, Accepted, Paused and friends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::condition_list")]
    pub conditions: Vec<Condition>,
    /// Base URL for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,
    /// Where what is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub endpoints: Vec<Endpoint>,
    /// Version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Readiness per service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub services: Vec<ServiceStatus>,
    /// Readiness per store of profile Distributed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub dependencies: Vec<DependencyStatus>,
    /// How the migration of the stores stands, in profile Distributed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,
    /// The volume that profile Embedded keeps its data on: Degraded tells DataLost when another one has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,
    /// The volumes of managed stores that hold what nothing else has a copy of (Postgres, S3, a Cassandra of one node): as storage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub store_volumes: Vec<StorageStatus>,
    /// Selector of the current pods of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// Revision of the operator's templates that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_revision: Option<i32>,
    /// Image of the platform that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub sentinel_image: Option<String>,
    /// Image of the gateway that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub gateway_image: Option<String>,
}

/// Where something is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// What it is.
    #[schemars(length(max = 32))]
    pub name: String,
    /// Where it is.
    #[schemars(length(max = 512))]
    pub url: String,
}

/// Readiness of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its name.
    #[schemars(length(max = 32))]
    pub name: String,
    /// Pods that are wanted.
    pub desired: i32,
    /// Pods of the current revision that are ready.
    pub ready: i32,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Readiness of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyStatus {
    /// Its name.
    #[schemars(length(max = 32))]
    pub name: String,
    /// managed or external.
    #[schemars(length(max = 32))]
    pub provider: String,
    /// Nodes that are wanted; for an external store, its endpoints.
    pub desired: i32,
    /// Nodes that are ready; for an external store, endpoints that answer.
    pub ready: i32,
    /// Whether it can be used.
    pub reachable: bool,
    /// What keeps it from being used, as the platform itself found: Unreachable, Refused (credentials), TooOld, Full (its volume; it can be read) or Failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub problem: Option<String>,
    /// Version that runs, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Where the version is from: Store (it told it in its protocol) or Image (it does not tell, so it is the tag or digest of its image).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub version_source: Option<String>,
    /// Image in use, of a managed store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When the platform's own look at it ended whose findings are told here; RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub looked_at: Option<String>,
    /// Endpoints that this tells of; for an external store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 280)))]
    pub endpoints: Vec<String>,
}

/// How the migration of the stores stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// Job of the image and the stores in use.
    #[schemars(length(max = 63))]
    pub job: String,
    /// When it succeeded, RFC 3339: it is not run again if somebody cleans it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub succeeded_at: Option<String>,
    /// How often it failed in a row.
    pub failures: i32,
    /// Uid of the Job that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub failed_uid: Option<String>,
    /// What it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// A volume that holds what nothing else has a copy of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// Its claim.
    #[schemars(length(max = 63))]
    pub claim: String,
    /// Uid of the claim: another claim of the same name has another one.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Volume of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub volume: Option<String>,
}
