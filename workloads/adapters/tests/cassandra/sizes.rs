//! Messages that are larger than what Cassandra takes in a batch: 50 KiB, unless it is told otherwise.

use sentinel_domain::{
    ports::{ChatStore, StoreError},
    time::Timestamp,
};

use crate::{World, contract::draft_with_id};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_text_that_is_too_large_is_refused_for_good_and_a_shorter_one_goes() {
    let node = World::fresh().node().await;
    let (ann, bob, chat) = node.stores.pair().await;
    let long = "long ".repeat(20 * 1024);
    let append = async |text: &str| {
        node.cassandra.append(draft_with_id(chat.id, ann, text, "once"), None, Timestamp::now()).await
    };
    // Also its repeat, for which there is an attempt already.
    for _ in 0..2 {
        let refused = append(&long).await;
        assert!(matches!(refused, Err(StoreError::TooLarge(_))), "{refused:?}");
    }
    let sent = append("short").await.unwrap().message;
    let edited = node.cassandra.edit(ann, chat.id, sent.id, long, Timestamp::now()).await;
    assert!(matches!(edited, Err(StoreError::TooLarge(_))), "{edited:?}");
    let seen = node.stores.sync(bob, None, 100).await;
    assert_eq!(crate::contract::message_ids(&seen), [sent.id]);
    assert_eq!(sent.text, "short");
}
