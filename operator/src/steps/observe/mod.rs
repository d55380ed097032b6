//! What exists in the cluster for one resource.
//!
//! Everything is read by label, live: there is no cache that could be stale or grow with what other
//! people keep in the cluster.

mod asking;
pub mod probe;
pub mod search_nodes;
pub mod volumes;
pub(super) mod warnings;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, Client, api::ListParams, core::DynamicObject};
use serde_json::{Value, json};
use thiserror::Error;

use self::{probe::Probes, search_nodes::SearchNodes, volumes::FullVolumes};
use crate::{answer, build::Kind, names::Names};

/// Why the cluster could not be read.
#[derive(Debug, Error)]
pub enum Error {
    /// A list failed.
    #[error("cannot list {what}")]
    List {
        /// What was listed.
        what: &'static str,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// Whether the operator lacks the right.
    pub fn is_forbidden(&self) -> bool {
        let Self::List { source, .. } = self;
        matches!(source, kube::Error::Api(status) if answer::is_forbidden(status))
    }
}

/// A warning about an object that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Kind of the object.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What Kubernetes says.
    pub message: String,
}

/// Objects of one resource, as they are.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// When it was read; the epoch if it was not.
    pub read_at: Timestamp,
    /// Objects that the operator makes, by kind and name.
    pub children: BTreeMap<(Kind, String), Value>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Volume claims.
    pub claims: Vec<PersistentVolumeClaim>,
    /// What Kubernetes warned of last about objects that wait.
    pub warnings: Vec<Warning>,
    /// Stores of somebody else.
    pub probes: Probes,
    /// Volumes that are full, by what is on them.
    pub full: FullVolumes,
    /// What nodes of a managed Elasticsearch hold, or why that is not known; none when it was not asked.
    pub search_nodes: Option<Result<SearchNodes, String>>,
}

impl Observed {
    /// The object of that kind and name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.children.get(&(kind, name.to_owned()))
    }

    /// The warning about the object of that kind and name.
    pub fn warning(&self, kind: &str, name: &str) -> Option<&str> {
        let found = self.warnings.iter().find(|warning| warning.kind == kind && warning.name == name)?;
        Some(&found.message)
    }

    /// Takes over an object that an apply returned.
    pub fn put(&mut self, kind: Kind, name: &str, value: Value) {
        self.children.insert((kind, name.to_owned()), value);
    }
}

/// Whether an object is being deleted, from which there is no way back: it tells nothing about what stays.
pub fn is_being_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Reads everything that belongs to the resource called `names.instance`.
pub async fn observe(client: &Client, namespace: &str, names: &Names) -> Result<Observed, Error> {
    let ours = ListParams::default().labels(&names.list_selector());
    let mut observed = Observed { read_at: Timestamp::now(), ..Observed::default() };
    for kind in Kind::ALL {
        let resource = kind.api_resource();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let list = match api.list(&ours).await {
            Ok(list) => list,
            // The cluster does not know the kind, or the operator was not given rights to it because
            // the cluster did not know it when it was installed.
            Err(kube::Error::Api(status))
                if kind.is_optional() && (answer::is_not_found(&status) || answer::is_forbidden(&status)) =>
            {
                continue;
            }
            Err(source) => return Err(Error::List { what: kind.as_str(), source }),
        };
        for mut object in list {
            let name = object.metadata.name.clone().unwrap_or_default();
            // Who wrote which field is often half of an object, and asked for of NetworkPolicies only.
            if kind != Kind::NetworkPolicy {
                object.metadata.managed_fields = None;
            }
            let mut value = serde_json::to_value(&object).unwrap_or_else(|_| json!({}));
            // Items of a list carry no type.
            value["apiVersion"] = json!(resource.api_version);
            value["kind"] = json!(resource.kind);
            observed.children.insert((kind, name), value);
        }
    }
    let theirs = ListParams::default().labels(&names.template_selector());
    observed.pods = list::<Pod>(client, namespace, &theirs, "Pod").await?;
    observed.claims = list::<PersistentVolumeClaim>(client, namespace, &theirs, "PersistentVolumeClaim").await?;
    observed.warnings = warnings::read(client, namespace, &warnings::asked(&observed, names)).await?;
    Ok(observed)
}

async fn list<K>(client: &Client, namespace: &str, params: &ListParams, what: &'static str) -> Result<Vec<K>, Error>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.list(params).await.map(|list| list.items).map_err(|source| Error::List { what, source })
}

/// The kind of claims. The scheduler's words have it, too, about what a pod waits for.
pub const CLAIM: &str = "PersistentVolumeClaim";

/// How long nothing may be heard of a volume that is made or grows until it is told what it waits for. Some drivers take minutes.
pub const SILENCE: SignedDuration = SignedDuration::from_mins(10);

/// Whether a claim has its volume.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    phase(claim) == Some("Bound")
}

/// Whether a claim had a volume that is there no more.
pub fn is_lost(claim: &PersistentVolumeClaim) -> bool {
    phase(claim) == Some("Lost")
}

/// Whether there may be something on the volume of a claim: also when that is promised to it and not yet bound, or lost.
pub fn may_hold_data(claim: &PersistentVolumeClaim) -> bool {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    is_bound(claim) || is_lost(claim) || volume.is_some_and(|volume| !volume.is_empty())
}

fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}
