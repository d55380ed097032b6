//! Volumes that were told to grow and have not yet, or that are larger than the resource has them. The API server takes a larger
//! size at once; whether the storage driver can do it shows later, on the claim and in its Events. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimCondition};

use super::{
    apply::Failure,
    fields,
    observe::{CLAIM, Observed, SILENCE, is_bound, may_hold_data},
    plan::{self, is_claim_of, ordinal_of},
    validate::ValidChat,
};
use crate::{api::Store, build::Stage, names::Component, providers, subset::amount};

/// What is asked of a claim.
const STORAGE: &str = "storage";
/// Where it is noted that somebody has asked for it.
const REQUEST: &str = "/f:spec/f:resources/f:requests/f:storage";
/// Reason for the condition that tells of a volume that does not grow.
pub const NOT_RESIZED: &str = "StorageNotResized";
/// How long a file system may be smaller than its volume: most nodes make it larger while a pod runs on it.
const FILE_SYSTEM: SignedDuration = SignedDuration::from_mins(5);

/// How large a claim is and is to be, while that differs.
pub fn growing(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    sizes(claim).filter(|(has, asked)| is_less(has, asked))
}

/// What the volume of a claim that is to stay has, and what the claim asks for.
fn sizes(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    let is_to_stay = claim.metadata.deletion_timestamp.is_none() && is_bound(claim);
    Some((capacity(claim)?, asked(claim)?)).filter(|_| is_to_stay)
}

/// How large the volume of a claim is.
pub fn capacity(claim: &PersistentVolumeClaim) -> Option<&str> {
    Some(&claim.status.as_ref()?.capacity.as_ref()?.get(STORAGE)?.0)
}

/// How large the volume of a claim is to be.
pub fn asked(claim: &PersistentVolumeClaim) -> Option<&str> {
    Some(&claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get(STORAGE)?.0)
}

/// Whether `size` is a smaller amount than `other`.
pub fn is_less(size: &str, other: &str) -> bool {
    matches!((amount(size), amount(other)), (Some(size), Some(other)) if size < other)
}

/// What to know where the API server refuses to let a claim ask for `size`, which is less than it asks for. None where it is
/// not to be asked: only what a volume has not come to can be taken back.
pub fn taken_back(claim: &PersistentVolumeClaim, size: &str) -> Option<String> {
    let (has, asked) = sizes(claim)?;
    is_less(has, size).then(|| {
        format!(
            "Kubernetes takes a growth back from version 1.32 on; before that, the claim goes on asking for {asked}"
        )
    })
}

/// Why a claim that asks for more than `size` does not get as small by itself, and what to do.
fn excess(claim: &PersistentVolumeClaim, size: &str) -> Option<String> {
    if claim.metadata.deletion_timestamp.is_some() || !is_less(size, asked(claim)?) {
        return None;
    }
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let field = fields::storage(claim, "size");
    if !may_hold_data(claim) {
        let asked = asked(claim)?;
        return Some(format!(
            "volume claim {name} has no volume yet and asks for {asked}, which cannot change before it has one: kubectl \
             delete pvc {name}, and Kubernetes makes it with {size}"
        ));
    }
    let (has, asked) = sizes(claim)?;
    if is_less(has, size) {
        return None;
    }
    Some(if is_less(has, asked) {
        format!(
            "volume claim {name} has {has} and asks for {asked}, and Kubernetes takes a growth back only to more than a volume \
             has: write more than {has} to {field}"
        )
    } else {
        format!("volume claim {name} has {has} and no volume shrinks: write {asked} or more to {field}")
    })
}

/// Volumes that grow, and nothing tells that they will not.
pub fn waits(chat: &ValidChat, observed: &Observed) -> Vec<String> {
    let moving = unfinished(chat, observed).filter(|claim| obstacle(claim, observed).is_none());
    let told = moving.filter_map(|claim| {
        let what = tell(claim)?;
        if !is_silent(claim, observed.read_at) {
            return Some(what);
        }
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        Some(format!(
            "{what}; its storage driver has begun that and not ended it for more than ten minutes: see what its log (container \
             csi-resizer, or the provider's) and kubectl describe pvc {name} tell"
        ))
    });
    told.collect()
}

/// Volumes that do not come to the size that they are to have by waiting, and why. The platform goes on with what they have.
pub fn failures(chat: &ValidChat, observed: &Observed) -> Vec<Failure> {
    let stuck = |claim| Some(format!("{} and does not get there: {}", tell(claim)?, obstacle(claim, observed)?));
    let told = in_use(chat, observed).filter_map(|claim| {
        let excess = wanted(chat, claim).and_then(|size| excess(claim, size));
        excess.or_else(|| stuck(claim))
    });
    told.map(|message| Failure { stage: Stage::Extra, reason: NOT_RESIZED, message, transient: false }).collect()
}

/// How large the resource has the volume of a claim.
fn wanted<'a>(chat: &'a ValidChat, claim: &PersistentVolumeClaim) -> Option<&'a str> {
    let name = claim.metadata.name.as_deref()?;
    let is_of = |component: Component| is_claim_of(name, &chat.names.workload(component));
    plan::sizes(chat).find(|(component, _)| is_of(*component)).map(|(_, size)| size)
}

fn tell(claim: &PersistentVolumeClaim) -> Option<String> {
    let (has, asked) = growing(claim)?;
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    Some(format!("volume claim {name} grows from {has} to {asked}"))
}

/// Claims that grow and whose nodes are to run: one that no pod uses may wait for that for ever.
fn unfinished<'a>(chat: &ValidChat, observed: &'a Observed) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
    in_use(chat, observed).filter(|claim| growing(claim).is_some())
}

/// Claims of nodes that are to run. Those that a store left behind, or nodes that were taken away, keep nobody waiting.
pub fn in_use<'a>(chat: &ValidChat, observed: &'a Observed) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
    let own = (!chat.is_distributed()).then_some((Component::Sentinel, 1));
    let stores = Store::ALL.into_iter().filter(|store| chat.managed(*store).is_some());
    let stores = stores.map(|store| (store.component(), providers::scale(chat, store, observed).replicas));
    let sets: Vec<(String, i32)> =
        own.into_iter().chain(stores).map(|(part, nodes)| (chat.names.workload(part), nodes)).collect();
    observed.claims.iter().filter(move |claim| {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        sets.iter().any(|(set, nodes)| ordinal_of(name, set).is_some_and(|ordinal| ordinal < *nodes))
    })
}

/// What keeps a claim from growing, and what to do.
fn obstacle(claim: &PersistentVolumeClaim, observed: &Observed) -> Option<String> {
    let status = claim.status.as_ref()?;
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let conditions = || status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    let words =
        |condition: &PersistentVolumeClaimCondition| condition.message.clone().filter(|words| !words.is_empty());
    let error = || conditions().find(|condition| condition.type_.ends_with("ResizeError"));
    let warning = || observed.warning(CLAIM, name).map(String::from);
    let resize = status.allocated_resource_statuses.as_ref().and_then(|all| all.get(STORAGE));
    if resize.is_some_and(|resize| resize.ends_with("Infeasible")) {
        let why = error().and_then(words).or_else(warning).map(|why| format!(" ({why})")).unwrap_or_default();
        let more = capacity(claim).map(|has| format!(", more than {has}")).unwrap_or_default();
        return Some(format!(
            "its storage driver cannot{why}; write a size to {} that it can{more}",
            fields::storage(claim, "size")
        ));
    }
    if let Some(why) = error().map(|error| words(error).unwrap_or_else(|| error.type_.clone())).or_else(warning) {
        return Some(why);
    }
    let is_late = |condition: &&PersistentVolumeClaimCondition| {
        let since = condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        condition.type_ == "FileSystemResizePending" && observed.read_at.duration_since(since) >= FILE_SYSTEM
    };
    if conditions().any(|condition| is_late(&condition)) {
        let pod = name.strip_prefix("data-").unwrap_or(name);
        return Some(format!(
            "its file system grows when its pod starts again; kubectl delete pod {pod}, when all others are ready"
        ));
    }
    (!has_begun(claim) && is_silent(claim, observed.read_at)).then(|| {
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let class = class.map(|class| format!(" of class {class}")).unwrap_or_default();
        format!(
            "nothing has taken that up for more than ten minutes; see that the storage driver{class} runs, with its resizer \
             (csi-resizer), and what kubectl describe pvc {name} tells"
        )
    })
}

/// Whether the driver has taken the growth up.
fn has_begun(claim: &PersistentVolumeClaim) -> bool {
    let status = claim.status.as_ref();
    let resizes = status.and_then(|status| status.allocated_resource_statuses.as_ref());
    resizes.is_some_and(|all| all.contains_key(STORAGE)) || steps_of(claim).next().is_some()
}

/// What the claim tells of how far its growth is.
fn steps_of(claim: &PersistentVolumeClaim) -> impl Iterator<Item = &PersistentVolumeClaimCondition> {
    let conditions = claim.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.filter(|condition| {
        condition.status == "True" && ["Resizing", "FileSystemResizePending"].contains(&condition.type_.as_str())
    })
}

/// Whether the claim has told nothing new for long since its size was asked for.
fn is_silent(claim: &PersistentVolumeClaim, now: Timestamp) -> bool {
    // Who wrote a field of an object last, and when, is noted on it.
    let writers = claim
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(REQUEST).is_some()));
    let told = steps_of(claim).filter_map(|step| step.last_transition_time.as_ref());
    let last = writers.filter_map(|entry| entry.time.as_ref()).chain(told).map(|time| time.0).max();
    last.is_some_and(|last| now.duration_since(last) >= SILENCE)
}
