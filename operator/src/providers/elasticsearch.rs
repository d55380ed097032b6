//! Elasticsearch without passwords: not all its builds have them, so its NetworkPolicy alone decides who may connect.
//!
//! The first node makes the cluster and all others look for it: a list of nodes that may make one together would let
//! nodes that are added later make a second one.

use super::node::{self, CONFIG, Node, Pace, RUN, set};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts, pod},
    steps::validate::ValidChat,
};

/// Memory of a node in MiB when the resource says nothing.
const MEMORY: u32 = 768;
/// What the JVM logs: warnings, to the container's log. Upstream's default writes the collector's log to files, up to 2 GB
/// below a folder that has 16 MiB here, and the node would be evicted. `disable` takes back what its own options asked for
/// (<https://www.elastic.co/guide/en/elasticsearch/reference/8.17/gc-logging.html>).
const JVM_LOG: &str = "-Xlog:disable -Xlog:all=warning:stderr:utctime,level,tags";
/// Port between nodes.
pub(super) const PEER_PORT: u16 = 9300;

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    let heap = super::memory::heap(memory);
    let pods = node::domain(chat, Store::Elasticsearch);
    let volume = super::volume(managed, facts);
    let node = Node {
        user: 1000,
        start: node::fill(include_str!("elasticsearch/start.sh"), &[("PODS", &pods)]),
        command: Vec::new(),
        files: vec![
            ("elasticsearch.yml", elasticsearch_yml(&chat.names.instance, &pods, volume)),
            ("log4j2.properties", include_str!("elasticsearch/log4j2.properties").into()),
            ("started.sh", include_str!("elasticsearch/started.sh").into()),
        ],
        env: vec![
            set("ES_PATH_CONF", &format!("{RUN}/conf")),
            set("ES_JAVA_OPTS", &format!("-Xms{heap}m -Xmx{heap}m {JVM_LOG}")),
            set("ES_TMPDIR", "/tmp"),
        ],
        ports: vec![("http", super::client_port(Store::Elasticsearch)), ("transport", PEER_PORT)],
        volume: "/var/lib/elasticsearch",
        scratch: vec![("logs", "/usr/share/elasticsearch/logs")],
        needs_credentials: false,
        startup: node::exec(&format!("sh {CONFIG}/started.sh"), Pace::START),
        liveness: node::connects("transport", Pace::LIFE),
        // What the node knows itself: nodes are started one after the other, and the first of several has no cluster.
        readiness: pod::probe("/_cluster/health?local=true", "http", 3, 2),
        before_stop: None,
        grace: 60,
        together: false,
        // Until the copies of a node that was changed have caught up.
        pause: Some(5),
        cpu: "200m",
        memory: "576Mi",
        limit: MEMORY,
    };
    node::objects(chat, Store::Elasticsearch, managed, facts, node)
}

/// `elasticsearch.yml` for nodes with volumes of `volume` MiB.
fn elasticsearch_yml(cluster: &str, pods: &str, volume: u32) -> String {
    let [low, high, flood] = watermarks(volume);
    node::fill(
        include_str!("elasticsearch/elasticsearch.yml"),
        &[("CLUSTER", &cluster), ("PODS", &pods), ("SIZE", &volume), ("LOW", &low), ("HIGH", &high), ("FLOOD", &flood)],
    )
}

/// MiB that are free when a node gets no more shards, when it gives some away, and when it takes no more writes.
fn watermarks(volume: u32) -> [u32; 3] {
    let part = |hundredths: u32, most: u32| (volume / 100 * hundredths).min(most);
    [part(15, 20 << 10), part(10, 10 << 10), part(5, 5 << 10)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn small_volumes_are_used_as_far_as_large_ones() {
        assert_eq!(watermarks(1 << 10), [150, 100, 50]);
        assert_eq!(watermarks(1 << 20), [20 << 10, 10 << 10, 5 << 10]);
        for volume in [64, 1 << 10, 8 << 10, 1 << 20] {
            let [low, high, flood] = watermarks(volume);
            assert!(low >= high && high >= flood && low < volume, "{volume}");
        }
    }

    #[test]
    fn configuration_names_the_other_nodes() {
        let text = elasticsearch_yml("chat", "chat-elasticsearch-pods.team.svc", 8 << 10);
        let yaml: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(yaml["discovery.seed_hosts"][0], "chat-elasticsearch-pods.team.svc:9300");
        assert_eq!(yaml["node.name"], "${POD_NAME}");
        assert!(!text.contains('@'), "{text}");
    }
}
