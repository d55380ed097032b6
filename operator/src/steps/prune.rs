//! Deletes what is ours and no longer wanted.

use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
    core::DynamicObject,
};

use super::{apply::Failure, observe::Observed, plan::Unwanted};
use crate::answer;

/// Deletes `unwanted`; each failure is told and stops nothing.
pub async fn prune(client: &Client, namespace: &str, unwanted: &[Unwanted], observed: &mut Observed) -> Vec<Failure> {
    let mut failures = Vec::new();
    for object in unwanted {
        let resource = object.kind.api_resource();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let params = DeleteParams {
            preconditions: object.uid.clone().map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteParams::background()
        };
        match api.delete(&object.name, &params).await {
            Ok(_) => {
                tracing::info!(kind = object.kind.as_str(), name = object.name, namespace, "pruned");
                observed.children.remove(&(object.kind, object.name.clone()));
            }
            // Gone, or already another object of the same name.
            Err(kube::Error::Api(status)) if answer::is_not_found(&status) || answer::is_conflict(&status) => {}
            Err(error) => {
                failures.push(Failure::new(object.kind.stage(), "delete", object.kind.as_str(), &object.name, &error));
            }
        }
    }
    failures
}
