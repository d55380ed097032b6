//! Elasticsearch without passwords: not all its builds have them, so its NetworkPolicy alone decides who may connect.
//!
//! The first node makes the cluster and all others look for it: a list of nodes that may make one together would let
//! nodes that are added later make a second one. Once there were several, the ConfigMap says so, and a first node whose volume
//! is empty joins the others.

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
        // What the node knows itself: nodes are started one after the other, and the first of several has no cluster. So it
        // tells nothing of shards: a node that waited for all of them would wait for those that are started after it.
        readiness: pod::probe("/_cluster/health?local=true", "http", 3, 2),
        before_stop: None,
        grace: 60,
        together: false,
        // A little time for copies to catch up, which nothing looks at: where they take longer, what the next node has alone
        // cannot be searched until that is back.
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

    /// Runs the start script of the node of that number on an empty volume in a folder of its own: whether it would make a
    /// cluster.
    fn makes_a_cluster(ordinal: u32, founded: bool, other: Option<u32>) -> bool {
        let root = std::env::temp_dir().join(format!("sentinel-start-{}", uuid::Uuid::new_v4()));
        let at = |path: &str| root.join(path).to_string_lossy().into_owned();
        for folder in ["volume", "config", "image/config"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["elasticsearch.yml", "log4j2.properties"] {
            std::fs::write(at(&format!("config/{file}")), "").unwrap();
        }
        if founded {
            std::fs::write(at(&format!("config/{}", crate::providers::FOUNDED)), "yes").unwrap();
        }
        let known = other.map_or_else(String::new, |other| format!("chat-elasticsearch-{other}.pods"));
        let script = format!("{}{}", include_str!("prelude.sh"), include_str!("elasticsearch/start.sh"));
        let own = [
            ("/var/lib/elasticsearch", at("volume")),
            ("/etc/sentinel/store", at("config")),
            ("/usr/share/elasticsearch", at("image")),
            ("@PODS@", "pods".into()),
            ("exec ", "exec cat \"$ES_PATH_CONF/elasticsearch.yml\" # ".into()),
        ];
        let script = own.iter().fold(script, |script, (text, own)| script.replace(text, own));
        std::fs::write(at("start.sh"), format!("getent() {{ [ \"$2\" = '{known}' ]; }}\n{script}")).unwrap();
        let ended = std::process::Command::new("sh")
            .arg(at("start.sh"))
            .env("POD_NAME", format!("chat-elasticsearch-{ordinal}"))
            .env("STORE", "elasticsearch")
            .env("ES_PATH_CONF", at("conf"))
            .output()
            .unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap().contains("cluster.initial_master_nodes: [ chat-elasticsearch-0 ]")
    }

    #[test]
    fn the_first_node_makes_a_cluster_once() {
        assert!(makes_a_cluster(0, false, None));
        assert!(!makes_a_cluster(0, true, None), "it lost its volume: the others are a cluster without it");
        assert!(!makes_a_cluster(0, false, Some(1)));
        assert!(!makes_a_cluster(1, false, None));
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
