//! Events are handled late, twice and out of order.

use super::{Engine, NOW, message, pair, version};

pub async fn what_comes_late_changes_nothing(engine: Engine) {
    let us = pair();
    let id = message(NOW);
    let old = us.says(&engine.keys, id, "first draft");
    let mut new = us.says(&engine.keys, id, "second draft");
    new.version = version(NOW + 5);
    // Along with another message, which must not suffer.
    let other = message(NOW + 1);
    engine.index.put(vec![new.clone()]).await.unwrap();
    engine.index.put(vec![old.clone(), us.says(&engine.keys, other, "first letter")]).await.unwrap();
    engine.gives(&engine.query(us.ann, "first"), &[other]).await;
    engine.gives(&engine.query(us.ann, "second"), &[id]).await;
    // The same again is no error, and of the same version the last stays.
    new.terms = engine.keys.terms("third draft");
    engine.index.put(vec![new.clone()]).await.unwrap();
    engine.index.put(vec![new]).await.unwrap();
    engine.gives(&engine.query(us.bob, "draft second"), &[]).await;
    engine.gives(&engine.query(us.bob, "third draft"), &[id]).await;
    engine.gives(&engine.query(us.bob, "second"), &[]).await;
}

pub async fn what_is_removed_stays_removed(engine: Engine) {
    let us = pair();
    let (id, unseen) = (message(NOW), message(NOW + 1));
    engine.index.put(vec![us.says(&engine.keys, id, "secret")]).await.unwrap();
    engine.gives(&engine.query(us.ann, "secret"), &[id]).await;
    // One of them was never put, as when events come in the wrong order.
    let removals = vec![us.removal(id, version(NOW + 9)), us.removal(unseen, version(NOW + 9))];
    engine.index.remove(removals.clone()).await.unwrap();
    engine.gives(&engine.query(us.ann, "secret"), &[]).await;
    let mut late = vec![us.says(&engine.keys, id, "secret"), us.says(&engine.keys, unseen, "secret")];
    late[0].version = version(NOW + 8);
    engine.index.put(late).await.unwrap();
    engine.index.remove(removals).await.unwrap();
    engine.refresh().await;
    assert_eq!(engine.ids(&engine.query(us.ann, "secret")).await, []);
}

pub async fn a_chat_is_removed_with_all_its_messages(engine: Engine) {
    let (us, others) = (pair(), pair());
    let count = 1_050;
    let documents: Vec<_> = (0..count).map(|n| us.says(&engine.keys, message(NOW + n), "gone soon")).collect();
    let late = documents[3].clone();
    engine.index.put(documents).await.unwrap();
    let theirs = message(NOW);
    engine.index.put(vec![others.says(&engine.keys, theirs, "gone never")]).await.unwrap();
    // Right after they were put: before a search would see them.
    engine.index.remove_chat(us.chat, version(NOW + 5_000)).await.unwrap();
    engine.index.remove_chat(us.chat, version(NOW + 5_000)).await.unwrap();
    engine.index.put(vec![late]).await.unwrap();
    engine.refresh().await;
    assert_eq!(engine.ids(&engine.query(us.ann, "gone")).await, []);
    assert_eq!(engine.ids(&engine.query(others.ann, "gone")).await, [theirs]);
}

pub async fn what_is_too_old_is_forgotten(engine: Engine) {
    let (us, others) = (pair(), pair());
    let count = 450;
    let old: Vec<_> = (0..count).map(|n| us.says(&engine.keys, message(NOW + n), "once upon a time")).collect();
    let removed = us.removal(old[7].message_id, version(NOW + 9_000));
    let theirs = others.says(&engine.keys, message(NOW + 5), "once more");
    let young = us.says(&engine.keys, message(NOW + 1_000), "once again");
    engine.index.put(old).await.unwrap();
    engine.index.put(vec![theirs, young.clone()]).await.unwrap();
    engine.index.remove(vec![removed]).await.unwrap();
    engine.refresh().await;
    // Also what is left of the one that was removed.
    assert_eq!(engine.index.forget_up_to(message(NOW + 999)).await.unwrap(), count + 1);
    assert_eq!(engine.index.forget_up_to(message(NOW + 999)).await.unwrap(), 0);
    engine.refresh().await;
    assert_eq!(engine.ids(&engine.query(us.ann, "once")).await, [young.message_id]);
    assert_eq!(engine.ids(&engine.query(others.ann, "once")).await, []);
    engine.index.put(vec![us.says(&engine.keys, message(NOW + 1_001), "once and for all")]).await.unwrap();
    engine.refresh().await;
    assert_eq!(engine.ids(&engine.query(us.bob, "once")).await.len(), 2, "the chat goes on");
}
