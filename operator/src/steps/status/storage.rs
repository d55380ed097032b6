//! The volume that profile Embedded keeps everything on. When its claim is gone, Kubernetes makes an empty one of the same name
//! and the platform starts on it as if nothing had been: so it is remembered which one it was. Pure.

use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim,
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
};

use super::conditions::{ACCEPTED, DEGRADED};
use crate::{
    api::{SentinelChat, SentinelChatStatus, StorageStatus},
    build::Stage,
    names::{Component, DATA_LOST_ACCEPTED},
    steps::{
        apply::Failure,
        observe::{Observed, is_bound},
        validate::ValidChat,
    },
};

/// Reason for the condition that tells of a volume whose place another one has taken.
pub const DATA_LOST: &str = "DataLost";
/// Reason for the condition that tells of a volume that goes when its pod ends.
pub const TERMINATING: &str = "VolumeTerminating";
/// Reason why a resource was not carried out until its old volume was deleted.
const KEYS_LOST: &str = "KeysLost";

/// Which volume is to be remembered, and what is to be told of it: by what was `seen`, if anything was. With `new_keys`, keys
/// were made just now.
pub fn judge(
    chat: &SentinelChat,
    seen: Option<(&ValidChat, &Observed)>,
    new_keys: bool,
    previous: &SentinelChatStatus,
) -> (Option<StorageStatus>, Vec<Failure>) {
    let (metadata, conditions) = (&chat.metadata, previous.conditions.as_slice());
    let claim = seen.and_then(|(valid, observed)| find(valid, observed));
    let (going, found) = match claim {
        Some(claim) if claim.metadata.deletion_timestamp.is_some() => (Some(claim), None),
        claim => (None, claim.and_then(status)),
    };
    // The way to start afresh without keys is to delete the claim.
    let known = previous.storage.clone().filter(|_| !(new_keys && lacked_keys(conditions)));
    let (storage, lost) = match (known, found) {
        (Some(known), Some(found)) if !is_meant(metadata, &known, &found) => {
            let lost = lost(metadata, &known, Some(&found.uid));
            (Some(known), Some(lost))
        }
        (_, Some(found)) => (Some(found), None),
        (known, None) => {
            let lost = still_lost(metadata, known.as_ref(), conditions);
            (known, lost)
        }
    };
    (storage, lost.into_iter().chain(going.map(terminating)).collect())
}

/// What is told on of a volume that was lost, while nobody sees another one in its place.
pub fn still_lost(metadata: &ObjectMeta, known: Option<&StorageStatus>, conditions: &[Condition]) -> Option<Failure> {
    let mut told = conditions.iter().filter(|condition| condition.type_ == DEGRADED && condition.status == "True");
    let known = known.filter(|_| told.any(|degraded| degraded.reason == DATA_LOST))?;
    Some(lost(metadata, known, None))
}

fn find<'a>(valid: &ValidChat, observed: &'a Observed) -> Option<&'a PersistentVolumeClaim> {
    let name = format!("data-{}-0", valid.names.workload(Component::Sentinel));
    let mut claims = observed.claims.iter().filter(|_| !valid.is_distributed());
    claims.find(|claim| is_bound(claim) && claim.metadata.name.as_ref() == Some(&name))
}

fn status(claim: &PersistentVolumeClaim) -> Option<StorageStatus> {
    let (metadata, spec) = (claim.metadata.clone(), claim.spec.as_ref());
    let volume = spec.and_then(|spec| spec.volume_name.clone());
    Some(StorageStatus { claim: metadata.name?, uid: metadata.uid?, volume })
}

fn lacked_keys(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.type_ == ACCEPTED && condition.reason == KEYS_LOST)
}

/// Whether nothing is lost with `found` in the place of `known`: it is the same volume, or somebody said that it may be there.
fn is_meant(metadata: &ObjectMeta, known: &StorageStatus, found: &StorageStatus) -> bool {
    let accepted = metadata.annotations.as_ref().and_then(|annotations| annotations.get(DATA_LOST_ACCEPTED));
    let is_same_volume = found.volume.is_some() && known.volume == found.volume;
    known.uid == found.uid || is_same_volume || accepted == Some(&found.uid)
}

fn lost(metadata: &ObjectMeta, known: &StorageStatus, found: Option<&str>) -> Failure {
    let StorageStatus { claim, uid, volume } = known;
    let chat = metadata.name.as_deref().unwrap_or_default();
    let of = volume.as_ref().map(|volume| format!(", volume {volume}")).unwrap_or_default();
    let see = volume.as_ref().map(|volume| format!(" (kubectl get pv {volume})")).unwrap_or_default();
    let asked = format!("$(kubectl get pvc {claim} -o jsonpath={{.metadata.uid}})");
    let found = found.unwrap_or(&asked);
    Failure {
        // The platform serves, with what it has.
        stage: Stage::Extra,
        reason: DATA_LOST,
        message: format!(
            "volume claim {claim} with uid {uid}{of}: it is gone and another one took its place, so the chat began empty or \
             with what you put there; see whether the volume is still there{see}, or restore a copy, both as docs/backup.md \
             tells; to go on with what is there now: kubectl annotate schat {chat} --overwrite {DATA_LOST_ACCEPTED}={found}"
        ),
        transient: false,
    }
}

fn terminating(claim: &PersistentVolumeClaim) -> Failure {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let pod = name.strip_prefix("data-").unwrap_or_default();
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("VOLUME");
    Failure {
        stage: Stage::Extra,
        reason: TERMINATING,
        message: format!(
            "volume claim {name} is being deleted, which nobody can take back: it goes when pod {pod} ends, and with it volume \
             {volume}, unless its reclaim policy is Retain; copy it before that pod ends: kubectl exec {pod} -- sentinel backup \
             --config /etc/sentinel/sentinel.json --to - > chat.tar; and keep the volume: kubectl patch pv {volume} -p \
             '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'; then go on as docs/backup.md tells"
        ),
        transient: false,
    }
}
