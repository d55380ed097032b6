//! What Kubernetes does not do by itself: growing the claims of a StatefulSet, and replacing a pod
//! of an old revision that will never become ready.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::Failure;
use crate::{
    answer,
    build::{Kind, Stage},
    names::MANAGER,
    steps::{
        growth::NOT_RESIZED,
        observe::{CLAIM, Observed},
        plan::{Growth, is_owned},
        prune,
        status::pods::{has_not_started, is_made_by, is_ready, may_join, trouble},
    },
};

/// How long a refused growth is not asked for again.
const ASK_AGAIN: Duration = Duration::from_mins(10);

/// How long a pod of an old revision may take to start. Its probe lets it try for hours, and Kubernetes waits for it.
const START: SignedDuration = SignedDuration::from_mins(5);

/// Growths that the API server refused. A refusal depends on the storage class, which seldom changes.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<(String, Growth), (Instant, Failure)>>);

impl Refusals {
    fn recent(&self, namespace: &str, growth: &Growth) -> Option<Failure> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, failure) = refusals.get(&(namespace.to_owned(), growth.clone()))?;
        (since.elapsed() < ASK_AGAIN).then(|| failure.clone())
    }

    fn remember(&self, namespace: &str, growth: &Growth, failure: &Failure) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|_, (since, _)| since.elapsed() < ASK_AGAIN);
        refusals.insert((namespace.to_owned(), growth.clone()), (Instant::now(), failure.clone()));
    }
}

/// Asks for larger volumes, and takes back what was asked for by mistake. It depends on nothing else: a full disk must not block
/// its own cure.
pub async fn grow(client: &Client, namespace: &str, growths: &[Growth], refusals: &Refusals) -> Vec<Failure> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let mut failures = Vec::new();
    for growth in growths {
        if let Some(failure) = refusals.recent(namespace, growth) {
            failures.push(failure);
            continue;
        }
        let patch = json!({ "spec": { "resources": { "requests": { "storage": growth.size } } } });
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        match api.patch(&growth.claim, &params, &Patch::Merge(&patch)).await {
            Ok(_) => {
                tracing::info!(claim = growth.claim, size = growth.size, namespace, "claim is to have another size");
            }
            Err(error) => {
                let verb = if growth.taken_back.is_some() { "take back the growth of" } else { "grow" };
                let mut failure = Failure::new(Stage::Extra, verb, CLAIM, &growth.claim, &error);
                if matches!(&error, kube::Error::Api(status) if answer::is_forbidden(status) || answer::is_invalid(status))
                {
                    failure.reason = NOT_RESIZED;
                    failure.transient = false;
                    if let Some(note) = &growth.taken_back {
                        failure.message = format!("{}; {note}", failure.message);
                    }
                    refusals.remember(namespace, growth, &failure);
                }
                failures.push(failure);
            }
        }
    }
    failures
}

/// Pods of StatefulSets that are stuck on a revision that was replaced. `owner` is the uid of the resource: whoever may make
/// pods and StatefulSets may give them our labels, and what the resource does not own is not the operator's to delete.
pub fn stuck<'a>(observed: &'a Observed, owner: Option<&str>, now: Timestamp) -> Vec<&'a Pod> {
    let is_own = |set: &Value| owner.is_some_and(|uid| is_owned(set, uid));
    let sets = observed.children.iter().filter(|((kind, _), set)| *kind == Kind::StatefulSet && is_own(set));
    sets.flat_map(|((_, name), set)| stuck_of(observed, name, set, now)).collect()
}

fn stuck_of<'a>(observed: &'a Observed, name: &str, set: &Value, now: Timestamp) -> Vec<&'a Pod> {
    let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_i64);
    let Some(update) = set.pointer("/status/updateRevision").and_then(Value::as_str) else { return Vec::new() };
    // Before the controller has seen the new template, every pod looks current.
    if number("/metadata/generation") != number("/status/observedGeneration") {
        return Vec::new();
    }
    observed
        .pods
        .iter()
        .filter(|pod| {
            let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get("controller-revision-hash"));
            is_made_by(pod, Kind::StatefulSet, name, set)
                && pod.metadata.deletion_timestamp.is_none()
                && revision.is_some_and(|revision| revision != update)
                && !is_ready(pod)
                && (is_hopeless(pod, now) || (starts_for_long(pod, now) && !may_join(pod)))
        })
        .collect()
}

/// Whether waiting does not help the pod. One that has started and fails its probes may be a peer that others count on, and
/// whose turn in the change comes.
fn is_hopeless(pod: &Pod, now: Timestamp) -> bool {
    has_not_started(pod) && trouble(pod, now).is_some()
}

/// Whether a container of the pod has had its time and has not started: it runs and nothing seems wrong, or it waits.
fn starts_for_long(pod: &Pod, now: Timestamp) -> bool {
    let is_long_ago = |time: Timestamp| now.duration_since(time) >= START;
    let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    pod.metadata.creation_timestamp.as_ref().is_some_and(|made| is_long_ago(made.0))
        && containers.any(|container| {
            let running = container.state.as_ref().and_then(|state| state.running.as_ref());
            let since = running.and_then(|running| running.started_at.as_ref());
            container.started != Some(true) && since.is_none_or(|since| is_long_ago(since.0))
        })
}

/// Deletes stuck pods, so that the StatefulSet makes them anew from its current template.
pub async fn replace_stuck(client: &Client, namespace: &str, observed: &Observed, owner: Option<&str>) -> Vec<Failure> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut failures = Vec::new();
    for pod in stuck(observed, owner, Timestamp::now()) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        match prune::delete(&api, &name, pod.metadata.uid.clone(), DeleteParams::default()).await {
            Ok(true) => tracing::info!(pod = name, namespace, "replaced a pod that was stuck on an old revision"),
            Ok(false) => {}
            Err(error) => failures.push(Failure::new(Stage::Extra, "delete", "Pod", &name, &error)),
        }
    }
    failures
}
