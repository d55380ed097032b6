//! Edits whose text becomes visible after their events.

use sentinel_domain::{
    clock::Instant,
    ids::EventId,
    place::SETTLING_SECONDS,
    ports::{ChatReader, ChatStore, StoreError},
    time::Timestamp,
};

use crate::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_gets_a_text_that_is_as_new_as_itself() {
    let node = World::fresh().node().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let chat = chat.id;
    let message = node.stores.send(chat, ann, "written").await.id;
    let edit = async |text: &str, at: Timestamp| {
        node.cassandra.edit(ann, chat, message, text.into(), at).await.unwrap();
        node.stores.sync(bob, None, 100).await.last().unwrap().id
    };
    let first = edit("first", Timestamp::now()).await;
    let now = first.timestamp();
    let text = async |event: EventId, now: Timestamp| {
        let found = node.cassandra.message_of_event(bob, chat, message, event, now).await;
        found.map(|found| found.unwrap().message.text)
    };
    assert_eq!(text(first, now).await.unwrap(), "first");

    // An edit of which nothing is visible yet, though another edit is.
    let coming = EventId(Instant { millis: now.0.unsigned_abs() + 1, counter: 0 }.id(0));
    let unseen = text(coming, now).await;
    assert!(matches!(unseen, Err(StoreError::Unavailable(_))), "{unseen:?}");
    assert_eq!(text(coming, now.plus_seconds(SETTLING_SECONDS + 1)).await.unwrap(), "first", "not for ever");

    let second = edit("second", Timestamp(now.0 + 10)).await;
    for event in [first, coming, second] {
        assert_eq!(text(event, now).await.unwrap(), "second", "a later text will do");
    }
    node.cassandra.delete(ann, chat, message, Timestamp(now.0 + 20)).await.unwrap();
    let late = EventId(Instant { millis: now.0.unsigned_abs() + 15, counter: 0 }.id(0));
    let gone = node.cassandra.message_of_event(bob, chat, message, late, now).await.unwrap().unwrap().message;
    assert!(gone.deleted && gone.text.is_empty());
}
