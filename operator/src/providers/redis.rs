//! Redis: one server with an append-only file. The default user is off; the Secret's may do everything.

use super::node::{self, Node, Pace};
use crate::{
    api::{Managed, Store},
    build::{Child, Error, StoreFacts},
    steps::validate::ValidChat,
};

/// Memory of the server in MiB when the resource says nothing.
const MEMORY: u32 = 128;
/// An answer tells more than a connection: while it reads its file it refuses.
const PING: &str = "redis-cli --no-auth-warning -h 127.0.0.1 --user probe --pass probe ping | grep -q PONG";

pub(super) fn build(chat: &ValidChat, managed: &Managed, facts: &StoreFacts) -> Result<Vec<Child>, Error> {
    let memory = super::memory::of_node(managed.resources.as_ref(), MEMORY);
    let node = Node {
        user: 999,
        start: include_str!("redis/start.sh").into(),
        command: Vec::new(),
        files: vec![("redis.conf", configuration(memory))],
        env: Vec::new(),
        ports: vec![("redis", super::client_port(Store::Redis))],
        volume: "/data",
        scratch: Vec::new(),
        needs_credentials: true,
        startup: node::connects("redis", Pace { seconds: 1, failures: 60 }),
        liveness: node::connects("redis", Pace::LIFE),
        readiness: node::exec(PING, Pace::SERVICE),
        before_stop: None,
        grace: 30,
        together: false,
        pause: None,
        cpu: "50m",
        memory: "64Mi",
        limit: MEMORY,
    };
    node::objects(chat, Store::Redis, managed, facts, node)
}

/// `redis.conf` for a server with `memory` MiB.
fn configuration(memory: u32) -> String {
    node::fill(include_str!("redis/redis.conf"), &[("MAXMEMORY", &(memory / 2).max(1))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_rewriting_the_file() {
        assert!(configuration(1024).contains("\nmaxmemory 512mb\n"));
    }
}
