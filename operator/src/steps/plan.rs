//! What has to change so that the cluster holds what was built. Pure.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{
    growth,
    observe::{Observed, is_being_deleted, is_bound},
    validate::ValidChat,
};
use crate::{
    api::{SentinelChatStatus, Store},
    build::{Child, Kind, digest, is_check},
    names::{APPLIED, Component},
    subset::{amount, is_held, is_subset},
};

/// Changes for one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Objects to apply, in order.
    pub apply: Vec<Child>,
    /// How many objects are as they should be.
    pub unchanged: usize,
    /// Objects to delete just before the one of that kind and name is applied: Kubernetes does not let them become it.
    pub remake: Vec<Remake>,
    /// Changes that Kubernetes does not allow.
    pub blocked: Vec<Blocked>,
    /// Objects that are ours and no longer wanted.
    pub prune: Vec<Unwanted>,
}

impl Plan {
    /// What has to go before `child` is applied.
    pub fn remake_of(&self, child: &Child) -> Option<&Remake> {
        self.remake.iter().find(|remake| remake.object.kind == child.kind && remake.object.name == child.name)
    }
}

/// A change that Kubernetes does not allow on an object that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The field.
    pub field: &'static str,
}

/// An object that is ours and no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwanted {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid, so that a successor of the same name is left alone.
    pub uid: Option<String>,
}

impl Unwanted {
    fn of(kind: Kind, name: &str, live: &Value) -> Self {
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str).map(String::from);
        Self { kind, name: name.to_owned(), uid }
    }
}

/// An object that is ours and has to be made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remake {
    /// The object.
    pub object: Unwanted,
    /// The field that cannot change.
    pub field: &'static str,
    /// Whether its pods are such as its successor adopts, so that they run on.
    pub keeps_pods: bool,
}

/// A claim that should ask for another size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Growth {
    /// Its name.
    pub claim: String,
    /// Its new size.
    pub size: String,
    /// What to know where the API server refuses it, of a claim that is to ask for less than it does.
    pub taken_back: Option<String>,
}

/// Fields of a StatefulSet that cannot change once it exists.
const OF_SETS: &[&str] =
    &["spec.serviceName", "spec.podManagementPolicy", "spec.selector", "spec.volumeClaimTemplates"];

/// Those of a Deployment.
const OF_DEPLOYMENTS: &[&str] = &["spec.selector"];

/// Compares what should be with what is; what is held stays as it is. `owner` is the uid of the resource.
pub fn plan(desired: Vec<Child>, held: &[Child], observed: &Observed, owner: Option<&str>) -> Plan {
    let mut plan = Plan { prune: unwanted(&desired, held, observed, owner), ..Plan::default() };
    for mut child in desired {
        let live = observed.get(child.kind, &child.name);
        if let (Kind::StatefulSet, Some(live)) = (child.kind, live) {
            keep_claim_size(&child.name, &mut child.value, live, observed);
        }
        stamp(&mut child.value);
        let is_stamped =
            |live: &Value| live["metadata"]["annotations"][APPLIED] == child.value["metadata"]["annotations"][APPLIED];
        if let Some((live, field)) = live.and_then(|live| Some((live, fixed_field(child.kind, &child.value, live)?))) {
            // A user wrote the class, and claims that are there keep theirs also when their StatefulSet is made anew. What
            // was made from this very template was rewritten on its way, and would be again.
            if field == CLASS || is_stamped(live) || !owner.is_some_and(|uid| is_owned(live, uid)) {
                plan.blocked.push(Blocked { kind: child.kind, name: child.name, field });
                continue;
            }
            let object = Unwanted::of(child.kind, &child.name, live);
            plan.remake.push(Remake { object, field, keeps_pods: has_pods_for(&child.value, live) });
        }
        // Its template cannot change, and what it does is in its name. Where its pod has to run otherwise, it is made anew.
        let is_made = child.kind == Kind::Job && live.is_some_and(|live| owner.is_none_or(|uid| is_owned(live, uid)));
        // One that a resource of the same name left behind has its template, so that a change would be refused for ever.
        if let (Kind::Job, false, Some(live)) = (child.kind, is_made, live)
            && !is_stamped(live)
        {
            if !is_being_deleted(live) {
                plan.prune.push(Unwanted::of(child.kind, &child.name, live));
            }
            continue;
        }
        if is_made || plan.remake_of(&child).is_none() && live.is_some_and(|live| is_subset(&child.value, live)) {
            plan.unchanged += 1;
        } else {
            plan.apply.push(child);
        }
    }
    plan
}

/// Whether `child` was applied as it is wanted, told by the hash that was written with it: admission may have rewritten
/// values on their way, and does so each time. What Kubernetes does not allow to change is as it will ever be.
pub fn is_applied(child: &Child, observed: &Observed) -> bool {
    let Some(live) = observed.get(child.kind, &child.name) else { return false };
    let mut wanted = child.value.clone();
    if child.kind == Kind::StatefulSet {
        keep_claim_size(&child.name, &mut wanted, live, observed);
        if is_of_other_class(&wanted, live) {
            return true;
        }
    }
    stamp(&mut wanted);
    let (replicas, hash) = (&wanted["spec"]["replicas"], &wanted["metadata"]["annotations"][APPLIED]);
    live["metadata"]["annotations"][APPLIED] == *hash && (replicas.is_null() || live["spec"]["replicas"] == *replicas)
}

/// What a change makes, for those who tell it beforehand. The Job that looks at stores of somebody else is made by the
/// clock: one that is not there now is no part of any change; nor is a migration that `status` says was done.
pub fn made_by_a_change(
    chat: &ValidChat,
    mut children: Vec<Child>,
    observed: &Observed,
    status: Option<&SentinelChatStatus>,
) -> Vec<Child> {
    let migration = status.and_then(|status| status.migration.as_ref()).filter(|done| done.succeeded_at.is_some());
    let is_done = |child: &Child| child.kind == Kind::Job && migration.is_some_and(|done| done.job == child.name);
    let is_there = |child: &Child| observed.get(child.kind, &child.name).is_some();
    children.retain(|child| is_there(child) || !(is_check(chat, child) || is_done(child)));
    children
}

/// Writes the hash of the object into it. The hash tells that a field we no longer set has to go,
/// which a comparison of values cannot see. The number of pods is always set, and may be an autoscaler's: what that
/// changes would be written back with each of its steps.
fn stamp(value: &mut Value) {
    let hash = hash(value);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()
    {
        annotations.insert(APPLIED.into(), json!(hash));
    }
}

fn hash(value: &Value) -> String {
    let mut hashed = value.clone();
    if let Some(spec) = hashed.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    digest(&[hashed.to_string().as_bytes()])
}

const CLAIM_SIZE: &str = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";

/// A claim template cannot change: the live one keeps its size and the claims themselves grow. One that asks for more than the
/// resource has is let go, as nobody may be able to make such claims; not where volumes of `set` are as large, which others are
/// to be like, nor where admission made it so.
fn keep_claim_size(set: &str, desired: &mut Value, live: &Value, observed: &Observed) {
    let Some(kept) = live.pointer(CLAIM_SIZE).and_then(Value::as_str) else { return };
    let Some(size) = desired.pointer(CLAIM_SIZE).and_then(Value::as_str) else { return };
    let is_volume_larger = |claim| growth::capacity(claim).is_some_and(|has| growth::is_less(size, has));
    let mut claims = observed
        .claims
        .iter()
        .filter(|claim| claim.metadata.name.as_deref().is_some_and(|name| is_claim_of(name, set)));
    let is_too_large = growth::is_less(size, kept) && !claims.any(is_volume_larger);
    if is_too_large && live["metadata"]["annotations"][APPLIED] != hash(desired) {
        return;
    }
    if let Some(size) = desired.pointer_mut(CLAIM_SIZE) {
        *size = json!(kept);
    }
}

/// How large the resource has the volumes of its parts.
pub fn sizes(chat: &ValidChat) -> impl Iterator<Item = (Component, &str)> {
    let own = (!chat.is_distributed()).then_some((Component::Sentinel, &chat.spec.storage));
    let stores =
        Store::ALL.into_iter().filter_map(move |store| Some((store.component(), &chat.managed(store)?.storage)));
    own.into_iter().chain(stores).map(|(component, storage)| (component, storage.size.as_str()))
}

/// Claims that are to be of another size than they ask for: larger, or smaller where they have not come to what they ask for. It
/// takes no more than the resource and the claims: what else is wrong must not keep a full volume from its cure.
pub fn growths(chat: &ValidChat, observed: &Observed) -> Vec<Growth> {
    let is_used = |set: &str, growth: &Growth| chat.is_distributed() || ordinal_of(&growth.claim, set) == Some(0);
    let grown = sizes(chat).flat_map(|(component, size)| {
        let set = chat.names.workload(component);
        let mut growths = growths_of(&set, size, observed);
        // Profile Embedded is one pod, whatever somebody has scaled its StatefulSet to.
        growths.retain(|growth| is_used(&set, growth));
        growths
    });
    grown.collect()
}

/// Kubernetes refuses to grow a claim that has no volume yet.
fn growths_of(set: &str, size: &str, observed: &Observed) -> Vec<Growth> {
    observed
        .claims
        .iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_none())
        .filter(|claim| claim.metadata.name.as_deref().is_some_and(|claim| is_claim_of(claim, set)))
        .filter(|claim| is_bound(claim))
        .filter_map(|claim| {
            let taken_back = match amount(growth::asked(claim)?)?.cmp(&amount(size)?) {
                Ordering::Less => None,
                Ordering::Equal => return None,
                Ordering::Greater => Some(growth::taken_back(claim, size)?),
            };
            let claim = claim.metadata.name.clone().unwrap_or_default();
            Some(Growth { claim, size: size.to_owned(), taken_back })
        })
        .collect()
}

/// Whether a claim is the data volume of a pod of `set`.
pub fn is_claim_of(claim: &str, set: &str) -> bool {
    ordinal_of(claim, set).is_some()
}

/// Which pod of `set` a claim is the data volume of.
pub fn ordinal_of(claim: &str, set: &str) -> Option<i32> {
    let ordinal = claim.strip_prefix("data-")?.strip_prefix(set)?.strip_prefix('-')?;
    ordinal.bytes().all(|byte| byte.is_ascii_digit()).then(|| ordinal.parse().ok()).flatten()
}

/// The storage class of claims, which is the only one of these fields that a user writes.
const CLASS: &str = "spec.volumeClaimTemplates[0].spec.storageClassName";

/// Whether a StatefulSet makes its claims of another storage class than it is to.
fn is_of_other_class(desired: &Value, live: &Value) -> bool {
    let class = |set: &Value| set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"].clone();
    !class(desired).is_null() && class(desired) != class(live)
}

/// The field that would have to change and cannot.
fn fixed_field(kind: Kind, desired: &Value, live: &Value) -> Option<&'static str> {
    let fields = match kind {
        Kind::StatefulSet if is_of_other_class(desired, live) => return Some(CLASS),
        Kind::StatefulSet => OF_SETS,
        Kind::Deployment => OF_DEPLOYMENTS,
        Kind::Service => {
            let is_headless = |service: &Value| service["spec"]["clusterIP"] == "None";
            let has_address = live["spec"]["clusterIP"].as_str().is_some_and(|address| !address.is_empty());
            return (has_address && is_headless(desired) != is_headless(live)).then_some("spec.clusterIP");
        }
        _ => return None,
    };
    fields.iter().copied().find(|field| {
        let name = field.trim_start_matches("spec.");
        !is_held(name, &or_default(name, &desired["spec"][name]), &or_default(name, &live["spec"][name]))
    })
}

/// What the API server takes a field for that is not there.
fn or_default(field: &str, value: &Value) -> Value {
    match (field, value) {
        ("podManagementPolicy", Value::Null) => json!("OrderedReady"),
        ("volumeClaimTemplates", Value::Null) => json!([]),
        _ => value.clone(),
    }
}

/// Whether the pods that `live` makes are such as `desired` selects. Others would be left to nobody.
fn has_pods_for(desired: &Value, live: &Value) -> bool {
    let labels = &live["spec"]["template"]["metadata"]["labels"];
    let selected = &desired["spec"]["selector"]["matchLabels"];
    selected.is_object() && labels.is_object() && is_subset(selected, labels)
}

fn unwanted(desired: &[Child], held: &[Child], observed: &Observed, owner: Option<&str>) -> Vec<Unwanted> {
    observed
        .children
        .iter()
        .filter(|((kind, name), value)| {
            owner.is_some_and(|uid| is_owned(value, uid))
                && !is_being_deleted(value)
                && !desired.iter().chain(held).any(|child| child.kind == *kind && child.name == *name)
        })
        .map(|((kind, name), value)| Unwanted::of(*kind, name, value))
        .collect()
}

/// A label alone does not make an object ours: users copy labels.
pub(super) fn is_owned(value: &Value, uid: &str) -> bool {
    value
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
}
