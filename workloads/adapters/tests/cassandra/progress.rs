//! Receipts whose parts become visible one by one.

use sentinel_domain::{
    clock,
    event::{InboxBody, InboxEvent},
    ids::{ChatId, EventId, MessageId, UserId},
    ports::{ChatStore, Inboxes},
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

use crate::{contract::draft, keyspace, nodes::two};

fn receipts(events: &[InboxEvent]) -> Vec<(EventId, UserId, Watermarks)> {
    let receipt = |event: &InboxEvent| match event.body {
        InboxBody::Receipt { user_id, watermarks, .. } => Some((event.id, user_id, watermarks)),
        _ => None,
    };
    events.iter().filter_map(receipt).collect()
}

/// The write time of what names a message, or later.
fn write_time(message: MessageId, after: i64) -> i64 {
    (clock::Instant::of(message.0).millis.cast_signed() + after) * 1000
}

/// The chat does not have the marks yet.
async fn hide_marks(chat: ChatId, reader: UserId, message: MessageId) {
    let session = keyspace::of_this_run().await.session().await;
    let hide = "DELETE delivered_up_to, read_up_to, shown_delivered, shown_read FROM chats USING TIMESTAMP ?
        WHERE chat_id = ? AND member = ?";
    session.query_unpaged(hide, (write_time(message, 1), chat.0, reader.0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receipt_tells_how_far_the_reader_got_though_the_chat_does_not_yet() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let wall = Timestamp::now();
    let sent = node.cassandra.append(draft(chat.id, ann, "hi"), None, wall).await.unwrap().message.id;
    for (progress, read_up_to) in [(Progress::Delivered, None), (Progress::Read, Some(sent))] {
        let marks = node.cassandra.advance(bob, chat.id, progress, sent, wall).await.unwrap();
        assert_eq!(marks, Watermarks { delivered_up_to: Some(sent), read_up_to });
        hide_marks(chat.id, bob, sent).await;
        for user in [ann, bob] {
            let page = node.cassandra.inbox(user, None, 100).await.unwrap();
            let told = receipts(&page.events);
            assert!(matches!(told[..], [(_, reader, found)] if reader == bob && found == marks), "{told:?}");
            assert!(node.stores.sync(user, Some(page.next), 100).await.is_empty(), "it is given once");
        }
    }
}

/// Two devices read at the same time: the event of the one that read further is the earlier one, and is visible later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receipt_that_is_visible_late_is_given_though_a_later_one_was() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let wall = Timestamp::now();
    let mut sent = Vec::new();
    for text in ["one", "two"] {
        sent.push(node.cassandra.append(draft(chat.id, ann, text), None, wall).await.unwrap().message.id);
    }
    node.cassandra.advance(bob, chat.id, Progress::Read, sent[0], wall.plus_seconds(2)).await.unwrap();
    let page = node.cassandra.inbox(ann, None, 100).await.unwrap();
    let later = receipts(&page.events)[0].0;

    let millis = wall.plus_seconds(1).0.unsigned_abs();
    let event = EventId(clock::Instant { millis, counter: 4 }.id(77));
    assert!(event < later);
    let session = keyspace::of_this_run().await.session().await;
    let write = "UPDATE user_chats USING TIMESTAMP ? SET peer_delivered = ?, peer_read = ?
        WHERE user_id = ? AND chat_id = ?";
    let told = (sent[1].0, event.0);
    session.query_unpaged(write, (write_time(sent[1], 1), told, told, ann.0, chat.id.0)).await.unwrap();
    let next = node.cassandra.inbox(ann, Some(page.next), 100).await.unwrap();
    let both = Some(sent[1]);
    assert_eq!(receipts(&next.events), [(event, bob, Watermarks { delivered_up_to: both, read_up_to: both })]);
    assert!(node.stores.sync(ann, Some(next.next), 100).await.is_empty());
}
