//! Going through all messages.

use std::{collections::BTreeSet, sync::Arc};

use sentinel_domain::{
    ports::{ChatStore, MessageScan, Scanned},
    time::Timestamp,
};

use crate::{World, contract::draft, contract::retention::kept, keyspace};

const DAY: i64 = 24 * 3600;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scan_gives_each_message_once_whatever_the_page() {
    let keyspace = Arc::new(keyspace::named("scan"));
    keyspace.migrate().await;
    let node = World::fresh().node_keeping(keyspace.clone(), kept()).await;
    let cassandra = &node.cassandra;
    assert_eq!(cassandra.scan(None, 10).await.unwrap(), []);
    let mut expected = BTreeSet::new();
    let chats = [node.stores.pair().await, node.stores.pair().await, node.stores.pair().await];
    // In several partitions of each chat; the first is too old.
    for days in [40, 15, 5, 0] {
        for (ann, bob, chat) in &chats {
            for sender_id in [*ann, *bob] {
                let at = Timestamp::now().plus_seconds(-days * DAY);
                let sent = cassandra.append(draft(chat.id, sender_id, "x"), None, at).await.unwrap().message;
                if days < 20 {
                    expected.insert((chat.id, sent.id, sender_id));
                }
            }
        }
    }
    let (ann, _, chat) = &chats[0];
    let deleted = *expected.iter().find(|(of, _, sender)| of == &chat.id && sender == ann).unwrap();
    cassandra.delete(*ann, chat.id, deleted.1, Timestamp::now()).await.unwrap();
    expected.remove(&deleted);
    for limit in [1, 2, 5, 6, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cassandra.scan(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
        }
        assert_eq!(found.len(), expected.len(), "pages of {limit}");
        let set: BTreeSet<_> = found
            .into_iter()
            .map(|Scanned { chat_id, message_id, sender_id }| (chat_id, message_id, sender_id))
            .collect();
        assert_eq!(set, expected, "pages of {limit}");
    }
    keyspace.drop_it().await;
}
