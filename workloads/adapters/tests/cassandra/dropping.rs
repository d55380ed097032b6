//! Dropping messages that are too old: whole partitions, and the files that only they showed.

use std::sync::Arc;

use sentinel_adapters::cassandra::Dropped;
use sentinel_domain::{
    clock::Instant,
    ids::MediaId,
    media::{Due, Media},
    ports::{ChatReader, ChatStore, HistoryQuery, MediaStore},
    retention::MessageRetention,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    World,
    contract::{
        draft,
        media::upload,
        retention::{kept, long_ago},
    },
    keyspace::{self, Keyspace},
};

const DAY: i64 = 24 * 3600;

/// How many rows a table has.
async fn count(keyspace: &Keyspace, table: &str) -> i64 {
    let session = keyspace.session().await;
    let counted = session.query_unpaged(format!("SELECT count(*) FROM {table}"), ()).await.unwrap();
    counted.into_rows_result().unwrap().single_row::<(i64,)>().unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn partitions_that_are_too_old_are_dropped_whole_and_once() {
    let keyspace = Arc::new(keyspace::named("retention"));
    keyspace.migrate().await;
    let world = World::fresh();
    let node = world.node_keeping(keyspace.clone(), kept()).await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let (ann, bob, chat) = stores.pair().await;
    let mut sent = Vec::new();
    let (long_ago, now) = (Timestamp::now().plus_seconds(-60 * DAY), Timestamp::now());
    let old = |number| Media {
        id: MediaId(Instant { millis: long_ago.0.unsigned_abs(), counter: 0 }.id(number)),
        ..upload(ann, 1)
    };
    let (gone, unnoted, again, young) = (old(1), old(2), old(3), upload(ann, 1));
    for media in [&gone, &unnoted, &again, &young] {
        cassandra.create(media.clone()).await.unwrap();
    }
    // Each is in another partition; the last two are kept.
    for (days, files) in
        [(100, vec![]), (80, vec![]), (60, vec![gone.id, again.id]), (12, vec![]), (0, vec![again.id, young.id])]
    {
        sent.push(stores.show(ann, chat.id, &files, now.plus_seconds(-days * DAY)).await);
    }
    // A process of the version before, which does not note when a file is sent.
    let session = keyspace.session().await;
    for table in ["chat_media", "media_chats"] {
        let insert = format!("INSERT INTO {table} (chat_id, media_id) VALUES (?, ?) USING TIMESTAMP ?");
        session.query_unpaged(insert, (chat.id.0, unnoted.id.0, long_ago.0 * 1000)).await.unwrap();
    }
    assert_eq!(stores.seen(unnoted.id, bob).await, (false, false), "it is not shown by mistake");
    assert_eq!(stores.seen(again.id, bob).await, (true, true));
    assert_eq!((count(&keyspace, "messages").await, count(&keyspace, "chat_media").await), (5, 4));

    // One process does it, and no other for some hours.
    assert_eq!(cassandra.drop_expired().await.unwrap(), Some(Dropped { partitions: 3, files: 2 }));
    assert_eq!(world.node_keeping(keyspace.clone(), kept()).await.cassandra.drop_expired().await.unwrap(), None);
    assert_eq!(cassandra.drop_expired_now().await.unwrap(), Dropped::default(), "a repeat finds nothing");
    for table in ["messages", "chat_buckets", "media_attached", "chat_media", "media_chats"] {
        assert_eq!(count(&keyspace, table).await, 2, "{table}");
    }
    let due = cassandra.due(now.plus_seconds(120), 100).await.unwrap();
    let mut due: Vec<MediaId> = due.iter().map(|due| due.media).collect();
    due.sort();
    assert_eq!(due, [gone.id, unnoted.id]);

    // Who keeps everything finds what is left, and nothing more is dropped.
    let everything = world.node_keeping(keyspace.clone(), MessageRetention::FOREVER).await.cassandra;
    let page = everything.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.id).collect::<Vec<_>>(), [sent[4], sent[3]]);
    assert_eq!(everything.drop_expired().await.unwrap(), None);
    assert_eq!(everything.drop_expired_now().await.unwrap(), Dropped::default());
    keyspace.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_too_old_stays_so_when_messages_are_kept_longer() {
    let keyspace = Arc::new(keyspace::named("longer"));
    keyspace.migrate().await;
    let world = World::fresh();
    let node = world.node_keeping(keyspace.clone(), kept()).await;
    let (ann, bob, chat) = node.stores.pair().await;
    let mut sent = Vec::new();
    for at in [long_ago(), Timestamp::now()] {
        sent.push(node.cassandra.append(draft(chat.id, ann, "x"), None, at).await.unwrap().message.id);
    }
    for longer in [MessageRetention::FOREVER, MessageRetention::seconds(u32::MAX)] {
        let cassandra = world.node_keeping(keyspace.clone(), longer).await.cassandra;
        let page = cassandra.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
        assert_eq!(page.messages.iter().map(|message| message.id).collect::<Vec<_>>(), sent[1..]);
    }
    keyspace.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_that_are_due_are_given_page_by_page() {
    let node = World::fresh().node().await;
    let owner = node.stores.user().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let media = upload(owner, 1);
        node.cassandra.create(media.clone()).await.unwrap();
        expected.push(Due { at: media.unused_until(), media: media.id });
    }
    let (now, mut found, mut after) = (expected[6].at.plus_seconds(3600), Vec::new(), None);
    loop {
        let page = node.cassandra.due_after(now, after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(*last);
        // Settled or not, the next page goes on.
        if found.is_empty() {
            node.cassandra.settle(page[0]).await.unwrap();
        }
        found.extend(page);
    }
    found.retain(|due| expected.contains(due));
    found.sort_by_key(|due| due.media);
    expected.sort_by_key(|due| due.media);
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_of_before_are_kept_as_if_they_were_sent_at_the_upgrade() {
    let keyspace = keyspace::named("attached");
    keyspace.migrate().await;
    let session = keyspace.session().await;
    session.query_unpaged("DROP TABLE media_attached", ()).await.unwrap();
    session.query_unpaged("DELETE FROM schema_version WHERE only = 0 AND version >= 6", ()).await.unwrap();
    let (media, chat) = (Uuid::now_v7(), Uuid::new_v4());
    session.query_unpaged("INSERT INTO media_chats (media_id, chat_id) VALUES (?, ?)", (media, chat)).await.unwrap();
    let before = Timestamp::now();
    keyspace.migrate().await;
    let found = session.query_unpaged("SELECT chat_id, media_id, attached_at FROM media_attached", ()).await.unwrap();
    let found = found.into_rows_result().unwrap().single_row::<(Uuid, Uuid, i64)>().unwrap();
    assert_eq!((found.0, found.1), (chat, media));
    assert!((before..=Timestamp::now()).contains(&Timestamp(found.2)));
    keyspace.drop_it().await;
}
