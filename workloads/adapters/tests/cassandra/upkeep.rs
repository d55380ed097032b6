//! Tables, keys, and what is in the tables.

use std::{collections::BTreeSet, sync::Arc};

use sentinel_adapters::cassandra::{Cassandra, CassandraError};
use sentinel_domain::{
    clock::HybridClock,
    config::CassandraConfig,
    keyring::{KeyError, Keyring, Rewrapped},
    ports::{ChatReader, ChatStore, HistoryQuery},
};

use crate::{
    World,
    contract::{NOW, Recorder, all},
    keyring, keyspace,
    linked::Accounts,
};

async fn connect(
    config: &CassandraConfig,
    keyring: impl Into<Option<Arc<Keyring>>>,
) -> Result<Cassandra, CassandraError> {
    let sqlite = Arc::new(World::fresh().sqlite);
    Cassandra::connect(config, keyring, Arc::new(HybridClock::new()), Arc::new(Recorder::default()), sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_are_made_by_many_at_once_and_those_that_cannot_be_used_are_refused() {
    let keyspace = keyspace::named("migrate");
    let (owner, config) = (keyspace.owner(), keyspace.config());
    let missing = connect(owner, keyring(&["kek-0001"])).await.err().unwrap();
    let is_missing = matches!(&missing, CassandraError::Schema { versions, .. } if versions.found.is_none());
    assert!(is_missing, "{missing:?}");
    assert!(missing.to_string().contains("sentinel migrate"), "{missing}");
    let runs = all((0..3).map(|_| {
        let owner = owner.clone();
        async move { Cassandra::migrate(&owner).await }
    }))
    .await;
    assert!(runs.iter().all(Result::is_ok), "{runs:?}");
    keyspace.migrate().await;
    connect(config, keyring(&["kek-0001"])).await.unwrap().check().await.unwrap();
    let session = keyspace.session().await;
    let run = async |statement: &str| session.query_unpaged(statement, ()).await.unwrap();
    run("INSERT INTO schema_version (only, version) VALUES (0, 99)").await;
    // A newer version that only added something: a pod of before may start, and its migration leaves the tables alone.
    connect(config, keyring(&["kek-0001"])).await.unwrap().check().await.unwrap();
    keyspace.migrate().await;
    connect(config, keyring(&["kek-0001"])).await.unwrap();
    run("INSERT INTO schema_compatible_from (only, version) VALUES (0, 99)").await;
    let newer = connect(config, keyring(&["kek-0001"])).await.err().unwrap();
    assert!(newer.to_string().contains("from version 99 on"), "{newer}");
    assert!(newer.to_string().contains("newer version"), "{newer}");
    assert!(Cassandra::migrate(owner).await.is_err());
    keyspace.drop_it().await;
}

/// Needs a cluster that asks for credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn services_read_and_write_rows_and_nothing_else() {
    let keyspace = keyspace::named("role");
    keyspace.migrate().await;
    let service = keyspace.session_of_service().await;
    for allowed in [
        "SELECT * FROM chats",
        "INSERT INTO schema_lock (only, holder) VALUES (1, now())",
        "UPDATE schema_lock SET holder = now() WHERE only = 1 IF holder != null",
        "DELETE FROM schema_lock WHERE only = 1",
    ] {
        service.query_unpaged(allowed, ()).await.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    for refused in [
        "CREATE TABLE mine (id int PRIMARY KEY)",
        "ALTER TABLE chats ADD mine int",
        "DROP TABLE chats",
        "CREATE ROLE mine",
        "SELECT * FROM system_auth.roles",
        "CREATE KEYSPACE mine WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "LIST ROLES OF cassandra",
    ] {
        let error = service.query_unpaged(refused, ()).await.err().unwrap_or_else(|| panic!("{refused}"));
        assert!(error.to_string().contains("doesn't have the right"), "{refused}: {error}");
    }
    let error = Cassandra::migrate(keyspace.config()).await.unwrap_err();
    assert!(matches!(error, CassandraError::Migration { .. }), "{error:?}");

    // Another password, as when the Secret was replaced; and once more, as after an interruption.
    keyspace.set_password("another");
    keyspace.admit().await;
    keyspace.admit().await;
    connect(keyspace.config(), keyring(&["kek-0001"])).await.unwrap().check().await.unwrap();
    keyspace.drop_it().await;
}

/// As where files are looked after and nobody reads a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_of_chats_are_known_without_keys_and_no_message_is_read() {
    let run = keyspace::of_this_run().await;
    let stores = World::fresh().node().await.stores;
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "hello").await;
    let blind = connect(run.config(), None::<Arc<Keyring>>).await.unwrap();
    blind.check().await.unwrap();
    assert_eq!(blind.chat(bob, chat.id).await.unwrap().members, chat.members);
    for error in [
        blind.message(bob, chat.id, message.id).await.map(|_| ()).unwrap_err(),
        blind.history(bob, chat.id, HistoryQuery::Around(message.id), 1).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(format!("{error:?}").contains("Empty"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_data_centre_that_is_none_is_told() {
    let run = keyspace::of_this_run().await;
    let config = CassandraConfig { datacenter: "atlantis".into(), ..run.config().clone() };
    let error = connect(&config, keyring(&["kek-0001"])).await.err().unwrap();
    assert!(matches!(&error, CassandraError::Datacenter { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_rotate_while_another_process_serves() {
    let keyspace = keyspace::named("rotate");
    keyspace.migrate().await;
    let world = World::fresh();
    let node = async |names: &[&str]| {
        let (clock, sqlite) = (Arc::new(HybridClock::new()), Arc::new(world.sqlite.clone()));
        let fanout = world.fanout.clone();
        Cassandra::connect(keyspace.config(), keyring(names), clock, fanout, sqlite).await
    };
    let mut stores = world.node().await.stores;
    let before = node(&["kek-0001"]).await.unwrap();
    stores.chats = Arc::new(before.clone());
    stores.accounts = Arc::new(Accounts { sqlite: world.sqlite.clone(), chats: Arc::new(before.clone()) });
    let ann = stores.user().await;
    let mut sent = Vec::new();
    for _ in 0..30 {
        let (chat, _) = stores.chats.start_chat(ann, stores.user().await, NOW).await.unwrap();
        sent.push(stores.send(chat.id, ann, "before").await);
    }
    let (damaged, _) = stores.chats.start_chat(ann, stores.user().await, NOW).await.unwrap();
    let damage = "UPDATE chats SET chat_key = 0x00 WHERE chat_id = ?";
    keyspace.session().await.query_unpaged(damage, (damaged.id.0,)).await.unwrap();
    let server = node(&["kek-0001", "kek-0002"]).await.unwrap();
    let rotation = node(&["kek-0001", "kek-0002"]).await.unwrap();
    stores.chats = Arc::new(server);
    let (rewrapped, more) = tokio::join!(rotation.rewrap_keys(), stores.send_many(sent[0].chat_id, ann, 30));
    let unreadable = BTreeSet::from([damaged.id]);
    assert_eq!((rewrapped.unwrap(), more.len()), (Rewrapped { count: 30, unreadable: unreadable.clone() }, 30));
    assert_eq!(rotation.rewrap_keys().await.unwrap(), Rewrapped { count: 0, unreadable });
    let after = node(&["kek-0002"]).await.unwrap();
    for message in &sent {
        let page = after.history(ann, message.chat_id, HistoryQuery::Around(message.id), 1).await.unwrap();
        assert_eq!(page.messages, std::slice::from_ref(message));
    }
    let missing = node(&["kek-0001"]).await.err().unwrap();
    assert!(matches!(&missing, CassandraError::Keys { source: KeyError::Missing(name), .. } if name == "kek-0002"));
    let other = Arc::new(Keyring::new([("kek-0002".to_owned(), [9; 32])].into()).unwrap());
    let changed = connect(keyspace.config(), other).await.err().unwrap();
    assert!(matches!(changed, CassandraError::Keys { source: KeyError::Corrupt, .. }), "{changed:?}");
    keyspace.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_are_in_no_cell_and_a_deleted_chats_key_is_gone() {
    let stores = World::fresh().node().await.stores;
    let (ann, _, chat) = stores.pair().await;
    let secret = "the walrus was paul";
    let message = stores.send(chat.id, ann, secret).await.id;
    stores.chats.edit(ann, chat.id, message, format!("{secret}!"), NOW).await.unwrap();
    let session = keyspace::of_this_run().await.session().await;
    let body = async || -> Option<Vec<u8>> {
        let statement = "SELECT body FROM messages WHERE chat_id = ? AND bucket = ? AND message_id = ?";
        let bucket = i32::try_from(NOW.0 / (10 * 24 * 3600 * 1000)).unwrap();
        let rows = session.query_unpaged(statement, (chat.id.0, bucket, message.0)).await.unwrap();
        let rows = rows.into_rows_result().unwrap();
        rows.maybe_first_row::<(Option<Vec<u8>>,)>().unwrap().and_then(|row| row.0)
    };
    let key = async || -> bool {
        let rows = session.query_unpaged("SELECT chat_key FROM chats WHERE chat_id = ?", (chat.id.0,)).await.unwrap();
        let rows = rows.into_rows_result().unwrap();
        rows.maybe_first_row::<(Option<Vec<u8>>,)>().unwrap().is_some_and(|row| row.0.is_some())
    };
    let stored = body().await.unwrap();
    assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert!(key().await);
    stores.accounts.delete_account(ann).await.unwrap();
    assert!(body().await.is_none() && !key().await);
    // A second round, as after a restart in between, finds nothing more to do.
    stores.accounts.delete_account(ann).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closed_store_refuses_and_says_so() {
    let node = World::fresh().node().await;
    node.cassandra.check().await.unwrap();
    let ann = node.stores.user().await;
    node.cassandra.close();
    assert!(node.cassandra.check().await.is_err());
    assert!(node.cassandra.start_chat(ann, ann, NOW).await.is_err());
}
