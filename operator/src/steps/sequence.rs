//! The order of stores, migration and services. Nothing waits inside of a reconcile: what has to wait is held back, and
//! what runs of it goes on as it is. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{
    fields, findings,
    observe::{Observed, is_being_deleted, warnings},
    plan::{self, Plan},
    status::{dependencies, pods, workload},
    validate::ValidChat,
};
use crate::{
    api::{DependencyStatus, MigrationStatus, SentinelChatStatus, Store},
    build::{Child, Kind, Stage, is_check, services},
    names::{APPLIED, COMPONENT, Component, MANAGER},
    subset::is_same,
};

/// Pause after the first failure; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Longest pause when it was a store that could not be used: looking at it again costs little.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// How often stores of somebody else are looked at while they can be used.
const LOOKED_EVERY: Duration = Duration::from_mins(5);
/// How long a look may take once it runs; it has shorter limits of its own.
const LOOK: SignedDuration = SignedDuration::from_mins(3);
/// How long a look may take to begin before it is told what keeps it: nothing waits for it, and a node may be on its way.
const BEGINS: Duration = Duration::from_mins(10);
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
        /// What keeps its pod from starting or ending: a reason and what to do.
        trouble: Option<(&'static str, String)>,
    },
    /// It failed and is tried again later.
    Failed {
        /// How long it has to wait.
        pause: Duration,
    },
    /// It failed and is tried again now.
    Again,
    /// It failed or gets no further, and its pod is to run otherwise by now: it is made anew.
    Outdated,
    /// The stores have the schema.
    Done,
}

/// How the look at stores of somebody else stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It is not due, or there is nothing to look at.
    #[default]
    Rests,
    /// It runs, or is about to.
    Runs {
        /// What has kept its pod from starting for long: a reason and what to do.
        trouble: Option<(&'static str, String)>,
    },
    /// It has ended and is due again.
    Again,
}

/// What may be applied now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// How the migration stands.
    pub migration: Migration,
    /// What is told of it.
    pub status: Option<MigrationStatus>,
    /// Whether it succeeded and its Job is there no more.
    is_cleaned_up: bool,
    /// How the look at stores of somebody else stands.
    pub check: Check,
    /// Name of the Job that looks at stores of somebody else.
    pub check_job: Option<String>,
    /// Name of the ConfigMap that services read.
    config: String,
}

/// Judges how far the resource is.
pub fn judge(
    chat: &ValidChat,
    children: &[Child],
    observed: &Observed,
    previous: Option<&SentinelChatStatus>,
    now: Timestamp,
) -> Sequence {
    let is_migration = |child: &&Child| child.kind == Kind::Job && !is_check(chat, child);
    let Some(job) = children.iter().find(is_migration) else { return Sequence::default() };
    let mut status = previous
        .and_then(|status| status.migration.as_ref())
        .filter(|status| status.job == job.name)
        .cloned()
        .unwrap_or_else(|| MigrationStatus { job: job.name.clone(), ..MigrationStatus::default() });
    let live = observed.get(Kind::Job, &job.name);
    let is_cleaned_up = live.is_none() && status.succeeded_at.is_some();
    let migration = match live {
        None if is_cleaned_up => Migration::Done,
        None if are_stores_ready(chat, children, observed) => Migration::Runs { trouble: None },
        None => Migration::Waits,
        Some(live) => match (condition(live, "Complete"), condition(live, "Failed")) {
            (Some(complete), _) => {
                let time = complete["lastTransitionTime"].as_str().map(String::from).or(status.succeeded_at);
                let succeeded_at = time.or_else(|| Some(now.to_string()));
                status = MigrationStatus { job: job.name.clone(), succeeded_at, ..MigrationStatus::default() };
                Migration::Done
            }
            (None, Some(failed)) => {
                let next = after_failure(chat, live, failed, observed, &mut status, now);
                if is_outdated(job, observed) { Migration::Outdated } else { next }
            }
            (None, None) => match trouble(observed, live, &job.name) {
                // What runs is not disturbed.
                Some(_) if is_outdated(job, observed) => Migration::Outdated,
                trouble => Migration::Runs { trouble },
            },
        },
    };
    let check_job = children.iter().find(|child| is_check(chat, child));
    let check = match check_job.filter(|_| migration == Migration::Done) {
        Some(check) => look(check, status.succeeded_at.as_deref(), observed, previous, now),
        None => Check::Rests,
    };
    let check_job = check_job.map(|job| job.name.clone());
    Sequence { migration, status: Some(status), is_cleaned_up, check, check_job, config: chat.names.config() }
}

/// Whether the pod of a Job that is there is to run in another way by now, with other resources for example.
fn is_outdated(job: &Child, observed: &Observed) -> bool {
    let live = observed.get(job.kind, &job.name);
    live.is_some_and(|live| live["metadata"]["annotations"][APPLIED].is_string()) && !plan::is_applied(job, observed)
}

/// What keeps the pod of a Job from starting or ending.
fn trouble(observed: &Observed, job: &Value, name: &str) -> Option<(&'static str, String)> {
    // A pod that has ended is told when its Job has ended, too.
    let mut running = pods_of(observed, job).filter(|pod| !pods::has_failed(pod));
    let failing = running
        .find_map(|pod| pods::trouble(pod, observed.read_at).or_else(|| workload::does_not_begin(observed, pod)));
    let hung = || pods_of(observed, job).find_map(|pod| pods::hangs(pod, observed.read_at));
    let refused = || Some(fields::with_field(Component::Migration.as_str(), observed.warning("Job", name)?.to_owned()));
    failing
        .map(|trouble| ("PodFailing", trouble))
        .or_else(|| Some((pods::HANGS, hung()?)))
        .or_else(|| Some((warnings::FAILED_CREATE, refused()?)))
}

/// When stores of somebody else are looked at: some time after the migration did, again and again, and sooner while one
/// of them can't be used.
fn look(
    check: &Child,
    migrated: Option<&str>,
    observed: &Observed,
    previous: Option<&SentinelChatStatus>,
    now: Timestamp,
) -> Check {
    let is_past = |ended: Option<&str>, wait: Duration| {
        let since: Option<Timestamp> = ended.and_then(|time| time.parse().ok());
        since.is_none_or(|since| now.duration_since(since) >= SignedDuration::try_from(wait).unwrap_or_default())
    };
    let live = observed.get(Kind::Job, &check.name);
    let found = live.and_then(|live| pods_of(observed, live).find_map(findings::of_pod));
    // To look again helps only where something is found: earlier images do not look at S3.
    let is_told = |d: &DependencyStatus| found.as_ref().is_none_or(|(_, found)| found.stores.contains_key(&d.name));
    let has_problem = previous.is_some_and(|status| {
        let is_lost = |d: &DependencyStatus| !d.reachable && is_told(d);
        status.dependencies.iter().any(|d| d.provider == dependencies::EXTERNAL && (d.problem.is_some() || is_lost(d)))
    });
    let Some(live) = live else {
        let is_due = has_problem || is_past(migrated, LOOKED_EVERY);
        return if is_due { Check::Runs { trouble: None } } else { Check::Rests };
    };
    let is_lost = |pod: &Pod| {
        let is_late = pods::runs_since(pod).is_some_and(|since| now.duration_since(since) >= LOOK);
        is_late || pods::hangs(pod, now).is_some()
    };
    let wait = if has_problem { LONGEST_LOOK } else { LOOKED_EVERY };
    match condition(live, "Complete").or_else(|| condition(live, "Failed")) {
        None if is_outdated(check, observed) => Check::Again,
        // Nobody waits for it, and to look twice does no harm.
        None if pods_of(observed, live).any(is_lost) => Check::Again,
        None => {
            let is_late = is_past(live["metadata"]["creationTimestamp"].as_str(), BEGINS);
            Check::Runs { trouble: trouble(observed, live, &check.name).filter(|_| is_late) }
        }
        Some(ended) if is_past(ended["lastTransitionTime"].as_str(), wait) => Check::Again,
        Some(_) => Check::Rests,
    }
}

fn after_failure(
    chat: &ValidChat,
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
            .find_map(|pod| last_words(chat, pod))
            .or_else(|| failed["message"].as_str().map(String::from))
            .map(|words| shorten(&words));
        status.failed_uid = uid;
        status.succeeded_at = None;
    }
    let doublings = u32::try_from(status.failures - 1).unwrap_or(0).min(16);
    let found = pods_of(observed, live).find_map(findings::of_pod);
    let is_of_store = found.is_some_and(|(_, found)| found.failure.is_none());
    let longest = if is_of_store { LONGEST_LOOK } else { LONGEST_PAUSE };
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(longest);
    let since: Option<Timestamp> = failed["lastTransitionTime"].as_str().and_then(|time| time.parse().ok());
    let waited = since.map_or(SignedDuration::MAX, |since| now.duration_since(since));
    match pause.checked_sub(Duration::try_from(waited).unwrap_or_default()) {
        Some(left) if !left.is_zero() => Migration::Failed { pause: left },
        _ => Migration::Again,
    }
}

/// The condition `type_` of an object, if it is true.
pub(super) fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_ && condition["status"] == "True")
}

/// By uid: the pod of an earlier Job of that name may not be gone yet.
pub(super) fn pods_of<'a>(observed: &'a Observed, job: &Value) -> impl Iterator<Item = &'a Pod> {
    let uid = job.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    observed.pods.iter().filter(move |pod| {
        pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job" && owner.uid == uid)
    })
}

/// What the container wrote before it ended.
fn last_words(chat: &ValidChat, pod: &Pod) -> Option<String> {
    if let Some((_, found)) = findings::of_pod(pod) {
        return findings::tell(chat, &found);
    }
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

/// Whether all stores are ready as the resource wants them, as far as the operator can tell.
fn are_stores_ready(chat: &ValidChat, children: &[Child], observed: &Observed) -> bool {
    let is_store = |child: &Child| Store::ALL.iter().any(|store| child.component() == Some(store.as_str()));
    let mut workloads = children.iter().filter(|child| child.kind.stage() == Stage::Workload && is_store(child));
    // What is observed may be about what the stores were before a change that is not applied yet.
    workloads.all(|child| plan::is_applied(child, observed))
        && dependencies::seen(chat, observed).iter().all(|seen| dependencies::can_be_looked_at(observed, seen))
}

fn is_of_service(child: &Child) -> bool {
    services::SERVICES.iter().any(|service| child.component() == Some(service.component.as_str()))
}

/// Whether the operator wrote these rules of a live NetworkPolicy: it is noted who did, and whoever changes one of them takes
/// over all.
fn is_own(policy: &Value, rules: &str) -> bool {
    let writers = policy["metadata"]["managedFields"].as_array().into_iter().flatten();
    let wrote = |writer: &Value| writer["fieldsV1"]["f:spec"].get(format!("f:{rules}")).is_some();
    writers.filter(|writer| writer["manager"] == MANAGER).any(wrote)
}

/// Whether a rule names peers or ports. One without is for everybody and everything, as the operator writes none.
fn names_something(rule: &Value) -> bool {
    ["from", "to", "ports"].iter().any(|part| rule[*part].as_array().is_some_and(|named| !named.is_empty()))
}

impl Sequence {
    /// Whether services may be changed.
    pub fn serves(&self) -> bool {
        matches!(self.migration, Migration::None | Migration::Done)
    }

    /// Whether a Job of that name is about the image and the stores of now. One of before may have left its pod behind.
    pub fn is_current(&self, job: &str) -> bool {
        self.status.as_ref().is_some_and(|status| status.job == job) || self.check_job.as_deref() == Some(job)
    }

    /// Parts children into what is wanted now and what has to wait. What waits is neither changed nor pruned. A Job that is
    /// to be made anew is in neither part, so that it is pruned first.
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
        if child.kind == Kind::Job && self.check_job.as_ref() == Some(&child.name) {
            return match self.check {
                Check::Rests => Place::Held,
                Check::Runs { .. } => Place::Wanted,
                Check::Again => Place::Pruned,
            };
        }
        if child.kind == Kind::Job {
            return match self.migration {
                Migration::Waits | Migration::Failed { .. } => Place::Held,
                Migration::Again | Migration::Outdated => Place::Pruned,
                // It would run a second time.
                Migration::Done if self.is_cleaned_up => Place::Held,
                Migration::None | Migration::Runs { .. } | Migration::Done => Place::Wanted,
            };
        }
        let is_workload = child.kind.stage() == Stage::Workload && is_of_service(child);
        // A pod of before that starts again must not read what is for another image or other stores.
        let is_config = child.kind == Kind::ConfigMap && child.name == self.config;
        if (is_workload || is_config) && !self.serves() { Place::Held } else { Place::Wanted }
    }

    /// Whether services run as `wanted` has them, so that nothing of before is needed any more.
    pub fn is_settled(&self, chat: &ValidChat, wanted: &[Child], observed: &Observed) -> bool {
        let mut workloads = wanted.iter().filter(|child| child.kind.stage() == Stage::Workload && is_of_service(child));
        self.serves()
            && workloads.all(|child| plan::is_applied(child, observed))
            && services::of(chat).iter().all(|service| {
                let desired = service.replicas(chat, observed);
                workload::assess(observed, &chat.names, service.kind(), service.component, desired).is_ready()
            })
    }

    /// Pods of before may still connect to what they use: rules of NetworkPolicies that the operator wrote stay with the
    /// new ones. Those of somebody else go, as they do at any other time.
    pub fn keep_flows(wanted: &mut [Child], observed: &Observed) {
        for child in wanted.iter_mut().filter(|child| child.kind == Kind::NetworkPolicy) {
            let Some(live) = observed.get(child.kind, &child.name) else { continue };
            for rules in ["ingress", "egress"].into_iter().filter(|rules| is_own(live, rules)) {
                let mut kept = live["spec"][rules].as_array().cloned().unwrap_or_default();
                let Some(wanted) = child.value["spec"][rules].as_array_mut() else { continue };
                kept.retain(|live| names_something(live) && !wanted.iter().any(|rule| is_same(rule, live)));
                wanted.splice(0..0, kept);
            }
        }
    }

    /// Pods of before still sign links to a managed S3 that somebody else's is to follow, and these lead through the
    /// gateway: what it runs with waits until that S3 may go. A gateway that is not there has nothing to wait for.
    pub fn keep_gateway(chat: &ValidChat, wanted: &mut Vec<Child>, held: &mut Vec<Child>, observed: &Observed) {
        let live = |kind, name: &str| observed.get(kind, name);
        let set = live(Kind::StatefulSet, &chat.names.workload(Component::S3)).filter(|set| !is_being_deleted(set));
        let gateway = chat.names.gateway();
        if chat.external(Store::S3).is_none() || set.is_none() || live(Kind::Deployment, &gateway).is_none() {
            return;
        }
        let (kept, others): (Vec<Child>, Vec<Child>) = std::mem::take(wanted).into_iter().partition(|child| {
            let is_gateway = matches!(child.kind, Kind::ConfigMap | Kind::Deployment) && child.name == gateway;
            is_gateway && live(child.kind, &gateway).is_some()
        });
        *wanted = others;
        held.extend(kept);
    }

    /// Stores that the operator is no longer to run stay: pods of before use them, and there is a way back while it is
    /// not known whether the new ones can be used.
    pub fn keep_stores(chat: &ValidChat, plan: &mut Plan, observed: &Observed) {
        plan.prune.retain(|object| {
            let live = observed.get(object.kind, &object.name);
            let component = live.and_then(|live| live["metadata"]["labels"][COMPONENT].as_str());
            !Store::ALL.into_iter().any(|store| chat.managed(store).is_none() && component == Some(store.as_str()))
        });
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
