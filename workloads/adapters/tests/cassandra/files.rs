//! Files of chats: when they are looked at, and how those that were sent before there was a list of them get into it.

use sentinel_adapters::cassandra::Cassandra;
use sentinel_domain::{media::Due, ports::MediaStore, time::Timestamp};
use uuid::Uuid;

use crate::{World, contract::media::upload, keyspace};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_is_looked_at_only_after_it_has_lost_its_chat_or_its_owner() {
    let node = World::new().node().await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let (ann, _, chat) = stores.pair().await;
    let media = upload(ann, 1);
    cassandra.create(media.clone()).await.unwrap();
    let due = async |now: Timestamp| -> Vec<Timestamp> {
        let due = cassandra.due(now, 10_000).await.unwrap();
        due.into_iter().filter(|due| due.media == media.id).map(|due| due.at).collect()
    };
    let (lost, deleted) = (Timestamp::now(), Timestamp::now().plus_seconds(1));
    cassandra.attach(media.id, chat.id, lost).await.unwrap();
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
