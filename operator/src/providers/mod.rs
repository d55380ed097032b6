//! Stores that the operator runs: what is made for each, and how it is doing.
//!
//! Everything here is pure. [`crate::steps`] reads the cluster, makes the Secrets of [`credentials`] once, asks
//! [`scale`] how many nodes may run, applies what [`build`] gives, and reports what [`assess`] says. NetworkPolicies
//! and disruption budgets of a store are not built here: the one table of flows takes [`client_port`] and [`flows`].

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use sentinel_domain::config::Connection;

use crate::{
    api::{DependencyStatus, Store},
    build::{self, Child, Flow, KeyError, StoreFacts},
    steps::{observe::Observed, validate::ValidChat},
};

/// Folder in pods of services below which credentials of stores are mounted: one folder a store.
pub const CREDENTIALS: &str = "/etc/sentinel/credentials";
/// Folder in pods of services below which authorities of stores are mounted: one folder a store, with `ca.crt`.
pub const AUTHORITIES: &str = "/etc/sentinel/authorities";

/// How many nodes of a managed store are to run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Nodes.
    pub replicas: i32,
    /// Why these are not those that the resource asks for, and what to do.
    pub refusal: Option<String>,
}

/// Port that clients of a managed store connect to.
pub fn client_port(store: Store) -> u16 {
    match store {
        Store::Postgres => 5432,
        Store::Cassandra => 9042,
        Store::Redis => 6379,
        Store::Kafka => 9092,
        Store::Elasticsearch => 9200,
        Store::S3 => 9000,
    }
}

/// Whether a managed store asks for credentials.
pub fn has_credentials(store: Store) -> bool {
    // The search engine's builds do not all have security: it is behind its NetworkPolicy.
    store != Store::Elasticsearch
}

/// Fresh content of the Secret with the credentials of a managed store: `username`, `password` and what else its
/// start needs. None for a store that asks for none. Called only when there is no Secret yet.
pub fn credentials(_chat: &ValidChat, store: Store) -> Result<Option<BTreeMap<String, ByteString>>, KeyError> {
    if !has_credentials(store) {
        return Ok(None);
    }
    Err(KeyError::Generate)
}

/// How services reach a managed store.
pub fn connection(chat: &ValidChat, store: Store) -> Connection {
    let address = format!("{}.{}.svc:{}", chat.names.component(store.component()), chat.namespace, client_port(store));
    Connection {
        endpoints: vec![match store {
            Store::Elasticsearch | Store::S3 => format!("http://{address}"),
            _ => address,
        }],
        credentials: has_credentials(store).then(|| format!("{CREDENTIALS}/{}", store.as_str()).into()),
        tls: None,
    }
}

/// Connections between the nodes of a managed store, and those that it opens itself.
pub fn flows(_chat: &ValidChat, _store: Store) -> Vec<Flow> {
    Vec::new()
}

/// How many nodes of a managed store are to run, judged by what runs: what cannot be done safely is refused.
pub fn scale(chat: &ValidChat, store: Store, _observed: &Observed) -> Scale {
    Scale { replicas: chat.managed(store).map_or(0, |managed| managed.replicas), refusal: None }
}

/// The objects of a managed store: ConfigMap, Services, StatefulSet. `facts.replicas` tells how many nodes.
pub fn build(_chat: &ValidChat, _store: Store, _facts: &StoreFacts) -> Result<Vec<Child>, build::Error> {
    Ok(Vec::new())
}

/// How a managed store is doing.
pub fn assess(chat: &ValidChat, store: Store, _observed: &Observed) -> DependencyStatus {
    DependencyStatus {
        name: store.as_str().into(),
        provider: "managed".into(),
        desired: chat.managed(store).map_or(0, |managed| managed.replicas),
        message: Some("this version of the operator cannot run it: write external".into()),
        ..DependencyStatus::default()
    }
}
