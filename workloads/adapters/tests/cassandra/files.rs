//! Files of chats: when they are looked at, and how those that were sent before there was a list of them get into it.

use sentinel_domain::{
    clock::Instant,
    ids::MediaId,
    media::{Due, Media, MediaState, Shown, Usage},
    ports::{ChatStore, MediaReader as _, MediaStore, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    World,
    contract::{self, draft_with_files, media::upload},
    keyspace,
};

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
    let (ann, bob, chat) = stores.pair().await;
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
    assert_eq!(stores.seen(dead.id, bob).await, (true, true), "who sees the message sees its file");
    // The day is over.
    let end = "DELETE FROM media_sending WHERE media_id = ? AND chat_id = ?";
    for media in [&sent, &dead] {
        session.query_unpaged(end, (media.id.0, chat.id.0)).await.unwrap();
    }
    assert_eq!(stores.seen(dead.id, bob).await, (false, false));
    assert_eq!(stores.seen(sent.id, bob).await, (true, true), "a message shows it");
}

/// More chats than are looked at at once. Of what processes of a former version sent, they noted no time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_was_sent_to_many_chats_is_in_one_as_long_as_any_of_them_shows_it() {
    let keyspace = keyspace::that_ages_of_this_run().await;
    let node = World::fresh().node_keeping(keyspace.clone(), contract::retention::kept()).await;
    let (ann, bob, chat) = node.stores.pair().await;
    let long_ago = Timestamp::now().plus_seconds(-60 * 24 * 3600);
    let id = MediaId(Instant { millis: long_ago.0.unsigned_abs(), counter: 0 }.id(Uuid::new_v4().as_u64_pair().0));
    node.cassandra.create(Media { id, ..upload(ann, 1) }).await.unwrap();
    let session = keyspace.session().await;
    let sent = async |other: Uuid, noted: Option<Timestamp>| {
        let insert = "INSERT INTO media_chats (media_id, chat_id) VALUES (?, ?)";
        session.query_unpaged(insert, (id.0, other)).await.unwrap();
        if let Some(at) = noted {
            let insert = "INSERT INTO media_attached (chat_id, media_id, attached_at) VALUES (?, ?, ?)";
            session.query_unpaged(insert, (other, id.0, at.0)).await.unwrap();
        }
    };
    for number in 0..40_u8 {
        sent(Uuid::new_v5(&id.0, &[number]), None).await;
    }
    assert_eq!(node.stores.seen(id, bob).await, (false, false), "all of that is too old");
    // Version 5 like the others: the last of all.
    sent(uuid::Builder::from_sha1_bytes([255; 16]).into_uuid(), Some(Timestamp::now())).await;
    assert_eq!(node.stores.seen(id, bob).await, (true, false));
    node.stores.show(ann, chat.id, &[id], Timestamp::now()).await;
    assert_eq!(node.stores.seen(id, bob).await, (true, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_that_were_sent_before_there_was_a_list_get_into_it() {
    let keyspace = keyspace::named("chat_media");
    keyspace.migrate().await;
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
    keyspace.migrate().await;
    let listed = session.query_unpaged("SELECT media_id FROM chat_media WHERE chat_id = ?", (chat,)).await.unwrap();
    let listed = listed.into_rows_result().unwrap();
    let mut listed: Vec<Uuid> = listed.rows::<(Uuid,)>().unwrap().map(|row| row.unwrap().0).collect();
    listed.sort();
    sent.sort();
    assert_eq!(listed, sent);
    keyspace.drop_it().await;
}

/// What a call leaves that ends after each of its steps is written here by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn giving_up_what_is_complete_ends_in_one_way_wherever_it_broke_off() {
    let node = World::fresh().node().await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let (ann, _, chat) = stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    let broke_off = async |outcome: i8| -> Media {
        let media = upload(ann, 1);
        cassandra.create(media.clone()).await.unwrap();
        cassandra.complete(media.id, &media.content_type, Shown { size: 1, picture: None }).await.unwrap();
        let write = "INSERT INTO media_leaving (media_id, outcome) VALUES (?, ?) IF NOT EXISTS";
        session.query_unpaged(write, (media.id.0, outcome)).await.unwrap();
        media
    };
    let again = Timestamp::now().plus_seconds(3600);
    let state = async |media: &Media| cassandra.media(media.id).await.unwrap().unwrap().state;
    let send = async |media: &Media| {
        cassandra.append(draft_with_files(chat.id, ann, &[media.id]), None, Timestamp::now()).await
    };
    // It was said, or decided, and a repeat does the rest.
    for outcome in [0, 2] {
        let media = broke_off(outcome).await;
        cassandra.give_up(media.id, again).await.unwrap();
        assert_eq!(state(&media).await, MediaState::Condemned);
    }
    // It was said, and who sends the file decides.
    let media = broke_off(0).await;
    send(&media).await.unwrap();
    assert!(matches!(cassandra.give_up(media.id, again).await, Err(StoreError::NotFound)));
    assert_eq!(state(&media).await, MediaState::Ready);
    // It was decided: nobody sends the file any more, and what is left of it goes with its day.
    let media = broke_off(2).await;
    assert!(matches!(send(&media).await, Err(StoreError::UnknownAttachment)));
    let due = cassandra.due(media.unused_until(), 10_000).await.unwrap();
    assert!(due.contains(&Due { at: media.unused_until(), media: media.id }), "{due:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_came_back_into_its_owners_list_takes_no_room_once_it_is_looked_at() {
    let node = World::fresh().node().await;
    let (stores, cassandra) = (&node.stores, &node.cassandra);
    let ann = stores.user().await;
    let (kept, gone) = (upload(ann, 10), upload(ann, 5));
    for media in [&kept, &gone] {
        cassandra.create(media.clone()).await.unwrap();
    }
    cassandra.condemn(gone.id).await.unwrap();
    cassandra.forget(gone.id).await.unwrap();
    let session = keyspace::of_this_run().await.session().await;
    let write = "INSERT INTO media_of_owner (owner, media_id, size) VALUES (?, ?, 5)";
    session.query_unpaged(write, (ann.0, gone.id.0)).await.unwrap();
    assert_eq!(cassandra.usage(ann).await.unwrap(), Usage { files: 2, bytes: 15 });
    assert_eq!(cassandra.recount(ann).await.unwrap(), Usage { files: 1, bytes: 10 });
    assert_eq!(cassandra.usage(ann).await.unwrap(), Usage { files: 1, bytes: 10 });
}

/// After ten days, the default, one user's uploads would have left more than a read may meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_that_users_fill_and_empty_keep_tombstones_for_hours() {
    let keyspace = keyspace::of_this_run().await;
    let session = keyspace.session().await;
    let read = "SELECT gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    for table in ["media_of_owner", "chat_media", "media_attached", "media_due", "push_devices", "notifications"] {
        let row = session.query_unpaged(read, (&keyspace.config().keyspace, table)).await.unwrap();
        let seconds = row.into_rows_result().unwrap().single_row::<(i32,)>().unwrap().0;
        assert_eq!(seconds, 3 * 3600, "{table}");
    }
}
