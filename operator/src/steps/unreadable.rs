//! A resource that the operator cannot read: another version of the definition let it through, or nobody checks the part of it
//! that is wrong. It is told so in its status, and can be deleted all the same.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client,
    api::{ApiResource, Patch, PatchParams},
    core::{DynamicObject, ObjectMeta, error_boundary::InvalidObject},
};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{
    apply::Failure,
    certificate::Health,
    status::{conditions::Set, storage},
};
use crate::{
    answer,
    api::{DeletionPolicy, SentinelChat, StorageStatus},
    build::Stage,
    names::MANAGER,
};

/// Reason for the conditions.
pub const REASON: &str = "Unreadable";

/// A resource that cannot be read, as the API server has it.
#[derive(Clone, Debug)]
pub struct Unreadable {
    raw: Value,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What is wrong and where.
    pub message: String,
}

/// Reads the resource with that metadata once more, as it is. None if it is gone, or can be read by now.
pub async fn read(client: &Client, metadata: &ObjectMeta) -> Result<Option<Unreadable>, kube::Error> {
    let Some(object) = api(client, metadata).get_opt(metadata.name.as_deref().unwrap_or_default()).await? else {
        return Ok(None);
    };
    let metadata = object.metadata.clone();
    let raw = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    Ok(fault(&raw).map(|message| Unreadable { raw, metadata, message }))
}

/// What is wrong with a resource that was read and could not be decoded, and where: as its conditions tell it.
pub async fn describe(client: &Client, invalid: &InvalidObject) -> Result<String, kube::Error> {
    Ok(read(client, &invalid.metadata).await?.map_or_else(|| invalid.error.clone(), |chat| chat.message))
}

/// What is wrong with a resource and where, if it cannot be read.
pub fn fault(raw: &Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, SentinelChat>(raw).err()?;
    Some(format!("the operator cannot read this resource, correct {}: {}", error.path(), error.inner()))
}

fn api(client: &Client, metadata: &ObjectMeta) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<SentinelChat>(&());
    Api::namespaced_with(client.clone(), metadata.namespace.as_deref().unwrap_or("default"), &resource)
}

impl Unreadable {
    /// What becomes of its data. Data stays unless it is clear that it is to go.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        DeletionPolicy::deserialize(&self.raw["spec"]["deletionPolicy"]).unwrap_or(DeletionPolicy::Retain)
    }

    /// Conditions of before, as far as they can be read.
    pub fn conditions(&self) -> Vec<Condition> {
        Vec::deserialize(&self.raw["status"]["conditions"]).unwrap_or_default()
    }

    /// Its conditions. The status is about the generation that could be read last, so that the rest of it stays.
    pub fn judge(&self, now: Timestamp) -> Vec<Condition> {
        let previous = self.conditions();
        let status = &self.raw["status"];
        let own = StorageStatus::deserialize(&status["storage"]).ok();
        let of_stores = Vec::<StorageStatus>::deserialize(&status["storeVolumes"]).unwrap_or_default();
        let lost = storage::told_on(&self.metadata, own.iter().chain(&of_stores), &previous);
        let mut conditions = Set::new(previous, self.metadata.generation, now);
        let (stage, message) = (Stage::Workload, self.message.clone());
        conditions.refuse(&Failure { stage, reason: REASON, message, transient: false }, lost);
        conditions.judge_certificate(&Health::Unseen, REASON);
        conditions.into_sorted()
    }
}

/// Writes the conditions, and nothing else of a status that may not be readable either.
pub async fn write(client: &Client, chat: &Unreadable, conditions: &[Condition]) -> Result<(), kube::Error> {
    let patch = json!({ "status": { "conditions": conditions } });
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let name = chat.metadata.name.as_deref().unwrap_or_default();
    match api(client, &chat.metadata).patch_status(name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if answer::is_not_found(&status) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_named() {
        let chat = |spec: Value| {
            fault(&json!({ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
                "metadata": { "name": "chat" }, "spec": spec }))
        };
        assert_eq!(chat(json!({})), None);
        let told = chat(json!({ "gateway": { "pod": { "affinity": { "nodeAffinity": "near" } } } })).unwrap();
        assert!(told.contains("correct spec.gateway.pod.affinity.nodeAffinity: "), "{told}");
    }
}
