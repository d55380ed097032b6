//! What the Jobs of the platform found of the stores, read from the last words of their pods. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use sentinel_domain::findings::{Findings, OWN_VOLUME, Trouble, TroubleKind};

use super::{
    observe::{Observed, volumes::FullVolumes},
    sequence::Sequence,
    validate::ValidChat,
};
use crate::api::Store;

/// How the status calls it that a store's volume is full. It is told by pods that run, as long as it is so.
pub const FULL: &str = "Full";

/// What is wrong with the volume of profile Embedded, and what to do.
pub fn own_volume(chat: &ValidChat, full: &FullVolumes) -> Option<String> {
    full.get(OWN_VOLUME).filter(|_| !chat.is_distributed()).map(|_| {
        format!(
            "the volume of pod {}-0 is full: what is there can be read and nothing more can be sent; write a larger \
             storage.size, where its storage class can grow, or make room on it",
            chat.names.stateful_set()
        )
    })
}

/// The newest findings of all Jobs for the stores of now whose pods are still there, and when that one ended.
pub fn newest(observed: &Observed, sequence: &Sequence) -> Option<(Timestamp, Findings)> {
    let is_job = |pod: &&Pod| {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.kind == "Job" && sequence.is_current(&owner.name))
    };
    let found = observed.pods.iter().filter(is_job).filter_map(of_pod);
    found.max_by_key(|(time, _)| *time)
}

/// What the pod of a Job found, and when it ended.
pub fn of_pod(pod: &Pod) -> Option<(Timestamp, Findings)> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        let findings = Findings::read(ended.message.as_deref()?)?;
        Some((ended.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0), findings))
    })
}

/// All that was found to be wrong, with what to change, in one line.
pub fn tell(chat: &ValidChat, findings: &Findings) -> Option<String> {
    let told = Store::ALL.into_iter().filter_map(|store| {
        let trouble = findings.stores.get(store.as_str())?.trouble.as_ref()?;
        Some(format!("{}: {}", store.as_str(), advise(chat, store, trouble)))
    });
    let lines: Vec<String> = told.chain(findings.failure.clone()).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// What is wrong with a store, and which field to change.
pub fn advise(chat: &ValidChat, store: Store, trouble: &Trouble) -> String {
    let (field, detail) = (format!("dependencies.{}", store.as_str()), &trouble.detail);
    let Some(external) = chat.external(store) else {
        return match trouble.kind {
            TroubleKind::Refused => format!(
                "it does not know the credentials in Secret {}; restore the Secret that it was made with ({detail})",
                chat.names.credentials(store)
            ),
            TroubleKind::TooOld => format!("{detail}: write a later image to {field}.managed.image"),
            TroubleKind::Full => format!(
                "{detail}: write a larger {field}.managed.storage.size, where its storage class can grow, or make room on \
                 it"
            ),
            TroubleKind::Unreachable | TroubleKind::Other => detail.clone(),
        };
    };
    match (trouble.kind, &external.secret) {
        (TroubleKind::Refused, Some(secret)) if let Some(migration) = chat.migration_secret(store) => format!(
            "it refuses the credentials: correct username and password in Secrets {} and {}, or name others in \
             {field}.external.secret and migrationSecret ({detail})",
            secret.name, migration.name
        ),
        (TroubleKind::Refused, Some(secret)) => format!(
            "it refuses the credentials: correct username and password in Secret {}, or name another one in \
             {field}.external.secret ({detail})",
            secret.name
        ),
        (TroubleKind::Refused, None) => {
            format!("it asks for credentials: name a Secret in {field}.external.secret ({detail})")
        }
        (TroubleKind::Unreachable, _) => {
            format!("it does not answer: correct {field}.external.endpoints, or let the services connect ({detail})")
        }
        (TroubleKind::TooOld, _) => {
            format!("{detail}: upgrade it, or name another one in {field}.external.endpoints")
        }
        (TroubleKind::Full, _) => format!("{detail}: make it larger where it runs; see {field}.external"),
        (TroubleKind::Other, _) => format!("{detail}; see {field}.external"),
    }
}

/// How the status calls a kind of trouble.
pub fn problem(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::Unreachable => "Unreachable",
        TroubleKind::Refused => "Refused",
        TroubleKind::TooOld => "TooOld",
        TroubleKind::Full => FULL,
        TroubleKind::Other => "Failing",
    }
}

/// Reason of a condition for a problem; a store without one does not answer at all.
pub fn reason(problem: Option<&str>) -> &'static str {
    match problem {
        Some("Refused") => "StoreRefused",
        Some("TooOld") => "StoreTooOld",
        Some(FULL) => "StoreFull",
        Some("Failing") => "StoreFailing",
        _ => "StoreUnreachable",
    }
}
