//! How many nodes of a managed store may run.
//!
//! Nodes are added freely: a new one takes up its part by itself. Taking one away loses what only it holds, so the
//! number of those that run is kept until their data has been moved, and the user is told how.

use super::Scale;
use crate::api::Store;

/// Copies that a store of that many nodes keeps of everything.
pub(super) fn copies(nodes: i32) -> i32 {
    nodes.clamp(1, 3)
}

/// Judges a change from `running` nodes of the StatefulSet `name` to `wanted` ones. None run yet: anything goes.
pub(super) fn decide(store: Store, name: &str, running: Option<i32>, wanted: i32) -> Scale {
    // A set that was scaled to nothing by hand has no node that could lose anything.
    let Some(running) = running.filter(|running| *running > 0 && wanted < *running) else {
        return Scale { replicas: wanted, refusal: None };
    };
    let field = format!("dependencies.{}.managed.replicas", store.as_str());
    let refusal = if matches!(store, Store::Cassandra | Store::Kafka) && wanted < copies(running) {
        let copies = copies(running);
        format!(
            "{field}: {running} nodes stay, because {wanted} cannot hold {copies} copies of everything, as there are \
             unless it began with fewer nodes; write {copies} or more"
        )
    } else {
        format!(
            "{field}: {running} nodes stay, because the ones to go hold data; write {running}, or for each from \
             {name}-{} down to {name}-{wanted} {}; then kubectl scale statefulset {name} --replicas={wanted}",
            running - 1,
            emptying(store),
        )
    };
    Scale { replicas: running, refusal: Some(refusal) }
}

/// How the data of a node is moved to the others.
fn emptying(store: Store) -> &'static str {
    match store {
        Store::Cassandra => "run nodetool decommission in it and wait until it ends",
        Store::Kafka => "move its partitions away with kafka-reassign-partitions.sh",
        Store::Elasticsearch => {
            "put its name into cluster.routing.allocation.exclude._name and wait until it holds no shard"
        }
        Store::Postgres | Store::Redis | Store::S3 => "move its data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTERED: [Store; 3] = [Store::Cassandra, Store::Kafka, Store::Elasticsearch];

    #[test]
    fn nodes_are_made_and_added_as_they_are_asked_for() {
        for store in CLUSTERED {
            for (running, wanted) in [(None, 3), (Some(1), 3), (Some(3), 3), (Some(3), 5), (Some(0), 3)] {
                let scale = decide(store, "chat-x", running, wanted);
                assert_eq!(scale, Scale { replicas: wanted, refusal: None }, "{store:?} {running:?} → {wanted}");
            }
        }
    }

    #[test]
    fn nodes_with_data_are_kept_and_the_user_is_told_how_to_move_it() {
        for (store, how) in [
            (Store::Cassandra, "nodetool decommission"),
            (Store::Kafka, "kafka-reassign-partitions.sh"),
            (Store::Elasticsearch, "exclude._name"),
        ] {
            let scale = decide(store, "chat-x", Some(5), 3);
            assert_eq!(scale.replicas, 5);
            let refusal = scale.refusal.unwrap();
            assert!(refusal.starts_with(&format!("dependencies.{}.managed.replicas: ", store.as_str())), "{refusal}");
            assert!(refusal.contains(how), "{refusal}");
            assert!(refusal.contains("from chat-x-4 down to chat-x-3"), "{refusal}");
            assert!(refusal.contains("kubectl scale statefulset chat-x --replicas=3"), "{refusal}");
        }
    }

    #[test]
    fn what_cannot_be_done_by_hand_either_is_refused_plainly() {
        for store in [Store::Cassandra, Store::Kafka] {
            for wanted in [1, 2] {
                let scale = decide(store, "chat-x", Some(5), wanted);
                assert_eq!(scale.replicas, 5);
                let refusal = scale.refusal.unwrap();
                assert!(refusal.contains("3 copies") && refusal.ends_with("write 3 or more"), "{refusal}");
            }
        }
        // Two nodes have two copies at most, so one cannot be left.
        assert!(decide(Store::Cassandra, "chat-x", Some(2), 1).refusal.unwrap().contains("2 copies"));
    }

    #[test]
    fn once_it_was_done_by_hand_nothing_is_refused() {
        assert_eq!(decide(Store::Cassandra, "chat-x", Some(3), 3).refusal, None);
    }
}
