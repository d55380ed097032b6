//! Chats that several processes start, or that one could not finish to start.

use sentinel_domain::{
    clock,
    event::{InboxBody, LiveEvent},
    ids::UserId,
    ports::{ChatReader, ChatStore, HistoryQuery, Inboxes, StoreError},
};
use uuid::Uuid;

use crate::{
    World,
    contract::{NOW, all, draft},
    keyspace,
    nodes::two,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chat_started_on_two_nodes_has_one_key() {
    let (one, other) = two().await;
    for _ in 0..10 {
        let (ann, bob) = (one.stores.user().await, one.stores.user().await);
        let started = all([(&one, ann, bob), (&other, bob, ann)].map(|(node, caller, peer)| {
            let chats = node.cassandra.clone();
            async move {
                let (chat, created) = chats.start_chat(caller, peer, NOW).await.unwrap();
                chats.append(draft(chat.id, caller, "hi"), None, NOW).await.unwrap();
                (chat, created)
            }
        }))
        .await;
        assert_eq!(started.iter().filter(|(_, created)| *created).count(), 1);
        for node in [&one, &other] {
            let page = node.cassandra.history(ann, started[0].0.id, HistoryQuery::Latest, 10).await.unwrap();
            assert!(page.messages.len() == 2 && page.messages.iter().all(|message| message.text == "hi"));
        }
    }
}

/// Whoever started it got as far as its key, and then an account was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chat_whose_start_was_interrupted_does_not_outlive_an_account() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let session = keyspace::of_this_run().await.session().await;
    for member in [ann, bob] {
        let unlist = "DELETE FROM user_chats WHERE user_id = ? AND chat_id = ?";
        session.query_unpaged(unlist, (member.0, chat.id.0)).await.unwrap();
    }
    let start = async |caller, peer| node.cassandra.start_chat(caller, peer, NOW).await.map(|(chat, _)| chat.id);
    assert_eq!(start(ann, bob).await.unwrap(), chat.id, "both are there");
    node.stores.accounts.delete_account(bob).await.unwrap();
    let unknown = start(ann, UserId(Uuid::new_v4())).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound), "{unknown}");
    let deleted = start(ann, bob).await.unwrap_err();
    assert!(matches!(deleted, StoreError::NotFound), "{deleted}");
}

/// Whoever started it got as far as its key; by the time it is finished, clients have synced from later places.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chat_whose_start_is_finished_late_is_told_of() {
    let (node, _) = two().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let started = node.stores.sync(bob, None, 10).await[0].id;
    let session = keyspace::of_this_run().await.session().await;
    let millis = clock::Instant::of(started.0).millis;
    let (at, bucket) = (millis.cast_signed() * 1000 + 1000, i32::try_from(millis / (7 * 24 * 3600 * 1000)).unwrap());
    for member in [ann, bob] {
        let unlist = "DELETE FROM user_chats USING TIMESTAMP ? WHERE user_id = ? AND chat_id = ?";
        session.query_unpaged(unlist, (at, member.0, chat.id.0)).await.unwrap();
        let forget = "DELETE FROM inbox USING TIMESTAMP ? WHERE user_id = ? AND bucket = ? AND event_id = ?";
        session.query_unpaged(forget, (at, member.0, bucket, started.0)).await.unwrap();
    }
    let later = NOW.plus_seconds(200);
    let (notes, _) = node.cassandra.start_chat(bob, bob, later).await.unwrap();
    node.cassandra.append(draft(notes.id, bob, "meanwhile"), None, later).await.unwrap();
    let places = [(ann, node.cassandra.inbox_head(ann, later)), (bob, node.cassandra.inbox_head(bob, later))];
    let mut heads = Vec::new();
    for (member, head) in places {
        let head = head.await.unwrap();
        assert!(head.has(started), "nobody would be given an event of then");
        heads.push((member, head));
    }
    node.stores.fanout.take();
    let (again, created) = node.cassandra.start_chat(ann, bob, later).await.unwrap();
    assert_eq!((again.id, created), (chat.id, false));
    let live = node.stores.fanout.take();
    assert!(
        matches!(&live[..], [LiveEvent::ChatStarted { chat: told, by }] if told.id == chat.id && *by == ann),
        "{live:?}"
    );
    for (member, head) in heads {
        let events = node.stores.sync(member, Some(head), 10).await;
        let expected = InboxBody::ChatStarted { chat_id: chat.id, by: ann };
        assert!(events.iter().filter(|event| event.body == expected).count() == 1, "{events:?}");
    }
}

/// Transactions of one row that overlap disturb one another, so that the store gives some up; no caller may notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_start_a_chat_at_once_each_gets_it() {
    let world = World::fresh();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(world.node().await);
    }
    let (ann, bob) = (nodes[0].stores.user().await, nodes[0].stores.user().await);
    let pairs = [(ann, bob), (bob, ann)];
    let calls = (0..8).flat_map(|_| nodes.iter().flat_map(|node| pairs.map(|(caller, peer)| (node, caller, peer))));
    let started = all(calls.map(|(node, caller, peer)| {
        let chats = node.cassandra.clone();
        async move { chats.start_chat(caller, peer, NOW).await.unwrap() }
    }))
    .await;
    assert_eq!(started.len(), 64);
    assert_eq!(started.iter().filter(|(_, created)| *created).count(), 1, "one of them made it");
    assert!(started.iter().all(|(chat, _)| chat.id == started[0].0.id && chat.created_at == started[0].0.created_at));
}
