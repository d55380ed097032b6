//! What is left in the rows of notifications: the marks of those that were read, and preferences by another's clock.

use sentinel_domain::{
    ids::{MessageId, UserId},
    notification::{Notification, Preferences},
    ports::{NotificationSink, NotificationStore, PreferenceReader},
    time::Timestamp,
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_taken_back_leaves_no_row() {
    let node = World::fresh().node().await;
    let (bob, sent) = told(&node, 2).await;
    for message in &sent {
        node.cassandra.mark_read(bob, *message).await.unwrap();
    }
    node.cassandra.withdraw(bob, sent[0]).await.unwrap();
    let session = keyspace::of_this_run().await.session().await;
    let rows = session.query_unpaged("SELECT message_id FROM notifications WHERE user_id = ?", (bob.0,)).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    let left: Vec<uuid::Uuid> = rows.rows::<(uuid::Uuid,)>().unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(left, [sent[1].0]);
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
