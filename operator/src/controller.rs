//! The watches that trigger reconciles.
//!
//! Children are watched by label and only their metadata is decoded, so neither an object of
//! somebody else nor one that cannot be read costs anything.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        Controller,
        controller::{self, Error as ControllerError},
        reflector::ObjectRef,
        watcher,
    },
};

use crate::{
    answer::{self, describe},
    api::SentinelChat,
    names::{INSTANCE, MANAGED},
    reconcile::{Context, on_error, reconcile},
    steps::unreadable::Guarded,
};

/// Reconciles that run at the same time.
const CONCURRENCY: u16 = 16;

/// How often it is looked whether there is anything to watch.
const LOOK: Duration = Duration::from_secs(3);

/// Waits until resources can be listed, in one of the namespaces at least: the chart with the definition may be installed
/// after the operator, and a namespace that is gone must not keep the others waiting.
pub async fn wait_for_definition(client: &Client, namespaces: &[String]) {
    let named = namespaces.iter().map(|namespace| Some(namespace.as_str()));
    let scopes: Vec<Option<&str>> = if namespaces.is_empty() { vec![None] } else { named.collect() };
    loop {
        for namespace in scopes.iter().copied() {
            // Whether resources can be decoded is another question, so only metadata is asked for.
            let chats = api::<SentinelChat>(client, namespace);
            let namespace = namespace.unwrap_or_default();
            match chats.list_metadata(&ListParams::default().limit(1)).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if answer::is_not_found(&status) => {
                    tracing::warn!(
                        namespace,
                        "the API server does not know SentinelChat: install the chart sentinel-crds"
                    );
                }
                Err(kube::Error::Api(status)) if answer::is_forbidden(&status) => {
                    tracing::warn!(
                        namespace,
                        error = status.message,
                        "may not list SentinelChat: take a namespace that is gone out of the chart's namespaces, else look at the roles"
                    );
                }
                Err(error) => tracing::warn!(namespace, error = describe(&error), "cannot list SentinelChat"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Runs until `stop` is done and the reconciles in progress are finished, or have had their time for it. Without namespaces,
/// all are watched.
pub async fn run<F>(context: Arc<Context>, namespaces: &[String], stop: F)
where
    F: Future<Output = ()> + Send + Sync + Clone + 'static,
{
    let drain = context.drain;
    let stopped = stop.clone();
    let running = async {
        if namespaces.is_empty() {
            run_one(context, None, stop).await;
        } else {
            join_all(namespaces.iter().map(|namespace| run_one(context.clone(), Some(namespace), stop.clone()))).await;
        }
    };
    let overdue = async {
        stopped.await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        () = running => {}
        // A watch that never got its first list does not end by itself.
        () = overdue => tracing::warn!(seconds = drain.as_secs(), "not everything ended in time: given up"),
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn run_one<F>(context: Arc<Context>, namespace: Option<&String>, stop: F)
where
    F: Future<Output = ()> + Send + Sync + 'static,
{
    let client = context.client.clone();
    let namespace = namespace.map(String::as_str);
    let controller = Controller::new(api::<Guarded>(&client, namespace), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(CONCURRENCY));
    context.chats.watch(controller.store());
    let controller = watch::<StatefulSet>(controller, &client, namespace, MANAGED);
    let controller = watch::<Deployment>(controller, &client, namespace, MANAGED);
    let controller = watch::<Job>(controller, &client, namespace, MANAGED);
    let controller = watch::<ConfigMap>(controller, &client, namespace, MANAGED);
    let controller = watch::<Service>(controller, &client, namespace, MANAGED);
    let controller = watch::<ServiceAccount>(controller, &client, namespace, MANAGED);
    let controller = watch::<NetworkPolicy>(controller, &client, namespace, MANAGED);
    let controller = watch::<PodDisruptionBudget>(controller, &client, namespace, MANAGED);
    let controller = watch::<Ingress>(controller, &client, namespace, MANAGED);
    let controller = watch::<Pod>(controller, &client, namespace, MANAGED);
    // Claims carry the immutable labels of their template only.
    let controller = watch::<PersistentVolumeClaim>(controller, &client, namespace, "app.kubernetes.io/name=sentinel");
    controller
        .graceful_shutdown_on(stop)
        .run(reconcile, on_error, context)
        .for_each(async |result| match result {
            Ok((object, _)) => tracing::debug!(object = object.to_string(), "reconciled"),
            // The policy has logged the one; the other is a child that outlives its resource.
            Err(ControllerError::ReconcilerFailed(..) | ControllerError::ObjectNotFound(_)) => {}
            Err(error) => tracing::warn!(error = describe(&error), "watch failed, it starts again"),
        })
        .await;
}

/// Triggers the resource whose name an object of kind `K` carries as a label.
fn watch<K>(
    controller: Controller<Guarded>,
    client: &Client,
    namespace: Option<&str>,
    labels: &str,
) -> Controller<Guarded>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Send + 'static,
{
    let config = watcher::Config::default().labels(labels);
    controller.watches(api::<PartialObjectMeta<K>>(client, namespace), config, |object| instance(&object))
}

fn instance<K>(object: &PartialObjectMeta<K>) -> Option<ObjectRef<Guarded>>
where
    PartialObjectMeta<K>: ResourceExt,
{
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}
