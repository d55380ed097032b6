//! More events within a minute than a sync token can list.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use sentinel_domain::{
    clock,
    ids::{EventId, UserId},
    place::{InboxPlace, LISTED_BYTES, SETTLING_SECONDS},
    ports::{ChatReader, Inboxes, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{Node, keyspace, nodes::two};

/// Most events that a place has room for, if each has another counter and another node than the one before.
const ROOM: usize = LISTED_BYTES / 3;
const PAUSE_MILLIS: u64 = 25;

/// Events that the inbox has of a chat; they tell that it was started.
struct Flood {
    node: Node,
    ann: UserId,
    chat: Uuid,
}

impl Flood {
    async fn begin() -> Self {
        let (node, _) = two().await;
        let (ann, _, chat) = node.stores.pair().await;
        Self { node, ann, chat: chat.id.0 }
    }

    async fn add(&self, events: &[EventId]) {
        let session = keyspace::of_this_run().await.session().await;
        let insert = "INSERT INTO inbox (user_id, bucket, event_id, kind, chat_id) VALUES (?, ?, ?, 3, ?)";
        let insert = session.prepare(insert).await.unwrap();
        let rows = events.iter().map(|event| (self.ann.0, bucket(event), event.0, self.chat));
        stream::iter(rows)
            .for_each_concurrent(32, |row| {
                let (session, insert) = (&session, &insert);
                async move { drop(session.execute_unpaged(insert, row).await.unwrap()) }
            })
            .await;
        self.list(events.last().unwrap(), Timestamp::now()).await;
    }

    /// Lists the partition of an event as begun at a time.
    async fn list(&self, event: &EventId, begun: Timestamp) {
        let session = keyspace::of_this_run().await.session().await;
        let list = "INSERT INTO inbox_buckets (user_id, bucket, first_written) VALUES (?, ?, ?)";
        session.query_unpaged(list, (self.ann.0, bucket(event), begun.0)).await.unwrap();
    }
}

fn bucket(event: &EventId) -> i32 {
    i32::try_from(event.timestamp().0 / (7 * 24 * 3600 * 1000)).unwrap()
}

/// The event of the so manyth millisecond after this time.
fn event(start: Timestamp, after: u64, number: u64) -> EventId {
    let counter = u16::try_from(1 + number % 2).unwrap();
    EventId(clock::Instant { millis: start.0.unsigned_abs() + after, counter }.id(77 + number % 2))
}

/// Nobody does anything meanwhile, so no clock here goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_becomes_visible_late_in_a_flood_is_given_once_like_all_the_rest() {
    let flood = Flood::begin().await;
    let start = Timestamp::now().plus_seconds(5 - SETTLING_SECONDS);
    let events: Vec<EventId> = (0..u64::try_from(ROOM + 150).unwrap())
        .map(|number| event(start, 1_000 + number * PAUSE_MILLIS, number))
        .collect();
    flood.add(&events).await;
    let late: Vec<EventId> = [0, 1_003, 20_003].map(|after| event(start, after, after)).into();
    let mut place: Option<InboxPlace> = None;
    let (mut given, mut refused) = (Vec::<EventId>::new(), 0);
    let began = Instant::now();
    loop {
        match flood.node.cassandra.inbox(flood.ann, place.clone(), 100).await {
            Ok(inbox) => {
                assert!(inbox.next.to_bytes().len() <= 1 + 16 + LISTED_BYTES);
                assert!(!inbox.events.is_empty() || !inbox.more, "nobody asks for nothing over and over");
                given.extend(inbox.events.iter().map(|event| event.id));
                place = InboxPlace::from_bytes(&inbox.next.to_bytes());
                if !inbox.more {
                    break;
                }
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                if refused == 0 {
                    assert!((ROOM - 10..=ROOM + 100).contains(&given.len()), "{}", given.len());
                    flood.add(&late).await;
                }
                refused += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{} given", given.len());
    }
    assert!(refused > 0);
    let all: HashSet<EventId> = events.into_iter().chain(late).collect();
    let seen: HashSet<EventId> = given.iter().copied().collect();
    assert_eq!(all.difference(&seen).count(), 0);
    assert_eq!(given.len(), seen.len(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_in_a_flood_misses_nothing_after_it() {
    let flood = Flood::begin().await;
    let start = Timestamp::now().plus_seconds(-50);
    let events: Vec<EventId> = (0..1_600).map(|number| event(start, number * PAUSE_MILLIS, number)).collect();
    flood.add(&events).await;
    let head = flood.node.cassandra.inbox_head(flood.ann, Timestamp::now()).await.unwrap();
    assert!(head.to_bytes().len() <= 1 + 16 + LISTED_BYTES);
    let late = event(start, 20_003, 0);
    assert!(!head.has(late) && !head.has(event(start, 60_000, 0)));
    let few = Flood::begin().await;
    few.add(&events[..600]).await;
    let head = few.node.cassandra.inbox_head(few.ann, Timestamp::now()).await.unwrap();
    assert!(events[..600].iter().all(|event| head.has(*event)) && !head.has(late));
    assert!(few.node.cassandra.chats(few.ann, None, 1).await.is_ok());
}

/// What is gone by its age is a tombstone for a while, and reads that meet many of these fail. Here it is still there, which shows
/// that it is not looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sync_does_not_walk_over_what_is_gone_by_its_age() {
    let flood = Flood::begin().await;
    let [old, kept] = [31, 29].map(|days| event(Timestamp::now().plus_seconds(-days * 24 * 3600), 0, 0));
    // The older one last: the two may be of one partition.
    for event in [kept, old] {
        flood.add(&[event]).await;
        flood.list(&event, event.timestamp()).await;
    }
    let before = EventId(clock::Instant { millis: old.timestamp().0.unsigned_abs() - 1, counter: 0 }.id(0));
    for since in [None, Some(InboxPlace::exactly(before))] {
        let had_token = since.is_some();
        let inbox = flood.node.cassandra.inbox(flood.ann, since, 100).await.unwrap();
        let given: Vec<EventId> = inbox.events.iter().map(|event| event.id).collect();
        assert!(given.contains(&kept) && !given.contains(&old), "{given:?}");
        assert_eq!(inbox.reset, had_token, "who has an old token lacks something");
    }
}
