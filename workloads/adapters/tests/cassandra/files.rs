//! Files of chats: when they are looked at, and how those that were sent before there was a list of them get into it.

use sentinel_adapters::cassandra::Cassandra;
use sentinel_domain::{
    media::Due,
    ports::{MediaReader, MediaStore},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{World, contract::media::upload, keyspace};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_is_looked_at_only_after_it_has_lost_its_chat_or_its_owner() {
    let node = World::fresh().node().await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let (ann, _, chat) = stores.pair().await;
    let media = upload(ann, 1);
    cassandra.create(media.clone()).await.unwrap();
    let due = async |now: Timestamp| -> Vec<Timestamp> {
        let due = cassandra.due(now, 10_000).await.unwrap();
        due.into_iter().filter(|due| due.media == media.id).map(|due| due.at).collect()
    };
    let (lost, deleted) = (Timestamp::now(), Timestamp::now().plus_seconds(1));
    stores.show(ann, chat.id, &[media.id], lost).await;
    cassandra.detach(media.id, chat.id, lost).await.unwrap();
    // Whoever looked now might still have found it in the chat, and would not have looked again.
    assert_eq!(due(lost).await, []);
    let later = lost.plus_seconds(60);
    assert_eq!(due(later).await, [later]);
    cassandra.settle(Due { at: later, media: media.id }).await.unwrap();
    cassandra.condemn_all(ann, deleted).await.unwrap();
    assert_eq!(due(deleted).await, []);
    let later = deleted.plus_seconds(60);
    assert_eq!(due(later).await, [later]);
}

/// A send whose process ends between letting a file in and writing the message leaves what is written here by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_of_a_send_that_came_to_nothing_leaves_its_chat_by_itself() {
    let node = World::fresh().node().await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let (ann, _, chat) = stores.pair().await;
    let (sent, dead) = (upload(ann, 1), upload(ann, 1));
    for media in [&sent, &dead] {
        cassandra.create(media.clone()).await.unwrap();
    }
    let before = Timestamp::now();
    stores.show(ann, chat.id, &[sent.id], before).await;
    let session = keyspace::of_this_run().await.session().await;
    // What the send wrote ahead of its message ends within a day, and the file is looked at after that.
    let read = "SELECT TTL(sent_at) FROM media_sending WHERE media_id = ? AND chat_id = ?";
    let left = session.query_unpaged(read, (sent.id.0, chat.id.0)).await.unwrap();
    let left = left.into_rows_result().unwrap().single_row::<(i32,)>().unwrap().0;
    assert!((1..=24 * 3600).contains(&left), "{left}");
    let looked_at = cassandra.due(before.plus_seconds(26 * 3600), 10_000).await.unwrap();
    let looked_at: Vec<Timestamp> = looked_at.iter().filter(|due| due.media == sent.id).map(|due| due.at).collect();
    assert!(looked_at.iter().any(|at| *at >= before.plus_seconds(i64::from(left) + 3600)), "{looked_at:?}");

    let write = "INSERT INTO media_sending (media_id, chat_id, sent_at) VALUES (?, ?, ?)";
    session.query_unpaged(write, (dead.id.0, chat.id.0, before.0)).await.unwrap();
    assert_eq!(cassandra.chats_of(dead.id).await.unwrap(), [chat.id], "who sees the message sees its file");
    // The day is over.
    let end = "DELETE FROM media_sending WHERE media_id = ? AND chat_id = ?";
    for media in [&sent, &dead] {
        session.query_unpaged(end, (media.id.0, chat.id.0)).await.unwrap();
    }
    assert_eq!(cassandra.chats_of(dead.id).await.unwrap(), []);
    assert_eq!(cassandra.chats_of(sent.id).await.unwrap(), [chat.id], "a message shows it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_that_were_sent_before_there_was_a_list_get_into_it() {
    let keyspace = keyspace::named("chat_media");
    Cassandra::migrate(keyspace.config()).await.unwrap();
    let session = keyspace.session().await;
    session.query_unpaged("DROP TABLE chat_media", ()).await.unwrap();
    session.query_unpaged("DELETE FROM schema_version WHERE only = 0 AND version >= 5", ()).await.unwrap();
    let (chat, mut sent) = (Uuid::new_v4(), Vec::new());
    for _ in 0..200 {
        let media = Uuid::now_v7();
        let insert = "INSERT INTO media_chats (media_id, chat_id) VALUES (?, ?)";
        session.query_unpaged(insert, (media, chat)).await.unwrap();
        sent.push(media);
    }
    Cassandra::migrate(keyspace.config()).await.unwrap();
    let listed = session.query_unpaged("SELECT media_id FROM chat_media WHERE chat_id = ?", (chat,)).await.unwrap();
    let listed = listed.into_rows_result().unwrap();
    let mut listed: Vec<Uuid> = listed.rows::<(Uuid,)>().unwrap().map(|row| row.unwrap().0).collect();
    listed.sort();
    sent.sort();
    assert_eq!(listed, sent);
    keyspace.drop_it().await;
}
