//! How the stores of profile Distributed are doing.

use super::workload::{self, Workload};
use crate::{
    api::{DependencyStatus, Store},
    build::Kind,
    providers,
    steps::{observe::Observed, validate::ValidChat},
};

/// What stores of the operator are called in the status.
pub const MANAGED: &str = "managed";
/// What stores of somebody else are called in the status.
pub const EXTERNAL: &str = "external";

/// The stores of `chat`, in the order in which they are told.
pub fn assess(chat: &ValidChat, observed: &Observed) -> Vec<DependencyStatus> {
    let one = |store: Store| {
        if chat.managed(store).is_some() {
            let image = chat.store_images.get(&store).map(ToString::to_string);
            Some(DependencyStatus { image, ..providers::assess(chat, store, observed) })
        } else {
            chat.external(store).map(|_| external(store, observed))
        }
    };
    Store::ALL.into_iter().filter_map(one).collect()
}

fn external(store: Store, observed: &Observed) -> DependencyStatus {
    let probed = observed.probes.get(&store).map(Vec::as_slice).unwrap_or_default();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let lost: Vec<String> = probed
        .iter()
        .filter_map(|probe| Some(format!("{} does not answer: {}", probe.endpoint, probe.trouble.as_deref()?)))
        .collect();
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
        message: message.map(|message| message.chars().take(512).collect()),
        ..DependencyStatus::default()
    }
}

/// Whether a store is as the resource wants it. Of a store of somebody else one endpoint is enough: how many it needs,
/// its owner knows.
pub fn is_ready(dependency: &DependencyStatus) -> bool {
    dependency.reachable && (dependency.provider == EXTERNAL || dependency.ready >= dependency.desired)
}

/// A store as a part of the platform, for the conditions.
pub fn part(chat: &ValidChat, observed: &Observed, store: Store, dependency: &DependencyStatus) -> Workload {
    if dependency.provider == MANAGED {
        return Workload {
            note: Some(format!("{} of {} nodes are ready", dependency.ready, dependency.desired)),
            exists: true,
            ..workload::assess(observed, &chat.names, Kind::StatefulSet, store.component(), dependency.desired)
        };
    }
    let is_ready = is_ready(dependency);
    Workload {
        name: store.as_str(),
        desired: 1,
        ready: i32::from(is_ready),
        settled: is_ready,
        exists: true,
        note: Some(format!("{} of {} endpoints answer", dependency.ready, dependency.desired)),
        trouble: dependency.message.clone().filter(|_| !is_ready),
        trouble_reason: "StoreUnreachable",
    }
}
