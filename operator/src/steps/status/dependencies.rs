//! How the stores of profile Distributed are doing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sentinel_domain::findings::Finding;

use super::part::Part;
use crate::{
    api::{DependencyStatus, External, Store},
    providers,
    steps::{
        findings,
        observe::Observed,
        sequence::{Migration, Sequence},
        validate::ValidChat,
    },
};

/// What stores of the operator are called in the status.
pub const MANAGED: &str = "managed";
/// What stores of somebody else are called in the status.
pub const EXTERNAL: &str = "external";

/// Longest message that the schema takes.
pub const MESSAGE_MAX: usize = 1024;

/// Where a version is from that a store told itself.
pub const BY_STORE: &str = "Store";
/// Where the version is from of a store that does not tell it.
pub const BY_IMAGE: &str = "Image";

/// The stores of `chat`, in the order in which they are told: what is seen of them, and what the platform's own look at
/// them found. What it found before, as `previous` has it, stands until there is a newer one.
pub fn assess(
    chat: &ValidChat,
    observed: &Observed,
    previous: &[DependencyStatus],
    sequence: &Sequence,
) -> Vec<DependencyStatus> {
    let found = findings::newest(observed, sequence);
    let mut all = seen(chat, observed);
    for status in &mut all {
        let Some(store) = Store::ALL.into_iter().find(|store| store.as_str() == status.name) else { continue };
        let before = previous.iter().find(|before| is_same(before, status));
        // The pod of a later look may be gone while that of an earlier one is there, as of the migration.
        let is_newer = |time: &Timestamp| {
            let known = before.and_then(|before| before.looked_at.as_deref()?.parse::<Timestamp>().ok());
            known.is_none_or(|known| *time >= known)
        };
        let newer = found.as_ref().filter(|(time, _)| is_newer(time));
        let newer = newer.and_then(|(time, found)| Some((time, found.stores.get(&status.name)?)));
        if status.provider == EXTERNAL && !status.reachable && do_services_reach(before, newer) {
            let lost = lost(store, observed).join("; ");
            status.reachable = true;
            status.message = Some(short(&format!("services reach it, and the operator does not: {lost}")));
        }
        match newer {
            Some((time, finding)) => {
                add(chat, store, status, finding, sequence);
                status.looked_at = Some(time.to_string());
            }
            None => carry(status, before),
        }
        if let Some(trouble) = observed.full.get(&status.name) {
            status.problem = Some(findings::problem(trouble.kind).into());
            status.reachable = false;
            status.message = Some(short(&findings::advise(chat, store, trouble)));
        }
    }
    all
}

/// Whether `before` tells of the very store that `now` does: behind other endpoints is another one, of which nothing is known.
fn is_same(before: &DependencyStatus, now: &DependencyStatus) -> bool {
    let endpoints = |status: &DependencyStatus| status.endpoints.iter().cloned().collect::<BTreeSet<_>>();
    // Earlier operators did not tell them.
    let is_known = before.provider == EXTERNAL && !before.endpoints.is_empty();
    before.name == now.name && before.provider == now.provider && (!is_known || endpoints(before) == endpoints(now))
}

/// Whether the platform's own look, from where services run, found that a store can be used which the operator does not
/// reach. One from before the operator lost it tells nothing, until there is another one.
fn do_services_reach(before: Option<&DependencyStatus>, found: Option<(&Timestamp, &Finding)>) -> bool {
    let was_so = before.is_some_and(|before| before.reachable && before.ready == 0);
    let looked_at = before.and_then(|before| before.looked_at.as_deref()?.parse::<Timestamp>().ok());
    match found {
        None => was_so,
        Some((time, finding)) => {
            finding.trouble.is_none() && (was_so || looked_at.is_none_or(|looked_at| *time > looked_at))
        }
    }
}

/// Adds what was found of a store to what is seen of it.
fn add(chat: &ValidChat, store: Store, status: &mut DependencyStatus, finding: &Finding, sequence: &Sequence) {
    // Of a store of the operator, its pods tell what comes later; nobody looks at it again.
    let is_failed = matches!(sequence.migration, Migration::Failed { .. } | Migration::Again);
    let counts = status.provider == EXTERNAL || (is_failed && status.reachable);
    if let Some(version) = finding.version.as_ref().filter(|_| status.provider == EXTERNAL || status.version.is_some())
    {
        status.version = Some(version.clone());
        status.version_source = Some(BY_STORE.into());
    }
    if let Some(trouble) = finding.trouble.as_ref().filter(|_| counts) {
        status.problem = Some(findings::problem(trouble.kind).into());
        status.reachable = false;
        status.message = Some(short(&findings::advise(chat, store, trouble)));
    }
    if let Some(note) = &finding.note {
        let seen = status.message.take().map(|seen| format!("{seen}; ")).unwrap_or_default();
        status.message = Some(format!("{seen}{note}").chars().take(MESSAGE_MAX).collect());
    }
}

/// Keeps what was found before.
fn carry(status: &mut DependencyStatus, before: Option<&DependencyStatus>) {
    let Some(before) = before else { return };
    status.looked_at.clone_from(&before.looked_at);
    if status.provider == EXTERNAL || (status.version.is_some() && status.image == before.image) {
        carry_version(status, before);
    }
    // A full volume is told anew each time.
    let problem = before.problem.as_deref().filter(|problem| *problem != findings::FULL);
    if status.provider == EXTERNAL && problem.is_some() {
        status.problem.clone_from(&before.problem);
        status.message.clone_from(&before.message);
        status.reachable = false;
    }
}

fn carry_version(status: &mut DependencyStatus, before: &DependencyStatus) {
    if before.version.is_none() {
        return;
    }
    // Earlier operators did not tell where it is from.
    let is_of_image = status.version == before.version;
    let source = status.version_source.take().filter(|_| is_of_image);
    status.version_source = before.version_source.clone().or(source);
    status.version.clone_from(&before.version);
}

/// What is seen of the stores of `chat`: pods and connections.
pub fn seen(chat: &ValidChat, observed: &Observed) -> Vec<DependencyStatus> {
    let one = |store: Store| {
        if chat.managed(store).is_some() {
            let image = chat.store_images.get(&store).map(ToString::to_string);
            Some(DependencyStatus { image, ..providers::assess(chat, store, observed) })
        } else {
            chat.external(store).map(|external| self::external(store, external, observed))
        }
    };
    Store::ALL.into_iter().filter_map(one).collect()
}

fn external(store: Store, external: &External, observed: &Observed) -> DependencyStatus {
    let probed = observed.probes.get(&store).map(Vec::as_slice).unwrap_or_default();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let lost = lost(store, observed);
    let ready = probed.len() - lost.len();
    let message = match (ready, lost.is_empty()) {
        (_, true) => None,
        (0, false) => Some(format!(
            "{}; correct dependencies.{}.external.endpoints, or let the operator and the services connect",
            lost.join("; "),
            store.as_str()
        )),
        (_, false) => Some(lost.join("; ")),
    };
    DependencyStatus {
        name: store.as_str().into(),
        provider: EXTERNAL.into(),
        desired: count(probed.len()),
        ready: count(ready),
        reachable: ready > 0,
        message: message.as_deref().map(short),
        endpoints: external.endpoints.clone(),
        ..DependencyStatus::default()
    }
}

/// Endpoints of an external store that were not reached, and why.
fn lost(store: Store, observed: &Observed) -> Vec<String> {
    let probed = observed.probes.get(&store).into_iter().flatten();
    probed.filter_map(|probe| Some(format!("{} {}", probe.endpoint, probe.trouble?))).collect()
}

fn short(message: &str) -> String {
    message.chars().take(512).collect()
}

/// Whether a migration can tell more of a store than what is seen of it: the operator may have no way to a store of somebody
/// else that services reach.
pub fn can_be_looked_at(observed: &Observed, dependency: &DependencyStatus) -> bool {
    let of = |store: &&Store| store.as_str() == dependency.name;
    let probed = Store::ALL.iter().find(of).and_then(|store| observed.probes.get(store));
    let mut troubles = probed.into_iter().flatten().map(|probe| probe.trouble);
    is_ready(dependency) || troubles.any(|trouble| trouble.is_some_and(|trouble| !trouble.is_final()))
}

/// Whether a store is as the resource wants it. Of a store of somebody else one endpoint is enough: how many it needs,
/// its owner knows.
pub fn is_ready(dependency: &DependencyStatus) -> bool {
    dependency.reachable && (dependency.provider == EXTERNAL || dependency.ready >= dependency.desired)
}

/// A store as a part of the platform, for the conditions.
pub fn part(chat: &ValidChat, observed: &Observed, store: Store, dependency: &DependencyStatus) -> Part {
    let (ready, desired, is_managed) = (dependency.ready, dependency.desired, dependency.provider == MANAGED);
    let counted = if is_managed { "nodes are ready" } else { "endpoints answer" };
    let note = format!("{ready} of {desired} {counted}");
    if is_managed && dependency.problem.is_none() {
        return Part { exists: true, ..providers::workload(chat, store, observed) }.with_note(note);
    }
    let is_ready = is_ready(dependency);
    let part = Part::whole(store.as_str(), is_ready).with_note(note);
    match &dependency.message {
        Some(message) if !is_ready => part.with_trouble(findings::reason(dependency.problem.as_deref()), message),
        _ => part,
    }
}
