//! Deletes data of resources with `deletionPolicy: Delete`. No other resource has a finalizer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Namespace, PersistentVolumeClaim, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    apply::Failure,
    dereference::traces::{foreign_label, with_data},
    plan::is_claim_of,
};
use crate::{
    answer,
    api::{DeletionPolicy, SentinelChat, Store},
    build::Stage,
    names::{FINALIZER, INSTANCE, MANAGED_BY, MANAGER, Names},
};

/// How long deletion is tried before the resource is let go all the same.
pub const DEADLINE: Duration = Duration::from_mins(5);

/// When deletions failed first, by the uid of the resource. An operator that was away while a resource was deleted has its
/// whole time all the same.
#[derive(Debug, Default)]
pub struct Tries(Mutex<HashMap<String, Instant>>);

impl Tries {
    /// For how long the deletion has failed.
    fn failed(&self, uid: &str) -> Duration {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.entry(uid.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Adds or removes the finalizer as the deletion policy says. Returns whether it wrote.
pub async fn align(client: &Client, chat: &SentinelChat) -> Result<bool, kube::Error> {
    let wanted = chat.spec.deletion_policy == DeletionPolicy::Delete;
    if wanted == has_finalizer(&chat.metadata) {
        return Ok(false);
    }
    set_finalizer(client, &chat.metadata, wanted).await?;
    Ok(true)
}

fn has_finalizer(chat: &ObjectMeta) -> bool {
    chat.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

async fn set_finalizer(client: &Client, chat: &ObjectMeta, wanted: bool) -> Result<(), kube::Error> {
    let mut finalizers = chat.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if wanted {
        finalizers.push(FINALIZER.into());
    }
    // With the version, so that a finalizer that somebody else just added is not lost.
    let patch = json!({
        "metadata": { "finalizers": finalizers, "resourceVersion": chat.resource_version }
    });
    let name = chat.name.clone().unwrap_or_default();
    let api: Api<SentinelChat> = Api::namespaced(client.clone(), namespace(chat));
    // The answer is a resource that may not be readable.
    match api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if answer::is_not_found(&status) => Ok(()),
        Err(error) => Err(error),
    }
}

fn namespace(chat: &ObjectMeta) -> &str {
    chat.namespace.as_deref().unwrap_or("default")
}

/// How a deletion stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no data to delete: somebody else's finalizer holds the resource, or its data is to stay by now.
    Nothing,
    /// Data is deleted and the resource is let go. Volume claims of these names lack the labels that tell whose they are, and
    /// were left.
    Done(Vec<String>),
    /// Something could not be deleted; it will be tried again.
    Pending(Vec<Failure>),
    /// Something could not be deleted for so long that the resource is let go all the same.
    GivenUp(Vec<Failure>),
}

/// Deletes data, if that is the resource's policy, and lets the resource go. Nothing else of it is needed: it may be one that
/// cannot be read. What fails for longer than `deadline` by `tries` is left behind.
pub async fn finalize(
    client: &Client,
    chat: &ObjectMeta,
    policy: DeletionPolicy,
    tries: &Tries,
    deadline: Duration,
) -> Result<Outcome, kube::Error> {
    let uid = chat.uid.as_deref().unwrap_or_default();
    if !has_finalizer(chat) {
        return Ok(Outcome::Nothing);
    }
    // Written after the deletion was asked for, and before it was done.
    if policy == DeletionPolicy::Retain {
        set_finalizer(client, chat, false).await?;
        tries.forget(uid);
        return Ok(Outcome::Nothing);
    }
    let mut failures = delete_data(client, chat).await;
    let left = not_labelled(client, chat).await.unwrap_or_else(|error| {
        failures.push(Failure::new(Stage::Extra, "read", "PersistentVolumeClaim", "", &error));
        Vec::new()
    });
    if failures.is_empty() {
        set_finalizer(client, chat, false).await?;
        tries.forget(uid);
        return Ok(Outcome::Done(left));
    }
    if tries.failed(uid) > deadline || is_namespace_terminating(client, namespace(chat)).await {
        set_finalizer(client, chat, false).await?;
        tries.forget(uid);
        return Ok(Outcome::GivenUp(failures));
    }
    Ok(Outcome::Pending(failures))
}

/// In a namespace that is being deleted everything goes anyway. Without the right to look, assume not.
async fn is_namespace_terminating(client: &Client, name: &str) -> bool {
    let api: Api<Namespace> = Api::all(client.clone());
    api.get(name).await.is_ok_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
}

async fn delete_data(client: &Client, chat: &ObjectMeta) -> Vec<Failure> {
    let names = Names::new(chat.name.clone().unwrap_or_default());
    let namespace = namespace(chat);
    // Also of stores that somebody else runs by now, and keys that others have replaced.
    let sets: Vec<String> = with_data().map(|component| names.workload(component)).collect();
    let mut failures = Vec::new();
    // The workloads first: they would make their claims anew.
    for set in &sets {
        failures.extend(delete::<StatefulSet>(client, namespace, "StatefulSet", set, Some(&names)).await);
    }
    match claims(client, namespace, &names, &sets).await {
        Ok(claims) => {
            for claim in claims {
                failures.extend(
                    delete::<PersistentVolumeClaim>(client, namespace, "PersistentVolumeClaim", &claim, None).await,
                );
            }
        }
        Err(error) => failures.push(Failure::new(Stage::Extra, "list", "PersistentVolumeClaim", "", &error)),
    }
    let credentials =
        Store::ALL.into_iter().flat_map(|store| [names.credentials(store), names.service_credentials(store)]);
    for secret in credentials.chain([names.keys()]) {
        failures.extend(delete::<Secret>(client, namespace, "Secret", &secret, Some(&names)).await);
    }
    failures
}

/// Data volumes of `sets`, by name: those of nodes that were scaled away are data, too. Charts of others label what they make
/// with the name of their release, which may be the same.
async fn claims(client: &Client, namespace: &str, names: &Names, sets: &[String]) -> Result<Vec<String>, kube::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels(&names.template_selector());
    let found = api.list(&ours).await?.items.into_iter().filter_map(|claim| claim.metadata.name);
    Ok(found.filter(|claim| sets.iter().any(|set| is_claim_of(claim, set))).collect())
}

/// Claims that have the names of those of pods and no labels, as some that were restored by hand: nobody knows whose they are.
async fn not_labelled(client: &Client, chat: &ObjectMeta) -> Result<Vec<String>, kube::Error> {
    let names = Names::new(chat.name.clone().unwrap_or_default());
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace(chat));
    let sets: Vec<_> = with_data().map(|component| (component, names.workload(component))).collect();
    let is_left = |claim: &ObjectMeta| {
        let name = claim.name.as_deref().unwrap_or_default();
        let mut of = sets.iter().filter(|(_, set)| is_claim_of(name, set));
        claim.deletion_timestamp.is_none()
            && of.any(|(component, _)| foreign_label(&names, claim, *component).is_none())
    };
    let found = api.list(&ListParams::default()).await?.items.into_iter().map(|claim| claim.metadata);
    Ok(found.filter(is_left).filter_map(|claim| claim.name).collect())
}

/// Deletes one object; with `made_for`, if the operator made it for the resource of these names.
async fn delete<K>(
    client: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
    made_for: Option<&Names>,
) -> Option<Failure>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let result = async {
        let Some(object) = api.get_opt(name).await? else { return Ok(()) };
        let meta = object.meta();
        let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
        // One that came from a backup may have got the first label only, with which it is used.
        let is_ours = made_for.is_none_or(|names| {
            label(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
                && label(INSTANCE).is_none_or(|instance| *instance == names.instance)
        });
        if !is_ours || meta.deletion_timestamp.is_some() {
            return Ok(());
        }
        api.delete(name, &DeleteParams::background()).await.map(|_| ())
    };
    match result.await {
        Ok(()) => None,
        Err(kube::Error::Api(status)) if answer::is_not_found(&status) => None,
        Err(error) => Some(Failure::new(Stage::Extra, "delete", kind, name, &error)),
    }
}
