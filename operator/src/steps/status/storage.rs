//! The volumes that hold what nothing else has a copy of: that of profile Embedded, and those of some managed stores. When the
//! claim of one is gone, Kubernetes makes an empty one of the same name and the platform starts on it as if nothing had been:
//! so it is remembered which one it was. Pure.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Secret},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
};

use super::conditions::{ACCEPTED, DEGRADED, Trouble};
use crate::{
    api::{SentinelChat, SentinelChatStatus, StorageStatus, Store},
    build::{Kind, Stage},
    names::{Component, DATA_LOST_ACCEPTED},
    providers::first_claim_name,
    steps::{
        apply::Failure,
        observe::{Observed, is_bound},
        plan::ordinal_of,
        validate::ValidChat,
    },
};

/// Reason for the condition that tells of a volume whose place another one has taken.
pub const DATA_LOST: &str = "DataLost";
/// Reason for the condition that tells of a volume that goes when its pod ends.
pub const TERMINATING: &str = "VolumeTerminating";
/// Reasons why a resource was not carried out until its old volume was deleted.
const KEYS_LOST: &str = "KeysLost";
const CREDENTIALS_LOST: &str = "CredentialsLost";

/// What is to be remembered of volumes, and what is to be told of them.
#[derive(Debug, Default)]
pub struct Judged {
    /// The volume of profile Embedded.
    pub storage: Option<StorageStatus>,
    /// Those of stores.
    pub store_volumes: Vec<StorageStatus>,
    /// What is told.
    pub troubles: Vec<Failure>,
}

/// Which volumes are to be remembered, and what is to be told of them: by what was `seen`, if anything was. `new_secrets` were
/// made just now.
pub fn judge(
    chat: &SentinelChat,
    seen: Option<(&ValidChat, &Observed)>,
    new_secrets: &[Secret],
    previous: &SentinelChatStatus,
) -> Judged {
    let Some((valid, observed)) = seen else {
        return Judged {
            storage: previous.storage.clone(),
            store_volumes: previous.store_volumes.clone(),
            troubles: told_on(&chat.metadata, known(previous), &previous.conditions),
        };
    };
    let look = Look { metadata: &chat.metadata, valid, observed, new_secrets, previous };
    let mut judged = Judged::default();
    let mut going = Vec::new();
    for part in parts(valid, observed) {
        let (remembered, lost) = look.at(part);
        judged.troubles.extend(lost);
        going.extend(look.going(part));
        match part {
            Component::Sentinel => judged.storage = remembered,
            _ => judged.store_volumes.extend(remembered),
        }
    }
    judged.troubles.extend(going);
    judged
}

/// What is told on of volumes that were lost, while nobody looks at what took their places.
pub fn told_on<'a>(
    metadata: &ObjectMeta,
    known: impl Iterator<Item = &'a StorageStatus>,
    conditions: &[Condition],
) -> Vec<Failure> {
    known.filter_map(|known| still_lost(metadata, known, conditions)).collect()
}

fn known(previous: &SentinelChatStatus) -> impl Iterator<Item = &StorageStatus> {
    previous.storage.iter().chain(&previous.store_volumes)
}

fn still_lost(metadata: &ObjectMeta, known: &StorageStatus, conditions: &[Condition]) -> Option<Failure> {
    let lost = lost(metadata, known, None);
    let trouble = Trouble::new(DATA_LOST, lost.message.as_str());
    let mut told = conditions.iter().filter(|condition| condition.type_ == DEGRADED && condition.status == "True");
    told.any(|degraded| trouble.is_told(degraded)).then_some(lost)
}

/// Whose volume may hold what nothing else does. Redis, Kafka and Elasticsearch have what is made again. A store that is to go
/// is used until it has gone.
fn parts(valid: &ValidChat, observed: &Observed) -> Vec<Component> {
    if !valid.is_distributed() {
        return vec![Component::Sentinel];
    }
    let runs = |part: Component| observed.get(Kind::StatefulSet, &valid.names.workload(part)).is_some();
    let is_there = |store: &Store| valid.managed(*store).is_some() || runs(store.component());
    let stores = [Store::Postgres, Store::Cassandra, Store::S3];
    stores.into_iter().filter(is_there).map(Store::component).collect()
}

/// What was seen of a chat, and what was reported of it before.
struct Look<'a> {
    metadata: &'a ObjectMeta,
    valid: &'a ValidChat,
    observed: &'a Observed,
    new_secrets: &'a [Secret],
    previous: &'a SentinelChatStatus,
}

impl Look<'_> {
    /// The volume of a part that is to be remembered, and that it was lost.
    fn at(&self, part: Component) -> (Option<StorageStatus>, Option<Failure>) {
        let (metadata, conditions) = (self.metadata, self.previous.conditions.as_slice());
        let name = self.claim_name(part);
        let known = known(self.previous).find(|known| known.claim == name && !self.is_given_up(part));
        let told = known.and_then(|known| still_lost(metadata, known, conditions));
        // Nodes that came since have nothing of what was lost before.
        if !self.is_alone(part) && told.is_none() {
            return (None, None);
        }
        let found = self.claim(part).filter(|claim| claim.metadata.deletion_timestamp.is_none()).and_then(status);
        match (known, found) {
            (Some(known), Some(found)) if !is_meant(metadata, known, &found) => {
                (Some(known.clone()), Some(lost(metadata, known, Some(&found.uid))))
            }
            (_, Some(found)) => (Some(found), None),
            (known, None) => (known.cloned(), told),
        }
    }

    /// What is told of a volume that is being deleted.
    fn going(&self, part: Component) -> Option<Failure> {
        let is_going = |claim: &PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_some();
        let going = self.claim(part).filter(|claim| is_going(claim))?;
        // Those that go, too, keep nothing.
        self.others(part).all(is_going).then(|| terminating(going, part))
    }

    fn claim_name(&self, part: Component) -> String {
        first_claim_name(&self.valid.names.workload(part))
    }

    fn claim(&self, part: Component) -> Option<&PersistentVolumeClaim> {
        let name = self.claim_name(part);
        self.observed.claims.iter().find(|claim| is_bound(claim) && claim.metadata.name.as_ref() == Some(&name))
    }

    /// Whether nothing else has a copy of what is on the first volume of a part.
    fn is_alone(&self, part: Component) -> bool {
        self.others(part).next().is_none()
    }

    /// Claims of the other nodes of a part, also of one that is to go. Several of Cassandra have copies of what each other
    /// has; claims of nodes that are not to run have nobody's.
    fn others(&self, part: Component) -> impl Iterator<Item = &PersistentVolumeClaim> {
        let set = self.valid.names.workload(part);
        let live = self.observed.get(Kind::StatefulSet, &set).and_then(|set| set["spec"]["replicas"].as_i64());
        let has_copies = part == Component::Cassandra;
        self.observed.claims.iter().filter(move |claim| {
            let ordinal = claim.metadata.name.as_deref().and_then(|name| ordinal_of(name, &set)).unwrap_or(0);
            has_copies && ordinal > 0 && live.is_none_or(|nodes| i64::from(ordinal) < nodes)
        })
    }

    /// Whether the volume was given up: the way to start afresh without what opens it is to delete the claim.
    fn is_given_up(&self, part: Component) -> bool {
        let names = &self.valid.names;
        let is_new = |name: &str| self.new_secrets.iter().any(|new| new.metadata.name.as_deref() == Some(name));
        let mut accepted = self.previous.conditions.iter().filter(|condition| condition.type_ == ACCEPTED);
        let lacked = accepted.next().map(|accepted| accepted.reason.as_str()).unwrap_or_default();
        let lacked_credentials = lacked == CREDENTIALS_LOST;
        // Credentials are missed when there are keys again.
        let lacked_keys = lacked == KEYS_LOST || lacked_credentials;
        let store = Store::ALL.into_iter().find(|store| store.component() == part);
        let is_encrypted = matches!(part, Component::Sentinel | Component::Cassandra);
        (is_encrypted && lacked_keys && is_new(&names.keys()))
            || store.is_some_and(|store| lacked_credentials && is_new(&names.credentials(store)))
    }
}

fn status(claim: &PersistentVolumeClaim) -> Option<StorageStatus> {
    let (metadata, spec) = (claim.metadata.clone(), claim.spec.as_ref());
    let volume = spec.and_then(|spec| spec.volume_name.clone());
    Some(StorageStatus { claim: metadata.name?, uid: metadata.uid?, volume })
}

/// Whether nothing is lost with `found` in the place of `known`: it is the same volume, or somebody said that it may be there.
fn is_meant(metadata: &ObjectMeta, known: &StorageStatus, found: &StorageStatus) -> bool {
    let accepted = metadata.annotations.as_ref().and_then(|annotations| annotations.get(DATA_LOST_ACCEPTED));
    let is_same_volume = found.volume.is_some() && known.volume == found.volume;
    let is_accepted = accepted.is_some_and(|uids| uids.split(',').any(|uid| uid.trim() == found.uid));
    known.uid == found.uid || is_same_volume || is_accepted
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
            "volume claim {claim} with uid {uid}{of}: it is gone and another one took its place, which began empty or with \
             what you put there; see whether the volume is still there{see}, or restore a copy, both as docs/backup.md \
             tells; to go on with what is there now: kubectl annotate schat {chat} --overwrite {DATA_LOST_ACCEPTED}={found}"
        ),
        transient: false,
    }
}

fn terminating(claim: &PersistentVolumeClaim, part: Component) -> Failure {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let pod = name.strip_prefix("data-").unwrap_or_default();
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("VOLUME");
    let copy = if part == Component::Sentinel {
        format!("kubectl exec {pod} -- sentinel backup --config /etc/sentinel/sentinel.json --to - > chat.tar")
    } else {
        "config/operations/stores.sh save FOLDER".to_owned()
    };
    Failure {
        stage: Stage::Extra,
        reason: TERMINATING,
        message: format!(
            "volume claim {name} is being deleted, which nobody can take back: it goes when pod {pod} ends, and with it volume \
             {volume}, unless its reclaim policy is Retain; copy it before that pod ends: {copy}; and keep the volume: kubectl \
             patch pv {volume} -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'; then go on as \
             docs/backup.md tells"
        ),
        transient: false,
    }
}
