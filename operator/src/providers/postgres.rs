//! Postgres: one server. SCRAM for everybody; the database is made with the first start, before anybody can connect.

use super::node::{self, Node, Pace};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of the server in MiB when the resource says nothing.
const MEMORY: u32 = 256;

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    let node = Node {
        user: 999,
        start: include_str!("postgres/start.sh").into(),
        command: Vec::new(),
        files: vec![
            ("postgresql.conf", configuration(memory)),
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
        limit: MEMORY,
    };
    node::objects(chat, Store::Postgres, managed, facts, node)
}

/// Over TCP, because that is how clients come. The version's folder is the only one.
const READY: &str = "/usr/lib/postgresql/*/bin/pg_isready -q -h 127.0.0.1 -p 5432";

/// `postgresql.conf` for a server with `memory` MiB.
fn configuration(memory: u32) -> String {
    node::fill(
        include_str!("postgres/postgresql.conf"),
        &[("SHARED_BUFFERS", &(memory / 4)), ("CACHE", &(memory / 2)), ("MAINTENANCE", &(memory / 16).max(1))],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_memory_is_shared() {
        let text = configuration(1024);
        assert!(text.contains("\nshared_buffers = 256MB\n"), "{text}");
        assert!(!text.contains('@'), "{text}");
    }

    #[test]
    fn what_people_write_is_not_logged() {
        let text = configuration(256);
        assert!(text.contains("log_statement = 'none'") && text.contains("log_min_error_statement = panic"));
    }
}
