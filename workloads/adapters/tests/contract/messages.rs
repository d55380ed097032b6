use std::collections::HashSet;

use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, MediaId, MessageId},
    message::{ClientMessageId, Draft, MessageKind},
    ports::{HistoryQuery, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::{NOW, Stores, all, draft, draft_with_id, is_not_found, message_ids};

pub async fn a_message_is_stored_as_sent(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    stores.fanout.take();
    let first = stores.send(chat.id, bob, "look").await;
    let full = Draft {
        kind: MessageKind::Image,
        attachments: vec![MediaId(Uuid::new_v4()), MediaId(Uuid::new_v4())],
        reply_to: Some(first.id),
        ..draft_with_id(chat.id, ann, "größer 👩‍👩‍👧", "full")
    };
    let appended = stores.chats.append(full.clone(), Some(Origin(7)), NOW).await.unwrap();
    let message = appended.message;
    assert!(!appended.duplicate && !message.deleted && message.edited_at.is_none());
    assert_eq!(message.id.timestamp(), NOW);
    assert_eq!((&message.text, &message.attachments), (&full.text, &full.attachments));
    assert_eq!((message.kind, message.reply_to), (full.kind, full.reply_to));
    assert_eq!((message.sender_id, &message.client_message_id), (ann, &full.client_message_id));
    let page = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
    assert_eq!(page.messages, [message.clone(), first]);
    let live = stores.fanout.take();
    let Some(LiveEvent::Message { chat: told, message: published, origin }) = live.last() else {
        panic!("{live:?}");
    };
    assert_eq!((told.id, published, *origin), (chat.id, &message, Some(Origin(7))));
    let long = "x".repeat(16 * 1024);
    let long_one = stores.send(chat.id, ann, &long).await;
    let page = stores.chats.history(bob, chat.id, HistoryQuery::Around(long_one.id), 1).await.unwrap();
    assert_eq!(page.messages[0].text, long);
}

pub async fn a_client_id_makes_one_message(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let eve = stores.user().await;
    let (other, _) = stores.chats.start_chat(ann, eve, NOW).await.unwrap();
    let first = stores.chats.append(draft_with_id(chat.id, ann, "first", "1"), None, NOW).await.unwrap().message;
    let edited = stores.chats.edit(ann, chat.id, first.id, "edited".into(), NOW).await.unwrap();
    stores.fanout.take();
    for repeat in [chat.id, other.id] {
        let again = stores.chats.append(draft_with_id(repeat, ann, "again", "1"), None, NOW).await.unwrap();
        assert!(again.duplicate);
        assert_eq!(again.message, edited, "the first one as it is now");
    }
    stores.accounts.block(bob, ann, NOW).await.unwrap();
    assert!(stores.chats.append(draft_with_id(chat.id, ann, "again", "1"), None, NOW).await.unwrap().duplicate);
    stores.accounts.unblock(bob, ann).await.unwrap();
    // Neither what was meant for another chat nor what is behind a block.
    let (again, others): (Vec<_>, Vec<_>) = (stores.fanout.take().into_iter())
        .partition(|event| matches!(event, LiveEvent::Message { message, .. } if *message == edited));
    assert_eq!(again.len(), usize::from(stores.in_doubt), "{again:?}");
    assert!(others.iter().all(|event| matches!(event, LiveEvent::BlockChanged { .. })), "{others:?}");
    let foreign = stores.chats.append(draft_with_id(chat.id, bob, "mine", "1"), None, NOW).await.unwrap();
    assert!(!foreign.duplicate, "another sender's ids are others");
    assert_eq!(stores.chats.history(ann, chat.id, HistoryQuery::Latest, 10).await.unwrap().messages.len(), 2);
}

pub async fn what_was_sent_under_a_client_id_is_found(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let eve = stores.user().await;
    let (other, _) = stores.chats.start_chat(ann, eve, NOW).await.unwrap();
    let id = ClientMessageId::parse("1".into()).unwrap();
    let sent = async |sender, chat| stores.chats.sent(sender, chat, id.clone(), Some(Origin(7))).await.unwrap();
    assert_eq!(sent(ann, chat.id).await, None);
    let message = stores.chats.append(draft_with_id(chat.id, ann, "first", "1"), None, NOW).await.unwrap().message;
    stores.fanout.take();
    for chat in [chat.id, other.id] {
        assert_eq!(sent(ann, chat).await.as_ref(), Some(&message));
    }
    let published = stores.fanout.take();
    assert_eq!(published.len(), usize::from(stores.in_doubt), "{published:?}");
    for event in published {
        let LiveEvent::Message { message: again, origin, .. } = event else { panic!("{event:?}") };
        assert_eq!((again, origin), (message.clone(), Some(Origin(7))));
    }
    assert_eq!(sent(bob, chat.id).await, None, "another sender's ids are others");
    assert!(is_not_found(stores.chats.sent(ann, ChatId(Uuid::new_v4()), id.clone(), None).await));
    assert!(is_not_found(stores.chats.sent(eve, chat.id, id.clone(), None).await));
    let edited = stores.chats.edit(ann, chat.id, message.id, "edited".into(), NOW).await.unwrap();
    assert_eq!(sent(ann, chat.id).await, Some(edited));
    stores.chats.delete(ann, chat.id, message.id, NOW).await.unwrap();
    let tombstone = sent(ann, chat.id).await.unwrap();
    assert_eq!((tombstone.id, tombstone.deleted), (message.id, true));
}

pub async fn a_client_id_makes_one_message_under_a_race(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    for round in 0..10 {
        let tries = all((0..4).map(|_| {
            let (chats, draft) = (stores.chats.clone(), draft_with_id(chat.id, ann, "once", &round.to_string()));
            async move { chats.append(draft, None, NOW).await.unwrap() }
        }))
        .await;
        assert_eq!(tries.iter().filter(|appended| !appended.duplicate).count(), 1);
        assert!(tries.iter().all(|appended| appended.message == tries[0].message));
    }
    assert_eq!(stores.chats.history(bob, chat.id, HistoryQuery::Latest, 100).await.unwrap().messages.len(), 10);
}

pub async fn only_the_author_changes_a_message(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "mine").await;
    let edit = stores.chats.edit(bob, chat.id, message.id, "yours".into(), NOW).await;
    assert!(matches!(edit, Err(StoreError::NotAuthor)), "{edit:?}");
    assert!(matches!(stores.chats.delete(bob, chat.id, message.id, NOW).await, Err(StoreError::NotAuthor)));
    let elsewhere = stores.chats.start_chat(ann, ann, NOW).await.unwrap().0;
    assert!(is_not_found(stores.chats.edit(ann, elsewhere.id, message.id, "x".into(), NOW).await));
    assert!(is_not_found(stores.chats.delete(ann, elsewhere.id, message.id, NOW).await));
    for (text, millis) in [("better", 5), ("best", 10)] {
        let later = Timestamp(NOW.0 + millis);
        let edited = stores.chats.edit(ann, chat.id, message.id, text.into(), later).await.unwrap();
        assert_eq!((edited.id, edited.text.as_str(), edited.edited_at), (message.id, text, Some(later)));
        let page = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
        assert_eq!(page.messages, [edited]);
    }
}

/// Clients keep the later of two edits.
pub async fn a_later_edit_says_so_whatever_the_clock_says(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "written").await;
    let mut before = None;
    for (text, seconds) in [("first", 60), ("second", 0), ("third", 0)] {
        stores.fanout.take();
        let at = NOW.plus_seconds(seconds);
        let edited = stores.chats.edit(ann, chat.id, message.id, text.into(), at).await.unwrap();
        assert!(edited.edited_at > before, "{text}: {:?} after {before:?}", edited.edited_at);
        before = edited.edited_at;
        let live = stores.fanout.take();
        assert!(matches!(&live[..], [LiveEvent::Edited { message, .. }] if *message == edited), "{live:?}");
        assert_eq!(stores.chats.message(bob, chat.id, message.id).await.unwrap(), edited);
    }
}

pub async fn deleting_leaves_a_tombstone(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = Draft { attachments: vec![MediaId(Uuid::new_v4())], ..draft_with_id(chat.id, ann, "oops", "1") };
    let message = stores.chats.append(sent, None, NOW).await.unwrap().message;
    stores.chats.delete(ann, chat.id, message.id, NOW).await.unwrap();
    stores.fanout.take();
    stores.chats.delete(ann, chat.id, message.id, NOW).await.unwrap();
    let again = stores.fanout.take();
    assert_eq!(again.len(), usize::from(stores.in_doubt), "{again:?}");
    for event in again {
        assert!(matches!(event, LiveEvent::Deleted { message_id, .. } if message_id == message.id), "{event:?}");
    }
    stores.chats.delete(ann, chat.id, message.id, NOW.plus_seconds(7200)).await.unwrap();
    let edit = stores.chats.edit(ann, chat.id, message.id, "back".into(), NOW).await;
    assert!(matches!(edit, Err(StoreError::Gone)), "{edit:?}");
    let page = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 10).await.unwrap();
    let [tombstone] = &page.messages[..] else { panic!("{page:?}") };
    assert!(tombstone.deleted && tombstone.text.is_empty() && tombstone.attachments.is_empty());
    let again = stores.chats.append(draft_with_id(chat.id, ann, "oops", "1"), None, NOW).await.unwrap();
    assert!(again.duplicate && again.message.deleted, "a retry does not bring it back");
    assert!(stores.fanout.take().is_empty(), "nor does anybody hear of it, or of a deletion hours later");
}

pub async fn nobody_hears_of_an_edit_after_the_deletion(stores: &Stores) {
    let (ann, _, chat) = stores.pair().await;
    for _ in 0..20 {
        let message = stores.send(chat.id, ann, "written").await.id;
        stores.fanout.take();
        let racing = all((0..6).map(|number| {
            let stores = stores.clone();
            async move {
                if number == 2 {
                    return stores.chats.delete(ann, chat.id, message, NOW).await;
                }
                let edited = stores.chats.edit(ann, chat.id, message, number.to_string(), NOW).await;
                edited.map(drop)
            }
        }));
        let racing = racing.await;
        assert!(racing[2].is_ok(), "{racing:?}");
        assert!(racing.iter().all(|done| matches!(done, Ok(()) | Err(StoreError::Gone))), "{racing:?}");
        let told = stores.fanout.take();
        let mut after = told.iter().skip_while(|event| !matches!(event, LiveEvent::Deleted { .. }));
        assert!(after.next().is_some(), "{told:?}");
        assert_eq!(after.next(), None, "{told:?}");
        let row = stores.chats.message(ann, chat.id, message).await.unwrap();
        assert!(row.deleted && row.text.is_empty());
    }
}

pub async fn an_answer_is_to_a_message_of_the_chat(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let elsewhere = stores.chats.start_chat(bob, bob, NOW).await.unwrap().0;
    let foreign = stores.send(elsewhere.id, bob, "note").await.id;
    for unknown in [foreign, MessageId(Uuid::new_v4())] {
        let answer = Draft { reply_to: Some(unknown), ..draft_with_id(chat.id, ann, "re", "1") };
        let refused = stores.chats.append(answer, None, NOW).await;
        assert!(matches!(refused, Err(StoreError::UnknownReply)), "{refused:?}");
    }
    let accepted = stores.chats.append(draft_with_id(chat.id, ann, "no answer", "1"), None, NOW).await.unwrap();
    assert!(!accepted.duplicate, "a refused message does not use up its id");
}

pub async fn the_order_of_ids_is_the_order_of_events(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    stores.fanout.take();
    let acknowledged = all((0..200).map(|number| {
        let chats = stores.chats.clone();
        let sender = if number % 3 == 0 { ann } else { bob };
        // Callers' clocks disagree: that must not matter.
        let now = Timestamp(NOW.0 + i64::from(number % 7) * 1000);
        async move { chats.append(draft(chat.id, sender, "now"), None, now).await.unwrap().message.id }
    }))
    .await;
    let published: Vec<MessageId> = stores
        .fanout
        .take()
        .iter()
        .map(|event| match event {
            LiveEvent::Message { message, .. } => message.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(published.is_sorted());
    assert_eq!(published.iter().collect::<HashSet<_>>(), acknowledged.iter().collect());
    for user in [ann, bob] {
        assert_eq!(message_ids(&stores.sync(user, None, 33).await), published);
    }
    let mut history: Vec<_> = stores.chats.history(bob, chat.id, HistoryQuery::Latest, 500).await.unwrap().messages;
    history.reverse();
    assert_eq!(history.iter().map(|message| message.id).collect::<Vec<_>>(), published);
}

pub async fn a_clock_that_goes_back_changes_nothing(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let mut last = stores.send(chat.id, ann, "question").await;
    for minutes in 1..5 {
        let answer = Draft { reply_to: Some(last.id), ..draft(chat.id, bob, "answer") };
        let earlier = NOW.plus_seconds(-60 * minutes);
        let message = stores.chats.append(answer, None, earlier).await.unwrap().message;
        assert!(message.id > last.id, "an answer sorts after what it answers");
        last = message;
    }
}
