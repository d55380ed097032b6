use sentinel_domain::{
    event::{InboxBody, LiveEvent},
    ids::{ChatId, EventId, MessageId, UserId},
    ports::HistoryQuery,
    time::Timestamp,
    watermark::Progress,
};
use uuid::Uuid;

use super::{NOW, Stores, all, draft, is_blocked, is_not_found};

pub async fn a_pair_has_one_chat_however_many_race(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let started = all((0..10).map(|number| {
        let chats = stores.chats.clone();
        let (caller, peer) = if number % 2 == 0 { (ann, bob) } else { (bob, ann) };
        async move { chats.start_chat(caller, peer, NOW).await.unwrap() }
    }))
    .await;
    assert_eq!(started.iter().filter(|(_, created)| *created).count(), 1);
    assert!(started.iter().all(|(chat, _)| chat == &started[0].0));
    assert_eq!(started[0].0.id, ChatId::of_pair(ann, bob));
    for user in [ann, bob] {
        assert_eq!(stores.chats.chats(user, None, 10).await.unwrap().len(), 1);
        let events = stores.sync(user, None, 10).await;
        assert!(matches!(events[..], [ref event] if matches!(event.body, InboxBody::ChatStarted { .. })), "{events:?}");
    }
    let live = stores.fanout.take();
    assert!(matches!(live[..], [LiveEvent::ChatStarted { .. }]), "{live:?}");
    assert!(is_not_found(stores.chats.start_chat(ann, UserId(Uuid::new_v4()), NOW).await));
    assert!(is_not_found(stores.chats.start_chat(UserId(Uuid::new_v4()), ann, NOW).await));
}

pub async fn a_note_to_oneself(stores: &Stores) {
    let ann = stores.user().await;
    let (chat, _) = stores.chats.start_chat(ann, ann, NOW).await.unwrap();
    let note = stores.send(chat.id, ann, "milk").await;
    let events = stores.sync(ann, None, 10).await;
    assert_eq!(events.len(), 2, "{events:?}");
    let marks = stores.chats.advance(ann, chat.id, Progress::Read, note.id, NOW).await.unwrap();
    assert_eq!(stores.chats.chat(ann, chat.id).await.unwrap().watermarks, [marks, marks]);
    let list = stores.chats.chats(ann, None, 10).await.unwrap();
    assert_eq!((list.len(), list[0].unread), (1, 0));
    assert_eq!(stores.sync(ann, None, 10).await.len(), 3);
}

pub async fn unknown_and_foreign_chats_are_the_same(stores: &Stores) {
    let (ann, _, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "secret").await.id;
    let eve = stores.user().await;
    for id in [chat.id, ChatId(Uuid::new_v4())] {
        assert!(is_not_found(stores.chats.chat(eve, id).await));
        assert!(is_not_found(stores.chats.append(draft(id, eve, "hi"), None, NOW).await));
        assert!(is_not_found(stores.chats.edit(eve, id, message, "hi".into(), NOW).await));
        assert!(is_not_found(stores.chats.delete(eve, id, message, NOW).await));
        assert!(is_not_found(stores.chats.advance(eve, id, Progress::Read, message, NOW).await));
        for query in [HistoryQuery::Latest, HistoryQuery::Around(message)] {
            assert!(is_not_found(stores.chats.history(eve, id, query, 10).await));
        }
    }
    assert!(stores.chats.chats(eve, None, 10).await.unwrap().is_empty());
    assert!(stores.sync(eve, None, 10).await.is_empty());
}

pub async fn a_block_cuts_new_chats_and_messages(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "hello").await;
    stores.accounts.block(bob, ann, NOW).await.unwrap();
    for sender in [ann, bob] {
        assert!(is_blocked(stores.chats.append(draft(chat.id, sender, "hi"), None, NOW).await));
    }
    assert!(is_blocked(stores.chats.edit(ann, chat.id, message.id, "louder".into(), NOW).await));
    assert!(!stores.chats.start_chat(ann, bob, NOW).await.unwrap().1, "the chat is there already");
    stores.chats.delete(ann, chat.id, message.id, NOW).await.unwrap();
    stores.accounts.unblock(bob, ann).await.unwrap();
    stores.send(chat.id, ann, "again").await;

    let (eve, mia) = (stores.user().await, stores.user().await);
    stores.accounts.block(eve, mia, NOW).await.unwrap();
    assert!(is_blocked(stores.chats.start_chat(eve, mia, NOW).await));
    assert!(is_blocked(stores.chats.start_chat(mia, eve, NOW).await));
}

pub async fn a_block_is_seen_with_the_chat_at_once(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "hello").await.id;
    let seen = async |caller| {
        let seen = stores.chats.chat_and_block(caller, chat.id).await.unwrap();
        let found =
            stores.chats.message_of_event(caller, chat.id, message, message.into(), NOW).await.unwrap().unwrap();
        assert_eq!((found.chat, found.blocked), seen, "with an event");
        seen
    };
    assert_eq!(seen(ann).await, (chat.clone(), false));
    for (blocker, blocked) in [(ann, bob), (bob, ann)] {
        stores.accounts.block(blocker, blocked, NOW).await.unwrap();
        assert_eq!((seen(ann).await, seen(bob).await), ((chat.clone(), true), (chat.clone(), true)));
        stores.accounts.unblock(blocker, blocked).await.unwrap();
        assert_eq!((seen(ann).await, seen(bob).await), ((chat.clone(), false), (chat.clone(), false)));
    }
    let eve = stores.user().await;
    stores.accounts.block(eve, ann, NOW).await.unwrap();
    assert_eq!(seen(ann).await, (chat.clone(), false), "a block of somebody else's");
    for id in [chat.id, ChatId(Uuid::new_v4())] {
        assert!(is_not_found(stores.chats.chat_and_block(eve, id).await));
    }
}

pub async fn the_list_is_in_the_order_of_activity(stores: &Stores) {
    let (ann, bob, with_bob) = stores.pair().await;
    let eve = stores.user().await;
    let (with_eve, _) = stores.chats.start_chat(eve, ann, NOW).await.unwrap();
    let order = async || -> Vec<ChatId> {
        stores.chats.chats(ann, None, 10).await.unwrap().iter().map(|summary| summary.chat.id).collect()
    };
    assert_eq!(order().await, [with_eve.id, with_bob.id]);
    let message = stores.send(with_bob.id, bob, "me first").await;
    assert_eq!(order().await, [with_bob.id, with_eve.id]);
    let list = stores.chats.chats(ann, None, 10).await.unwrap();
    assert_eq!(list[0].activity, EventId::from(message.id));
    assert_eq!(list[0].last_message.as_ref().unwrap().text, "me first");
    assert!(list[1].last_message.is_none());
    stores.chats.advance(ann, with_bob.id, Progress::Read, message.id, NOW).await.unwrap();
    stores.send(with_eve.id, ann, "hello").await;
    stores.chats.delete(bob, with_bob.id, message.id, NOW).await.unwrap();
    assert_eq!(order().await, [with_eve.id, with_bob.id], "only new messages move a chat");
}

pub async fn unread_is_counted(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, bob, 3).await;
    stores.send_many(chat.id, ann, 2).await;
    let unread = async |user| stores.chats.chats(user, None, 10).await.unwrap()[0].unread;
    assert_eq!((unread(ann).await, unread(bob).await), (3, 2));
    stores.chats.advance(ann, chat.id, Progress::Delivered, sent[2], NOW).await.unwrap();
    assert_eq!(unread(ann).await, 3);
    stores.chats.advance(ann, chat.id, Progress::Read, sent[1], NOW).await.unwrap();
    assert_eq!(unread(ann).await, 1);
    stores.chats.delete(bob, chat.id, sent[2], NOW).await.unwrap();
    assert_eq!(unread(ann).await, 0, "nobody needs to read a tombstone");
}

pub async fn the_list_is_paged(stores: &Stores) {
    let ann = stores.user().await;
    let mut started = Vec::new();
    for number in 0..7 {
        let (chat, _) = stores.chats.start_chat(ann, stores.user().await, Timestamp(NOW.0 + number % 2)).await.unwrap();
        started.push(chat.id);
    }
    for number in [4, 2] {
        let chat = started.remove(number);
        stores.send(chat, ann, "up").await;
        started.push(chat);
    }
    started.reverse();
    for size in [1, 2, 3, 7, 8] {
        let (mut before, mut listed) = (None, Vec::new());
        loop {
            let page = stores.chats.chats(ann, before, size).await.unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            before = Some(last.activity);
            listed.extend(page.iter().map(|summary| summary.chat.id));
        }
        assert_eq!(listed, started, "pages of {size}");
    }
    let unknown = MessageId(Uuid::nil());
    assert!(stores.chats.chats(ann, Some(unknown.into()), 5).await.unwrap().is_empty());
}
