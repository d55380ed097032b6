//! From a valid resource to the objects it stands for. Everything here is pure.

mod config;
mod gateway;
mod identity;
mod ingress;
mod keys;
mod kind;
mod monitoring;
mod network;
mod nginx;
pub(crate) mod pod;
mod sentinel;

use std::collections::BTreeMap;

use k8s_openapi::{Metadata, Resource, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::ApiResource;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::{
    keys::{KeyError, generate as generate_keys, metadata as keys_metadata},
    kind::{Kind, Stage},
    network::{Flow, Peer, flows},
    nginx::cluster_dns_of,
};
use crate::{api::Store, names::Component, steps::validate::ValidChat};

/// Why objects could not be built.
#[derive(Debug, Error)]
pub enum Error {
    /// An object cannot be written as JSON.
    #[error("an object cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A number is outside of what the platform accepts.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// What the cluster knows and the objects depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Secret that holds the keys.
    pub key_secret: String,
    /// Hash of the keys; pods roll when it changes.
    pub keys_digest: String,
    /// Hash of the gateway's certificate, when it terminates TLS itself.
    pub tls_digest: Option<String>,
    /// What is known of each store of profile Distributed.
    pub stores: BTreeMap<Store, StoreFacts>,
}

/// What the cluster knows of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// Secret with the credentials; none when the store asks for none.
    pub secret: Option<String>,
    /// Secret with `ca.crt`, the authorities to trust.
    pub ca_secret: Option<String>,
    /// Hash of both; pods roll when it changes.
    pub digest: String,
    /// Nodes that a managed store is to have now: what the resource says, or fewer or more while that is not safe.
    pub replicas: i32,
}

/// An object that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The object, without status.
    pub value: Value,
}

impl Child {
    /// Turns a typed object into a child.
    pub fn new<T: Serialize + Resource + Metadata<Ty = ObjectMeta>>(kind: Kind, object: &T) -> Result<Self, Error> {
        let name = object.metadata().name.clone().unwrap_or_default();
        let mut value = serde_json::to_value(object)?;
        if let Some(map) = value.as_object_mut() {
            map.remove("status");
        }
        Ok(Self { kind, name, value })
    }

    /// How the API server calls its kind.
    pub fn api_resource(&self) -> ApiResource {
        self.kind.api_resource()
    }
}

/// All objects of `chat`, in the order in which they are applied.
pub fn build(chat: &ValidChat, facts: &Facts) -> Result<Vec<Child>, Error> {
    let config = config::config_map(chat)?;
    let gateway_config = nginx::config_map(chat);
    let mut children = vec![
        Child::new(Kind::ServiceAccount, &identity::service_account(chat))?,
        Child::new(Kind::ConfigMap, &config)?,
        Child::new(Kind::ConfigMap, &gateway_config)?,
        Child::new(Kind::Service, &sentinel::pods_service(chat))?,
        Child::new(Kind::Service, &sentinel::service(chat))?,
        Child::new(Kind::Service, &gateway::service(chat))?,
    ];
    if chat.spec.network_policy.enabled {
        for component in [Component::Sentinel, Component::Gateway] {
            children.push(Child::new(Kind::NetworkPolicy, &network::policy(chat, component))?);
        }
    }
    if let Some(budget) = gateway::disruption_budget(chat) {
        children.push(Child::new(Kind::PodDisruptionBudget, &budget)?);
    }
    let content = digest(&[&serde_json::to_vec(&config.data)?, facts.keys_digest.as_bytes()]);
    children.push(Child::new(Kind::StatefulSet, &sentinel::stateful_set(chat, facts, content))?);
    let content = digest(&[
        &serde_json::to_vec(&gateway_config.data)?,
        facts.tls_digest.as_deref().unwrap_or_default().as_bytes(),
    ]);
    children.push(Child::new(Kind::Deployment, &gateway::deployment(chat, content))?);
    if let Some(ingress) = ingress::ingress(chat) {
        children.push(Child::new(Kind::Ingress, &ingress)?);
    }
    if let Some(monitor) = monitoring::service_monitor(chat) {
        children.push(monitor);
    }
    children.sort_by_key(|child| child.kind.stage());
    Ok(children)
}

/// Short hash of `parts`, each with its length so that parts cannot run into each other.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Metadata of an object that goes when the resource goes.
pub(crate) fn metadata(chat: &ValidChat, name: String, component: Option<Component>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(chat.namespace.clone()),
        labels: Some(component.map_or_else(|| chat.names.labels(), |c| chat.names.component_labels(c))),
        owner_references: chat.owner.clone().map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}
