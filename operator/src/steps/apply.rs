//! Server-side apply of what the plan found, in order, without letting one failure stop the rest.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::Value;

use super::{observe::Observed, plan::Plan};
use crate::{
    answer,
    build::{Child, Stage},
    names::MANAGER,
};

/// How often a conflict is tried again at once before the resource has to wait for its turn.
const CONFLICT_RETRIES: usize = 3;

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
        let (reason, detail) = match error {
            kube::Error::Api(status) if answer::is_forbidden(status) && status.message.contains("exceeded quota") => {
                ("QuotaExceeded", status.message.clone())
            }
            kube::Error::Api(status) if answer::is_forbidden(status) => ("Forbidden", status.message.clone()),
            kube::Error::Api(status) if answer::is_not_found(status) => ("KindNotFound", status.message.clone()),
            kube::Error::Api(status) if answer::is_invalid(status) => ("Invalid", status.message.clone()),
            kube::Error::Api(status) if answer::is_conflict(status) => ("Conflict", status.message.clone()),
            kube::Error::Api(status) => ("ApiError", format!("{} ({})", status.message, status.code)),
            other => ("ApiUnreachable", answer::describe(other)),
        };
        Self { stage, reason, message: format!("cannot {verb} {kind} {name}: {detail}"), transient: true }
    }
}

/// Creates fresh keys. An existing Secret is never overwritten: creation fails if there is one.
pub async fn create_keys(client: &Client, namespace: &str, keys: &Secret) -> Result<(), Failure> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    match api.create(&params, keys).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let name = keys.metadata.name.as_deref().unwrap_or_default();
            Err(Failure::new(Stage::Content, "create", "Secret", name, &error))
        }
    }
}

/// Applies the plan; what the API server answers replaces what was observed.
pub async fn apply(client: &Client, namespace: &str, plan: &Plan, observed: &mut Observed) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for child in &plan.apply {
        // Pods that start without their configuration would only fail.
        if child.kind.stage() == Stage::Workload && failures.iter().any(|f| f.stage == Stage::Content) {
            continue;
        }
        match apply_one(client, namespace, child).await {
            Ok(value) => observed.put(child.kind, &child.name, value),
            Err(error) => {
                failures.push(Failure::new(child.kind.stage(), "apply", child.kind.as_str(), &child.name, &error));
            }
        }
    }
    failures
}

async fn apply_one(client: &Client, namespace: &str, child: &Child) -> Result<Value, kube::Error> {
    let resource = child.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams::apply(MANAGER).force();
    let mut attempt = 0;
    loop {
        match api.patch(&child.name, &params, &Patch::Apply(&child.value)).await {
            Ok(object) => {
                tracing::info!(kind = child.kind.as_str(), name = child.name, namespace, "applied");
                return serde_json::to_value(object).map_err(kube::Error::SerdeError);
            }
            Err(kube::Error::Api(status)) if answer::is_conflict(&status) && attempt < CONFLICT_RETRIES => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
