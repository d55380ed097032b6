//! Conditions as other tools read them. Their names are frozen: health checks and alerts depend on them.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};

use super::{
    is_essential,
    part::Part,
    storage::{DATA_LOST, TERMINATING},
};
use crate::{
    names::{Component, component_of},
    steps::{
        apply::Failure,
        dereference::certificate::{self, Health},
        fields,
        growth::{self, NOT_RESIZED},
        observe::{CLAIM, Observed, SILENCE, is_bound, is_lost},
        plan::Blocked,
        sequence::{Check, Migration, Sequence},
        validate::ValidChat,
    },
};

/// The platform serves and is what the resource says.
pub const READY: &str = "Ready";
/// Something is being changed.
pub const PROGRESSING: &str = "Progressing";
/// Something is wrong that will not go away by waiting.
pub const DEGRADED: &str = "Degraded";
/// The resource can be carried out.
pub const ACCEPTED: &str = "Accepted";
/// The resource asks to be left alone.
pub const PAUSED: &str = "Paused";
/// The operator has newer defaults than those in use.
pub const UPGRADE: &str = "UpgradeAvailable";

/// All stores of profile Distributed can be used.
pub const DEPENDENCIES: &str = "DependenciesReady";
/// The stores have the schema of the image in use.
pub const MIGRATED: &str = "SchemaMigrated";

/// Reason of Degraded when a volume is there no more.
const VOLUME_LOST: &str = "VolumeLost";
/// The certificate of a gateway that ends TLS itself suits clients, and will for a while. There is none without such a
/// certificate.
pub const CERTIFICATE: &str = "CertificateHealthy";

/// Reason of Progressing while a node of a store leaves.
pub const SCALING_IN: &str = "ScalingIn";

/// Reason for a store that keeps its nodes.
pub const SCALE_REFUSED: &str = "ScaleRefused";
/// Reason for a node that cannot leave its store yet.
pub const SCALE_IN_FAILING: &str = "ScaleInFailing";

/// Longest message about one thing.
const MESSAGE_MAX: usize = 1024;
/// Longest message about everything that is wrong; the schema allows 4096 bytes.
const ALL_MAX: usize = 4000;
/// Why nothing is known of a certificate.
const UNSEEN: &str = "nobody could look at it; Accepted tells why";
/// What stands between two troubles in such a message.
const BETWEEN: &str = "; ";

/// What may end the name of what a trouble is about.
const ENDS: [&str; 4] = [": ", "; ", ", ", " failed "];

/// Annotation of a claim with who is asked to make its volume.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

/// Reason while a load balancer has no address.
const ADDRESS_PENDING: &str = "AddressPending";

/// What waiting helps with while all pods serve.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// Nodes that leave their stores.
    pub leaving: Vec<String>,
    /// Volumes that grow.
    pub growing: Vec<String>,
    /// A load balancer without address: nobody finds the platform.
    pub address: Option<String>,
    /// Parts of which nothing moves, because the API server did not take what they are to be.
    pub refused: Vec<&'static str>,
}

/// Something that will not go away by waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Reason for the condition.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// How grave a trouble is: the gravest one gives Degraded its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// What people wrote is gone, or soon will be.
    LosesData,
    /// The platform does not serve, or not as the resource says.
    Stops,
    /// It serves, and turns clients away.
    TurnsAway,
    /// It lacks something that it runs without.
    Lacks,
    /// It goes on as it is, for as long as anybody likes.
    GoesOn,
}

impl Weight {
    fn of(failure: &Failure) -> Self {
        if [DATA_LOST, TERMINATING].contains(&failure.reason) {
            Self::LosesData
        } else if is_essential(failure) {
            Self::Stops
        } else if certificate::is_about(failure) {
            Self::TurnsAway
        } else if [NOT_RESIZED, SCALE_REFUSED, SCALE_IN_FAILING].contains(&failure.reason) {
            Self::GoesOn
        } else {
            Self::Lacks
        }
    }
}

impl Trouble {
    /// A trouble with its reason.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }

    /// Whether the condition `degraded` has told it already.
    pub fn is_told(&self, degraded: &Condition) -> bool {
        let is_same = |message: &str| subject(message) == subject(&self.message);
        let mark = format!("{BETWEEN}{}: ", self.reason);
        let is_first = degraded.reason == self.reason && is_same(&degraded.message);
        is_first || degraded.message.split(&mark).skip(1).any(is_same)
    }
}

/// What a trouble is about, such as a part. The rest of its message may change while it lasts: counts, or what is said last.
fn subject(message: &str) -> &str {
    let ends = ENDS.into_iter().filter_map(|end| message.find(end));
    &message[..ends.min().unwrap_or(message.len())]
}

/// Conditions of one resource, by type.
#[derive(Clone, Debug)]
pub struct Set {
    conditions: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Set {
    /// Starts from what was reported before.
    pub fn new(previous: Vec<Condition>, generation: Option<i64>, now: Timestamp) -> Self {
        Self { conditions: previous, generation, now }
    }

    /// Sets one condition; its time changes only with its status.
    pub fn set(&mut self, type_: &str, status: bool, reason: &str, message: &str) {
        self.put(type_, if status { "True" } else { "False" }, reason, shorten(message, MESSAGE_MAX));
    }

    /// Takes one away that does not apply any more.
    pub fn remove(&mut self, type_: &str) {
        self.conditions.retain(|condition| condition.type_ != type_);
    }

    /// Tells of a certificate: by a condition of its own, which other troubles leave as it is.
    pub fn judge_certificate(&mut self, health: &Health, refusal: &str) {
        let was = self.conditions.iter().find(|condition| condition.type_ == CERTIFICATE);
        match health {
            Health::Sound => self.set(CERTIFICATE, true, "Valid", ""),
            Health::Troubled(trouble) => self.set(CERTIFICATE, false, trouble.reason, &trouble.message),
            // What was wrong with it does not mend by itself.
            Health::Unseen if was.is_some_and(|was| was.status != "False") => {
                self.put(CERTIFICATE, "Unknown", refusal, UNSEEN.to_owned());
            }
            Health::Unseen => {}
        }
    }

    /// Sets all that depends on whether a resource can be carried out, which `refusal` tells, and gives that with `others` that
    /// are wrong, the gravest first.
    pub fn refuse(&mut self, refusal: &Failure, others: Vec<Failure>) -> Vec<Trouble> {
        for type_ in [ACCEPTED, READY, PROGRESSING] {
            self.set(type_, false, refusal.reason, &refusal.message);
        }
        let failures: Vec<Failure> = std::iter::once(refusal.clone()).chain(others).collect();
        let troubles = troubles(&[], &failures, &[], &[], &Observed::default());
        self.degrade(&troubles);
        troubles
    }

    fn degrade(&mut self, troubles: &[Trouble]) {
        match troubles.first() {
            Some(first) => self.put(DEGRADED, "True", &first.reason, tell(troubles)),
            None => self.set(DEGRADED, false, "AsExpected", ""),
        }
    }

    fn put(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let previous = self.conditions.iter().position(|condition| condition.type_ == type_);
        let since = previous
            .map(|index| &self.conditions[index])
            .filter(|condition| condition.status == status)
            .map_or_else(|| seconds(self.now), |condition| condition.last_transition_time.clone());
        let condition = Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message,
            observed_generation: self.generation,
            last_transition_time: since,
        };
        match previous {
            Some(index) => self.conditions[index] = condition,
            None => self.conditions.push(condition),
        }
    }

    /// Sets Ready, Progressing and Degraded from what was seen, and gives what is wrong, the gravest first.
    pub fn judge(
        &mut self,
        valid: &ValidChat,
        workloads: &[Part],
        failures: &[Failure],
        blocked: &[Blocked],
        observed: &Observed,
        waits: &Waits,
    ) -> Vec<Trouble> {
        let claims: Vec<&PersistentVolumeClaim> = growth::in_use(valid, observed).collect();
        let troubles = troubles(workloads, failures, blocked, &claims, observed);
        let unready: Vec<&Part> = workloads.iter().filter(|workload| !workload.is_ready()).collect();
        let essential = failures.iter().find(|failure| is_essential(failure));

        if let Some(failure) = essential {
            self.set(READY, false, failure.reason, &failure.message);
        } else if let Some(change) = blocked.first() {
            self.set(READY, false, "ImmutableField", &refusal(change));
        } else if !unready.is_empty() {
            let waiting: Vec<String> = unready.iter().map(|workload| workload.progress()).collect();
            self.set(READY, false, "NotAvailable", &waiting.join("; "));
        } else if let Some(address) = &waits.address {
            self.set(READY, false, ADDRESS_PENDING, address);
        } else {
            self.set(READY, true, "AllAvailable", "the platform serves");
        }

        self.degrade(&troubles);

        let is_moving = |workload: &&Part| workload.is_moving() && !waits.refused.contains(&workload.name);
        let moving: Vec<String> = workloads.iter().filter(is_moving).map(Part::progress).collect();
        if !waits.leaving.is_empty() {
            self.set(PROGRESSING, true, SCALING_IN, &waits.leaving.join("; "));
        } else if !moving.is_empty() {
            self.set(PROGRESSING, true, "RollingOut", &moving.join("; "));
        } else if let Some(address) = &waits.address {
            self.set(PROGRESSING, true, ADDRESS_PENDING, address);
        } else if !waits.growing.is_empty() {
            self.set(PROGRESSING, true, "StorageResizing", &waits.growing.join("; "));
        } else {
            self.set(PROGRESSING, false, "Settled", "");
        }
        troubles
    }

    /// Sets DependenciesReady and SchemaMigrated; `parts` are the stores and the migration.
    pub fn set_stores(&mut self, parts: &[Part], sequence: &Sequence) {
        let waiting: Vec<&Part> =
            parts.iter().filter(|part| part.name != Component::Migration.as_str() && !part.is_ready()).collect();
        match waiting.iter().find(|part| part.trouble.is_some()).or(waiting.first()) {
            None => self.set(DEPENDENCIES, true, "AllReady", ""),
            Some(first) => {
                let reason = if first.trouble.is_some() { first.trouble_reason } else { "Starting" };
                let texts: Vec<String> = waiting.iter().map(|part| part.progress()).collect();
                self.set(DEPENDENCIES, false, reason, &texts.join("; "));
            }
        }
        let job = sequence.status.as_ref().map(|status| status.job.as_str()).unwrap_or_default();
        match &sequence.migration {
            Migration::None => {}
            Migration::Done => self.set(MIGRATED, true, "Migrated", &format!("Job {job}")),
            Migration::Waits => self.set(MIGRATED, false, "WaitsForStores", "it starts when all stores are ready"),
            Migration::Outdated => self.set(MIGRATED, false, "Migrating", &format!("Job {job} is made anew")),
            Migration::Runs { trouble: None } => self.set(MIGRATED, false, "Migrating", &format!("Job {job} runs")),
            Migration::Runs { trouble: Some((reason, trouble)) } => self.set(MIGRATED, false, reason, trouble),
            Migration::Failed { .. } | Migration::Again => {
                self.set(MIGRATED, false, "MigrationFailed", &failure(sequence));
            }
        }
    }

    /// The conditions, in a stable order.
    pub fn into_sorted(mut self) -> Vec<Condition> {
        self.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        self.conditions
    }
}

/// The migration as a part of the platform: none in profile Embedded.
pub fn migration_part(sequence: &Sequence) -> Option<Part> {
    let part = Part::whole(Component::Migration.as_str(), sequence.migration == Migration::Done);
    Some(match &sequence.migration {
        Migration::None => return None,
        Migration::Done => part,
        Migration::Waits => part.with_note("it waits for the stores"),
        Migration::Outdated => part.with_note("it is made anew"),
        Migration::Runs { trouble: None } => part.with_note("it runs"),
        Migration::Runs { trouble: Some((reason, trouble)) } => part.with_trouble(reason, trouble),
        Migration::Failed { .. } | Migration::Again => part.with_trouble("MigrationFailed", failure(sequence)),
    })
}

/// The look at stores of somebody else as a part of the platform, while it does not begin: the stores may serve all the same.
pub fn check_part(sequence: &Sequence) -> Option<Part> {
    let Check::Runs { trouble: Some((reason, trouble)) } = &sequence.check else { return None };
    let job = sequence.check_job.as_deref().unwrap_or_default();
    let told = format!(
        "external stores are not looked at any more: {trouble} (Job {job} runs where and with what services.users says)"
    );
    Some(Part::whole("check", true).with_trouble(reason, told))
}

/// One wording for all pauses, or the status would change with each of them.
fn failure(sequence: &Sequence) -> String {
    let status = sequence.status.clone().unwrap_or_default();
    let words = status.message.as_deref().unwrap_or("look at the log of its pod");
    let times = if status.failures == 1 { "once".to_owned() } else { format!("{} times", status.failures) };
    format!(
        "Job {} failed {times} and is tried again; what runs goes on. A schema goes forward only: where the image of before \
         cannot use it, the way back is a copy of the stores from before. It said: {words}",
        status.job
    )
}

/// All troubles in one message: the first one's reason is that of the condition.
fn tell(troubles: &[Trouble]) -> String {
    let mut troubles = troubles.iter();
    let first = troubles.next().map(|first| shorten(&first.message, MESSAGE_MAX));
    let others = troubles.map(|trouble| format!("{}: {}", trouble.reason, shorten(&trouble.message, MESSAGE_MAX)));
    shorten(&first.into_iter().chain(others).collect::<Vec<_>>().join(BETWEEN), ALL_MAX)
}

/// Everything that will not go away by waiting, the gravest first, and of what is as grave the most telling.
fn troubles(
    workloads: &[Part],
    failures: &[Failure],
    blocked: &[Blocked],
    claims: &[&PersistentVolumeClaim],
    observed: &Observed,
) -> Vec<Trouble> {
    let mut troubles: Vec<(Weight, Trouble)> = failures
        .iter()
        .map(|failure| (Weight::of(failure), Trouble::new(failure.reason, failure.message.as_str())))
        .collect();
    let mut stops = |reason: &str, message: String| troubles.push((Weight::Stops, Trouble::new(reason, message)));
    for change in blocked {
        stops("ImmutableField", refusal(change));
    }
    // Before the pod that waits for its volume: the scheduler's words do not tell why there is none.
    for claim in claims.iter().filter(|claim| is_lost(claim)) {
        stops(VOLUME_LOST, lost(claim));
    }
    for claim in claims.iter().filter(|claim| !is_bound(claim) && !is_lost(claim)) {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let asked = format!(
            "it asks for {}, see {}: make that class, or delete the SentinelChat and the claim and name another one",
            class.map_or_else(|| "the default storage class".into(), |class| format!("storage class {class}")),
            fields::storage(claim, "className")
        );
        if let Some(warning) = observed.warning(CLAIM, name) {
            stops("VolumePending", format!("volume claim {name} has no volume: {warning}; {asked}"));
        } else if let Some(provisioner) = silent_provisioner(claim, observed.read_at) {
            let why = format!("{provisioner}, which is to make it, has not answered for ten minutes; see that it runs");
            stops("VolumePending", format!("volume claim {name} has no volume: {why}; {asked}"));
        } else if workloads.iter().any(|workload| workload.trouble.as_ref().is_some_and(|t| t.contains(CLAIM))) {
            // Kubernetes does not warn where there is no default class, and about a wrong one only after a while.
            stops("VolumePending", format!("volume claim {name} has no volume; {asked}"));
        }
        // Otherwise the claim is only waiting for its pod or its provisioner.
    }
    troubles.extend(workloads.iter().filter_map(|workload| {
        let weight = if workload.is_ready() { Weight::Lacks } else { Weight::Stops };
        // Two stores may well have the same trouble.
        let told = format!("{}: {}", workload.name, workload.trouble.as_deref()?);
        Some((weight, Trouble::new(workload.trouble_reason, told)))
    }));
    troubles.sort_by_key(|(weight, _)| *weight);
    let mut told: Vec<Trouble> = Vec::new();
    for (_, trouble) in troubles {
        // What keeps one object from being made may keep all others.
        if !told.contains(&trouble) {
            told.push(trouble);
        }
    }
    told
}

/// What to do about a volume that is there no more. A ring of Cassandra keeps the place of a node until it is told not to.
fn lost(claim: &PersistentVolumeClaim) -> String {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).map(|volume| format!(" {volume}"));
    let volume = volume.unwrap_or_default();
    let pod = name.strip_prefix("data-").unwrap_or_default();
    let remove = format!("kubectl delete pvc {name} --wait=false && kubectl delete pod {pod}");
    let gone = if component_of(&claim.metadata) == Some(Component::Cassandra.as_str()) {
        format!(
            "with three nodes or more, first nodetool removenode on another node, and then {remove}; with fewer, its data \
             comes from a copy"
        )
    } else {
        format!(
            "{remove}; what was on it comes from other nodes of a store that has copies there, or from a copy of yours"
        )
    };
    format!(
        "the volume of claim {name} is lost: there is no PersistentVolume{volume} any more; put it back, or if it is gone \
         for good: {gone}"
    )
}

/// Who is to make the volume of a claim and has said nothing for long. Who wrote to an object, and when, is noted on it.
fn silent_provisioner(claim: &PersistentVolumeClaim, now: Timestamp) -> Option<&str> {
    // It is there only when somebody is asked: not while a claim waits for its pod.
    let provisioner = claim.metadata.annotations.as_ref()?.get(PROVISIONER)?;
    let writes = claim.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
    let last = writes.chain(&claim.metadata.creation_timestamp).map(|time| time.0).max()?;
    (now.duration_since(last) >= SILENCE).then_some(provisioner)
}

fn refusal(change: &Blocked) -> String {
    format!(
        "{} {}: {} cannot change once it exists; restore the old value in the SentinelChat, or create a second one and move the data",
        change.kind.as_str(),
        change.name,
        change.field
    )
}

/// Conditions carry whole seconds: a fraction would not survive the API server.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn shorten(message: &str, longest: usize) -> String {
    if message.len() <= longest {
        return message.to_owned();
    }
    format!("{}…", &message[..message.floor_char_boundary(longest)])
}
