//! From a valid resource to the objects it stands for. Everything here is pure.

mod config;
mod distributed;
mod gateway;
mod identity;
mod ingress;
mod keys;
mod kind;
mod mail;
mod migration;
mod monitoring;
mod network;
mod nginx;
mod nginx_errors;
mod nginx_files;
mod nginx_routes;
pub(crate) mod pod;
pub(crate) mod ports;
pub(crate) mod push;
mod sentinel;
pub mod services;
pub(crate) mod stores;
pub(crate) mod volumes;
pub(crate) mod workload;

use std::collections::BTreeMap;

use k8s_openapi::{Metadata, Resource, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub(crate) use self::config::ADMIN_PORT;
use self::migration::Task;
pub use self::{
    keys::{credentials_metadata, generate as generate_keys, metadata as keys_metadata},
    kind::{Kind, Stage},
    migration::is_check,
    network::{Flow, Peer, flows, operator_namespace_of},
    nginx::{cluster_dns_of, own_certificate},
};
use crate::{
    api::Store,
    names::{COMPONENT, Component},
    providers,
    steps::validate::ValidChat,
};

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
    /// Entries of it that the platform reads.
    pub key_entries: Vec<String>,
    /// Public halves of the keys that sign tokens, as a JWK set.
    pub public_keys: String,
    /// Hash of the keys; pods roll when it changes.
    pub keys_digest: String,
    /// Hash of the gateway's certificate, when it terminates TLS itself.
    pub tls_digest: Option<String>,
    /// Hash of the Secrets that pushes need, when the resource names some; pods that push roll when it changes.
    pub push_digest: Option<String>,
    /// Hash of what the mail relay is used with, when mail is sent; pods that send roll when it changes.
    pub mail_digest: Option<String>,
    /// What is known of each store of profile Distributed.
    pub stores: BTreeMap<Store, StoreFacts>,
    /// Pods that workloads of services are set to.
    pub replicas: BTreeMap<Component, i32>,
}

/// What the cluster knows of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// Secret with the credentials, of whoever changes the tables; none when the store asks for none.
    pub secret: Option<String>,
    /// The credentials of services, where they may do less than whoever changes the tables.
    pub service: Option<ServiceCredentials>,
    /// Secret with `ca.crt`, the authorities to trust.
    pub ca_secret: Option<String>,
    /// Hash of `secret` and `ca_secret`; pods that use them roll when it changes.
    pub digest: String,
    /// Nodes that a managed store is to have now: what the resource says, or fewer or more while that is not safe.
    pub replicas: i32,
    /// Node of a managed store that is to leave.
    pub leaving: Option<String>,
    /// Whether the nodes of a managed Cassandra or Elasticsearch found each other before: the first must found nothing anew.
    pub founded: bool,
    /// Who the nodes of a managed Cassandra's ring are, as one word.
    pub members: Option<String>,
    /// MiB of the smallest volume of a managed store's nodes; none while there are no volumes.
    pub volume: Option<u32>,
    /// Connections that a managed Postgres is to take.
    pub connections: Option<u32>,
    /// MiB that a managed Postgres was limited to by default until now.
    pub limit: Option<u32>,
    /// Which volume the first node of a managed store has: with another one, a store of one node has lost what it was
    /// migrated to.
    pub first_claim: Option<String>,
}

/// Credentials as which services use a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCredentials {
    /// Secret with them.
    pub secret: String,
    /// Hash of what services connect with; they roll when it changes.
    pub digest: String,
}

impl StoreFacts {
    /// Secret with the credentials that services use.
    pub fn secret_of_services(&self) -> Option<&str> {
        self.service.as_ref().map(|service| service.secret.as_str()).or(self.secret.as_deref())
    }

    /// Hash of what services connect with.
    pub fn digest_of_services(&self) -> &str {
        self.service.as_ref().map_or(&self.digest, |service| &service.digest)
    }
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

    /// The part of the platform that it belongs to.
    pub fn component(&self) -> Option<&str> {
        self.value["metadata"]["labels"][COMPONENT].as_str()
    }
}

/// All objects of `chat`, in the order in which they are applied.
pub fn build(chat: &ValidChat, facts: &Facts) -> Result<Vec<Child>, Error> {
    let platform = config::platform_config(chat, facts)?;
    let file = config::shortest(&platform)?;
    let config = config::config_map(chat, &config::of_services(chat, &file))?;
    let gateway_config = nginx::config_map(chat);
    let mut children = vec![
        Child::new(Kind::ServiceAccount, &identity::service_account(chat))?,
        Child::new(Kind::ConfigMap, &config)?,
        Child::new(Kind::ConfigMap, &gateway_config)?,
    ];
    let mut workloads = Vec::new();
    if platform.stores.is_some() {
        children.push(Child::new(Kind::ConfigMap, &config::job_config_map(chat, &file)?)?);
        children.push(Child::new(Kind::ConfigMap, &keys::public_keys(chat, facts))?);
        let (parts, sets) = distributed_children(chat, facts, &file)?;
        children.extend(parts);
        workloads.extend(sets);
    } else {
        for service in sentinel::services(chat) {
            children.push(Child::new(Kind::Service, &service)?);
        }
        let data = serde_json::to_vec(&config.data)?;
        let mut parts: Vec<&[u8]> = vec![&data, facts.keys_digest.as_bytes()];
        parts.extend(facts.push_digest.as_deref().map(str::as_bytes));
        parts.extend(facts.mail_digest.as_deref().map(str::as_bytes));
        let content = digest(&parts);
        workloads.push(Child::new(Kind::StatefulSet, &sentinel::stateful_set(chat, facts, content))?);
    }
    children.push(Child::new(Kind::Service, &gateway::service(chat))?);
    if chat.spec.network_policy.enabled {
        for component in network::components(chat) {
            children.push(Child::new(Kind::NetworkPolicy, &network::policy(chat, component))?);
        }
    }
    let budget = workload::disruption_budget(chat, Component::Gateway, chat.spec.gateway.replicas);
    children.extend(budget.map(|budget| Child::new(Kind::PodDisruptionBudget, &budget)).transpose()?);
    children.extend(workloads);
    let content = digest(&[
        &serde_json::to_vec(&gateway_config.data)?,
        facts.tls_digest.as_deref().unwrap_or_default().as_bytes(),
    ]);
    children.push(Child::new(Kind::Deployment, &gateway::deployment(chat, content))?);
    if let Some(ingress) = ingress::ingress(chat) {
        children.push(Child::new(Kind::Ingress, &ingress)?);
    }
    children.extend(monitoring::service_monitor(chat));
    children.sort_by_key(|child| child.kind.stage());
    Ok(children)
}

/// The stores that the operator runs, the migration and the services, which read `file`; workloads apart.
fn distributed_children(chat: &ValidChat, facts: &Facts, file: &Value) -> Result<(Vec<Child>, Vec<Child>), Error> {
    let (mut children, stores) = (Vec::new(), &file["stores"]);
    for store in Store::ALL {
        let Some(known) = facts.stores.get(&store).filter(|_| chat.managed(store).is_some()) else { continue };
        children.extend(providers::build(chat, store, known)?);
        let budget = workload::disruption_budget(chat, store.component(), known.replicas);
        children.extend(budget.map(|budget| Child::new(Kind::PodDisruptionBudget, &budget)).transpose()?);
    }
    children.push(Child::new(Kind::Job, &migration::job(chat, facts, stores, Task::Migrate)?)?);
    if Store::ALL.into_iter().any(|store| chat.external(store).is_some()) {
        children.push(Child::new(Kind::Job, &migration::job(chat, facts, stores, Task::Check)?)?);
    }
    children.extend(distributed::children(chat, facts, file)?);
    Ok(children.into_iter().partition(|child| child.kind.stage() != Stage::Workload))
}

/// Short hash of `parts`, each with its length so that parts cannot run into each other.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
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
