//! What is left of a deleted account.

use std::{collections::BTreeSet, sync::Arc};

use sentinel_adapters::linked_accounts::ChatLinks;
use sentinel_domain::{
    ids::{ChatId, UserId},
    ports::{MediaStore, NotificationStore},
    retention::MessageRetention,
    time::Timestamp,
};

use crate::{
    World,
    contract::{NOW, erasure},
    keyspace::{self, Keyspace},
};

/// The tables that name a user in any of their rows, and those that are empty.
async fn tables_that_name(keyspace: &Keyspace, user: UserId) -> [BTreeSet<String>; 2] {
    let session = keyspace.session().await;
    let texts = async |cql: String| -> Vec<String> {
        let found = session.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        found.rows::<(String,)>().unwrap().map(|row| row.unwrap().0).collect()
    };
    let name = &keyspace.config().keyspace;
    let [text, digits] = erasure::spellings(user);
    let (mut naming, mut empty) = (BTreeSet::new(), BTreeSet::new());
    for table in texts(format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{name}'")).await {
        let rows = texts(format!("SELECT JSON * FROM {table}")).await;
        if rows.iter().any(|row| row.contains(&text) || row.contains(&digits)) {
            naming.insert(table.clone());
        }
        if rows.is_empty() {
            empty.insert(table);
        }
    }
    [naming, empty]
}

/// What is left is said in docs/operations.md, where accounts are deleted. A new table with users in it is filled by
/// [`erasure`], and then found here if a deletion forgets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deleted_account_is_named_nowhere_but_where_it_is_said() {
    let keyspace = Arc::new(keyspace::named("erased"));
    keyspace.migrate().await;
    let node = World::fresh().node_keeping(keyspace.clone(), MessageRetention::FOREVER).await;
    let stores = &node.stores;
    let (ann, bob, eve) = (stores.user().await, stores.user().await, stores.user().await);
    erasure::fill_chats(stores, ann, bob).await;
    // With whom there is no chat.
    stores.accounts.block(ann, eve, NOW).await.unwrap();
    let [naming, empty] = tables_that_name(&keyspace, ann).await;
    let named = [
        "chats",
        "inbox",
        "inbox_buckets",
        "media",
        "media_of_owner",
        "messages",
        "notices",
        "notification_preferences",
        "notifications",
        "outbox",
        "push_addresses",
        "push_devices",
        "pushed",
        "sent",
        "user_chats",
    ];
    assert_eq!(naming, erasure::set(&named));
    // None of these has users.
    let none = ["horizon", "leases", "media_leaving", "schema_lock"];
    assert_eq!(empty, erasure::set(&none), "fill what is new with an account");

    stores.accounts.delete_account(ann).await.unwrap();
    // As the links of accounts do, and notifications when they hear of the chat.
    node.cassandra.forget_block(ann, eve).await.unwrap();
    node.cassandra.condemn_all(ann, Timestamp::now()).await.unwrap();
    node.cassandra.withdraw_chat(bob, ChatId::of_pair(ann, bob)).await.unwrap();
    let [naming, _] = tables_that_name(&keyspace, ann).await;
    assert_eq!(naming, erasure::set(&["media", "outbox", "sent"]));
    keyspace.drop_it().await;
}
