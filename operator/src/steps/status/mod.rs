//! What is reported: computed from what was observed, written only when it changed.

pub mod conditions;
pub mod dependencies;
pub mod endpoints;
pub mod part;
pub mod pods;
pub mod storage;
pub mod workload;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use self::{
    conditions::{CERTIFICATE, PAUSED, Set, Trouble, UPGRADE, Waits},
    part::Part,
};
use super::{
    apply::Failure,
    dereference::certificate::{self, Health},
    findings, growth,
    observe::Observed,
    plan::Blocked,
    sequence::Sequence,
    validate::{self, ValidChat},
};
use crate::{
    answer,
    api::{DependencyStatus, GROUP, SentinelChat, SentinelChatStatus, Store, VERSION},
    build::{Kind, Stage, own_certificate, services},
    names::{COMPONENT, Component, MANAGER},
    providers,
};

const PAUSED_NOTE: &str = "spec.paused is true: until it is false nothing is changed or looked at, and the other conditions tell \
                           what was so before";

const NEW_DEFAULTS: &str =
    "the operator has newer defaults: they are used at the next change of spec, or with upgrades: Automatic";

/// What a reconcile came to.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// The resource asks to be left alone.
    Paused,
    /// The resource cannot be carried out.
    Refused(Refused<'a>),
    /// The resource was carried out as far as possible.
    Carried(Carried<'a>),
}

/// A resource that cannot be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Reason for the conditions.
    pub reason: &'static str,
    /// What to write or do instead.
    pub message: &'a str,
    /// What was seen all the same.
    pub seen: Option<Seen<'a>>,
}

/// What was seen of a resource that cannot be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What was to be built.
    pub valid: &'a ValidChat,
    /// What exists.
    pub observed: &'a Observed,
    /// What could not be changed of what does not depend on the rest.
    pub failures: &'a [Failure],
    /// How the gateway's certificate is.
    pub certificate: &'a Health,
}

/// A resource that was carried out as far as possible.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    /// What was built.
    pub valid: &'a ValidChat,
    /// What exists.
    pub observed: &'a Observed,
    /// What could not be changed.
    pub failures: &'a [Failure],
    /// What Kubernetes does not allow to change.
    pub blocked: &'a [Blocked],
    /// What had to wait.
    pub sequence: &'a Sequence,
    /// Keys and credentials that were made just now.
    pub new_secrets: &'a [Secret],
}

/// What is reported of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its status.
    pub status: SentinelChatStatus,
    /// What is wrong, the gravest first.
    pub troubles: Vec<Trouble>,
}

/// What is reported of `chat`. Pure: the same input gives the same status.
pub fn assess(chat: &SentinelChat, verdict: Verdict<'_>, now: Timestamp) -> Report {
    let previous = chat.status.clone().unwrap_or_default();
    let mut conditions = Set::new(previous.conditions.clone(), chat.metadata.generation, now);
    match verdict {
        Verdict::Paused => {
            conditions.set(PAUSED, true, "Paused", PAUSED_NOTE);
            let mut status = SentinelChatStatus { conditions: conditions.into_sorted(), ..previous };
            // What is about an earlier generation stays where this one asks for something else: nothing was done about it. Where
            // only the pause is new, it is about this one too; that is noted anew each time, as a newer operator has another
            // hash of the same, and would take the end of the pause for a change.
            if !validate::is_changed(chat) {
                status.observed_generation = chat.metadata.generation;
                status.spec_hash = Some(validate::spec_hash(&chat.spec));
            }
            Report { status, troubles: Vec::new() }
        }
        Verdict::Refused(refused) => left_alone(chat, refused, conditions, previous),
        Verdict::Carried(carried) => carried_out(chat, carried, conditions, previous),
    }
}

fn left_alone(chat: &SentinelChat, refused: Refused<'_>, mut conditions: Set, previous: SentinelChatStatus) -> Report {
    let Refused { reason, message, seen } = refused;
    // People go on writing to what runs.
    let seen_volumes = seen.map(|seen| (seen.valid, seen.observed));
    let storage::Judged { storage, store_volumes, troubles: mut others } =
        storage::judge(chat, seen_volumes, &[], &previous);
    conditions.set(PAUSED, false, "Running", "");
    match seen {
        Some(Seen { valid, failures, certificate, .. }) => {
            others.extend_from_slice(failures);
            if let Health::Troubled(trouble) = certificate {
                others.push(trouble.clone());
            }
            judge_certificate(&mut conditions, certificate, reason, valid);
        }
        None => conditions.judge_certificate(&Health::Unseen, reason),
    }
    let refusal = Failure { stage: Stage::Workload, reason, message: message.to_owned(), transient: false };
    let troubles = conditions.refuse(&refusal, others);
    // A change that could not be carried out still is a change: once it can, it is carried out
    // with the images it asks for and not with those that were pinned before it. These still run.
    let hash = if validate::is_changed(chat) { validate::WAITS.into() } else { validate::spec_hash(&chat.spec) };
    let status = SentinelChatStatus {
        observed_generation: chat.metadata.generation,
        spec_hash: Some(hash),
        conditions: conditions.into_sorted(),
        storage,
        store_volumes,
        ..previous
    };
    Report { status, troubles }
}

fn carried_out(chat: &SentinelChat, carried: Carried<'_>, mut conditions: Set, previous: SentinelChatStatus) -> Report {
    let Carried { valid, observed, failures, blocked, sequence, new_secrets } = carried;
    let storage::Judged { storage, store_volumes, troubles: lost } =
        storage::judge(chat, Some((valid, observed)), new_secrets, &previous);
    let failures: Vec<Failure> = failures.iter().cloned().chain(lost).collect();
    let workloads = workloads(valid, observed);
    let dependencies = dependencies::assess(valid, observed, &previous.dependencies, sequence);
    let mut parts: Vec<Part> = conditions::check_part(sequence).into_iter().collect();
    parts.extend(stores(valid, observed, &dependencies));
    parts.extend(conditions::migration_part(sequence));
    if valid.is_distributed() {
        conditions.set_stores(&parts, sequence);
    }
    let are_stores_ready = parts.iter().all(Part::is_ready);
    // Services that wait for their stores have nothing of their own to tell.
    parts.extend(workloads.iter().filter(|part| are_stores_ready || part.exists).cloned());
    parts.extend(own_volume(valid, observed));
    conditions.set(PAUSED, false, "Running", "");
    conditions.set(conditions::ACCEPTED, true, "Valid", "");
    let waits = Waits {
        leaving: moves(valid, observed),
        growing: growth::waits(valid, observed),
        address: endpoints::pending_address(valid, observed),
        refused: refused(&parts, &failures, observed, sequence),
    };
    let troubles = conditions.judge(valid, &parts, &failures, blocked, observed, &waits);
    let trouble = failures.iter().find(|failure| certificate::is_about(failure));
    let health = trouble.cloned().map_or(Health::Sound, Health::Troubled);
    judge_certificate(&mut conditions, &health, "", valid);
    let (reason, message) = if valid.upgrade_waits { ("NewDefaults", NEW_DEFAULTS) } else { ("UpToDate", "") };
    conditions.set(UPGRADE, valid.upgrade_waits, reason, message);
    let url = endpoints::base_url(valid, observed);
    // What runs of a workload that could not be changed is what ran before.
    let is_applied = blocked.is_empty() && !failures.iter().any(is_of_pods);
    let is_served = workloads.iter().filter(|part| part.name != Component::Gateway.as_str()).all(Part::is_ready);
    let status = SentinelChatStatus {
        observed_generation: chat.metadata.generation,
        spec_hash: Some(validate::spec_hash(&chat.spec)),
        conditions: conditions.into_sorted(),
        endpoints: url.as_deref().map(endpoints::of).unwrap_or_default(),
        url,
        // A version is reported once it is the one that serves.
        version: if is_applied && is_served && sequence.serves() {
            Some(valid.sentinel_image.version().to_owned())
        } else {
            previous.version
        },
        services: workloads.iter().map(Part::report).collect(),
        dependencies,
        migration: sequence.status.clone(),
        storage,
        store_volumes,
        selector: workload::current_selector(observed, &valid.names),
        template_revision: Some(valid.template_revision),
        sentinel_image: Some(valid.sentinel_image.to_string()),
        gateway_image: Some(valid.gateway_image.to_string()),
    };
    Report { status, troubles }
}

fn judge_certificate(conditions: &mut Set, health: &Health, refusal: &str, valid: &ValidChat) {
    if own_certificate(valid).is_some() {
        conditions.judge_certificate(health, refusal);
    } else {
        conditions.remove(CERTIFICATE);
    }
}

/// Parts of which nothing moves while something could not be applied: what runs of them has come to its end as it was before.
fn refused(parts: &[Part], failures: &[Failure], observed: &Observed, sequence: &Sequence) -> Vec<&'static str> {
    if !failures.iter().any(is_of_pods) {
        return Vec::new();
    }
    let job = sequence.status.as_ref().map(|status| status.job.as_str()).unwrap_or_default();
    let moves = |part: &&Part| {
        if part.name == Component::Migration.as_str() {
            return observed.get(Kind::Job, job).is_some();
        }
        let of_part = |object: &&Value| object["metadata"]["labels"][COMPONENT] == part.name;
        let kinds = [Kind::StatefulSet, Kind::Deployment];
        let objects = observed.children.iter().filter(|((kind, _), _)| kinds.contains(kind)).map(|(_, object)| object);
        objects.filter(of_part).any(workload::rolls)
    };
    parts.iter().filter(|part| !moves(part)).map(|part| part.name).collect()
}

/// The workloads of the platform itself.
fn workloads(valid: &ValidChat, observed: &Observed) -> Vec<Part> {
    let assess = |kind, component, desired| workload::assess(observed, &valid.names, kind, component, desired);
    let mut workloads: Vec<Part> = services::of(valid)
        .iter()
        .map(|service| assess(service.kind(), service.component, service.replicas(valid, observed)))
        .collect();
    if !valid.is_distributed() {
        workloads.push(assess(Kind::StatefulSet, Component::Sentinel, 1));
    }
    workloads.push(assess(Kind::Deployment, Component::Gateway, valid.spec.gateway.replicas));
    workloads
}

/// The stores as parts of the platform.
fn stores(valid: &ValidChat, observed: &Observed, dependencies: &[DependencyStatus]) -> Vec<Part> {
    let of = |store: Store| dependencies.iter().find(|dependency| dependency.name == store.as_str());
    Store::ALL.into_iter().filter_map(|store| Some(dependencies::part(valid, observed, store, of(store)?))).collect()
}

/// The volume of profile Embedded as a part of the platform, when it is full: the pod serves, but takes nothing.
fn own_volume(valid: &ValidChat, observed: &Observed) -> Option<Part> {
    let trouble = findings::own_volume(valid, &observed.full)?;
    Some(Part::whole("storage", false).with_trouble("VolumeFull", trouble))
}

/// How far nodes are that leave their stores.
fn moves(valid: &ValidChat, observed: &Observed) -> Vec<String> {
    let managed = Store::ALL.into_iter().filter(|store| valid.managed(*store).is_some());
    let tell =
        |store: Store| Some(format!("{}: {}", store.as_str(), providers::scale(valid, store, observed).progress?));
    managed.filter_map(tell).collect()
}

/// Whether failures keep the platform from being what the resource says.
fn is_essential(failure: &Failure) -> bool {
    failure.stage < Stage::Extra
}

/// Whether failures keep pods from being what the resource says.
fn is_of_pods(failure: &Failure) -> bool {
    failure.stage <= Stage::Workload
}

/// Writes `status` if it differs from what `chat` has.
pub async fn write(client: &Client, chat: &SentinelChat, status: &SentinelChatStatus) -> Result<bool, kube::Error> {
    if chat.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let name = chat.metadata.name.clone().unwrap_or_default();
    let api: Api<SentinelChat> =
        Api::namespaced(client.clone(), chat.metadata.namespace.as_deref().unwrap_or("default"));
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "SentinelChat",
        "metadata": { "name": name, "uid": chat.metadata.uid },
        "status": status,
    });
    match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await {
        Ok(_) => Ok(true),
        // Deleted in the meantime: nobody is left to be told.
        Err(kube::Error::Api(error)) if answer::is_not_found(&error) || answer::is_conflict(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
