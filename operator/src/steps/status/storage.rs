//! The volume that profile Embedded keeps everything on. When its claim is gone, Kubernetes makes an empty one of the same name
//! and the platform starts on it as if nothing had been: so it is remembered which one it was. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{ACCEPTED, DEGRADED, PAUSED};
use crate::{
    api::{SentinelChat, SentinelChatStatus, StorageStatus},
    build::Stage,
    names::Component,
    steps::{
        apply::Failure,
        observe::{Observed, is_bound},
        validate::{self, ValidChat},
    },
};

/// Reason for the condition that tells of a volume whose place another one has taken.
pub const DATA_LOST: &str = "DataLost";
/// Reason why a resource was not carried out until its old volume was deleted.
const KEYS_LOST: &str = "KeysLost";

/// Which volume is to be remembered, and what is to be told of it.
pub fn remember(
    chat: &SentinelChat,
    valid: &ValidChat,
    observed: &Observed,
    previous: &SentinelChatStatus,
) -> (Option<StorageStatus>, Option<Failure>) {
    let found = find(valid, observed);
    let known = previous.storage.clone().filter(|_| !is_meant(chat, &previous.conditions));
    match (known, found) {
        (Some(known), Some(found)) if known.uid != found.uid => {
            let lost = lost(&known, &found);
            (Some(known), Some(lost))
        }
        (known, found) => (found.or(known), None),
    }
}

fn find(valid: &ValidChat, observed: &Observed) -> Option<StorageStatus> {
    let name = format!("data-{}-0", valid.names.workload(Component::Sentinel));
    let mut claims = observed.claims.iter().filter(|_| !valid.is_distributed());
    let claim = claims.find(|claim| claim.metadata.name.as_ref() == Some(&name))?;
    if !is_bound(claim) || claim.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    Some(StorageStatus { claim: name, uid: claim.metadata.uid.clone()?, volume })
}

/// Whether somebody knows that another volume is there: it was told and the resource changed since, or was paused; or its
/// keys were lost, and the way to start afresh is to delete the claim.
fn is_meant(chat: &SentinelChat, conditions: &[Condition]) -> bool {
    let was = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
    let is_told = was(DEGRADED).is_some_and(|degraded| degraded.status == "True" && degraded.reason == DATA_LOST);
    let was_paused = was(PAUSED).is_some_and(|paused| paused.status == "True");
    let starts_afresh = was(ACCEPTED).is_some_and(|accepted| accepted.reason == KEYS_LOST);
    starts_afresh || is_told && (was_paused || validate::is_changed(chat))
}

fn lost(known: &StorageStatus, found: &StorageStatus) -> Failure {
    let StorageStatus { claim, uid, volume } = known;
    let of = volume.as_ref().map(|volume| format!(", volume {volume}")).unwrap_or_default();
    let see = volume.as_ref().map(|volume| format!(" (kubectl get pv {volume})")).unwrap_or_default();
    Failure {
        // The platform serves, with what it has.
        stage: Stage::Extra,
        reason: DATA_LOST,
        message: format!(
            "volume claim {claim} with uid {uid}{of}: it is gone and one with uid {} has its place, so the chat began empty or \
             with what you put there; see whether the volume is still there{see}, or restore a copy as docs/backup.md tells; \
             this is told until spec changes, or was paused and is not any more",
            found.uid
        ),
        transient: false,
    }
}
