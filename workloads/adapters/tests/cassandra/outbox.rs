//! The outbox and its leases.

use std::time::Duration;

use sentinel_domain::{
    ids::{ChatId, EventId},
    outbox::{Change, PlatformEvent},
    ports::{ChatStore, Outbox},
    time::Timestamp,
    watermark::Progress,
};
use uuid::Uuid;

use crate::{Node, World, contract::draft, keyspace};

/// All events of a chat around a moment, with their shard and minute.
async fn events(node: &Node, chat: ChatId, at: Timestamp) -> Vec<(u16, i64, PlatformEvent)> {
    let mut found = Vec::new();
    for shard in 0..node.cassandra.shards() {
        for minute in at.seconds() / 60 - 1..=at.seconds() / 60 + 1 {
            let mut after: Option<EventId> = None;
            loop {
                let page = node.cassandra.events(shard, minute, after, 2).await.unwrap();
                let of_chat = page.events.into_iter().filter(|event| event.chat_id == chat);
                found.extend(of_chat.map(|event| (shard, minute, event)));
                let Some(next) = page.next else { break };
                after = Some(next);
            }
        }
    }
    found.sort_by_key(|(_, _, event)| event.event_id);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_is_in_the_outbox_until_its_minute_is_dropped() {
    let node = World::fresh().node().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let now = Timestamp::now();
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(node.cassandra.append(draft(chat.id, ann, "hello"), None, now).await.unwrap().message.id);
    }
    node.cassandra.edit(ann, chat.id, sent[0], "hello!".into(), now).await.unwrap();
    node.cassandra.advance(bob, chat.id, Progress::Delivered, sent[4], now).await.unwrap();
    for read in [sent[2], sent[3]] {
        node.cassandra.advance(bob, chat.id, Progress::Read, read, now).await.unwrap();
    }
    node.cassandra.delete(ann, chat.id, sent[1], now).await.unwrap();
    node.stores.accounts.delete_account(ann).await.unwrap();
    let found = events(&node, chat.id, now).await;
    let changes: Vec<Change> = found.iter().map(|(_, _, event)| event.change.clone()).collect();
    let mut expected: Vec<Change> = sent.iter().map(|id| Change::Written { message_id: *id, sender_id: ann }).collect();
    expected.extend([
        Change::Edited { message_id: sent[0], sender_id: ann },
        Change::Read { message_id: sent[2], user_id: bob, before: None },
        Change::Read { message_id: sent[3], user_id: bob, before: Some(sent[2]) },
        Change::Deleted { message_id: sent[1], sender_id: ann },
        Change::ChatDeleted,
    ]);
    assert_eq!(changes, expected);
    assert!(found.iter().all(|(shard, _, event)| *shard == found[0].0 && event.members == chat.members));

    let (shard, minute) = (found[0].0, found[0].1);
    let begin = node.cassandra.first_minute(shard).await.unwrap().unwrap();
    assert!(begin <= minute);
    node.cassandra.drop_minute(shard, minute).await.unwrap();
    assert!(node.cassandra.first_minute(shard).await.unwrap().unwrap() > minute);
    assert!(node.cassandra.events(shard, minute, None, 10).await.unwrap().events.is_empty());
    let after = node.cassandra.first_minute(shard).await.unwrap();
    node.cassandra.drop_minute(shard, minute - 5).await.unwrap();
    assert_eq!(node.cassandra.first_minute(shard).await.unwrap(), after, "it never goes back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_with_a_row_that_can_not_be_read_is_not_the_last_one() {
    let node = World::fresh().node().await;
    let session = keyspace::of_this_run().await.session().await;
    // A shard that nobody works on.
    let (shard, minute) = (1000, Timestamp::now().seconds() / 60);
    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    // No version of this program writes 99.
    for (id, kind) in ids.iter().zip([4_i8, 99, 99, 4]) {
        let insert =
            "INSERT INTO outbox (shard, minute, event_id, chat_id, low, high, kind) VALUES (1000, ?, ?, ?, ?, ?, ?)";
        session.query_unpaged(insert, (minute, id, id, id, id, kind)).await.unwrap();
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = node.cassandra.events(shard, minute, after, 2).await.unwrap();
        pages.push(page.events.iter().map(|event| event.event_id.0).collect::<Vec<_>>());
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(pages, [vec![ids[0]], vec![ids[3]], vec![]]);
    let page = node.cassandra.events(shard, minute, Some(EventId(ids[0])), 2).await.unwrap();
    assert_eq!((page.events, page.next), (vec![], Some(EventId(ids[2]))), "none of it can be read, and more follows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_moves_when_it_ends_or_is_given_back() {
    let node = World::fresh().node().await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let lease = async |holder, seconds| node.cassandra.lease(1000, holder, seconds).await.unwrap();
    // Cassandra counts whole seconds of its clock, so what lasts four may be over after a little more than three.
    assert!(lease(one, 4).await);
    assert!(!lease(other, 4).await);
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert!(lease(one, 6).await, "renewed");
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert!(!lease(other, 4).await, "the renewal holds");
    tokio::time::sleep(Duration::from_millis(4200)).await;
    assert!(lease(other, 60).await, "its time is over");
    assert!(!lease(one, 4).await);
    node.cassandra.release(1000, one).await.unwrap();
    assert!(!lease(one, 4).await, "only the holder gives it back");
    node.cassandra.release(1000, other).await.unwrap();
    assert!(lease(one, 4).await);
    node.cassandra.release(1000, one).await.unwrap();
}
