use sentinel_domain::{
    event::{InboxBody, InboxEvent, LiveEvent},
    ids::MessageId,
    watermark::{Progress, Watermarks},
};
use uuid::Uuid;

use super::{NOW, Stores, all, is_not_found};

fn receipts(events: &[InboxEvent]) -> Vec<(sentinel_domain::ids::UserId, Watermarks)> {
    let receipts = events.iter().filter_map(|event| match event.body {
        InboxBody::Receipt { user_id, watermarks, .. } => Some((user_id, watermarks)),
        _ => None,
    });
    receipts.collect()
}

pub async fn watermarks_only_rise(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 5).await;
    stores.fanout.take();
    let advance = async |progress, id| stores.chats.advance(bob, chat.id, progress, id, NOW).await.unwrap();
    let marks = advance(Progress::Delivered, sent[3]).await;
    assert_eq!(marks, Watermarks { delivered_up_to: Some(sent[3]), read_up_to: None });
    let marks = advance(Progress::Read, sent[1]).await;
    assert_eq!(marks, Watermarks { delivered_up_to: Some(sent[3]), read_up_to: Some(sent[1]) });
    assert_eq!(stores.fanout.take().len(), 2);
    assert_eq!(advance(Progress::Read, sent[0]).await, marks);
    assert_eq!(advance(Progress::Delivered, sent[3]).await, marks);
    assert!(stores.fanout.take().is_empty(), "nothing changed, nothing is told");
    let seen = stores.chats.chat(ann, chat.id).await.unwrap();
    assert_eq!((seen.watermarks_of(bob), seen.watermarks_of(ann)), (marks, Watermarks::default()));

    all(sent.iter().copied().map(|id| {
        let chats = stores.chats.clone();
        async move { chats.advance(bob, chat.id, Progress::Read, id, NOW).await.unwrap() }
    }))
    .await;
    let top = Watermarks { delivered_up_to: Some(sent[4]), read_up_to: Some(sent[4]) };
    assert_eq!(stores.chats.chat(ann, chat.id).await.unwrap().watermarks_of(bob), top);
}

pub async fn receipts_replace_each_other(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 5).await;
    let since = stores.chats.inbox_head(ann, NOW).await.unwrap();
    let mut marks = Watermarks::default();
    for id in &sent {
        marks = stores.chats.advance(bob, chat.id, Progress::Read, *id, NOW).await.unwrap();
    }
    let own = stores.chats.advance(ann, chat.id, Progress::Read, sent[4], NOW).await.unwrap();
    for user in [ann, bob] {
        assert_eq!(receipts(&stores.sync(user, None, 3).await), [(bob, marks), (ann, own)]);
        assert_eq!(receipts(&stores.sync(user, Some(since.clone()), 3).await), [(bob, marks), (ann, own)]);
    }
}

pub async fn a_blocked_peer_gets_no_receipt(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 3).await;
    let before = stores.chats.advance(bob, chat.id, Progress::Read, sent[0], NOW).await.unwrap();
    stores.accounts.block(bob, ann, NOW).await.unwrap();
    stores.fanout.take();
    let hidden = stores.chats.advance(bob, chat.id, Progress::Read, sent[1], NOW).await.unwrap();
    let live = stores.fanout.take();
    assert!(matches!(live[..], [LiveEvent::Receipt { user_id, blocked: true, .. }] if user_id == bob), "{live:?}");
    assert_eq!(receipts(&stores.sync(ann, None, 10).await), [(bob, before)], "what was known stays as it was");
    let seen = stores.chats.chat(ann, chat.id).await.unwrap();
    assert_eq!((seen.watermarks_of(bob), seen.shown_of(bob)), (hidden, before));
    assert_eq!(receipts(&stores.sync(bob, None, 10).await), [(bob, hidden)]);
    stores.accounts.unblock(bob, ann).await.unwrap();
    let after = stores.chats.advance(bob, chat.id, Progress::Read, sent[2], NOW).await.unwrap();
    for user in [ann, bob] {
        assert_eq!(receipts(&stores.sync(user, None, 10).await), [(bob, after)]);
    }
    assert_eq!(stores.chats.chat(ann, chat.id).await.unwrap().shown_of(bob), after);
}

pub async fn what_was_read_behind_a_block_is_told_when_it_is_read_again(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let sent = stores.send_many(chat.id, ann, 3).await;
    let advance = async |progress, id| stores.chats.advance(bob, chat.id, progress, id, NOW).await.unwrap();
    let shown = async || {
        let told = receipts(&stores.sync(ann, None, 10).await).into_iter().map(|(_, marks)| marks).collect::<Vec<_>>();
        let marks = stores.chats.chat(ann, chat.id).await.unwrap().shown_of(bob);
        assert_eq!(told, [marks], "the chat says what the inbox does");
        (marks.delivered_up_to, marks.read_up_to)
    };
    advance(Progress::Read, sent[0]).await;
    stores.accounts.block(ann, bob, NOW).await.unwrap();
    let real = advance(Progress::Read, sent[1]).await;
    stores.accounts.unblock(ann, bob).await.unwrap();
    assert_eq!(shown().await, (Some(sent[0]), Some(sent[0])), "nothing is told because the block ends");

    let received = advance(Progress::Delivered, sent[2]).await;
    assert_eq!(received, Watermarks { delivered_up_to: Some(sent[2]), ..real });
    assert_eq!(shown().await, (Some(sent[2]), Some(sent[0])), "what arrives later does not tell what was read");

    stores.fanout.take();
    assert_eq!(advance(Progress::Read, sent[1]).await, received, "the reader had got so far");
    assert_eq!(shown().await, (Some(sent[2]), Some(sent[1])));
    let live = stores.fanout.take();
    let told = |event: &LiveEvent| match event {
        LiveEvent::Receipt { chat, user_id, blocked: false } => Some(chat.shown_of(*user_id).read_up_to),
        _ => None,
    };
    assert_eq!(live.iter().map(told).collect::<Vec<_>>(), [Some(Some(sent[1]))]);
    advance(Progress::Read, sent[1]).await;
    assert!(stores.fanout.take().is_empty(), "that is told once");
}

pub async fn a_receipt_needs_a_message_of_the_chat(stores: &Stores) {
    let (ann, bob, chat) = stores.pair().await;
    let message = stores.send(chat.id, ann, "hi").await.id;
    let elsewhere = stores.chats.start_chat(ann, ann, NOW).await.unwrap().0;
    let foreign = stores.send(elsewhere.id, ann, "note").await.id;
    for unknown in [foreign, MessageId(Uuid::max())] {
        assert!(is_not_found(stores.chats.advance(bob, chat.id, Progress::Read, unknown, NOW).await));
    }
    stores.chats.delete(ann, chat.id, message, NOW).await.unwrap();
    stores.chats.advance(bob, chat.id, Progress::Read, message, NOW).await.unwrap();
}
