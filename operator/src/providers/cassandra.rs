//! Cassandra: a ring whose nodes join one after the other, with passwords and permissions.
//!
//! A new ring has one role, `cassandra`, with the password `cassandra`. Only a client can change that, and images have
//! none: `sentinel migrate` makes the role of the Secret and disables the default before the first service connects.
//! Until then the NetworkPolicy alone keeps others away.
//!
//! A node leaves by itself, because its management port is open to nobody else: it watches the entry of its ConfigMap
//! that names the node to leave, decommissions itself and says so as it ends.
//!
//! A node keeps the rows that a new one took over, and would serve them again when that leaves: also what was deleted
//! meanwhile and is not known as deleted any more. So each cleans up when the nodes of the ring are others: an entry of the
//! ConfigMap tells it soon, and within an hour their ids do, of which a node that joins anew has another.
//!
//! The first node founds the ring, once: when the ConfigMap says that it was founded, a first node whose volume is empty
//! joins through the others, or ends and says what to do while no other runs.

use super::node::{self, CONFIG, Node, Pace, RUN, set};
use crate::{
    api::{Managed, Resources, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of a node in MiB when the resource says nothing.
const MEMORY: u32 = 768;

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    let heap = super::memory::heap(memory);
    let share = Share { heap, cores: cores(managed.resources.as_ref()), volume: super::volume(managed, facts) };
    let pods = node::domain(chat, Store::Cassandra);
    let configuration = format!("{RUN}/conf");
    let node = Node {
        user: 999,
        start: node::fill(include_str!("cassandra/start.sh"), &[("PODS", &pods)]),
        command: Vec::new(),
        files: vec![
            ("cassandra.yaml", cassandra_yaml(&chat.names.instance, share)),
            ("jvm-server.options", jvm_options(heap)),
            (
                "jvm17-server.options",
                node::fill(
                    include_str!("cassandra/jvm17-server.options"),
                    &[("ENGINE", &super::memory::engine(heap).join("\n"))],
                ),
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

/// What a node has of its machine.
#[derive(Clone, Copy)]
struct Share {
    /// MiB of Java's heap.
    heap: u32,
    /// Cores, rounded up.
    cores: u32,
    /// MiB of its volume.
    volume: u32,
}

/// Share of the heap that memtables get, and the same beside the heap.
const MEMTABLES: u32 = 4;

impl Share {
    /// MiB of the commit log. When it is full, memtables are written to disk however small they are, so it holds four times
    /// what they hold on the heap, but no more than Cassandra itself would take: 8 GiB, and a quarter of the volume.
    fn commit_log(self) -> u32 {
        (self.heap / MEMTABLES * 4).min(8 << 10).min(self.volume / 4).max(256)
    }

    /// Reads at a time. Cassandra's rule is 16 for each disk that turns; volumes do more, and then the cores are what counts.
    fn reads(self) -> u32 {
        (8 * self.cores).clamp(16, 128)
    }

    /// Writes at a time. Cassandra's rule is 8 for each core; each waits for its flush, so there are 64 at least.
    fn writes(self) -> u32 {
        (8 * self.cores).clamp(64, 256)
    }

    /// Compactions at a time. Cassandra's rule for volumes that do not turn is one for each core; half of them are left to
    /// clients, and no more than 8 are ever of use.
    fn compactors(self) -> u32 {
        (self.cores / 2).clamp(1, 8)
    }
}

/// Cores of a node, rounded up: its limit, else what is set aside for it; one when nothing is written.
fn cores(resources: Option<&Resources>) -> u32 {
    let cpu = resources.and_then(|resources| resources.limits.get("cpu").or_else(|| resources.requests.get("cpu")));
    // Amounts are counted in thousandths.
    let thousandths = cpu.and_then(|amount| u32::try_from(crate::subset::amount(&amount.0)?).ok()).unwrap_or(0);
    thousandths.div_ceil(1_000).max(1)
}

/// `cassandra.yaml` for nodes with that share; the start script fills in what differs between them.
fn cassandra_yaml(cluster: &str, share: Share) -> String {
    let heap = share.heap;
    node::fill(
        include_str!("cassandra/cassandra.yaml"),
        &[
            ("CLUSTER", &cluster),
            ("MEMTABLE", &(heap / MEMTABLES)),
            ("COMMIT_LOG", &share.commit_log()),
            ("READS", &share.reads()),
            ("WRITES", &share.writes()),
            ("COMPACTORS", &share.compactors()),
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
    use crate::api::Quantities;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use serde_json::Value;

    #[test]
    fn every_node_is_told_the_same_but_for_its_name() {
        let text = cassandra_yaml("chat", Share { heap: 256, cores: 1, volume: 8 << 10 });
        let yaml: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(yaml["authenticator"], "PasswordAuthenticator");
        assert_eq!(yaml["memtable_heap_space"], "64MiB");
        assert_eq!(yaml["batch_size_fail_threshold"], "2MiB", "a message of 1 MiB would be refused");
        assert_eq!(yaml["seed_provider"][0]["parameters"][0]["seeds"], "@SEEDS@");
        assert_eq!(text.matches('@').count(), 2 * 3, "only the seeds and two addresses are left: {text}");
    }

    #[test]
    fn a_node_makes_use_of_its_share_within_what_cassandra_recommends() {
        let of = |heap: u32, cores: u32, volume: u32| {
            let share = Share { heap, cores, volume };
            (share.commit_log(), share.reads(), share.writes(), share.compactors())
        };
        assert_eq!(of(256, 1, 8 << 10), (256, 16, 64, 1), "a node with what it has by default");
        assert_eq!(of(256, 1, 64), (256, 16, 64, 1), "no less, however small it is");
        assert_eq!(of(2730, 4, 100 << 10), (2728, 32, 64, 2));
        assert_eq!(of(8 << 10, 16, 500 << 10), (8 << 10, 128, 128, 8));
        assert_eq!(of(8 << 10, 16, 8 << 10), (2 << 10, 128, 128, 8), "a quarter of a small volume");
        assert_eq!(of(31 << 10, 96, 4 << 20), (8 << 10, 128, 256, 8), "no more, however large it is");
    }

    #[test]
    fn cores_are_those_of_the_limit_or_set_aside() {
        let cpu = |amount: &str| Quantities::from([("cpu".into(), Quantity(amount.into()))]);
        let both = Resources { requests: cpu("500m"), limits: cpu("2500m") };
        assert_eq!(cores(Some(&both)), 3);
        assert_eq!(cores(Some(&Resources { requests: cpu("4"), ..Resources::default() })), 4);
        assert_eq!((cores(Some(&Resources::default())), cores(None)), (1, 1));
    }

    #[test]
    fn heap_and_collector_follow_the_memory() {
        assert!(jvm_options(256).starts_with("-Xms256m\n-Xmx256m\n"));
        assert!(!jvm_options(256).contains('@'));
    }

    /// A node as its start script finds it.
    #[derive(Clone, Copy, Default)]
    struct Found {
        ordinal: u32,
        /// Its volume says that it has joined.
        joined: bool,
        /// The operator says that there was a ring.
        founded: bool,
        /// Number of another node that has a name.
        other: Option<u32>,
        /// What the operator says of who the nodes of the ring are.
        members: Option<&'static str>,
        /// Nodes of its ring, as states and numbers.
        ring: Ring,
        /// Nodes of its ring once it has asked for them.
        later: Option<Ring>,
        /// For whom the volume was cleaned up last; nodes of before wrote no ring.
        cleaned: Option<(&'static str, Ring)>,
        /// How its tools find it.
        state: State,
        /// Hours that it runs.
        hours: u32,
    }

    #[derive(Clone, Copy, Default, PartialEq)]
    enum State {
        #[default]
        Serves,
        /// It takes no clients yet.
        Starts,
        /// Cleaning up fails.
        Fails,
    }

    type Ring = &'static [(&'static str, u32)];

    const THREE: Ring = &[("UN", 1), ("UN", 2), ("UN", 3)];

    fn id(number: u32) -> String {
        format!("0b5f4f6e-3c1a-4f4e-9d5c-{number:012x}")
    }

    /// The ring as `nodetool status` tells it.
    fn status(ring: Ring) -> String {
        let node = |(state, number): &(&str, u32)| {
            let id = if *number == 0 { "null".into() } else { id(*number) };
            format!("{state}  10.0.0.{number}  104.3 KiB  16      76.0%             {id}  rack1\n")
        };
        let nodes: String = ring.iter().map(node).collect();
        format!(
            "Datacenter: datacenter1\n=======\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n--  Address\n{nodes}\n"
        )
    }

    /// Runs the start script in a folder of its own; the seeds that Cassandra would be started with, or the last words.
    fn start(found: Found) -> Result<String, String> {
        let root = std::env::temp_dir().join(format!("sentinel-start-{}", uuid::Uuid::new_v4()));
        let at = |path: &str| root.join(path);
        for folder in ["volume", "config", "bin", "cassandra/bin", "cassandra/conf"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        let write = |path: &str, text: &str| std::fs::write(at(path), text).unwrap();
        for file in ["jvm-server.options", "jvm17-server.options", "logback.xml"] {
            write(&format!("config/{file}"), "");
        }
        write("config/cassandra.yaml", "@SEEDS@");
        if found.joined {
            write("volume/joined", "");
        }
        if found.founded {
            write(&format!("config/{}", crate::providers::FOUNDED), "yes");
        }
        if let Some(members) = found.members {
            write(&format!("config/{}", crate::providers::MEMBERS), members);
        }
        if let Some((members, ring)) = found.cleaned {
            let ids = ring.iter().map(|(_, number)| format!("\n{}", id(*number)));
            write("volume/cleaned", &format!("{members}{}", ids.collect::<String>()));
        }
        write("config/started.sh", &format!("exit {}\n", u8::from(found.state == State::Starts)));
        write("ring", &status(found.ring));
        write("later", &status(found.later.unwrap_or(found.ring)));
        let ring = root.to_string_lossy();
        let asked = format!("[ \"$1\" != status ] || {{ cat {ring}/ring; cp {ring}/later {ring}/ring; exit; }}");
        write(
            "cassandra/bin/nodetool",
            &format!("{asked}\necho \"$*\"\nexit {}\n", u8::from(found.state == State::Fails)),
        );
        let known = found.other.map_or_else(String::new, |other| format!("chat-cassandra-{other}.pods"));
        let quick = [
            ("/var/lib/cassandra", "volume"),
            ("/etc/sentinel/store", "config"),
            ("/dev/termination-log", "words"),
            ("/opt/cassandra", "cassandra"),
        ];
        // A file that was just written cannot be run at all times, but read.
        let tool = "/opt/cassandra/bin/nodetool";
        let script = format!("{}{}", include_str!("prelude.sh"), include_str!("cassandra/start.sh"));
        let script = script.replace(tool, &format!("sh {tool}"));
        let script = quick.iter().fold(script, |script, (path, own)| script.replace(path, &at(own).to_string_lossy()));
        // Nothing is left that runs on: neither the node nor what watches beside it, which looks a few times.
        let script = script.replace("watch &\n", "watch || true\n").replace("@PODS@", "pods");
        let script = script.replace("exec ", "exec cat \"$CASSANDRA_CONF/cassandra.yaml\" # ");
        let most = 3 + 720 * found.hours;
        let looks = format!(
            "looks=0; sleep() {{ [ \"$1\" = 5 ] || return 0; looks=$((looks + 1)); [ \"$looks\" -le {most} ]; }}"
        );
        write("start.sh", &format!("getent() {{ [ \"$2\" = '{known}' ]; }}\n{looks}\n{script}"));
        let ended = std::process::Command::new("sh")
            .arg(at("start.sh"))
            .env("POD_NAME", format!("chat-cassandra-{}", found.ordinal))
            .env("POD_IP", "10.0.0.7")
            .env("STORE", "cassandra")
            .env("CASSANDRA_CONF", at("conf"))
            .output()
            .unwrap();
        let words = std::fs::read_to_string(at("words")).unwrap_or_default();
        std::fs::remove_dir_all(&root).unwrap();
        if ended.status.success() { Ok(String::from_utf8(ended.stdout).unwrap()) } else { Err(words) }
    }

    #[test]
    fn the_first_node_founds_a_ring_once_and_joins_it_when_its_volume_is_lost() {
        let first = Found::default();
        let others = "chat-cassandra-1.pods,chat-cassandra-2.pods";
        assert_eq!(start(first).unwrap(), format!("{others},10.0.0.7"), "nobody was there before");
        let lost = Found { founded: true, ..first };
        assert_eq!(start(Found { other: Some(2), ..lost }).unwrap(), others, "it asks those that run");
        let words = start(lost).unwrap_err();
        assert!(
            words.starts_with("the volume of chat-cassandra-0 is empty and no other node of its ring runs: "),
            "{words}"
        );
        // More is cut off in the status.
        assert!(words.lines().count() == 1 && words.len() <= 240, "{} {words}", words.len());
        let whole = Found { joined: true, ..lost };
        assert_eq!(start(whole).unwrap(), format!("{others},10.0.0.7"), "it begins again by itself");
    }

    #[test]
    fn a_node_cleans_up_once_when_the_nodes_of_the_ring_are_others() {
        let tidied = |found: Found| {
            let found = Found { joined: true, founded: true, ..found };
            start(found).unwrap().lines().filter(|line| *line == "cleanup -j 1").count()
        };
        let three = Found { ring: THREE, cleaned: Some(("three", THREE)), ..Found::default() };
        assert_eq!(tidied(Found { cleaned: None, ..three }), 0, "nobody said who they are");
        let told = Found { members: Some("three"), ..three };
        assert_eq!(tidied(told), 0);
        let others = Found { members: Some("others"), ..three };
        assert_eq!(tidied(others), 1);
        assert_eq!(tidied(Found { cleaned: None, ..others }), 1, "it never did");
        assert_eq!(tidied(Found { cleaned: Some(("three", &[])), ..told }), 1, "it did not know the ids of before");
        assert_eq!(tidied(Found { state: State::Fails, ..others }), 3, "it tries again");
        assert_eq!(tidied(Found { state: State::Starts, ..others }), 0, "it cannot yet");
        let rings: [(Ring, usize); 6] = [
            (&[("UN", 3), ("DN", 2), ("?N", 1)], 0),
            (&[("UN", 1), ("UN", 2), ("UN", 4)], 1),
            (&[("UN", 1), ("UN", 2), ("UJ", 4)], 0),
            (&[("UN", 1), ("UN", 2), ("UL", 3)], 0),
            (&[("UN", 1), ("UN", 2), ("UN", 0)], 0),
            (&[], 0),
        ];
        for (ring, count) in rings {
            assert_eq!(tidied(Found { ring, ..told }), count, "{ring:?}");
        }
        // The last node left, was kept after all and joined anew: for that no other one starts again.
        let rejoined = Found { later: Some(&[("UN", 1), ("UN", 2), ("UN", 4)]), ..told };
        assert_eq!(tidied(Found { hours: 1, ..rejoined }), 1);
        assert_eq!(tidied(rejoined), 0, "it asks once an hour");
    }

    #[test]
    fn later_nodes_join_through_one_that_is_there() {
        let second = Found { ordinal: 1, ..Found::default() };
        let others = "chat-cassandra-0.pods,chat-cassandra-2.pods";
        for founded in [false, true] {
            let second = Found { founded, ..second };
            assert!(start(second).unwrap_err().ends_with("waiting for chat-cassandra-0"));
            assert_eq!(start(Found { other: Some(0), ..second }).unwrap(), others);
            assert_eq!(start(Found { joined: true, ..second }).unwrap(), format!("{others},10.0.0.7"));
        }
    }
}
