//! What is seen of the nodes of one managed store, as far as it matters for taking one away.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::Value;

use crate::{
    api::Store,
    build::Kind,
    names::Names,
    providers::{LEAVING, LEFT},
    steps::{
        observe::{Observed, may_hold_data, search_nodes::SearchNodes},
        plan,
        status::pods,
    },
};

/// What a node of Cassandra says when it is started although it has left the ring.
const WAS_DECOMMISSIONED: &str = "was decommissioned and will not rejoin";
/// What a node says that tried to leave in vain.
const CANNOT_LEAVE: &str = "cannot leave the ring";

/// A data volume of the last node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// There is none.
    #[default]
    None,
    /// It never had a volume.
    Empty,
    /// It has a volume, to stay; or had one that is lost, whose data may be nowhere else either.
    Kept,
    /// It goes as soon as its pod has gone.
    Going,
}

/// What is seen of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Nodes that the StatefulSet is to have. Of one that is not there, or was scaled to nothing, those whose volumes are
    /// there: what they hold may be nowhere else. None without either.
    pub running: Option<i32>,
    /// Whether all of them are there, of the current revision and ready.
    pub settled: bool,
    /// Number of the last node: of the set, or of a pod that is not gone yet or still counted.
    pub highest: i32,
    /// Data volume of the last node.
    pub claim: Claim,
    /// Whether the last node has a pod.
    pub has_pod: bool,
    /// Whether the last node said that it has given its data away and left.
    pub left: bool,
    /// Why the last node could not leave, when it tried last.
    pub complaint: Option<String>,
    /// Machine on which the pod of the last node hangs that is to be gone.
    pub hangs_on: Option<String>,
    /// Node that is told to leave.
    pub told: Option<String>,
    /// What Elasticsearch says; none when it was not asked.
    pub search: Option<Result<SearchNodes, String>>,
}

impl Nodes {
    /// Reads what is about `store`.
    pub fn of(store: Store, names: &Names, observed: &Observed) -> Self {
        let name = names.workload(store.component());
        let set = observed.get(Kind::StatefulSet, &name);
        let number = |pointer: &str| {
            let found = set.and_then(|set| set.pointer(pointer)).and_then(Value::as_i64);
            found.and_then(|n| i32::try_from(n).ok())
        };
        let running = number("/spec/replicas").filter(|running| *running > 0).or_else(|| with_volumes(observed, &name));
        let all = |pointer: &str| number(pointer) == running;
        let seen = number("/status/observedGeneration") >= number("/metadata/generation");
        let ordinal = |pod: &Pod| pod.metadata.name.as_deref().and_then(|pod| ordinal(pod, &name));
        let last_pod = observed.pods.iter().filter_map(ordinal).max().unwrap_or(-1);
        // Until its controller counts it no more, a pod is not gone either.
        let last_counted = number("/status/replicas").unwrap_or(0) - 1;
        let highest = last_pod.max(running.unwrap_or(0) - 1).max(last_counted);
        let node = format!("{name}-{highest}");
        let pod = observed.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(&node));
        let claim = observed.claims.iter().find(|claim| claim.metadata.name == Some(format!("data-{node}")));
        let config = observed.get(Kind::ConfigMap, &names.component(store.component()));
        Self {
            running,
            settled: seen && all("/status/replicas") && all("/status/readyReplicas") && all("/status/updatedReplicas"),
            highest,
            claim: claim.map_or(Claim::None, state),
            has_pod: pod.is_some(),
            left: pod.and_then(pods::ended_with).is_some_and(has_left),
            complaint: pod.and_then(pods::said_last).and_then(complaint),
            hangs_on: pod.and_then(|pod| pods::hangs_on(pod, observed.read_at)).map(String::from),
            told: config.and_then(|map| map["data"][LEAVING].as_str()).map(String::from),
            search: observed.search_nodes.clone().filter(|_| store == Store::Elasticsearch),
        }
    }
}

impl Nodes {
    /// Whether the last node never had a volume: so there is nothing that could be lost with it.
    pub fn never_ran(&self) -> bool {
        !self.settled && (self.claim == Claim::Empty || (self.claim == Claim::None && !self.has_pod))
    }
}

/// How many nodes of the StatefulSet `set` have to run so that each of those runs whose volume is there, to stay.
fn with_volumes(observed: &Observed, set: &str) -> Option<i32> {
    let kept = observed.claims.iter().filter(|claim| state(claim) == Claim::Kept);
    kept.filter_map(|claim| Some(plan::ordinal_of(claim.metadata.name.as_deref()?, set)? + 1)).max()
}

/// The number of a pod of the StatefulSet `set`.
fn ordinal(pod: &str, set: &str) -> Option<i32> {
    pod.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

fn state(claim: &PersistentVolumeClaim) -> Claim {
    if claim.metadata.deletion_timestamp.is_some() {
        Claim::Going
    } else if may_hold_data(claim) {
        Claim::Kept
    } else {
        Claim::Empty
    }
}

fn has_left(words: &str) -> bool {
    words.starts_with(LEFT) || words.contains(WAS_DECOMMISSIONED)
}

fn complaint(words: &str) -> Option<String> {
    words.starts_with(CANNOT_LEAVE).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, state: &Value, last: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": name }, "status": { "containerStatuses": [{
            "name": "cassandra", "image": "c", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last }] } }))
        .unwrap()
    }

    fn seen(state: &Value, last: &Value) -> Nodes {
        let mut observed = Observed::default();
        let set = json!({ "spec": { "replicas": 4 }, "metadata": { "generation": 1 }, "status": {
            "observedGeneration": 1, "replicas": 4, "readyReplicas": 4, "updatedReplicas": 4 } });
        observed.put(Kind::StatefulSet, "chat-cassandra", set);
        observed.put(Kind::ConfigMap, "chat-cassandra", json!({ "data": { LEAVING: "chat-cassandra-3" } }));
        let others = pod("chat-cassandra-pods-9", &json!({}), &json!({}));
        observed.pods = vec![pod("chat-cassandra-3", state, last), others];
        observed.claims = vec![
            serde_json::from_value(json!({ "metadata": { "name": "data-chat-cassandra-3" },
            "status": { "phase": "Bound" } }))
            .unwrap(),
        ];
        Nodes::of(Store::Cassandra, &Names::new("chat"), &observed)
    }

    fn ended(message: &str) -> Value {
        json!({ "terminated": { "exitCode": 0, "message": message } })
    }

    #[test]
    fn what_is_seen_is_told_of_the_last_node() {
        let nodes = seen(&json!({ "running": {} }), &json!({}));
        assert_eq!((nodes.running, nodes.highest, nodes.settled, nodes.claim), (Some(4), 3, true, Claim::Kept));
        assert_eq!(nodes.told.as_deref(), Some("chat-cassandra-3"));
    }

    #[test]
    fn nodes_whose_volumes_are_there_count_as_running_while_there_is_no_set() {
        let claim = |name: &str, phase: &str| -> PersistentVolumeClaim {
            serde_json::from_value(json!({ "metadata": { "name": name }, "status": { "phase": phase } })).unwrap()
        };
        let of = |observed: &Observed| Nodes::of(Store::Cassandra, &Names::new("chat"), observed);
        let mut observed = Observed::default();
        assert_eq!(of(&observed).running, None);
        observed.claims = vec![claim("data-chat-cassandra-0", "Bound"), claim("data-chat-cassandra-4", "Bound")];
        let mut going = claim("data-chat-cassandra-6", "Bound");
        going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        observed.claims.extend([
            claim("data-chat-cassandra-5", "Pending"),
            going,
            claim("data-chat-kafka-7", "Bound"),
            claim("data-chat-cassandra-pods-8", "Bound"),
        ]);
        let nodes = of(&observed);
        assert_eq!((nodes.running, nodes.highest, nodes.settled, nodes.claim), (Some(5), 4, false, Claim::Kept));
        let set = |replicas: i32| json!({ "spec": { "replicas": replicas }, "status": { "replicas": replicas } });
        observed.put(Kind::StatefulSet, "chat-cassandra", set(0));
        assert_eq!((of(&observed).running, of(&observed).settled), (Some(5), false));
        observed.put(Kind::StatefulSet, "chat-cassandra", set(3));
        assert_eq!(of(&observed).running, Some(3), "what runs is what counts");
    }

    #[test]
    fn a_node_whose_volume_is_lost_did_run() {
        let claim = |spec: Value, phase: &str| -> PersistentVolumeClaim {
            serde_json::from_value(json!({ "metadata": { "name": "data-chat-cassandra-1" }, "spec": spec,
                "status": { "phase": phase } }))
            .unwrap()
        };
        let mut observed = Observed::default();
        let set = json!({ "spec": { "replicas": 2 }, "status": { "replicas": 2, "readyReplicas": 1 } });
        observed.put(Kind::StatefulSet, "chat-cassandra", set);
        for (claimed, never_ran) in [
            (claim(json!({}), "Pending"), true),
            (claim(json!({ "volumeName": "" }), "Pending"), true),
            (claim(json!({ "volumeName": "pv-1" }), "Pending"), false),
            (claim(json!({ "volumeName": "pv-1" }), "Lost"), false),
            (claim(json!({}), "Lost"), false),
        ] {
            observed.claims = vec![claimed];
            let nodes = Nodes::of(Store::Cassandra, &Names::new("chat"), &observed);
            assert_eq!(nodes.never_ran(), never_ran, "{:?}", observed.claims);
        }
    }

    #[test]
    fn a_node_has_left_only_while_it_does_not_run_again() {
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let left = ended("left the ring");
        assert!(seen(&left, &json!({})).left);
        assert!(seen(&waiting, &left).left);
        assert!(!seen(&json!({ "running": {} }), &left).left, "it may have joined anew");
        assert!(!seen(&waiting, &ended("the volume is full")).left);
        let refused = "ERROR This node was decommissioned and will not rejoin the ring unless ...";
        assert!(seen(&waiting, &ended(refused)).left);
    }

    #[test]
    fn why_a_node_cannot_leave_is_told_while_it_tries_again() {
        let nodes = seen(&json!({ "running": {} }), &ended("cannot leave the ring: stream failed"));
        assert_eq!(nodes.complaint.as_deref(), Some("cannot leave the ring: stream failed"));
        assert!(!nodes.left);
    }
}
