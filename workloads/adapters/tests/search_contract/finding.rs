//! What is found.

use std::time::Instant;

use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::MessageKind,
    ports::SearchQuery,
    time::Timestamp,
};
use uuid::Uuid;

use super::{Engine, NOW, message, pair};

pub async fn messages_are_found_newest_first_by_their_members_only(engine: Engine) {
    let (us, others) = (pair(), pair());
    let ids = [message(NOW), message(NOW + 1), message(NOW + 2)];
    let texts = ["see you tomorrow", "tomorrow then", "or today"];
    let documents = ids.iter().zip(texts).map(|(id, text)| us.says(&engine.keys, *id, text)).collect();
    engine.index.put(documents).await.unwrap();
    let theirs = message(NOW + 3);
    engine.index.put(vec![others.says(&engine.keys, theirs, "tomorrow never")]).await.unwrap();
    let written = Instant::now();
    for member in [us.ann, us.bob] {
        engine.gives(&engine.query(member, "tomorrow"), &[ids[1], ids[0]]).await;
    }
    let took = written.elapsed();
    println!("found after {took:?}");
    assert!(took < engine.found_within);
    for (words, expected) in [
        ("tom", &[ids[1], ids[0]][..]),
        ("TOMORROW see", &ids[..1]),
        ("tomorrow sea", &[]),
        ("see tom", &ids[..1]),
        ("tod", &ids[2..]),
        // What begins with one letter the text must tell: the index gives all that has the rest.
        ("tomorrow t", &[ids[1], ids[0]]),
        ("x", &[]),
    ] {
        engine.gives(&engine.query(us.ann, words), expected).await;
    }
    let hits = engine.index.query(&engine.query(us.ann, "today")).await.unwrap().hits;
    assert_eq!(hits[0].chat_id, us.chat);
    engine.gives(&engine.query(others.bob, "tomorrow"), &[theirs]).await;
    engine.gives(&engine.query(UserId(Uuid::new_v4()), "tomorrow"), &[]).await;
}

pub async fn conditions_narrow_and_never_widen(engine: Engine) {
    let (us, others) = (pair(), pair());
    let [first, picture, later] = [message(NOW), message(NOW + 10), message(NOW + 20)];
    let mut documents = vec![
        us.says(&engine.keys, first, "word"),
        us.says(&engine.keys, picture, "word"),
        us.says(&engine.keys, later, "word"),
    ];
    documents[1].kind = MessageKind::Image;
    documents[2].sender_id = us.bob;
    engine.index.put(documents).await.unwrap();
    let base = engine.query(us.ann, "word");
    engine.gives(&base, &[later, picture, first]).await;
    let at = |millis: u64| Some(Timestamp(millis.cast_signed()));
    for (query, expected) in [
        (SearchQuery { kind: Some(MessageKind::Image), ..base.clone() }, vec![picture]),
        (SearchQuery { kind: Some(MessageKind::File), ..base.clone() }, vec![]),
        (SearchQuery { sender: Some(us.bob), ..base.clone() }, vec![later]),
        (SearchQuery { sender: Some(others.ann), ..base.clone() }, vec![]),
        (SearchQuery { chat: Some(us.chat), ..base.clone() }, vec![later, picture, first]),
        (SearchQuery { chat: Some(ChatId(Uuid::new_v4())), ..base.clone() }, vec![]),
        (SearchQuery { from: at(NOW + 10), ..base.clone() }, vec![later, picture]),
        (SearchQuery { to: at(NOW + 10), ..base.clone() }, vec![first]),
        (SearchQuery { from: at(NOW + 1), to: at(NOW + 20), ..base.clone() }, vec![picture]),
        (SearchQuery { before: Some(picture), ..base.clone() }, vec![first]),
        (SearchQuery { limit: 2, ..base.clone() }, vec![later, picture]),
        // Somebody else gets nothing by naming this chat, its members and its words.
        (SearchQuery { caller: others.ann, chat: Some(us.chat), sender: Some(us.ann), ..base.clone() }, vec![]),
        (SearchQuery { caller: others.ann, terms: vec![], ..base.clone() }, vec![]),
    ] {
        assert_eq!(engine.ids(&query).await, expected, "{query:?}");
    }
    let either = vec![engine.keys.asked(&sentinel_domain::search::Query::parse("none word \"word\"")).concat()];
    engine.gives(&SearchQuery { terms: either, ..base }, &[later, picture, first]).await;
}

pub async fn messages_of_one_millisecond_page_without_gap_or_repeat(engine: Engine) {
    let us = pair();
    let mut ids: Vec<MessageId> = (0..45).map(|_| message(NOW)).collect();
    let documents = ids.iter().map(|id| us.says(&engine.keys, *id, "again")).collect();
    engine.index.put(documents).await.unwrap();
    engine.refresh().await;
    ids.sort_unstable();
    ids.reverse();
    let (mut query, mut read) = (SearchQuery { limit: 7, ..engine.query(us.bob, "again") }, Vec::new());
    loop {
        let page = engine.index.query(&query).await.unwrap();
        read.extend(page.hits.iter().map(|hit| hit.message_id));
        if !page.more {
            break;
        }
        query.before = read.last().copied();
    }
    assert_eq!(read, ids);
}

pub async fn a_large_batch_is_indexed_whole(engine: Engine) {
    let us = pair();
    let count = 1_203;
    let documents = (0..count).map(|n| us.says(&engine.keys, message(NOW + n), &format!("many {n}"))).collect();
    engine.index.put(documents).await.unwrap();
    engine.refresh().await;
    let query = SearchQuery { limit: 2_000, ..engine.query(us.ann, "many") };
    assert_eq!(engine.ids(&query).await.len() as u64, count);
    assert_eq!(engine.ids(&engine.query(us.ann, "\"many 1202\"")).await.len(), 1);
}
