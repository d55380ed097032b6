//! What events do to the index.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod platform;

use std::time::Duration;

use platform::{Platform, User};
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, EventId, MessageId, UserId},
    outbox::{Change, PlatformEvent},
    place::SETTLING_SECONDS,
    ports::{ChatReader, ChatStore, DocumentSource, EventHandler, HandlerError, SearchEntry, SearchIndex, Version},
    time::Timestamp,
};
use uuid::Uuid;

async fn pair(platform: &Platform) -> (User, User, ChatId) {
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    (ann, bob, chat)
}

fn written(message_id: MessageId, sender: &User) -> Change {
    Change::Written { message_id, sender_id: sender.id }
}

#[tokio::test]
async fn an_edit_is_found_under_the_new_text_only() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let id = platform.say(chat, &ann, "the old text").await;
    platform.store.edit(ann.id, chat, id, "the new text".into(), Timestamp::now()).await.unwrap();
    // Even before the indexer hears of it.
    assert_eq!(platform.texts(&bob, "q=old").await, [""; 0]);
    let edited = platform.event(&ann, chat, Change::Edited { message_id: id, sender_id: ann.id }).await;
    platform.happen(&[edited]).await;
    assert_eq!(platform.texts(&bob, "q=old").await, [""; 0]);
    assert_eq!(platform.texts(&bob, "q=new").await, ["the new text"]);
}

#[tokio::test]
async fn a_deleted_message_is_not_found_whatever_comes_late() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let message = platform.write(chat, &ann, "a secret").await;
    let first = platform.event(&ann, chat, written(message.id, &ann)).await;
    platform.happen(std::slice::from_ref(&first)).await;
    assert_eq!(platform.texts(&bob, "q=secret").await, ["a secret"]);
    platform.store.delete(ann.id, chat, message.id, Timestamp::now()).await.unwrap();
    assert_eq!(platform.texts(&bob, "q=secret").await, [""; 0], "also before the indexer hears of it");
    let deleted = platform.event(&ann, chat, Change::Deleted { message_id: message.id, sender_id: ann.id }).await;
    for events in
        [vec![deleted.clone()], vec![first.clone()], vec![deleted.clone(), first.clone()], vec![first, deleted]]
    {
        platform.happen(&events).await;
        assert_eq!(platform.index.len(), 0);
    }
}

#[tokio::test]
async fn an_indexer_that_was_slow_brings_no_old_text_back() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    let message = platform.write(chat, &ann, "the old text").await;
    let first = platform.event(&ann, chat, written(message.id, &ann)).await;
    // One indexer has read the message and stops for a while, before it writes.
    let entry =
        SearchEntry { message_id: message.id, chat_id: chat, member: ann.id, version: Version::of(first.event_id) };
    let slow = platform.indexer.document(entry).await.unwrap().unwrap();
    platform.store.edit(ann.id, chat, message.id, "the new text".into(), Timestamp::now()).await.unwrap();
    let edited = platform.event(&ann, chat, Change::Edited { message_id: message.id, sender_id: ann.id }).await;
    platform.happen(&[edited]).await;
    platform.index.put(vec![slow]).await.unwrap();
    assert_eq!(platform.texts(&ann, "q=new").await, ["the new text"]);
}

#[tokio::test]
async fn a_chat_goes_with_all_its_messages() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let notes = platform.chat(&ann, &ann).await;
    let mut events = Vec::new();
    for n in 0..5 {
        let message = platform.write(chat, &bob, &format!("chat {n}")).await;
        events.push(platform.event(&bob, chat, written(message.id, &bob)).await);
    }
    platform.happen(&events[..3]).await;
    platform.say(notes, &ann, "note").await;
    let gone = platform.event(&bob, chat, Change::ChatDeleted).await;
    sentinel_domain::ports::AccountStore::delete_account(&platform.store, bob.id).await.unwrap();
    events.push(gone);
    platform.happen(&events).await;
    assert_eq!(platform.index.len(), 1);
    // All of it once more, in the wrong order.
    events.reverse();
    platform.happen(&events).await;
    assert_eq!(platform.index.len(), 1);
    assert_eq!(platform.texts(&ann, "q=note").await, ["note"]);
}

#[tokio::test]
async fn an_event_that_came_before_what_it_tells_of_is_tried_again() {
    let platform = Platform::new();
    let (ann, _, chat) = pair(&platform).await;
    let not_yet = |result: Result<(), HandlerError>| matches!(result, Err(HandlerError::Unavailable(_)));
    let members = platform.store.chat(ann.id, chat).await.unwrap().members;
    let coming = MessageId(Uuid::now_v7());
    let event = platform.event(&ann, chat, written(coming, &ann)).await;
    assert!(not_yet(platform.indexer.handle(&[event]).await), "a message that is not visible yet");
    let message = platform.say(chat, &ann, "here").await;
    let edited = platform.event(&ann, chat, Change::Edited { message_id: message, sender_id: ann.id }).await;
    assert!(not_yet(platform.indexer.handle(&[edited]).await), "an edit that is not visible yet");
    let deleted = platform.event(&ann, chat, Change::Deleted { message_id: message, sender_id: ann.id }).await;
    assert!(not_yet(platform.indexer.handle(&[deleted]).await), "a deletion that is not visible yet");
    assert_eq!(platform.texts(&ann, "q=here").await, ["here"]);

    // Not for ever: what never appears does not hold up others.
    let long_ago = (Timestamp::now().0 - SETTLING_SECONDS * 1000 - 1_000).unsigned_abs();
    let event_id = EventId(Instant { millis: long_ago, counter: 0 }.id(1));
    let old = PlatformEvent { event_id, chat_id: chat, members, change: written(coming, &ann) };
    platform.happen(&[old]).await;
    // Nor for a chat that is gone.
    let nobody = UserId(Uuid::new_v4());
    let event_id = EventId(platform.clock.tick(Timestamp::now()));
    let members = [nobody, nobody];
    let chat_id = ChatId::of_pair(nobody, nobody);
    platform.happen(&[PlatformEvent { event_id, chat_id, members, change: written(coming, &ann) }]).await;
}

#[tokio::test]
async fn an_outage_of_the_index_loses_nothing() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let message = platform.write(chat, &ann, "during the outage").await;
    let event = platform.event(&ann, chat, written(message.id, &ann)).await;
    *platform.index.away.lock().unwrap() = true;
    let refused = platform.indexer.handle(std::slice::from_ref(&event)).await;
    assert!(matches!(refused, Err(HandlerError::Unavailable(_))));
    *platform.index.away.lock().unwrap() = false;
    platform.happen(&[event]).await;
    assert_eq!(platform.texts(&bob, "q=outage").await, ["during the outage"]);
}

#[tokio::test]
async fn reading_changes_nothing_and_a_batch_is_indexed_whole() {
    let platform = Platform::new();
    let (ann, bob, chat) = pair(&platform).await;
    let mut events = Vec::new();
    for n in 0..60 {
        let message = platform.write(chat, &ann, &format!("batch {n}")).await;
        events.push(platform.event(&ann, chat, written(message.id, &ann)).await);
        let read = Change::Read { message_id: message.id, user_id: bob.id, before: None };
        events.push(platform.event(&ann, chat, read).await);
    }
    platform.happen(&events).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(platform.texts(&bob, "q=batch&limit=100").await.len(), 60);
}
