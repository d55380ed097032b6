//! Cassandra: a ring whose nodes join one after the other, with passwords and permissions.
//!
//! A new ring has one role, `cassandra`, with the password `cassandra`. Only a client can change that, and images have
//! none: `sentinel migrate` makes the role of the Secret and disables the default before the first service connects.
//! Until then the NetworkPolicy alone keeps others away.
//!
//! A node leaves by itself, because its management port is open to nobody else: it watches the entry of its ConfigMap
//! that names the node to leave, decommissions itself and says so as it ends.

use super::node::{self, CONFIG, Node, Pace, RUN, set};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of a node in MiB when the resource says nothing.
const MEMORY: u32 = 768;

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    let heap = super::memory::heap(memory);
    let pods = node::domain(chat, Store::Cassandra);
    let configuration = format!("{RUN}/conf");
    let node = Node {
        user: 999,
        start: node::fill(include_str!("cassandra/start.sh"), &[("PODS", &pods)]),
        command: Vec::new(),
        files: vec![
            ("cassandra.yaml", cassandra_yaml(&chat.names.instance, heap)),
            ("jvm-server.options", jvm_options(heap)),
            (
                "jvm17-server.options",
                node::fill(include_str!("cassandra/jvm17-server.options"), &[("GC", &super::memory::collector(heap))]),
            ),
            ("logback.xml", include_str!("cassandra/logback.xml").into()),
            ("started.sh", include_str!("cassandra/started.sh").into()),
        ],
        // nodetool reads them, too.
        env: vec![set("CASSANDRA_CONF", &configuration), set("CASSANDRA_LOG_DIR", "/tmp"), set("HOME", "/tmp")],
        ports: vec![("cql", super::client_port(Store::Cassandra)), ("storage", PEER_PORT)],
        volume: "/var/lib/cassandra",
        scratch: Vec::new(),
        // Roles are in the database, not in its configuration.
        needs_credentials: false,
        // A node that joins copies its part first, which takes as long as it takes.
        startup: node::exec(&format!("sh {CONFIG}/started.sh"), Pace { seconds: 2, failures: 10_800 }),
        liveness: node::connects("storage", Pace::LIFE),
        readiness: node::connects("cql", Pace::SERVICE),
        before_stop: Some(["/opt/cassandra/bin/nodetool", "drain"].map(String::from).to_vec()),
        grace: 120,
        together: false,
        pause: None,
        cpu: "200m",
        memory: "640Mi",
        limit: MEMORY,
    };
    node::objects(chat, Store::Cassandra, managed, facts, node)
}

/// Port between nodes.
pub(super) const PEER_PORT: u16 = 7000;

/// `cassandra.yaml` for nodes of a `heap` in MiB; the start script fills in what differs between them.
fn cassandra_yaml(cluster: &str, heap: u32) -> String {
    node::fill(
        include_str!("cassandra/cassandra.yaml"),
        &[
            ("CLUSTER", &cluster),
            ("MEMTABLE", &(heap / 4)),
            ("CACHE", &(heap / 8).clamp(16, 512)),
            ("SMALL", &(heap / 32).clamp(4, 100)),
        ],
    )
}

/// `jvm-server.options` for nodes of a `heap` in MiB.
fn jvm_options(heap: u32) -> String {
    node::fill(include_str!("cassandra/jvm-server.options"), &[("HEAP", &heap), ("DIRECT", &(heap / 2))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_node_is_told_the_same_but_for_its_name() {
        let text = cassandra_yaml("chat", 256);
        let yaml: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(yaml["authenticator"], "PasswordAuthenticator");
        assert_eq!(yaml["memtable_heap_space"], "64MiB");
        assert_eq!(yaml["seed_provider"][0]["parameters"][0]["seeds"], "@SEEDS@");
        assert_eq!(text.matches('@').count(), 2 * 3, "only the seeds and two addresses are left: {text}");
    }

    #[test]
    fn heap_and_collector_follow_the_memory() {
        assert!(jvm_options(256).starts_with("-Xms256m\n-Xmx256m\n"));
        assert!(!jvm_options(256).contains('@'));
    }
}
