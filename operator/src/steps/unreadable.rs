//! A resource that the operator cannot read: another version of the definition let it through, or nobody checks the part of it
//! that is wrong. It is told so in its status, and can be deleted all the same.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, Patch, PatchParams},
    core::{DynamicObject, NamespaceResourceScope, ObjectMeta},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};

use super::{
    apply::Failure,
    dereference::certificate::Health,
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

/// The resource as it is watched: one that cannot be read must not stop the others.
#[derive(Clone, Debug)]
pub struct Guarded(pub Result<SentinelChat, Unreadable>);

/// A resource that cannot be read, as the API server has it.
#[derive(Clone, Debug)]
pub struct Unreadable {
    raw: Value,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What is wrong and where.
    pub message: String,
}

/// As `kube::core::DeserializeGuard`, which keeps neither the place of the fault nor the status that was told before.
impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        let fault = match serde_path_to_error::deserialize::<_, SentinelChat>(&raw) {
            Ok(chat) => return Ok(Self(Ok(chat))),
            Err(fault) => fault,
        };
        let metadata = ObjectMeta::deserialize(&raw["metadata"]).map_err(D::Error::custom)?;
        let message = format!("the operator cannot read this resource, correct {}: {}", fault.path(), fault.inner());
        Ok(Self(Err(Unreadable { raw, metadata, message })))
    }
}

impl Resource for Guarded {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(dynamic: &()) -> Cow<'_, str> {
        SentinelChat::kind(dynamic)
    }

    fn group(dynamic: &()) -> Cow<'_, str> {
        SentinelChat::group(dynamic)
    }

    fn version(dynamic: &()) -> Cow<'_, str> {
        SentinelChat::version(dynamic)
    }

    fn plural(dynamic: &()) -> Cow<'_, str> {
        SentinelChat::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, Resource::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, Resource::meta_mut)
    }
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

fn api(client: &Client, metadata: &ObjectMeta) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<SentinelChat>(&());
    Api::namespaced_with(client.clone(), metadata.namespace.as_deref().unwrap_or("default"), &resource)
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
            let chat = json!({ "apiVersion": "chat.sentinel.dev/v1alpha1", "kind": "SentinelChat",
                "metadata": { "name": "chat" }, "spec": spec });
            serde_json::from_value::<Guarded>(chat).unwrap()
        };
        assert!(chat(json!({})).0.is_ok());
        let guarded = chat(json!({ "gateway": { "pod": { "affinity": { "nodeAffinity": "near" } } } }));
        assert_eq!(guarded.meta().name.as_deref(), Some("chat"));
        let told = guarded.0.unwrap_err().message;
        assert!(told.contains("correct spec.gateway.pod.affinity.nodeAffinity: "), "{told}");
    }
}
