//! Several processes on one keyspace: order, late events.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sentinel_domain::{
    clock,
    event::InboxBody,
    ids::{EventId, MessageId, UserId},
    message::Draft,
    ports::{ChatReader, ChatStore, HistoryQuery, Inboxes, StoreError},
    time::Timestamp,
    watermark::Progress,
};
use uuid::Uuid;

use crate::{
    Node, World,
    contract::{NOW, all, draft, draft_with_id, message_ids},
    keyspace,
};

/// Two processes whose clocks are half a minute apart.
pub async fn two() -> (Node, Node) {
    let world = World::fresh();
    let nodes = (world.node().await, world.node().await);
    nodes.0.stores.fanout.take();
    nodes
}

const BEHIND: i64 = -30;

pub fn behind(now: Timestamp) -> Timestamp {
    now.plus_seconds(BEHIND)
}

pub async fn history(node: &Node, user: UserId, chat: sentinel_domain::ids::ChatId) -> Vec<MessageId> {
    let page = node.cassandra.history(user, chat, HistoryQuery::Latest, 1000).await.unwrap();
    assert!(!page.more_before);
    page.messages.iter().rev().map(|message| message.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_sorts_after_what_it_answers_whatever_the_clocks_say() {
    let (ahead, late) = two().await;
    let (ann, bob, chat) = ahead.stores.pair().await;
    let mut sent = Vec::new();
    for round in 0..20 {
        let now = Timestamp(NOW.0 + round * 100);
        let question = ahead.cassandra.append(draft(chat.id, ann, "question"), None, now).await.unwrap().message.id;
        let answer = Draft { reply_to: Some(question), ..draft(chat.id, bob, "answer") };
        let answer = late.cassandra.append(answer, None, behind(now)).await.unwrap().message.id;
        sent.extend([question, answer]);
    }
    assert!(sent.is_sorted_by(|a, b| a < b));
    for (node, user) in [(&ahead, ann), (&late, bob)] {
        assert_eq!(history(node, user, chat.id).await, sent);
        assert_eq!(message_ids(&node.stores.sync(user, None, 7).await), sent);
    }
    // A receipt and an edit come after what they are about, too.
    let last = *sent.last().unwrap();
    late.cassandra.advance(ann, chat.id, Progress::Read, last, behind(NOW)).await.unwrap();
    late.cassandra.edit(bob, chat.id, last, "changed".into(), behind(NOW)).await.unwrap();
    let events = ahead.stores.sync(bob, Some(last.into()), 10).await;
    assert!(
        matches!(
            events.iter().map(|event| &event.body).collect::<Vec<_>>()[..],
            [InboxBody::Receipt { .. }, InboxBody::Edited(message)] if message.text == "changed"
        ),
        "{events:?}"
    );
}

/// The parts of a write become visible one by one: here the message, and not yet that it is the chat's newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_sorts_after_what_it_answers_though_that_is_not_seen_as_the_newest() {
    let (ahead, late) = two().await;
    let (ann, bob, chat) = ahead.stores.pair().await;
    let now = NOW.plus_seconds(5);
    let question = ahead.cassandra.append(draft(chat.id, ann, "question"), None, now).await.unwrap().message.id;
    let session = keyspace::of_this_run().await.session().await;
    let hide = "DELETE newest FROM chats USING TIMESTAMP ? WHERE chat_id = ?";
    session.query_unpaged(hide, (now.0 * 1000 + 1000, chat.id.0)).await.unwrap();
    let answer = Draft { reply_to: Some(question), ..draft(chat.id, bob, "answer") };
    let answer = late.cassandra.append(answer, None, behind(now)).await.unwrap().message.id;
    assert_eq!(history(&ahead, ann, chat.id).await, [question, answer]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_node_sees_one_order_while_all_write() {
    let (ahead, late) = two().await;
    let (ann, bob, chat) = ahead.stores.pair().await;
    let acknowledged = all((0..120).map(|number| {
        let (node, sender, now) = if number % 2 == 0 { (&ahead, ann, NOW) } else { (&late, bob, behind(NOW)) };
        let chats = node.cassandra.clone();
        async move { chats.append(draft(chat.id, sender, "now"), None, now).await.unwrap().message.id }
    }))
    .await;
    let order = history(&ahead, ann, chat.id).await;
    assert!(order.is_sorted_by(|a, b| a < b));
    assert_eq!(order.iter().collect::<HashSet<_>>(), acknowledged.iter().collect());
    assert_eq!(history(&late, bob, chat.id).await, order);
    for (node, user) in [(&ahead, bob), (&late, ann)] {
        assert_eq!(message_ids(&node.stores.sync(user, None, 50).await), order);
    }
}

/// An event that took long on its way: its row is there only after others with higher ids were given.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_late_event_is_given_once() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let wall = Timestamp::now();
    let now = node.cassandra.append(draft(chat.id, bob, "in time"), None, wall).await.unwrap().message.id;
    let mut place = node.cassandra.inbox(ann, None, 100).await.unwrap().next;
    let head = node.cassandra.inbox_head(ann, wall).await.unwrap();
    let millis = u64::try_from(wall.0 - 20_000).unwrap();
    let late = EventId(clock::Instant { millis, counter: 3 }.id(77));
    assert!(late < now.into() && !place.has(late) && !head.has(late));
    let bucket = i32::try_from(millis / (7 * 24 * 3600 * 1000)).unwrap();
    let session = keyspace::of_this_run().await.session().await;
    session
        .query_unpaged(
            "INSERT INTO inbox (user_id, bucket, event_id, kind, chat_id, subject) VALUES (?, ?, ?, 1, ?, ?)",
            (ann.0, bucket, late.0, chat.id.0, now.0),
        )
        .await
        .unwrap();
    for start in [Some(head), Some(place.clone()), None] {
        let given = node.stores.sync(ann, start, 1).await.into_iter().filter(|event| event.id == late).count();
        assert_eq!(given, 1);
    }
    let mut given = Vec::new();
    for round in 0..4 {
        if round == 2 {
            node.cassandra.append(draft(chat.id, bob, "later"), None, wall).await.unwrap();
        }
        let inbox = node.cassandra.inbox(ann, Some(place), 100).await.unwrap();
        given.extend(inbox.events.iter().map(|event| event.id));
        place = inbox.next;
    }
    assert_eq!((given.len(), given[0]), (2, late));
}

/// The parts of a write become visible one by one: here the inbox has a message that the chat does not have yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_is_not_given_before_what_it_tells_of_can_be_seen() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let wall = Timestamp::now();
    let start = node.cassandra.inbox(ann, None, 100).await.unwrap().next;
    let hidden = node.cassandra.append(draft(chat.id, bob, "slow"), None, wall).await.unwrap().message.id;
    let later = node.cassandra.append(draft(chat.id, bob, "later"), None, wall).await.unwrap().message.id;
    let session = keyspace::of_this_run().await.session().await;
    let millis = clock::Instant::of(hidden.0).millis;
    let bucket = i32::try_from(millis / (10 * 24 * 3600 * 1000)).unwrap();
    let key = (chat.id.0, bucket, hidden.0);
    let found = session
        .query_unpaged(
            "SELECT sender, kind, body FROM messages WHERE chat_id = ? AND bucket = ? AND message_id = ?",
            key,
        )
        .await
        .unwrap();
    let (sender, kind, body) = found.into_rows_result().unwrap().single_row::<(Uuid, i8, Vec<u8>)>().unwrap();
    let at = |after: i64| (millis.cast_signed() + 1000) * 1000 + after;
    let delete = "DELETE FROM messages USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    session.query_unpaged(delete, (at(0), key.0, key.1, key.2)).await.unwrap();

    let page = node.cassandra.inbox(ann, Some(start.clone()), 100).await.unwrap();
    assert_eq!(message_ids(&page.events), [later], "others do not wait for it");
    assert!(!page.next.has(hidden.into()) && page.next.has(later.into()));
    let single = node.cassandra.inbox(ann, Some(start.clone()), 1).await.unwrap();
    assert!(single.events.is_empty() && single.more && !single.next.has(hidden.into()));

    let insert = "INSERT INTO messages (chat_id, bucket, message_id, sender, kind, body) VALUES (?, ?, ?, ?, ?, ?)
        USING TIMESTAMP ?";
    session.query_unpaged(insert, (key.0, key.1, key.2, sender, kind, body, at(1))).await.unwrap();
    let given = node.stores.sync(ann, Some(page.next.clone()), 100).await;
    assert_eq!(message_ids(&given), [hidden]);
    assert_eq!(message_ids(&node.stores.sync(ann, Some(start), 100).await), [hidden, later]);
}

/// The node of the first change has a clock that is ahead of that of the second one's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_replaces_the_one_before_whatever_the_clocks_say() {
    let (ahead, late) = two().await;
    let (ann, bob, chat) = ahead.stores.pair().await;
    let sent = ahead.stores.send_many(chat.id, ann, 2).await;
    ahead.cassandra.edit(ann, chat.id, sent[0], "first".into(), NOW).await.unwrap();
    late.cassandra.edit(ann, chat.id, sent[0], "second".into(), behind(NOW)).await.unwrap();
    for node in [&ahead, &late] {
        assert_eq!(node.cassandra.message(bob, chat.id, sent[0]).await.unwrap().text, "second");
    }
    ahead.cassandra.advance(bob, chat.id, Progress::Delivered, sent[1], NOW.plus_seconds(5)).await.unwrap();
    let mut places = Vec::new();
    for user in [ann, bob] {
        let events = ahead.stores.sync(user, None, 100).await;
        assert!(matches!(events.last().unwrap().body, InboxBody::Receipt { .. }), "{events:?}");
        places.push((user, events.last().unwrap().id));
    }
    late.cassandra.advance(bob, chat.id, Progress::Read, sent[1], behind(NOW)).await.unwrap();
    for (user, place) in places {
        let events = late.stores.sync(user, Some(place.into()), 100).await;
        let read = |body: &InboxBody| matches!(body, InboxBody::Receipt { watermarks, .. } if watermarks.read_up_to == Some(sent[1]));
        assert!(events.len() == 1 && read(&events[0].body), "{events:?}");
    }
}

/// One message that can't be read does not take others with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_message_is_left_out() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let sent = node.stores.send_many(chat.id, ann, 6).await;
    let session = keyspace::of_this_run().await.session().await;
    for damaged in [sent[2], sent[5]] {
        let bucket = i32::try_from(clock::Instant::of(damaged.0).millis / (10 * 24 * 3600 * 1000)).unwrap();
        let values = (Timestamp::now().0 * 1000, vec![0_u8; 40], chat.id.0, bucket, damaged.0);
        session
            .query_unpaged(
                "UPDATE messages USING TIMESTAMP ? SET body = ? WHERE chat_id = ? AND bucket = ? AND message_id = ?",
                values,
            )
            .await
            .unwrap();
    }
    let rest = [sent[0], sent[1], sent[3], sent[4]];
    assert_eq!(history(&node, bob, chat.id).await, rest);
    assert_eq!(message_ids(&node.stores.sync(bob, None, 100).await), rest);
    let page = node.cassandra.history(bob, chat.id, HistoryQuery::Latest, 3).await.unwrap();
    let found: Vec<_> = page.messages.iter().map(|message| message.id).collect();
    assert_eq!((found, page.more_before), (vec![sent[4], sent[3], sent[1]], true));
    let chats = node.cassandra.chats(bob, None, 10).await.unwrap();
    assert_eq!(chats[0].last_message.as_ref().unwrap().id, sent[4]);
    let found = node.cassandra.message(bob, chat.id, sent[2]).await;
    assert!(matches!(found, Err(StoreError::Unreadable(_))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_is_too_old_is_told() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let first = node.stores.send(chat.id, bob, "long ago").await.id;
    assert!(!node.cassandra.inbox(ann, Some(first.into()), 10).await.unwrap().reset);
    let bucket = i32::try_from(NOW.0 / (7 * 24 * 3600 * 1000)).unwrap();
    let session = keyspace::of_this_run().await.session().await;
    let month_ago = Timestamp::now().plus_seconds(-31 * 24 * 3600).0;
    session
        .query_unpaged(
            "UPDATE inbox_buckets USING TIMESTAMP ? SET first_written = ? WHERE user_id = ? AND bucket = ?",
            (Timestamp::now().0 * 1000, month_ago, ann.0, bucket),
        )
        .await
        .unwrap();
    assert!(node.cassandra.inbox(ann, Some(first.into()), 10).await.unwrap().reset);
    let fresh = node.cassandra.append(draft(chat.id, bob, "now"), None, Timestamp::now()).await.unwrap().message.id;
    let inbox = node.cassandra.inbox(ann, Some(fresh.into()), 10).await.unwrap();
    assert!(!inbox.reset, "a token after all that may be gone is good");
    assert!(!node.cassandra.inbox(ann, None, 10).await.unwrap().reset, "who has no token lacks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deleted_message_stays_deleted_whatever_edit_is_on_its_way() {
    let (one, other) = two().await;
    let (ann, bob, chat) = one.stores.pair().await;
    for round in 0..20 {
        let message = one.stores.send(chat.id, ann, "oops").await.id;
        let edits = {
            let chats = other.cassandra.clone();
            // Its clock is ahead, so its event is the newest.
            let later = NOW.plus_seconds(10);
            tokio::spawn(async move { chats.edit(ann, chat.id, message, "secret".into(), later).await })
        };
        tokio::time::sleep(Duration::from_micros(round * 200)).await;
        one.cassandra.delete(ann, chat.id, message, NOW).await.unwrap();
        let edited = edits.await.unwrap();
        assert!(matches!(edited, Ok(_) | Err(StoreError::Gone)), "{edited:?}");
        let found = other.cassandra.message(bob, chat.id, message).await.unwrap();
        assert!(found.deleted && found.text.is_empty());
    }
}

/// Messages that one process sends in a row, as a socket does that does not wait for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_take_their_place_when_they_are_first_polled() {
    let (node, _) = two().await;
    let (ann, _, chat) = node.stores.pair().await;
    let sends = (0..50).map(|number| {
        let draft = if number % 2 == 0 {
            draft_with_id(chat.id, ann, &number.to_string(), &number.to_string())
        } else {
            draft(chat.id, ann, &number.to_string())
        };
        node.cassandra.append(draft, None, NOW)
    });
    let sent: Vec<_> = futures::future::try_join_all(sends).await.unwrap();
    assert!(sent.is_sorted_by(|a, b| a.message.id < b.message.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_goes_away_harms_nobody() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    for number in 0..50 {
        let append = node.cassandra.append(draft(chat.id, ann, "maybe"), None, NOW);
        let _ = tokio::time::timeout(Duration::from_micros(number * 100), append).await;
    }
    let last = node.stores.send(chat.id, bob, "sure").await.id;
    assert_eq!(history(&node, bob, chat.id).await.last(), Some(&last));
    let published = node.stores.fanout.take();
    assert!(published.len() > 1, "nobody waits for those that went away");
}

/// Not a test: `cargo test … -- --ignored --nocapture appended_messages_per_second`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a measurement"]
async fn appended_messages_per_second() {
    let (node, _) = two().await;
    for (name, with_id) in [("without client ids", false), ("with client ids", true)] {
        let mut pairs = Vec::new();
        for _ in 0..32 {
            let (ann, _, chat) = node.stores.pair().await;
            pairs.push((ann, chat.id));
        }
        let sent = std::sync::Arc::new(AtomicU32::new(0));
        let started = Instant::now();
        all(pairs.into_iter().map(|(ann, chat)| {
            let (chats, sent) = (node.cassandra.clone(), sent.clone());
            async move {
                while started.elapsed() < Duration::from_secs(8) {
                    let draft = if with_id {
                        draft_with_id(chat, ann, "how fast is this?", &Uuid::new_v4().to_string())
                    } else {
                        draft(chat, ann, "how fast is this?")
                    };
                    chats.append(draft, None, Timestamp::now()).await.unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }))
        .await;
        let rate = f64::from(sent.load(Ordering::Relaxed)) / started.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} messages a second over 32 chats");
    }
}
