//! Postgres: one server. SCRAM for everybody; the database is made with the first start, before anybody can connect.

use super::node::{self, Node, Pace};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, Kind, StoreFacts, services, stores::POOL},
    steps::{observe::Observed, validate::ValidChat},
};

/// Least memory of the server in MiB when the resource says nothing.
const MEMORY: u32 = 384;
/// What of it is not for connections.
const BASE: u32 = 128;
/// Connections that a server takes at least. One that nobody opens costs a few kilobytes; a restart while an autoscaler adds
/// pods costs more.
const CONNECTIONS: u32 = 400;
/// Pods of Jobs that run beside the services.
const JOBS: u32 = 2;
/// Connections that are of no pod: commands, and the three that Postgres keeps for a superuser, which services are not. The
/// migration is one, so it gets in however many services there are.
const SPARE: u32 = 10;
const FILE: &str = "postgresql.conf";
const SETTING: &str = "max_connections = ";

/// Connections that the managed server has to take: those of the pools of all pods, also while Deployments are changed.
///
/// Another number is a restart, so it grows by doubling and never shrinks: an autoscaler may come and go.
pub fn connections(chat: &ValidChat, observed: &Observed) -> u32 {
    let pods: i32 = services::of(chat).iter().map(|service| service.most_pods(chat, observed)).sum();
    let live = observed.get(Kind::ConfigMap, &chat.names.component(Store::Postgres.component()));
    let before = live.and_then(|map| map["data"][FILE].as_str()).and_then(configured);
    enough(u32::try_from(pods).unwrap_or(0)).max(before.unwrap_or(0))
}

/// The first of 400, 800, 1600 and so on that is enough for that many pods.
fn enough(pods: u32) -> u32 {
    doubled(CONNECTIONS, needed(pods))
}

/// Connections that so many pods and the Jobs may open.
fn needed(pods: u32) -> u32 {
    pods.saturating_add(JOBS).saturating_mul(POOL).saturating_add(SPARE)
}

/// `least`, doubled until it is enough.
fn doubled(least: u32, needed: u32) -> u32 {
    least.saturating_mul(needed.div_ceil(least).next_power_of_two())
}

/// Memory in MiB for the connections of the pods that are `written`: each is a process of its own. Those that an autoscaler
/// adds are counted when the server starts again for their connections, and not before: a restart costs more.
fn limit(written: u32, connections: u32) -> u32 {
    let least = if connections > CONNECTIONS { memory(connections) } else { MEMORY };
    doubled(MEMORY, memory(needed(written))).max(least)
}

/// The limit in MiB that the server was given by default until now. It is kept, as its connections are: a lower one would be
/// a restart whenever fewer pods are written. One that a user wrote and takes back is none of those that a default can be.
pub fn limit_before(chat: &ValidChat, observed: &Observed) -> Option<u32> {
    let set = observed.get(Kind::StatefulSet, &chat.names.workload(Store::Postgres.component()))?;
    let mut containers = set.pointer("/spec/template/spec/containers")?.as_array()?.iter();
    let server = containers.find(|container| container["name"] == Store::Postgres.as_str())?;
    let live = super::memory::mib(server.pointer("/resources/limits/memory")?.as_str()?)?;
    is_default(live).then_some(live)
}

/// Whether [`limit`] can be that.
fn is_default(limit: u32) -> bool {
    let steps = std::iter::successors(Some(CONNECTIONS * 2), |connections| connections.checked_mul(2));
    limit == doubled(MEMORY, limit) || steps.map(memory).any(|least| least == limit)
}

/// Memory in MiB that so many connections need.
fn memory(connections: u32) -> u32 {
    connections.saturating_mul(5).div_ceil(2).saturating_add(BASE)
}

/// What a `postgresql.conf` says.
fn configured(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.strip_prefix(SETTING)?.parse().ok())
}

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let connections = facts.connections.unwrap_or(CONNECTIONS);
    let written: i32 = services::of(chat).iter().map(|service| service.replicas(chat, &Observed::default())).sum();
    let limit = limit(u32::try_from(written).unwrap_or(0), connections).max(facts.limit.unwrap_or(0));
    let memory = super::memory::of_node(managed.resources.as_ref(), limit);
    let node = Node {
        user: 999,
        start: include_str!("postgres/start.sh").into(),
        command: Vec::new(),
        files: vec![
            (FILE, configuration(memory, connections)),
            ("pg_hba.conf", include_str!("postgres/pg_hba.conf").into()),
            ("pg_ident.conf", "# Nobody is let in by the name of a system user.\n".into()),
        ],
        env: Vec::new(),
        ports: vec![("postgres", super::client_port(Store::Postgres))],
        volume: "/var/lib/postgresql/data",
        scratch: Vec::new(),
        needs_credentials: true,
        // 1: it runs and takes nobody yet, because it reads what a crash left in its log.
        startup: node::exec(&format!("{READY}; [ $? -le 1 ]"), Pace::START),
        liveness: node::exec(&format!("{READY}; [ $? -le 1 ]"), Pace::LIFE),
        readiness: node::exec(READY, Pace::SERVICE),
        // SIGINT: it ends without waiting for clients to leave, in order. SIGTERM would wait.
        before_stop: Some(["sh", "-c", "kill -INT 1"].map(String::from).to_vec()),
        grace: 60,
        together: false,
        pause: None,
        cpu: "100m",
        memory: "128Mi",
        limit,
    };
    node::objects(chat, Store::Postgres, managed, facts, node)
}

/// Over TCP, because that is how clients come. The version's folder is the only one.
const READY: &str = "/usr/lib/postgresql/*/bin/pg_isready -q -h 127.0.0.1 -p 5432";

/// `postgresql.conf` for a server with `memory` MiB that takes so many connections.
fn configuration(memory: u32, connections: u32) -> String {
    node::fill(
        include_str!("postgres/postgresql.conf"),
        &[
            ("CONNECTIONS", &connections),
            ("SHARED_BUFFERS", &(memory / 4)),
            ("CACHE", &(memory / 2)),
            ("MAINTENANCE", &(memory / 16).max(1)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_memory_is_shared() {
        let text = configuration(1024, 100);
        assert!(text.contains("\nshared_buffers = 256MB\n"), "{text}");
        assert!(!text.contains('@'), "{text}");
    }

    #[test]
    fn connections_are_enough_for_all_pods_and_change_rarely() {
        for (pods, expected) in [(0, 400), (12, 400), (37, 400), (38, 800), (77, 800), (78, 1600), (500, 6400)] {
            assert_eq!(enough(pods), expected, "{pods}");
            assert!(expected >= (pods + JOBS) * POOL + SPARE);
        }
        assert_eq!(configured(&configuration(256, 400)), Some(400));
    }

    #[test]
    fn memory_is_enough_for_the_connections_of_the_pods_that_are_written() {
        for (written, connections, expected) in [
            (0, 400, 384),
            (7, 400, 384),
            (8, 400, 768),
            (21, 400, 768),
            (23, 400, 1536),
            (7, 800, 2128),
            (70, 1600, 4128),
        ] {
            let limit = limit(written, connections);
            assert_eq!(limit, expected, "{written} {connections}");
            assert!(limit >= BASE + (written * POOL + 20) * 5 / 2);
        }
    }

    /// Runs the start script on the volume at `root`, with a server that like Postgres takes nobody's place; its last words.
    fn start(root: &std::path::Path) -> String {
        use std::os::unix::fs::PermissionsExt as _;

        let at = |path: &str| root.join(path).to_string_lossy().into_owned();
        for folder in ["volume", "credentials", "bin"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for name in ["username", "password"] {
            std::fs::write(at(&format!("credentials/{name}")), name).unwrap();
        }
        // What ends leaves its note only if it is killed.
        let server = "#!/bin/sh\n\
            [ \"$1\" != --version ] || { echo 'postgres (PostgreSQL) 17.2 (Debian)'; exit; }\n\
            case $1 in --single) data=$3 ;; *) data=$2 ;; esac\n\
            [ ! -e \"$data/postmaster.pid\" ] || { echo 'lock file exists' >&2; exit 1; }\n\
            case $1 in --single) cat ;; *) echo 1 >\"$data/postmaster.pid\"; echo serves >&2 ;; esac\n";
        let initdb = "#!/bin/sh\nmkdir \"${1#--pgdata=}\" && echo 17 >\"${1#--pgdata=}/PG_VERSION\"\n";
        for (name, text) in [("bin/postgres", server), ("bin/initdb", initdb)] {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let places = [
            ("/var/lib/postgresql/data", "volume"),
            ("/etc/sentinel/credentials", "credentials"),
            ("/usr/lib/postgresql/*/bin", "bin"),
        ];
        let script = format!("{}{}", include_str!("prelude.sh"), include_str!("postgres/start.sh"));
        let script = places.iter().fold(script, |script, (path, own)| script.replace(path, &at(own)));
        std::fs::write(at("start.sh"), script).unwrap();
        let mut shell = std::process::Command::new("sh");
        let ended =
            shell.arg(at("start.sh")).env("POD_NAME", "chat-postgres-0").env("STORE", "postgres").output().unwrap();
        String::from_utf8(ended.stderr).unwrap()
    }

    #[test]
    fn a_server_that_was_killed_starts_again() {
        let root = std::env::temp_dir().join(format!("sentinel-postgres-{}", uuid::Uuid::new_v4()));
        let first = start(&root);
        let again = start(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((first.as_str(), again.as_str()), ("serves\n", "serves\n"));
    }

    #[test]
    fn limits_that_were_made_by_default_are_known_by_their_size() {
        for limit in [384, 768, 1536, 3072, 2128, 4128, limit(70, 1600), limit(500, 6400)] {
            assert!(is_default(limit), "{limit}");
        }
        for limit in [0, 1, 512, 1024, 2048, 4096, 8192] {
            assert!(!is_default(limit), "{limit}");
        }
    }

    #[test]
    fn what_people_write_is_not_logged() {
        let text = configuration(256, 100);
        assert!(text.contains("log_statement = 'none'") && text.contains("log_min_error_statement = panic"));
    }
}
