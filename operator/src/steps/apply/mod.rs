//! Server-side apply of what the plan found, in order, without letting one failure stop the rest.

pub mod leave;
pub mod repair;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    fields,
    observe::Observed,
    plan::{Plan, Remake},
    prune,
};
use crate::{
    answer,
    build::{Child, Kind, Stage},
    names::{INSTANCE, MANAGER, REPLICAS_MANAGER},
};

/// Kind of the resource.
const CHAT: &str = "SentinelChat";
/// How often a conflict is tried again at once before the resource has to wait for its turn.
const CONFLICT_RETRIES: usize = 3;
/// How long it is waited for an object to go that is made anew.
const GOES: Duration = Duration::from_secs(10);
/// How often it is looked whether it has gone.
const LOOK: Duration = Duration::from_millis(250);

/// Something that could not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the platform can run without it.
    pub stage: Stage,
    /// Reason for the condition.
    pub reason: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// Whether trying again soon could help.
    pub transient: bool,
}

impl Failure {
    /// Describes a failed call.
    pub fn new(stage: Stage, verb: &str, kind: &str, name: &str, error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error
            && answer::is_of_ending_namespace(status)
        {
            // The same for all objects, and nothing to try again soon.
            let message = "the namespace is being deleted, so nothing can be made in it".into();
            return Self { stage, reason: "NamespaceTerminating", message, transient: false };
        }
        let (reason, detail) = match error {
            kube::Error::Api(status) => {
                let said = || status.message.clone();
                match answer::denied_by(status) {
                    Some(whose) => {
                        ("AdmissionDenied", format!("{whose} of this cluster denies it: {}", status.message))
                    }
                    None if answer::is_over_quota(status) => ("QuotaExceeded", said()),
                    None if answer::is_forbidden(status) => ("Forbidden", said()),
                    None if answer::is_not_found(status) => ("KindNotFound", said()),
                    None if answer::is_invalid(status) => ("Invalid", said()),
                    None if answer::is_conflict(status) => ("Conflict", said()),
                    None => ("ApiError", format!("{} ({})", status.message, status.code)),
                }
            }
            other => ("ApiUnreachable", answer::describe(other)),
        };
        Self { stage, reason, message: format!("cannot {verb} {kind} {name}: {detail}"), transient: true }
    }

    /// Describes a child that the API server does not take, with the field that it would have to be corrected in.
    fn of_apply(child: &Child, error: &kube::Error) -> Self {
        let mut failure = Self::new(child.kind.stage(), "apply", child.kind.as_str(), &child.name, error);
        let fields = if let kube::Error::Api(status) = error { fields::refused(child, status) } else { Vec::new() };
        if !fields.is_empty() {
            // First, as what the API server says may be too long for the status.
            failure.message = format!("correct {}: {}", fields.join(", "), failure.message);
        }
        failure
    }

    /// What has the name of a child cannot become it, and is not gone yet.
    fn still_there(child: &Child, remake: &Remake) -> Self {
        let (kind, name, field) = (child.kind.as_str(), &child.name, remake.field);
        Self {
            stage: child.kind.stage(),
            reason: "NotGoneYet",
            message: format!("{kind} {name} is made anew, because its {field} cannot change, and is not gone yet"),
            transient: true,
        }
    }

    /// An object of somebody else has the name of a child.
    fn not_ours(child: &Child) -> Self {
        let (kind, name) = (child.kind.as_str(), &child.name);
        Self {
            stage: child.kind.stage(),
            reason: "NotOurs",
            message: format!(
                "{kind} {name} exists but the operator did not make it for this SentinelChat: delete it, or give the SentinelChat another name"
            ),
            transient: true,
        }
    }
}

/// Numbers of pods that workloads had which were deleted to be made anew, and which the resource leaves to others: until they
/// are made, by the uid of the resource, kind and name. When the operator starts again meanwhile, they get the default.
#[derive(Debug, Default)]
pub struct Unmade(Mutex<BTreeMap<(String, Kind, String), Value>>);

impl Unmade {
    fn remember(&self, child: &Child, replicas: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Self::key(child), replicas);
    }

    /// The child with the number of pods that it had, if it was deleted.
    fn with_number(&self, child: &Child) -> Child {
        let mut wanted = child.clone();
        if let Some(number) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&Self::key(child)) {
            wanted.value["spec"]["replicas"] = number.clone();
        }
        wanted
    }

    fn forget(&self, child: &Child) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Self::key(child));
    }

    fn key(child: &Child) -> (String, Kind, String) {
        let owner = child.value["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
        (owner.to_owned(), child.kind, child.name.clone())
    }
}

/// Creates fresh keys or credentials. An existing Secret is never overwritten: creation fails if there is one.
pub async fn create_secret(client: &Client, namespace: &str, secret: &Secret) -> Result<(), Failure> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    match api.create(&params, secret).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let name = secret.metadata.name.as_deref().unwrap_or_default();
            Err(Failure::new(Stage::Content, "create", "Secret", name, &error))
        }
    }
}

/// Applies the plan; what the API server answers replaces what was observed.
pub async fn apply(
    client: &Client,
    namespace: &str,
    plan: &Plan,
    observed: &mut Observed,
    unmade: &Unmade,
) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    // By component: the failure of its NetworkPolicy.
    let mut unguarded: BTreeMap<&str, usize> = BTreeMap::new();
    for child in &plan.apply {
        let is_workload = child.kind.stage() == Stage::Workload;
        // Pods that start without their configuration would only fail.
        if is_workload && failures.iter().any(|f| f.stage == Stage::Content) {
            continue;
        }
        let is_known = observed.get(child.kind, &child.name).is_some();
        // A store may have no password, or one that everybody knows until the migration has run: then nothing but its
        // policy keeps others away. What runs already is no safer if it is left as it is.
        let guard = child.component().and_then(|component| unguarded.get(component));
        if let Some(guard) = guard.filter(|_| is_workload && !is_known) {
            let held = format!("; {} {} is not made before that", child.kind.as_str(), child.name);
            failures[*guard].message.push_str(&held);
            continue;
        }
        // What does not carry our labels may be somebody else's.
        let foreign = if is_known { Ok(false) } else { is_foreign(client, namespace, child).await };
        let failed = |error| Failure::of_apply(child, &error);
        let applied = match foreign {
            Ok(true) => Err(Failure::not_ours(child)),
            Ok(false) => match plan.remake_of(child) {
                Some(remake) => make_anew(client, namespace, child, remake, observed, unmade).await,
                None if is_known => apply_one(client, namespace, child, observed).await.map_err(failed),
                None => apply_one(client, namespace, &unmade.with_number(child), observed).await.map_err(failed),
            },
            Err(error) => Err(failed(error)),
        };
        match applied {
            Ok(value) => {
                unmade.forget(child);
                observed.put(child.kind, &child.name, value);
            }
            Err(failure) => {
                if let Some(component) = child.component().filter(|_| child.kind == Kind::NetworkPolicy) {
                    unguarded.insert(component, failures.len());
                }
                failures.push(failure);
            }
        }
    }
    failures
}

/// Whether somebody else made an object of that name: applying would take it over, and delete it with the resource.
/// Ours may have lost its labels, but then a SentinelChat owns it or this operator wrote to it.
async fn is_foreign(client: &Client, namespace: &str, child: &Child) -> Result<bool, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &child.kind.api_resource());
    let instance = child.value["metadata"]["labels"][INSTANCE].as_str().unwrap_or_default();
    Ok(api.get_opt(&child.name).await?.is_some_and(|live| is_of_another(&live.metadata, instance)))
}

/// Whether an object was not made for the chat called `instance`.
pub(super) fn is_of_another(meta: &ObjectMeta, instance: &str) -> bool {
    let mut chats = meta.owner_references.iter().flatten().filter(|owner| owner.kind == CHAT).peekable();
    if chats.peek().is_some() {
        // A chat of before had the same name. Of another one, the names of objects can be the same all the same: what is
        // called after the part `message` of one may be what is called after one that is named so.
        return !chats.any(|owner| owner.name == instance);
    }
    let is_written = meta.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some(MANAGER));
    let label = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
    !is_written || label.is_some_and(|label| label != instance)
}

async fn apply_one(client: &Client, namespace: &str, child: &Child, observed: &Observed) -> Result<Value, kube::Error> {
    let version = |live: &Value| live.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(String::from);
    let live = observed.get(child.kind, &child.name);
    let before = live.and_then(version);
    let resource = child.kind.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams::apply(MANAGER).force();
    let scaled = live.filter(|_| leaves_replicas(child));
    let mut wanted = child.value.clone();
    if let Some(live) = scaled {
        // One that is gone meanwhile is to be made with a number of pods.
        wanted["metadata"]["uid"] = live["metadata"]["uid"].clone();
    }
    let mut attempt = 0;
    loop {
        let applied = async {
            if let Some(live) = scaled {
                keep_replicas(&api, child, live).await?;
            }
            api.patch(&child.name, &params, &Patch::Apply(&wanted)).await
        };
        match applied.await {
            Ok(object) => {
                let kind = child.kind.as_str();
                if before.is_some() && before == object.metadata.resource_version {
                    // Admission rewrites it each time, and to the same.
                    tracing::debug!(kind, name = child.name, namespace, "applied without any change");
                } else {
                    tracing::info!(kind, name = child.name, namespace, "applied");
                }
                return serde_json::to_value(object).map_err(kube::Error::SerdeError);
            }
            Err(kube::Error::Api(status)) if answer::is_conflict(&status) && attempt < CONFLICT_RETRIES => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Deletes what cannot become `child`, and makes that in its place, with as many pods.
async fn make_anew(
    client: &Client,
    namespace: &str,
    child: &Child,
    remake: &Remake,
    observed: &mut Observed,
    unmade: &Unmade,
) -> Result<Value, Failure> {
    let (kind, name) = (child.kind.as_str(), child.name.as_str());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &child.kind.api_resource());
    let refused = |error| Failure::of_apply(child, &error);
    let mut wanted = child.clone();
    let live = observed.get(child.kind, name).filter(|_| leaves_replicas(child));
    let replicas = live.map(|live| live["spec"]["replicas"].clone());
    if let Some(replicas) = &replicas {
        wanted.value["spec"]["replicas"] = replicas.clone();
    }
    check_admission(&api, &wanted).await.map_err(refused)?;
    if let Some(replicas) = replicas {
        unmade.remember(child, replicas);
    }
    let failed = |error| Failure::new(child.kind.stage(), "delete", kind, name, &error);
    if !delete_and_wait(&api, remake).await.map_err(failed)? {
        return Err(Failure::still_there(child, remake));
    }
    tracing::info!(kind, name, namespace, field = remake.field, "deleted, to be made anew");
    observed.children.remove(&(child.kind, child.name.clone()));
    apply_one(client, namespace, &wanted, observed).await.map_err(refused)
}

/// Asks whether the API server, and who has a say in what is made, would take a child if there were none of its name: what
/// serves is not to be deleted for one that does not come.
async fn check_admission(api: &Api<DynamicObject>, child: &Child) -> Result<(), kube::Error> {
    let object: DynamicObject = serde_json::from_value(child.value.clone()).map_err(kube::Error::SerdeError)?;
    let params = PostParams { dry_run: true, field_manager: Some(MANAGER.into()) };
    match api.create(&params, &object).await {
        Ok(_) => Ok(()),
        // That there is one is found out last. A quota counts the one that is to go, and is asked after all others.
        Err(kube::Error::Api(status)) if answer::is_conflict(&status) || answer::is_over_quota(&status) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the object is gone. Pods that its successor adopts run on.
async fn delete_and_wait(api: &Api<DynamicObject>, remake: &Remake) -> Result<bool, kube::Error> {
    let object = &remake.object;
    let params = if remake.keeps_pods { DeleteParams::orphan() } else { DeleteParams::background() };
    prune::delete(api, &object.name, object.uid.clone(), params).await?;
    let end = Instant::now() + GOES;
    while api.get_metadata_opt(&object.name).await?.is_some() {
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    Ok(true)
}

/// Whether the number of pods is not the resource's.
fn leaves_replicas(child: &Child) -> bool {
    matches!(child.kind, Kind::Deployment | Kind::StatefulSet) && child.value["spec"]["replicas"].is_null()
}

/// Server-side apply takes a field away that its only manager does not write any more, and a workload without a number of pods
/// has one. So another manager takes the number over that `live` had; an autoscaler takes it from there with its first
/// change.
async fn keep_replicas(api: &Api<DynamicObject>, child: &Child, live: &Value) -> Result<(), kube::Error> {
    let kept = json!({
        "apiVersion": child.value["apiVersion"],
        "kind": child.value["kind"],
        "metadata": { "name": child.name, "uid": live["metadata"]["uid"] },
        "spec": { "replicas": live["spec"]["replicas"] },
    });
    // Without force: a number that somebody else has written since is not overwritten.
    match api.patch(&child.name, &PatchParams::apply(REPLICAS_MANAGER), &Patch::Apply(&kept)).await {
        Ok(_) => Ok(()),
        // It stays, because somebody else manages it.
        Err(kube::Error::Api(status)) if answer::is_managed_by_another(&status) => Ok(()),
        Err(error) => Err(error),
    }
}
