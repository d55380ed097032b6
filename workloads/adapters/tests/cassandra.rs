//! The contract on Cassandra, and what only holds where several processes write. Needs `SENTINEL_TEST_CASSANDRA`
//! (`host:port`; with `_USER` and `_PASSWORD` if it asks for them). Accounts are in `SQLite`: what is tested here is the
//! store of chats.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod contract;

#[path = "cassandra/devices.rs"]
mod devices;
#[path = "cassandra/dropping.rs"]
mod dropping;
#[path = "cassandra/edits.rs"]
mod edits;
#[path = "cassandra/erasure.rs"]
mod erasure;
#[path = "cassandra/files.rs"]
mod files;
#[path = "cassandra/floods.rs"]
mod floods;
#[path = "cassandra/keyspace.rs"]
mod keyspace;
#[path = "cassandra/linked.rs"]
mod linked;
#[path = "cassandra/marks.rs"]
mod marks;
#[path = "cassandra/nodes.rs"]
mod nodes;
#[path = "cassandra/outbox.rs"]
mod outbox;
#[path = "cassandra/progress.rs"]
mod progress;
#[path = "cassandra/repeats.rs"]
mod repeats;
#[path = "cassandra/scan.rs"]
mod scan;
#[path = "cassandra/sizes.rs"]
mod sizes;
#[path = "cassandra/starts.rs"]
mod starts;
#[path = "cassandra/unanswered.rs"]
mod unanswered;
#[path = "cassandra/upkeep.rs"]
mod upkeep;

use std::sync::Arc;

use contract::{Recorder, Stores};
use linked::Accounts;
use sentinel_adapters::{cassandra::Cassandra, sqlite::Sqlite};
use sentinel_domain::{clock::HybridClock, keyring::Keyring, retention::MessageRetention};

pub fn keyring(names: &[&str]) -> Arc<Keyring> {
    let key = |name: &str| std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
    Arc::new(Keyring::new(names.iter().map(|name| ((*name).to_owned(), key(name))).collect()).unwrap())
}

/// One process: a store of chats with a clock of its own, over accounts that it shares with others.
pub struct Node {
    pub cassandra: Cassandra,
    pub fanout: Arc<Recorder>,
    pub stores: Stores,
}

/// Accounts that several nodes share.
#[derive(Clone)]
pub struct World {
    sqlite: Sqlite,
    fanout: Arc<Recorder>,
    keep: Arc<tempfile::TempDir>,
}

impl World {
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fanout = Arc::new(Recorder::default());
        let path = folder.path().join("db");
        let sqlite = Sqlite::open(&path, keyring(&["kek-0001"]), Arc::new(HybridClock::new()), fanout.clone()).unwrap();
        Self { sqlite, fanout, keep: Arc::new(folder) }
    }

    pub async fn node(&self) -> Node {
        self.node_keeping(keyspace::of_this_run().await, MessageRetention::FOREVER).await
    }

    /// A process that keeps messages in a keyspace for so long.
    pub async fn node_keeping(&self, keyspace: Arc<keyspace::Keyspace>, messages: MessageRetention) -> Node {
        let sqlite = Arc::new(self.sqlite.clone());
        let (keyring, clock, fanout) = (keyring(&["kek-0001"]), Arc::new(HybridClock::new()), self.fanout.clone());
        let config = keyspace.config();
        let connected = Cassandra::connect_keeping(config, keyring, clock, fanout, sqlite.clone(), messages);
        let cassandra = connected.await.unwrap();
        let accounts = Arc::new(Accounts { sqlite: self.sqlite.clone(), chats: Arc::new(cassandra.clone()) });
        let stores = Stores {
            accounts,
            sessions: sqlite.clone(),
            chats: Arc::new(cassandra.clone()),
            media: Arc::new(cassandra.clone()),
            devices: Arc::new(cassandra.clone()),
            administration: sqlite.clone(),
            reports: sqlite.clone(),
            mail: sqlite.clone(),
            reindex: sqlite,
            notifications: Arc::new(cassandra.clone()),
            fanout: self.fanout.clone(),
            in_order: false,
            in_doubt: true,
            keep: Arc::new((self.keep.clone(), keyspace)),
        };
        Node { cassandra, fanout: self.fanout.clone(), stores }
    }
}

async fn fresh() -> Stores {
    World::fresh().node().await.stores
}

contract_tests!(crate::fresh);

async fn keeping() -> Stores {
    World::fresh().node_keeping(keyspace::that_ages_of_this_run().await, contract::retention::kept()).await.stores
}

contract_tests!(crate::keeping; retention);

/// Sorts after all others.
#[tokio::test]
async fn zz_the_keyspace_is_dropped() {
    keyspace::drop_after_all().await;
}
