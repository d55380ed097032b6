//! Deletes what is ours and no longer wanted.

use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
    core::DynamicObject,
};
use serde::de::DeserializeOwned;

use super::{apply::Failure, observe::Observed, plan::Unwanted};
use crate::answer;

/// Deletes `unwanted`; each failure is told and stops nothing.
pub async fn prune(client: &Client, namespace: &str, unwanted: &[Unwanted], observed: &mut Observed) -> Vec<Failure> {
    let mut failures = Vec::new();
    for object in unwanted {
        let resource = object.kind.api_resource();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        match delete(&api, &object.name, object.uid.clone(), DeleteParams::background()).await {
            Ok(true) => {
                tracing::info!(kind = object.kind.as_str(), name = object.name, namespace, "pruned");
                observed.children.remove(&(object.kind, object.name.clone()));
            }
            Ok(false) => {}
            Err(error) => {
                failures.push(Failure::new(object.kind.stage(), "delete", object.kind.as_str(), &object.name, &error));
            }
        }
    }
    failures
}

/// Deletes the very object that was seen; false when it is gone, or another one has its name by now.
pub(super) async fn delete<K>(
    api: &Api<K>,
    name: &str,
    uid: Option<String>,
    params: DeleteParams,
) -> Result<bool, kube::Error>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None });
    match api.delete(name, &DeleteParams { preconditions, ..params }).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if answer::is_not_found(&status) || answer::is_conflict(&status) => Ok(false),
        Err(error) => Err(error),
    }
}
