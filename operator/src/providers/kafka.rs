//! Kafka without ZooKeeper: the first nodes are brokers and controllers, further ones are brokers.
//!
//! The set of controllers is written into every node's configuration and cannot change while they run, so it is decided
//! with the first credentials and kept in them. Nodes that are added later are brokers, which is safe at any time; they
//! get partitions of new topics, and of old ones by `kafka-reassign-partitions.sh`. Both listeners ask for the password,
//! since not every cluster enforces NetworkPolicies.

use super::node::{self, CONFIG, Node, Pace, set};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of a node in MiB when the resource says nothing.
const MEMORY: u32 = 640;
/// Port of controllers.
pub(super) const CONTROLLER_PORT: u16 = 9093;
/// Partitions that a volume has room for.
const PARTITIONS: u32 = 32;

/// How many controllers a cluster gets that begins with that many nodes. Two would stop when either does.
pub(super) fn controllers(nodes: i32) -> i32 {
    if nodes < 3 { 1 } else { 3 }
}

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    // Two fifths: it leaves its data to the page cache, and needs less beside the heap than other engines.
    let heap = (memory / 5 * 2).clamp(64, 31 << 10);
    let pods = node::domain(chat, Store::Kafka);
    let node = Node {
        user: 1000,
        start: node::fill(include_str!("kafka/start.sh"), &[("PODS", &pods)]),
        command: Vec::new(),
        files: vec![
            ("server.properties", server_properties(super::volume(managed, facts))),
            ("log4j2.properties", include_str!("kafka/log4j2.properties").into()),
        ],
        env: vec![
            set("KAFKA_HEAP_OPTS", &format!("-Xms{heap}m -Xmx{heap}m")),
            set(
                "KAFKA_JVM_PERFORMANCE_OPTS",
                &format!("{} -Djava.awt.headless=true", super::memory::engine(heap).join(" ")),
            ),
            set("KAFKA_LOG4J_OPTS", &format!("-Dlog4j2.configurationFile={CONFIG}/log4j2.properties")),
            set("LOG_DIR", "/tmp"),
            // Instead of upstream's default, which writes the collector's log to files.
            set("EXTRA_ARGS", "-name kafka"),
        ],
        ports: vec![("kafka", super::client_port(Store::Kafka)), ("controller", CONTROLLER_PORT)],
        volume: "/var/lib/kafka/data",
        scratch: Vec::new(),
        needs_credentials: true,
        // It opens the port for clients once the controllers have let it in.
        startup: node::connects("kafka", Pace::START),
        liveness: node::connects("kafka", Pace::LIFE),
        readiness: node::connects("kafka", Pace::SERVICE),
        before_stop: None,
        // It hands its partitions over first.
        grace: 90,
        together: true,
        // A little time for copies to catch up, which nothing looks at: where they take longer, producers wait until enough
        // are in step again, since a write that is acknowledged has two copies where three are kept.
        pause: Some(10),
        cpu: "100m",
        memory: "448Mi",
        limit: MEMORY,
    };
    node::objects(chat, Store::Kafka, managed, facts, node)
}

/// What all nodes of a cluster with volumes of `volume` MiB are told.
fn server_properties(volume: u32) -> String {
    let mib = u64::from(volume / PARTITIONS).max(8);
    let retention = mib << 20;
    let segment = (mib / 4).clamp(4, 64) << 20;
    node::fill(include_str!("kafka/server.properties"), &[("RETENTION", &retention), ("SEGMENT", &segment)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str, name: &str) -> u64 {
        text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().parse().unwrap()
    }

    #[test]
    fn partitions_cannot_fill_the_volume() {
        for gib in [1_u32, 8, 100] {
            let text = server_properties(gib << 10);
            let most = setting(&text, "log.retention.bytes") + setting(&text, "log.segment.bytes");
            assert!(most * 24 < u64::from(gib) << 30, "{most} of {gib} GiB");
            assert!(!text.contains('@'));
        }
    }

    #[test]
    fn an_even_number_of_controllers_helps_nobody() {
        assert_eq!([1, 2, 3, 4, 9].map(controllers), [1, 1, 3, 3, 3]);
    }
}
