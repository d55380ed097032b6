//! Rebuilding the index while it is used.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sentinel_adapters::elasticsearch::ElasticsearchError;
use sentinel_domain::{
    ids::MessageId,
    keyring::Keyring,
    ports::{DocumentSource, SearchDocument, SearchEntry, SearchIndex, StoreError},
    search::SearchKeys,
};

use super::{Elastic, NOW, Pair, message, pair, version};

/// Messages as they are now, indexed with the newest of two keys.
struct Messages {
    pair: Pair,
    keys: SearchKeys,
    texts: HashMap<MessageId, String>,
    /// How many can be read before the store goes away.
    readable: AtomicUsize,
}

#[async_trait]
impl DocumentSource for Messages {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        if self.readable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Err(StoreError::unavailable("away"));
        }
        assert!(entry.member == self.pair.ann || entry.member == self.pair.bob);
        let document = self.texts.get(&entry.message_id).map(|text| {
            let document = self.pair.says(&self.keys, entry.message_id, text);
            SearchDocument { version: entry.version, ..document }
        });
        Ok(document)
    }
}

fn both_keys() -> SearchKeys {
    let keys = [("kek-0001".to_owned(), [7; 32]), ("kek-0002".to_owned(), [8; 32])];
    SearchKeys::new(&Keyring::new(keys.into()).unwrap())
}

fn new_key() -> SearchKeys {
    SearchKeys::new(&Keyring::new([("kek-0002".to_owned(), [8; 32])].into()).unwrap())
}

/// An index with `count` messages, one of them removed, of which the store has forgotten another.
async fn filled(engine: &Elastic, count: u64) -> (Pair, Vec<MessageId>, Messages) {
    let us = pair();
    let ids: Vec<MessageId> = (0..count).map(|n| message(NOW + n)).collect();
    let documents = ids.iter().map(|id| us.says(&engine.keys, *id, "before")).collect();
    engine.index.put(documents).await.unwrap();
    engine.index.remove(vec![us.removal(ids[0], version(NOW + 90_000))]).await.unwrap();
    let texts = ids[2..].iter().map(|id| (*id, "before".to_owned())).collect();
    let readable = AtomicUsize::new(usize::MAX);
    (us, ids, Messages { pair: us, keys: both_keys(), texts, readable })
}

async fn indices(engine: &Elastic, alias: &str) -> Vec<String> {
    let answer = engine.raw("GET", &format!("/_alias/{}-messages-{alias}", engine.config.prefix), "").await;
    answer.as_object().unwrap().keys().map(|name| name.rsplit('-').next().unwrap().to_owned()).collect()
}

pub async fn an_index_is_rebuilt_while_it_is_used(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 1_100).await;
    let stop = Arc::new(tokio::sync::Notify::new());
    let writer = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move {
            let mut written: Vec<MessageId> = Vec::new();
            let keys = both_keys();
            let stopped = stop.notified();
            tokio::pin!(stopped);
            loop {
                let id = message(NOW + 100_000 + written.len() as u64);
                engine.index.put(vec![us.says(&keys, id, "during")]).await.unwrap();
                written.push(id);
                tokio::select! {
                    () = &mut stopped => return written,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Messages that only the old index has may be unknown to the source, which was made before; they are "during".
    let source = Messages { texts: HashMap::new(), ..source };
    let source = Known { inner: source, first: ids[2] };
    let rebuilt = engine.index.rebuild_after(&source, Duration::from_millis(500)).await.unwrap();
    stop.notify_one();
    let written = writer.await.unwrap();
    assert!(rebuilt.index.ends_with("-000002") && rebuilt.entries >= 1_100, "{rebuilt:?}");
    assert_eq!(
        (indices(&engine, "read").await, indices(&engine, "write").await),
        (vec!["000002".into()], vec!["000002".into()])
    );
    engine.refresh().await;

    let ask = |keys: &SearchKeys, words: &str| {
        let mut query = engine.query(us.ann, words);
        query.terms = keys.asked(&sentinel_domain::search::Query::parse(words));
        query.limit = 5_000;
        query
    };
    // With the new key alone: nothing is left that needs the old one.
    let mut before = ids[2..].to_vec();
    before.reverse();
    assert_eq!(engine.ids(&ask(&new_key(), "before")).await, before);
    let mut during = written;
    during.reverse();
    assert_eq!(engine.ids(&ask(&new_key(), "during")).await, during);
    // What was removed still can't come back.
    engine.index.put(vec![us.says(&new_key(), ids[0], "before")]).await.unwrap();
    engine.refresh().await;
    assert_eq!(engine.ids(&ask(&new_key(), "before")).await.len(), before.len());
}

/// As [`Messages`], with texts that follow from the time of a message.
struct Known {
    inner: Messages,
    first: MessageId,
}

#[async_trait]
impl DocumentSource for Known {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        if entry.message_id < self.first {
            return Ok(None);
        }
        let written = entry.message_id.timestamp().0.unsigned_abs();
        let text = if written < NOW + 100_000 { "before" } else { "during" };
        let document = self.inner.pair.says(&self.inner.keys, entry.message_id, text);
        Ok(Some(SearchDocument { version: entry.version, ..document }))
    }
}

pub async fn an_interrupted_rebuild_goes_on(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 600).await;
    engine.refresh().await;
    let settling = Duration::from_millis(10);
    source.readable.store(550, Ordering::Relaxed);
    let error = engine.index.rebuild_after(&source, settling).await.unwrap_err();
    assert!(matches!(error, ElasticsearchError::Source(_)), "{error}");
    assert_eq!(indices(&engine, "read").await, ["000001", "000002"]);
    assert_eq!(indices(&engine, "write").await, ["000002"]);

    // Searches see all of it meanwhile, each message once.
    let mut expected = ids[1..].to_vec();
    expected.reverse();
    let mut query = engine.query(us.bob, "before");
    query.terms = both_keys().asked(&sentinel_domain::search::Query::parse("before"));
    query.limit = 1_300;
    engine.refresh().await;
    assert_eq!(engine.ids(&query).await, expected);
    // What is removed meanwhile is found in the old index only until the rebuild is through.
    engine.index.remove(vec![us.removal(ids[5], version(NOW + 99_000))]).await.unwrap();

    source.readable.store(usize::MAX, Ordering::Relaxed);
    let rebuilt = engine.index.rebuild_after(&source, settling).await.unwrap();
    assert_eq!((rebuilt.index.ends_with("-000002"), rebuilt.entries), (true, 600));
    assert_eq!(indices(&engine, "read").await, ["000002"]);
    // `ids[1]` is a message that the store does not have any more.
    expected.retain(|id| *id != ids[1] && *id != ids[5]);
    assert_eq!(engine.ids(&query).await, expected);
}
