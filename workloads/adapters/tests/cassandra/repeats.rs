//! One message for each client id, whichever process gets it again, and whatever came of the first try.

use std::time::Duration;

use sentinel_domain::{
    clock,
    ids::EventId,
    ports::{ChatStore, StoreError},
    time::Timestamp,
};

use crate::{
    contract::{NOW, all, draft_with_id, message_ids},
    keyspace,
    nodes::{behind, history, two},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_id_makes_one_message_on_two_nodes() {
    let (ahead, late) = two().await;
    let (ann, bob, chat) = ahead.stores.pair().await;
    let mut expected = Vec::new();
    for round in 0..200 {
        let now = Timestamp(NOW.0 + round * 10);
        let tries = all((0..2 + round % 3).map(|number| {
            let (node, now) = if number % 2 == 0 { (&ahead, now) } else { (&late, behind(now)) };
            let (chats, draft) = (node.cassandra.clone(), draft_with_id(chat.id, ann, "once", &round.to_string()));
            async move {
                // From none to a few milliseconds apart: a retry meets the first try at any step.
                tokio::time::sleep(Duration::from_micros((round * number * 37 % 5000).cast_unsigned())).await;
                chats.append(draft, None, now).await.unwrap()
            }
        }))
        .await;
        assert!(tries.iter().all(|appended| appended.message == tries[0].message), "round {round}: {tries:?}");
        assert_eq!(tries.iter().filter(|appended| !appended.duplicate).count(), 1, "round {round}");
        expected.push(tries[0].message.id);
    }
    expected.sort();
    assert_eq!(history(&late, bob, chat.id).await, expected);
    for user in [ann, bob] {
        assert_eq!(message_ids(&ahead.stores.sync(user, None, 100).await), expected);
    }
}

/// What a process leaves that died between its row under the client id and the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_send_that_was_not_finished_is_finished_by_its_repeat() {
    let (node, other) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    let dead = EventId(clock::Instant { millis: NOW.0.cast_unsigned() + 5, counter: 1 }.id(5));
    let enter = async |client: &str, mark: Option<i8>, ttl: i32| {
        let statement = "INSERT INTO sent (sender_id, client_message_id, message_id, chat_id, mark)
            VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?";
        let values = (ann.0, client, dead.0, chat.id.0, mark, NOW.0 * 1000 + 5000, ttl);
        session.query_unpaged(statement, values).await.unwrap();
    };
    // Its write was not answered: the repeat writes the same message.
    enter("unknown", Some(3), 7 * 24 * 3600).await;
    let again = other.cassandra.append(draft_with_id(chat.id, ann, "hello", "unknown"), None, NOW).await.unwrap();
    assert_eq!((again.message.id.0, again.message.text.as_str()), (dead.0, "hello"));
    let third = node.cassandra.append(draft_with_id(chat.id, ann, "hello", "unknown"), None, NOW).await.unwrap();
    assert!(third.duplicate && third.message == again.message);
    assert_eq!(history(&node, bob, chat.id).await, [again.message.id]);
    assert_eq!(message_ids(&node.stores.sync(bob, None, 10).await), [again.message.id]);
    // It is so old that inboxes do not wait for it any more: the repeat gets a new id.
    enter("stale", None, 7 * 24 * 3600 - 60).await;
    let anew = other.cassandra.append(draft_with_id(chat.id, ann, "anew", "stale"), None, NOW).await.unwrap();
    assert!(!anew.duplicate && anew.message.id > again.message.id);
    let repeat = node.cassandra.append(draft_with_id(chat.id, ann, "anew", "stale"), None, NOW).await.unwrap();
    assert!(repeat.duplicate && repeat.message == anew.message);
}

/// The same; then the peer blocked the sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_send_that_was_not_finished_is_not_finished_behind_a_block() {
    let (node, other) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    let unknown = EventId(clock::Instant { millis: NOW.0.cast_unsigned() + 5, counter: 1 }.id(5));
    let statement = "INSERT INTO sent (sender_id, client_message_id, message_id, chat_id, mark)
        VALUES (?, 'once', ?, ?, 3) USING TIMESTAMP ? AND TTL 604800";
    session.query_unpaged(statement, (ann.0, unknown.0, chat.id.0, NOW.0 * 1000 + 5000)).await.unwrap();
    node.stores.accounts.block(bob, ann, NOW).await.unwrap();
    node.stores.fanout.take();
    let repeat = async || other.cassandra.append(draft_with_id(chat.id, ann, "hello", "once"), None, NOW).await;
    let refused = repeat().await.unwrap_err();
    assert!(matches!(refused, StoreError::Blocked), "{refused}");
    assert!(history(&node, bob, chat.id).await.is_empty());
    assert!(node.stores.fanout.take().is_empty(), "nobody hears of it");
    node.stores.accounts.unblock(bob, ann).await.unwrap();
    let sent = repeat().await.unwrap().message;
    assert_eq!(history(&node, bob, chat.id).await, [sent.id]);
    // What was written before a block is found behind it.
    node.stores.accounts.block(bob, ann, NOW).await.unwrap();
    assert_eq!(repeat().await.unwrap().message, sent);
}

/// Too old to be taken over before another node may bury it, and too young to be buried.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_takes_over_what_another_may_bury() {
    let (node, other) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    let old = EventId(clock::Instant { millis: NOW.0.cast_unsigned() + 5, counter: 1 }.id(5));
    let statement = "INSERT INTO sent (sender_id, client_message_id, message_id, chat_id, mark)
        VALUES (?, 'once', ?, ?, 3) USING TIMESTAMP ? AND TTL ?";
    let values = (ann.0, old.0, chat.id.0, NOW.0 * 1000 + 5000, 7 * 24 * 3600 - 25);
    session.query_unpaged(statement, values).await.unwrap();
    let repeat = async || other.cassandra.append(draft_with_id(chat.id, ann, "hello", "once"), None, NOW).await;
    let refused = repeat().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(history(&node, bob, chat.id).await.is_empty());
    tokio::time::sleep(Duration::from_secs(11)).await;
    let sent = repeat().await.unwrap().message.id;
    assert!(EventId::from(sent) != old, "it was buried");
    assert_eq!(history(&node, bob, chat.id).await, [sent]);
    assert_eq!(message_ids(&node.stores.sync(bob, None, 10).await), [sent]);
}

/// The process that entered it stood still before it did: clients may have synced from later places.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_send_whose_id_is_too_old_is_not_finished_and_gets_a_new_one() {
    let (node, other) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    let millis = NOW.0 - 45_000;
    let old = EventId(clock::Instant { millis: millis.cast_unsigned(), counter: 1 }.id(5));
    let enter = async |at: i64, age: i32| {
        let statement = "INSERT INTO sent (sender_id, client_message_id, message_id, chat_id, mark)
            VALUES (?, 'once', ?, ?, 3) USING TIMESTAMP ? AND TTL ?";
        let values = (ann.0, old.0, chat.id.0, at, 7 * 24 * 3600 - age);
        session.query_unpaged(statement, values).await.unwrap();
    };
    let repeat = async || other.cassandra.append(draft_with_id(chat.id, ann, "hello", "once"), None, NOW).await;
    enter(millis * 1000, 0).await;
    let refused = repeat().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(history(&node, bob, chat.id).await.is_empty());
    // As after half a minute.
    enter(millis * 1000 + 1, 40).await;
    let sent = repeat().await.unwrap().message.id;
    assert!(EventId::from(sent) != old, "it was buried");
    assert_eq!(history(&node, bob, chat.id).await, [sent]);
    assert_eq!(message_ids(&node.stores.sync(bob, None, 10).await), [sent]);
}
