use sentinel_domain::{
    event::{InboxBody, LiveEvent},
    watermark::Progress,
};

use super::{NOW, Stores, all, draft, message_ids};

pub async fn every_message_is_in_both_inboxes_in_order(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let eve = stores.user().await;
    let (with_eve, _) = stores.chats.start_chat(eve, ann, NOW).await.unwrap();
    let mut sent = Vec::new();
    for round in 0..10 {
        let (chat, sender) = [(chat.id, ann), (chat.id, bob), (with_eve.id, eve), (with_eve.id, ann)][round % 4];
        sent.push((chat, stores.send(chat, sender, "hello").await.id));
    }
    let of = |chat| sent.iter().filter(|(other, _)| *other == chat).map(|(_, id)| *id).collect::<Vec<_>>();
    assert_eq!(message_ids(&stores.sync(bob, None, 4).await), of(chat.id));
    assert_eq!(message_ids(&stores.sync(eve, None, 4).await), of(with_eve.id));
    let all: Vec<_> = sent.iter().map(|(_, id)| *id).collect();
    assert_eq!(message_ids(&stores.sync(ann, None, 4).await), all);
    for (place, (_, id)) in sent.iter().enumerate() {
        assert_eq!(message_ids(&stores.sync(ann, Some((*id).into()), 2).await), all[place + 1..]);
    }
}

pub async fn what_happened_is_told_as_it_is_now(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let kept = stores.send(chat.id, ann, "first").await.id;
    let gone = stores.send(chat.id, ann, "second").await.id;
    stores.fanout.take();
    let edited = stores.chats.edit(ann, chat.id, kept, "better".into(), NOW).await.unwrap();
    stores.chats.delete(ann, chat.id, gone, NOW).await.unwrap();
    for user in [ann, bob] {
        let events = stores.sync(user, None, 2).await;
        assert!(events.is_sorted_by(|a, b| a.id < b.id));
        let bodies: Vec<_> = events.into_iter().map(|event| event.body).collect();
        let tombstone = match &bodies[2] {
            InboxBody::Message(message) => message.clone(),
            other => panic!("{other:?}"),
        };
        assert!(tombstone.deleted && tombstone.id == gone);
        let expected = [
            InboxBody::ChatStarted { chat_id: chat.id, by: ann },
            InboxBody::Message(edited.clone()),
            InboxBody::Message(tombstone),
            InboxBody::Edited(edited.clone()),
            InboxBody::Deleted { chat_id: chat.id, message_id: gone },
        ];
        assert_eq!(bodies, expected);
    }
    let live = stores.fanout.take();
    assert!(matches!(&live[..], [LiveEvent::Edited { message, .. }, LiveEvent::Deleted { message_id, .. }]
        if *message == edited && *message_id == gone));
}

/// A client syncs again and again while others write: each message comes exactly once.
pub async fn a_client_that_is_up_to_date_misses_nothing(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let eve = stores.user().await;
    let (with_eve, _) = stores.chats.start_chat(eve, ann, NOW).await.unwrap();
    let mut since = stores.chats.inbox_head(ann, NOW).await.unwrap();
    let writers = [(chat.id, bob), (with_eve.id, eve), (chat.id, ann)].map(|(chat, sender)| {
        let stores = stores.clone();
        tokio::spawn(async move {
            for _ in 0..40 {
                let batch = (0..3).map(|_| {
                    let chats = stores.chats.clone();
                    async move { chats.append(draft(chat, sender, "x"), None, NOW).await.unwrap().message.id }
                });
                let ids = all(batch).await;
                stores.chats.advance(sender, chat, Progress::Read, ids[0], NOW).await.unwrap();
            }
        })
    });
    let mut seen = Vec::new();
    loop {
        let finished = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let inbox = stores.chats.inbox(ann, Some(since.clone()), 7).await.unwrap();
        since = inbox.next;
        seen.extend(message_ids(&inbox.events));
        if finished && !inbox.more {
            break;
        }
    }
    assert!(!stores.in_order || seen.is_sorted_by(|a, b| a < b));
    seen.sort();
    assert!(seen.is_sorted_by(|a, b| a < b), "none is given twice");
    assert_eq!(seen.len(), 3 * 40 * 3);
    assert_eq!(message_ids(&stores.sync(ann, None, 100).await), seen);
}

pub async fn an_empty_inbox_has_a_head(stores: &Stores) {
    let (ann, bob) = (stores.user().await, stores.user().await);
    let head = stores.chats.inbox_head(ann, NOW).await.unwrap();
    let nothing = stores.chats.inbox(ann, Some(head.clone()), 10).await.unwrap();
    assert!(nothing.events.is_empty() && !nothing.more && !nothing.reset);
    assert_eq!(stores.chats.inbox(ann, Some(nothing.next), 10).await.unwrap().events, []);
    let (chat, _) = stores.chats.start_chat(bob, ann, NOW.plus_seconds(-3600)).await.unwrap();
    let events = stores.sync(ann, Some(head), 10).await;
    assert_eq!(events.len(), 1, "also what comes by a clock that is behind");
    let message = stores.send(chat.id, ann, "hi").await;
    let head = stores.chats.inbox_head(bob, NOW).await.unwrap();
    for since in [head.clone(), message.id.into()] {
        assert!(stores.sync(bob, Some(since), 10).await.is_empty());
    }
}

pub async fn inboxes_page_evenly(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 9).await;
    for size in 1..=11 {
        let first = stores.chats.inbox(bob, None, size).await.unwrap();
        assert_eq!(first.events.len(), size.min(10));
        assert_eq!(first.more, size < 10);
        assert_eq!(message_ids(&stores.sync(bob, None, size).await), sent);
    }
}
