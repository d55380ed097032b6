//! What is left in the rows of notifications: the marks of those that were read, and preferences by another's clock.

use futures::{StreamExt, stream};
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Preferences},
    ports::{NotificationReader, NotificationSink, NotificationStore, PreferenceReader, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{Node, World, keyspace};

/// Notifications of Bob about Ann's messages, oldest first.
async fn told(node: &Node, count: usize) -> (UserId, Vec<MessageId>) {
    let (ann, bob, chat) = node.stores.pair().await;
    let sent = node.stores.send_many(chat.id, ann, count).await;
    for &message_id in &sent {
        let one =
            Notification { user_id: bob, chat_id: chat.id, message_id, sender_id: ann, read: false, notice: None };
        node.cassandra.add(one).await.unwrap();
    }
    (bob, sent)
}

/// A row that is deleted is a tombstone, of which somebody who sends and deletes would make any number.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_taken_back_is_a_live_mark_that_nothing_undoes() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 3).await;
    node.cassandra.mark_read(bob, sent[0]).await.unwrap();
    node.cassandra.withdraw(bob, sent[0]).await.unwrap();
    node.cassandra.withdraw(bob, sent[1]).await.unwrap();
    // It comes once more, late.
    let (user_id, message_id) = (bob, sent[1]);
    let chat = node.cassandra.list(bob, None, 1).await.unwrap()[0].clone();
    node.cassandra.add(Notification { user_id, message_id, ..chat }).await.unwrap();
    let list = node.cassandra.list(bob, None, 10).await.unwrap();
    assert_eq!(list.iter().map(|one| one.message_id).collect::<Vec<_>>(), [sent[2]]);
    for gone in &sent[..2] {
        assert!(matches!(node.cassandra.mark_read(bob, *gone).await, Err(StoreError::NotFound)));
    }
    let session = keyspace::of_this_run().await.session().await;
    let select = "SELECT message_id, chat_id, sender FROM notifications WHERE user_id = ?";
    let rows = session.query_unpaged(select, (bob.0,)).await.unwrap().into_rows_result().unwrap();
    let left: Vec<_> = rows.rows::<(Uuid, Uuid, Uuid)>().unwrap().map(Result::unwrap).collect();
    assert_eq!(left.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), [sent[2].0, sent[1].0, sent[0].0]);
    assert!(left[1..].iter().all(|(_, chat, sender)| chat.is_max() && sender.is_max()), "nothing tells who wrote");
}

/// Somebody sends and deletes at once, all day: those whom nobody tells of it have no longer lists to read for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn taking_back_what_nobody_was_told_leaves_no_mark() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 1).await;
    let untold = MessageId(Uuid::now_v7());
    for message in [sent[0], untold, sent[0]] {
        node.cassandra.withdraw(bob, message).await.unwrap();
    }
    let session = keyspace::of_this_run().await.session().await;
    let select = "SELECT message_id FROM notifications WHERE user_id = ?";
    let rows = session.query_unpaged(select, (bob.0,)).await.unwrap().into_rows_result().unwrap();
    let left: Vec<_> = rows.rows::<(Uuid,)>().unwrap().map(|row| MessageId(row.unwrap().0)).collect();
    assert_eq!(left, sent);
}

/// Somebody sends and deletes all day: what was there before is found behind it, and read with its chat.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_behind_many_marks_is_found() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 2).await;
    let told = node.cassandra.list(bob, None, 1).await.unwrap().remove(0);
    let newest = Timestamp::now();
    let marks =
        (0..3_000_u64).map(|n| MessageId(Instant { millis: newest.0.unsigned_abs() + 1 + n, counter: 0 }.id(n)));
    let withdrawn = stream::iter(marks).map(|message_id| {
        let (cassandra, one) = (&node.cassandra, Notification { message_id, ..told.clone() });
        async move {
            cassandra.add(one).await?;
            cassandra.withdraw(bob, message_id).await
        }
    });
    let withdrawn: Vec<_> = withdrawn.buffer_unordered(64).collect().await;
    assert!(withdrawn.iter().all(Result::is_ok));
    let list = async || node.cassandra.list(bob, None, 2).await.unwrap();
    assert_eq!(list().await.iter().map(|one| one.message_id).collect::<Vec<_>>(), [sent[1], sent[0]]);
    node.cassandra.mark_chat_read(bob, told.chat_id, None, sent[1]).await.unwrap();
    assert!(list().await.iter().all(|one| one.read));
}

/// A busy account: what is read or deleted of one chat is far behind what others wrote, read or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_behind_many_others_is_read_and_taken_back_with_its_chat() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 2).await;
    let told = node.cassandra.list(bob, None, 1).await.unwrap().remove(0);
    let (newest, chat_id) = (Timestamp::now().0.unsigned_abs(), ChatId(Uuid::new_v4()));
    let others: Vec<MessageId> =
        (1..=2_500_u64).map(|n| MessageId(Instant { millis: newest + n, counter: 0 }.id(n))).collect();
    let added = stream::iter(&others)
        .map(|message_id| node.cassandra.add(Notification { message_id: *message_id, chat_id, ..told.clone() }));
    let added: Vec<_> = added.buffer_unordered(64).collect().await;
    assert!(added.iter().all(Result::is_ok));
    let behind = async || node.cassandra.list(bob, Some(others[0]), 10).await.unwrap();

    node.cassandra.mark_chat_read(bob, told.chat_id, None, *others.last().unwrap()).await.unwrap();
    let read: Vec<_> = behind().await.iter().map(|one| (one.message_id, one.read)).collect();
    assert_eq!(read, [(sent[1], true), (sent[0], true)]);
    node.cassandra.withdraw_chat(bob, told.chat_id).await.unwrap();
    assert_eq!(behind().await, []);
    let left = node.cassandra.list(bob, None, others.len() + 1).await.unwrap();
    assert_eq!(left.len(), others.len());
    assert!(left.iter().all(|one| !one.read), "what others wrote is as it was");
}

/// Each message that is read as it comes would have the whole list read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_on_has_only_what_is_new_looked_at() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 4).await;
    let chat = node.cassandra.list(bob, None, 1).await.unwrap()[0].chat_id;
    node.cassandra.mark_chat_read(bob, chat, Some(sent[0]), sent[2]).await.unwrap();
    let list = node.cassandra.list(bob, None, 10).await.unwrap();
    assert_eq!(list.iter().map(|one| one.read).collect::<Vec<_>>(), [false, true, true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn marks_whose_notification_is_gone_do_not_end_the_list() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 6).await;
    let session = keyspace::of_this_run().await.session().await;
    // A mark lasts from when it was made, and so longer than what it was made on.
    for message in [sent[1], sent[3], sent[4], sent[5]] {
        let values = (bob.0, message.0);
        let forget = "DELETE chat_id, sender FROM notifications WHERE user_id = ? AND message_id = ?";
        session.query_unpaged(forget, values).await.unwrap();
        let mark = "UPDATE notifications SET read = true WHERE user_id = ? AND message_id = ?";
        session.query_unpaged(mark, values).await.unwrap();
    }
    for (limit, expected) in [(1, vec![sent[2]]), (2, vec![sent[2], sent[0]]), (3, vec![sent[2], sent[0]])] {
        let page = node.cassandra.list(bob, None, limit).await.unwrap();
        assert_eq!(page.iter().map(|one| one.message_id).collect::<Vec<_>>(), expected);
    }
}

/// What a user says last holds, though what was said before was written by a process whose clock is half a minute ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_preferences_hold_whatever_the_clocks_say() {
    let node = World::fresh().node().await;
    let bob = node.stores.user().await;
    let first = Preferences { show_content: true, ..Preferences::default() };
    let session = keyspace::of_this_run().await.session().await;
    let ahead = Timestamp::now().plus_seconds(30).0 * 1000;
    let write = "UPDATE notification_preferences USING TIMESTAMP ? SET preferences = ? WHERE user_id = ?";
    session.query_unpaged(write, (ahead, serde_json::to_string(&first).unwrap(), bob.0)).await.unwrap();
    assert_eq!(node.cassandra.preferences(bob).await.unwrap(), first);
    for wanted in [Preferences::default(), first] {
        node.cassandra.set_preferences(bob, &wanted).await.unwrap();
        assert_eq!(node.cassandra.preferences(bob).await.unwrap(), wanted);
    }
}
