//! How many nodes of a managed store may run, and which one is to go.
//!
//! Nodes are added freely: a new one takes up its part by itself. Taking one away would lose what only it holds. So a
//! node of Cassandra or Elasticsearch first gives its data to the others and proves that, one node at a time; the other
//! stores keep their nodes, and the user is told how. Each step is decided anew from what is seen, so an operator that
//! was interrupted goes on where it was.

mod leave;
mod nodes;

use super::Scale;
use crate::api::Store;

pub(super) use self::nodes::Nodes;

/// Copies that a store of that many nodes keeps of everything.
pub(super) fn copies(store: Store, nodes: i32) -> i32 {
    // An index has a primary and one copy of it.
    let most = if store == Store::Elasticsearch { 2 } else { 3 };
    nodes.clamp(1, most)
}

/// Judges a change from what runs of the StatefulSet `name` to `wanted` nodes.
pub(super) fn decide(store: Store, name: &str, nodes: &Nodes, wanted: i32) -> Scale {
    // Neither pods nor volumes: there is no node that could lose anything.
    let Some(running) = nodes.running.filter(|running| *running > 0) else { return Scale::of(wanted) };
    if matches!(store, Store::Cassandra | Store::Elasticsearch) {
        return leave::decide(store, name, nodes, running, wanted);
    }
    if wanted >= running {
        return Scale::of(wanted);
    }
    Scale { refusal: Some(refusal(store, name, running, wanted)), ..Scale::of(running) }
}

/// Why `running` nodes stay, and what to do.
fn refusal(store: Store, name: &str, running: i32, wanted: i32) -> String {
    let field = format!("dependencies.{}.managed.replicas", store.as_str());
    let copies = copies(store, running);
    let emptying = match store {
        Store::Kafka => "move its partitions away with kafka-reassign-partitions.sh",
        _ => "move its data",
    };
    let by_hand = format!(
        "for each from {name}-{} down to {name}-{wanted} {emptying}; then kubectl scale statefulset {name} \
         --replicas={wanted}, and delete the volume claims of these nodes",
        running - 1,
    );
    // What Kafka began with stays: of two nodes, the first is the only controller in any case, and the other can be emptied.
    let is_emptied = store == Store::Kafka && running == 2;
    let is_clustered = matches!(store, Store::Cassandra | Store::Kafka | Store::Elasticsearch);
    if is_clustered && wanted < copies && !is_emptied {
        let otherwise = if store == Store::Kafka {
            format!(" (then entry controllers of Secret {name}-credentials is 1, and there is a way: {by_hand})")
        } else {
            String::new()
        };
        return format!(
            "{field}: {running} nodes stay, because {wanted} cannot hold {copies} copies of everything, as there are \
             unless it began with fewer nodes{otherwise}; write {copies} or more"
        );
    }
    format!("{field}: {running} nodes stay, because the ones to go hold data; write {running}, or {by_hand}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTERED: [Store; 3] = [Store::Cassandra, Store::Kafka, Store::Elasticsearch];

    fn running(running: i32) -> Nodes {
        Nodes { running: Some(running), highest: running - 1, settled: true, has_pod: true, ..Nodes::default() }
    }

    #[test]
    fn nodes_are_made_and_added_as_they_are_asked_for() {
        for store in CLUSTERED {
            for (now, wanted) in [(None, 3), (Some(1), 3), (Some(3), 3), (Some(3), 5), (Some(0), 3)] {
                let nodes = now.map_or_else(Nodes::default, running);
                let scale = decide(store, "chat-x", &nodes, wanted);
                assert_eq!(scale, Scale::of(wanted), "{store:?} {now:?} → {wanted}");
            }
        }
    }

    #[test]
    fn nodes_of_kafka_are_kept_and_the_user_is_told_how_to_move_their_data() {
        let scale = decide(Store::Kafka, "chat-x", &running(5), 3);
        assert_eq!(scale.replicas, 5);
        let refusal = scale.refusal.unwrap();
        assert!(refusal.starts_with("dependencies.kafka.managed.replicas: "), "{refusal}");
        assert!(refusal.contains("kafka-reassign-partitions.sh"), "{refusal}");
        assert!(refusal.contains("from chat-x-4 down to chat-x-3"), "{refusal}");
        assert!(refusal.contains("kubectl scale statefulset chat-x --replicas=3"), "{refusal}");
        assert!(refusal.ends_with("and delete the volume claims of these nodes"), "{refusal}");
        assert_eq!(decide(Store::Kafka, "chat-x", &running(3), 3).refusal, None, "once it was done by hand");
    }

    #[test]
    fn a_kafka_that_grew_is_told_the_way_back() {
        let refusal = |now, wanted| decide(Store::Kafka, "chat-kafka", &running(now), wanted).refusal.unwrap();
        let of_two = refusal(2, 1);
        assert!(of_two.contains("from chat-kafka-1 down to chat-kafka-1 move its partitions away with"), "{of_two}");
        assert!(of_two.ends_with("and delete the volume claims of these nodes"), "{of_two}");
        assert!(!of_two.contains("copies"), "it may have begun with one: {of_two}");
        // One that began with three cannot have fewer; one that began with one can.
        let of_three = refusal(3, 1);
        assert!(of_three.contains("entry controllers of Secret chat-kafka-credentials is 1"), "{of_three}");
        assert!(
            of_three.contains("from chat-kafka-2 down to chat-kafka-1 move its partitions away with"),
            "{of_three}"
        );
    }

    #[test]
    fn fewer_nodes_than_copies_are_refused_plainly() {
        for (store, now, wanted, copies) in [
            (Store::Cassandra, 5, 2, "3"),
            (Store::Cassandra, 3, 1, "3"),
            (Store::Cassandra, 2, 1, "2"),
            (Store::Kafka, 5, 1, "3"),
            (Store::Elasticsearch, 3, 1, "2"),
        ] {
            let scale = decide(store, "chat-x", &running(now), wanted);
            assert_eq!((scale.replicas, &scale.leaving), (now, &None), "{store:?}");
            let refusal = scale.refusal.unwrap();
            assert!(refusal.contains(&format!("{copies} copies")), "{refusal}");
            assert!(refusal.ends_with(&format!("write {copies} or more")), "{refusal}");
        }
    }
}
