//! How a managed store is doing, from its StatefulSet and pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{Scale, scale};
use crate::{
    api::{DependencyStatus, Store},
    build::Kind,
    steps::{
        observe::Observed,
        status::{
            dependencies::{BY_IMAGE, MANAGED, MESSAGE_MAX},
            part::Part,
            pods, workload,
        },
        validate::ValidChat,
    },
};

/// Nodes as they are counted.
#[derive(Clone, Copy, Debug, Default)]
struct Nodes {
    /// Pods, whatever they do.
    pods: i32,
    /// Pods of the newest revision.
    updated: i32,
    /// Pods that are ready.
    ready: i32,
    /// Those of them that do not leave.
    ready_others: i32,
}

impl Nodes {
    /// Also while the controller has not seen the newest generation: a node that is ready serves all the same.
    fn of(chat: &ValidChat, store: Store, observed: &Observed, scale: &Scale) -> Self {
        let set = observed.get(Kind::StatefulSet, &chat.names.workload(store.component()));
        let number = |name: &str| {
            let found = set.and_then(|set| set.pointer(&format!("/status/{name}"))).and_then(Value::as_i64);
            found.and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
        };
        let leaver = observed.pods.iter().find(|pod| scale.leaving.is_some() && pod.metadata.name == scale.leaving);
        let ready = number("readyReplicas");
        Self {
            pods: number("replicas"),
            updated: number("updatedReplicas"),
            ready,
            ready_others: ready - i32::from(leaver.is_some_and(pods::is_ready)),
        }
    }

    /// Whether reads and writes succeed.
    fn are_usable(self, store: Store, scale: &Scale) -> bool {
        let leaver_counts = scale.members > scale.others();
        is_usable(store, scale.members, self.pods, if leaver_counts { self.ready } else { self.ready_others })
    }
}

/// The nodes of `store` as one workload. Of a store that a node leaves, all others have to serve: that one stops at some
/// time, and is counted until its pod is gone.
pub(super) fn workload(chat: &ValidChat, store: Store, observed: &Observed, scale: &Scale) -> Part {
    let judged = workload::assess(observed, &chat.names, Kind::StatefulSet, store.component(), scale.replicas);
    if scale.leaving.is_none() || judged.is_ready() {
        return judged;
    }
    let (nodes, others) = (Nodes::of(chat, store, observed, scale), scale.others());
    if nodes.ready_others < others || nodes.updated < nodes.pods || !nodes.are_usable(store, scale) {
        return judged;
    }
    Part { desired: others, ready: nodes.ready_others.min(others), settled: true, ..judged }
}

/// How `store` is doing; `scale` is how many nodes it may have.
pub(super) fn assess(chat: &ValidChat, store: Store, observed: &Observed, scale: &Scale) -> DependencyStatus {
    let workload = workload(chat, store, observed, scale);
    let image = chat.store_images.get(&store);
    let message = message(&workload, scale).or_else(|| shared_machine(chat, store, observed));
    // While nodes of two images run there is no one version.
    let version = image.filter(|_| workload.settled).map(|image| image.version().to_owned());
    DependencyStatus {
        name: store.as_str().into(),
        provider: MANAGED.into(),
        desired: scale.replicas,
        ready: workload.ready,
        reachable: Nodes::of(chat, store, observed, scale).are_usable(store, scale),
        version_source: version.as_ref().map(|_| BY_IMAGE.into()),
        version,
        image: image.map(ToString::to_string),
        problem: None,
        looked_at: None,
        endpoints: Vec::new(),
        message: message.map(|text| text.chars().take(MESSAGE_MAX).collect()),
    }
}

/// What is wrong now comes before what was refused.
fn message(workload: &Part, scale: &Scale) -> Option<String> {
    let told = [&workload.trouble, &scale.trouble, &scale.refusal, &scale.progress];
    told.into_iter()
        .find_map(Clone::clone)
        .or_else(|| workload.is_moving().then(|| format!("{} of {} nodes are ready", workload.ready, workload.desired)))
}

/// Which nodes of `store` go down with one machine while there are others. Kubernetes spreads them where it can, and no
/// further: on one machine, or where volumes are bound to theirs, they have to start all the same.
fn shared_machine(chat: &ValidChat, store: Store, observed: &Observed) -> Option<String> {
    let set = chat.names.workload(store.component());
    let machine = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let is_there = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && !pods::has_ended(pod);
    let known: BTreeSet<String> = observed.pods.iter().filter(is_there).filter_map(machine).collect();
    let nodes = || observed.pods.iter().filter(is_there).filter(|pod| pods::is_of_set(pod, &set));
    let mut on: BTreeMap<String, usize> = BTreeMap::new();
    for machine in nodes().filter_map(machine) {
        *on.entry(machine).or_default() += 1;
    }
    // Of several, the first by name, or the status would change with each look.
    let (machine, shared) = on.into_iter().rev().max_by_key(|(_, nodes)| *nodes)?;
    let (all, store) = (nodes().count(), store.as_str());
    (shared > 1 && known.len() > 1).then(|| {
        format!(
            "{shared} of {all} nodes run on machine {machine} and go down with it, though there are others; to part them, write \
             dependencies.{store}.managed.pod.topologySpreadConstraints, or delete one of these pods once another machine has room"
        )
    })
}

/// Whether reads and writes succeed: of three copies one may be missing. Also while nodes are changed one by one.
fn is_usable(store: Store, desired: i32, pods: i32, ready: i32) -> bool {
    let copies = scale::copies(store, desired);
    // Nodes that are yet to come hold nothing.
    let members = desired.min(pods).max(copies);
    let spare = i32::from(copies >= 3 || (store == Store::Elasticsearch && desired >= 3));
    ready >= members - spare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_leaves_is_a_member_until_it_has_left() {
        let nodes = |ready, ready_others| Nodes { pods: 5, updated: 5, ready, ready_others };
        let leaving = Some("chat-cassandra-4".to_owned());
        let moving = Scale { leaving, ..Scale::of(5) };
        let left = Scale { members: 4, ..moving.clone() };
        let shrunk = Scale { leaving: moving.leaving.clone(), ..Scale::of(4) };
        assert_eq!((moving.others(), left.others(), shrunk.others(), Scale::of(5).others()), (4, 4, 4, 5));
        for (scale, nodes, expected) in [
            (&moving, nodes(5, 4), true),
            (&moving, nodes(4, 4), true),
            // It has stopped before its data was elsewhere, and another one is missing.
            (&moving, nodes(3, 3), false),
            (&left, nodes(4, 3), true),
            (&left, nodes(3, 2), false),
            (&shrunk, nodes(4, 4), true),
            (&shrunk, nodes(3, 2), false),
        ] {
            assert_eq!(nodes.are_usable(Store::Cassandra, scale), expected, "{scale:?} {nodes:?}");
        }
    }

    #[test]
    fn one_of_three_may_be_missing_and_none_of_fewer() {
        for (desired, pods, ready, expected) in [
            (1, 1, 1, true),
            (1, 1, 0, false),
            (1, 0, 0, false),
            (2, 2, 1, false),
            (2, 2, 2, true),
            (3, 3, 3, true),
            (3, 3, 2, true),
            (3, 3, 1, false),
            // At the beginning, the first of three is not enough; two are.
            (3, 1, 1, false),
            (3, 3, 2, true),
            // The fourth is joining.
            (5, 4, 3, true),
            (5, 5, 3, false),
        ] {
            assert_eq!(is_usable(Store::Cassandra, desired, pods, ready), expected, "{ready} of {pods} of {desired}");
        }
    }
}
