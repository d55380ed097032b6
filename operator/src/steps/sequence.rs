//! The order of stores, migration and services. Nothing waits inside of a reconcile: what has to wait is held back, and
//! what runs of it goes on as it is. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{
    observe::Observed,
    plan,
    status::{dependencies, pods},
    validate::ValidChat,
};
use crate::{
    api::{MigrationStatus, Store},
    build::{Child, Kind, Stage, services},
};

/// Pause after the first failure; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Longest explanation that is taken over from a migration.
const WORDS_MAX: usize = 700;
/// Lines of it.
const LINES_MAX: usize = 8;

/// How the migration stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Migration {
    /// There is none: profile Embedded migrates its own store.
    #[default]
    None,
    /// It starts when all stores are ready.
    Waits,
    /// It runs, or is about to.
    Runs {
        /// What keeps its pod from starting.
        trouble: Option<String>,
    },
    /// It failed and is tried again later.
    Failed {
        /// How long it has to wait.
        pause: Duration,
    },
    /// It failed and is tried again now.
    Again,
    /// The stores have the schema.
    Done,
}

/// What may be applied now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// How the migration stands.
    pub migration: Migration,
    /// What is told of it.
    pub status: Option<MigrationStatus>,
}

/// Judges how far the resource is.
pub fn judge(
    chat: &ValidChat,
    children: &[Child],
    observed: &Observed,
    previous: Option<&MigrationStatus>,
    now: Timestamp,
) -> Sequence {
    let Some(job) = children.iter().find(|child| child.kind == Kind::Job) else { return Sequence::default() };
    let mut status = previous
        .filter(|status| status.job == job.name)
        .cloned()
        .unwrap_or_else(|| MigrationStatus { job: job.name.clone(), ..MigrationStatus::default() });
    let live = observed.get(Kind::Job, &job.name);
    let migration = match live {
        None if are_stores_ready(chat, children, observed) => Migration::Runs { trouble: None },
        None => Migration::Waits,
        Some(live) if condition(live, "Complete").is_some() => {
            status = MigrationStatus { job: job.name.clone(), ..MigrationStatus::default() };
            Migration::Done
        }
        Some(live) => match condition(live, "Failed") {
            Some(failed) => after_failure(live, failed, observed, &mut status, now),
            None => Migration::Runs { trouble: pods_of(observed, live).find_map(pods::trouble) },
        },
    };
    Sequence { migration, status: Some(status) }
}

fn after_failure(
    live: &Value,
    failed: &Value,
    observed: &Observed,
    status: &mut MigrationStatus,
    now: Timestamp,
) -> Migration {
    let uid = live.pointer("/metadata/uid").and_then(Value::as_str).map(String::from);
    if status.failed_uid != uid {
        status.failures = status.failures.saturating_add(1);
        status.message = pods_of(observed, live)
            .find_map(last_words)
            .or_else(|| failed["message"].as_str().map(String::from))
            .map(|words| shorten(&words));
        status.failed_uid = uid;
    }
    let doublings = u32::try_from(status.failures - 1).unwrap_or(0).min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let since: Option<Timestamp> = failed["lastTransitionTime"].as_str().and_then(|time| time.parse().ok());
    let waited = since.map_or(SignedDuration::MAX, |since| now.duration_since(since));
    match pause.checked_sub(Duration::try_from(waited).unwrap_or_default()) {
        Some(left) if !left.is_zero() => Migration::Failed { pause: left },
        _ => Migration::Again,
    }
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_ && condition["status"] == "True")
}

/// By uid: the pod of an earlier Job of that name may not be gone yet.
fn pods_of<'a>(observed: &'a Observed, job: &Value) -> impl Iterator<Item = &'a Pod> {
    let uid = job.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    observed.pods.iter().filter(move |pod| {
        pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job" && owner.uid == uid)
    })
}

/// What the container wrote before it ended.
fn last_words(pod: &Pod) -> Option<String> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.iter().find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        let words = ended.message.as_deref().map(str::trim).filter(|words| !words.is_empty());
        Some(words.map_or_else(|| format!("it ended with {}", ended.exit_code), String::from))
    })
}

/// The end is what tells.
fn shorten(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines[lines.len().saturating_sub(LINES_MAX)..].join("\n");
    let surplus = text.chars().count().saturating_sub(WORDS_MAX);
    text.chars().skip(surplus).collect()
}

/// Whether all stores are ready as the resource wants them.
fn are_stores_ready(chat: &ValidChat, children: &[Child], observed: &Observed) -> bool {
    let is_store = |child: &Child| Store::ALL.iter().any(|store| child.component() == Some(store.as_str()));
    let workloads: Vec<Child> =
        children.iter().filter(|child| child.kind.stage() == Stage::Workload && is_store(child)).cloned().collect();
    // What is observed may be about what the stores were before a change that is not applied yet.
    plan::plan(workloads, &[], observed, None).apply.is_empty()
        && dependencies::assess(chat, observed).iter().all(dependencies::is_ready)
}

impl Sequence {
    /// Whether services may be changed.
    pub fn serves(&self) -> bool {
        matches!(self.migration, Migration::None | Migration::Done)
    }

    /// Parts children into what is wanted now and what has to wait. What waits is neither changed nor pruned. A failed
    /// Job that is to be tried again is in neither part, so that it is pruned and made anew.
    pub fn part(&self, children: Vec<Child>) -> (Vec<Child>, Vec<Child>) {
        let (mut wanted, mut held) = (Vec::new(), Vec::new());
        for child in children {
            match self.place(&child) {
                Place::Wanted => wanted.push(child),
                Place::Held => held.push(child),
                Place::Pruned => {}
            }
        }
        (wanted, held)
    }

    fn place(&self, child: &Child) -> Place {
        if child.kind == Kind::Job {
            return match self.migration {
                Migration::Waits | Migration::Failed { .. } => Place::Held,
                Migration::Again => Place::Pruned,
                Migration::None | Migration::Runs { .. } | Migration::Done => Place::Wanted,
            };
        }
        let is_service = services::SERVICES.iter().any(|s| child.component() == Some(s.component.as_str()));
        if child.kind.stage() == Stage::Workload && is_service && !self.serves() { Place::Held } else { Place::Wanted }
    }

    /// When to look again, if nothing is seen to change.
    pub fn pause(&self) -> Option<Duration> {
        match self.migration {
            Migration::Failed { pause } => Some(pause),
            _ => None,
        }
    }
}

enum Place {
    Wanted,
    Held,
    Pruned,
}
