//! How a managed store is doing, from its StatefulSet and pods.

use serde_json::Value;

use super::{Scale, scale};
use crate::{
    api::{DependencyStatus, Store},
    build::Kind,
    steps::{
        observe::Observed,
        status::workload::{self, Workload},
        validate::ValidChat,
    },
};

/// Longest message that the schema takes.
const MESSAGE_MAX: usize = 1024;

/// How `store` is doing; `scale` is how many nodes it may have.
pub(super) fn assess(chat: &ValidChat, store: Store, observed: &Observed, scale: &Scale) -> DependencyStatus {
    let component = store.component();
    let workload = workload::assess(observed, &chat.names, Kind::StatefulSet, component, scale.replicas);
    let set = observed.get(Kind::StatefulSet, &chat.names.workload(component));
    let number = |pointer: &str| {
        set.and_then(|set| set.pointer(pointer))
            .and_then(Value::as_i64)
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(0)
    };
    let image = chat.store_images.get(&store);
    let message = message(&workload, scale);
    DependencyStatus {
        name: store.as_str().into(),
        provider: "managed".into(),
        desired: scale.replicas,
        ready: workload.ready,
        reachable: is_usable(store, scale.replicas, number("/status/replicas"), number("/status/readyReplicas")),
        // While nodes of two images run there is no one version.
        version: image.filter(|_| workload.settled).map(|image| image.version().to_owned()),
        image: image.map(ToString::to_string),
        problem: None,
        looked_at: None,
        message: message.map(|text| text.chars().take(MESSAGE_MAX).collect()),
    }
}

/// What is wrong now comes before what was refused.
fn message(workload: &Workload, scale: &Scale) -> Option<String> {
    let told = [&workload.trouble, &scale.trouble, &scale.refusal, &scale.progress];
    told.into_iter()
        .find_map(Clone::clone)
        .or_else(|| workload.is_moving().then(|| format!("{} of {} nodes are ready", workload.ready, workload.desired)))
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
