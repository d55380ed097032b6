//! Rebuilding the index while it is used.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sentinel_adapters::elasticsearch::ElasticsearchError;
use sentinel_domain::{
    config::SearchMode,
    ids::MessageId,
    keyring::KeyError,
    ports::{DocumentSource, RebuildProgress, SearchDocument, SearchEntry, SearchIndex, StoreError, Version},
    reindex::Skipped,
    search::{SearchKeys, Term},
};

use super::{Elastic, NOW, Pair, message, pair, ring, version};

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
    SearchKeys::new(&ring(&[1, 2]))
}

fn new_key() -> SearchKeys {
    SearchKeys::new(&ring(&[2]))
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
    let (progress, mark) = (RebuildProgress::default(), new_key().mark());
    engine.index.add_marks(vec![engine.keys.mark()]).await.unwrap();
    let rebuilt = engine.index.rebuild_after(&source, mark, &progress, Duration::from_millis(500)).await.unwrap();
    assert!(progress.done() == rebuilt.entries && progress.expected().is_some(), "{progress:?}");
    // The mark of the old key went with the old index.
    assert_eq!(engine.index.marks().await.unwrap(), Some(vec![mark]));
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
    assert_eq!(engine.ids(&ask(&engine.keys, "before")).await, [], "terms of the old key never match any more");
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
    let (progress, mark) = (RebuildProgress::default(), both_keys().mark());
    engine.index.add_marks(vec![engine.keys.mark()]).await.unwrap();
    let error = engine.index.rebuild_after(&source, mark, &progress, settling).await.unwrap_err();
    let mut marks = vec![engine.keys.mark(), mark];
    marks.sort_unstable();
    assert_eq!(engine.index.marks().await.unwrap(), Some(marks), "both are searched");
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
    assert!(engine.index.is_half_made().await.unwrap());
    // What is removed meanwhile leaves the old index at once.
    engine.index.remove(vec![us.removal(ids[5], version(NOW + 99_000))]).await.unwrap();
    engine.refresh().await;
    expected.retain(|id| *id != ids[5]);
    assert_eq!(engine.ids(&query).await, expected);

    source.readable.store(usize::MAX, Ordering::Relaxed);
    let progress = RebuildProgress::default();
    let rebuilt = engine.index.rebuild_after(&source, mark, &progress, settling).await.unwrap();
    assert_eq!(engine.index.marks().await.unwrap(), Some(vec![mark]));
    assert_eq!((rebuilt.index.ends_with("-000002"), rebuilt.entries), (true, 599));
    assert!(!engine.index.is_half_made().await.unwrap());
    assert_eq!(indices(&engine, "read").await, ["000002"]);
    // `ids[1]` is a message that the store does not have any more.
    expected.retain(|id| *id != ids[1]);
    assert_eq!(engine.ids(&query).await, expected);
}

pub async fn a_rebuild_in_another_mode_begins_anew_instead_of_going_on(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 60).await;
    engine.refresh().await;
    source.readable.store(20, Ordering::Relaxed);
    let (progress, blind, settling) = (RebuildProgress::default(), both_keys().mark(), Duration::from_millis(10));
    engine.index.rebuild_after(&source, blind, &progress, settling).await.unwrap_err();
    // Some was written to the new index in the mode of before.
    let late = message(NOW + 50_000);
    engine.index.put(vec![us.says(&both_keys(), late, "before")]).await.unwrap();
    let keys = SearchKeys::of(SearchMode::Plaintext, &ring(&[1]));
    let mut texts = source.texts.clone();
    texts.insert(late, "before".into());
    let readable = AtomicUsize::new(usize::MAX);
    let source = Messages { keys: SearchKeys::of(SearchMode::Plaintext, &ring(&[1])), texts, pair: us, readable };
    let progress = RebuildProgress::default();
    let rebuilt = engine.index.rebuild_after(&source, keys.mark(), &progress, settling).await.unwrap();
    assert!(rebuilt.index.ends_with("-000003"), "{rebuilt:?}");
    assert_eq!(indices(&engine, "read").await, ["000003"]);
    assert_eq!(engine.index.marks().await.unwrap(), Some(vec![keys.mark()]));
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    let mut expected = ids[2..].to_vec();
    expected.push(late);
    expected.reverse();
    for (keys, found) in [(&keys, expected), (&both_keys(), vec![])] {
        query.terms = keys.asked(&sentinel_domain::search::Query::parse("before"));
        assert_eq!(engine.ids(&query).await, found);
    }
}

/// Another process hears of a new key only seconds later.
pub async fn what_is_written_as_a_rebuild_begins_is_made_anew_too(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 10).await;
    let late = message(NOW + 50_000);
    let texts = ids[2..].iter().chain([&late]).map(|id| (*id, "before".to_owned())).collect();
    let source = Messages { texts, keys: new_key(), ..source };
    let (progress, settling) = (RebuildProgress::default(), Duration::from_secs(3));
    let mark = new_key().mark();
    let write = async {
        while indices(&engine, "write").await != ["000002"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        engine.index.put(vec![us.says(&engine.keys, late, "before")]).await.unwrap();
    };
    let (rebuilt, ()) = tokio::join!(engine.index.rebuild_after(&source, mark, &progress, settling), write);
    rebuilt.unwrap();
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    query.terms = new_key().asked(&sentinel_domain::search::Query::parse("before"));
    assert_eq!(engine.ids(&query).await.first(), Some(&late));
}

/// As [`Messages`], with a list of them.
struct Listed(Messages);

#[async_trait]
impl DocumentSource for Listed {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        self.0.document(entry).await
    }

    async fn entries(&self, after: Option<SearchEntry>, limit: usize) -> Result<Vec<SearchEntry>, StoreError> {
        let mut ids: Vec<MessageId> = self.0.texts.keys().copied().collect();
        ids.sort_unstable();
        ids.retain(|id| after.is_none_or(|after| *id > after.message_id));
        let entry = |id: MessageId| SearchEntry {
            message_id: id,
            chat_id: self.0.pair.chat,
            member: self.0.pair.bob,
            version: Version::of(id.into()),
        };
        Ok(ids.into_iter().take(limit.min(7)).map(entry).collect())
    }
}

pub async fn what_the_index_lacks_comes_back_with_a_rebuild(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 30).await;
    engine.refresh().await;
    // Lost, with and without a trace.
    let index = format!("/{}-messages-000001/_doc", engine.config.prefix);
    for id in &ids[10..20] {
        engine.raw("DELETE", &format!("{index}/{id}"), "").await;
    }
    let texts = ids.iter().map(|id| (*id, "before".to_owned())).collect();
    let source = Listed(Messages { texts, keys: new_key(), ..source });
    let progress = RebuildProgress::default();
    let rebuilt = engine.index.rebuild_after(&source, new_key().mark(), &progress, Duration::from_millis(10)).await;
    assert_eq!(rebuilt.unwrap().entries, 30);
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    query.terms = new_key().asked(&sentinel_domain::search::Query::parse("before"));
    // What was removed stays so.
    let mut expected = ids[1..].to_vec();
    expected.reverse();
    assert_eq!(engine.ids(&query).await, expected);
    // A deletion that comes late still wins over what was put back.
    engine.index.remove(vec![us.removal(ids[12], version(NOW + 99_000))]).await.unwrap();
    engine.refresh().await;
    expected.retain(|id| *id != ids[12]);
    assert_eq!(engine.ids(&query).await, expected);
}

/// As [`Listed`], whose chat is deleted right after one of its messages was read.
struct Vanishing {
    inner: Listed,
    engine: Elastic,
    with: MessageId,
    deleted: AtomicBool,
}

#[async_trait]
impl DocumentSource for Vanishing {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        if self.deleted.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let document = self.inner.document(entry).await?;
        if entry.message_id == self.with {
            self.deleted.store(true, Ordering::SeqCst);
            self.engine.index.remove_chat(entry.chat_id, version(NOW + 99_000)).await?;
        }
        Ok(document)
    }

    async fn entries(&self, after: Option<SearchEntry>, limit: usize) -> Result<Vec<SearchEntry>, StoreError> {
        if self.deleted.load(Ordering::SeqCst) { Ok(Vec::new()) } else { self.inner.entries(after, limit).await }
    }
}

pub async fn a_chat_that_is_deleted_while_it_is_put_back_leaves_nothing(engine: Elastic) {
    let us = pair();
    // The index has none of them, so the deletion finds none either.
    let ids: Vec<MessageId> = (0..5).map(|n| message(NOW + n)).collect();
    let texts = ids.iter().map(|id| (*id, "before".to_owned())).collect();
    let readable = AtomicUsize::new(usize::MAX);
    let inner = Listed(Messages { pair: us, keys: new_key(), texts, readable });
    let source = Vanishing { inner, engine: engine.clone(), with: ids[3], deleted: AtomicBool::new(false) };
    let (progress, settling) = (RebuildProgress::default(), Duration::from_millis(10));
    engine.index.rebuild_after(&source, new_key().mark(), &progress, settling).await.unwrap();
    assert!(source.deleted.load(Ordering::SeqCst), "it was deleted meanwhile");
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    query.terms = new_key().asked(&sentinel_domain::search::Query::parse("before"));
    assert_eq!(engine.ids(&query).await, []);
    let path = format!("/{}-messages-read/_search", engine.config.prefix);
    let answer = engine.raw("POST", &path, r#"{"size":0,"query":{"exists":{"field":"terms"}}}"#).await;
    assert_eq!(answer["hits"]["total"]["value"], 0, "no term is left: {answer}");
}

/// A process may end between changing aliases and deleting the index that is not used any more.
pub async fn an_index_that_was_left_is_deleted_by_the_next_rebuild(engine: Elastic) {
    let (_, _, source) = filled(&engine, 5).await;
    let (settling, mark) = (Duration::from_millis(10), both_keys().mark());
    let left = format!("/{}-messages-000000", engine.config.prefix);
    engine.raw("PUT", &left, "{}").await;
    engine.index.rebuild_after(&source, mark, &RebuildProgress::default(), settling).await.unwrap();
    let there = engine.raw("GET", &format!("/{}-messages-*", engine.config.prefix), "").await;
    assert_eq!(there.as_object().unwrap().len(), 1, "{there}");
}

pub async fn a_rebuild_goes_on_after_messages_that_can_not_be_read(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 12).await;
    engine.index.add_marks(vec![engine.keys.mark()]).await.unwrap();
    let settling = Duration::from_millis(10);
    // One is damaged, the key of another is missing.
    let unread = [ids[3], ids[5]];
    let damaged = Damaged { inner: &source, unread };
    let (progress, mark) = (RebuildProgress::default(), new_key().mark());
    let rebuilt = engine.index.rebuild_after(&damaged, mark, &progress, settling).await.unwrap();
    let mut skipped = progress.skipped();
    skipped.first.sort();
    assert_eq!((rebuilt.entries, skipped), (10, Skipped { count: 2, first: unread.to_vec() }));
    assert_eq!(indices(&engine, "read").await, ["000002"], "nothing else is missing");
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    query.terms = both_keys().asked(&sentinel_domain::search::Query::parse("before"));
    let mut expected = ids[2..].to_vec();
    expected.reverse();
    let read: Vec<MessageId> = expected.iter().copied().filter(|id| !unread.contains(id)).collect();
    assert_eq!(engine.ids(&query).await, read);
    // The key is back, and what was damaged too.
    let progress = RebuildProgress::default();
    engine.index.rebuild_after(&source, mark, &progress, settling).await.unwrap();
    engine.refresh().await;
    assert_eq!((engine.ids(&query).await, progress.skipped()), (expected, Skipped::default()));
}

/// As [`Messages`], two of which can't be read.
struct Damaged<'a> {
    inner: &'a Messages,
    unread: [MessageId; 2],
}

#[async_trait]
impl DocumentSource for Damaged<'_> {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        match self.unread.iter().position(|id| *id == entry.message_id) {
            None => self.inner.document(entry).await,
            Some(0) => Err(KeyError::Corrupt.into()),
            Some(_) => Err(KeyError::Missing("kek-0001".into()).into()),
        }
    }
}

pub async fn a_rebuild_goes_on_after_messages_that_the_engine_refuses(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 12).await;
    // Two that the index lacks, one of which is refused, too.
    let index = format!("/{}-messages-000001/_doc", engine.config.prefix);
    engine.refresh().await;
    for id in [ids[8], ids[9]] {
        engine.raw("DELETE", &format!("{index}/{id}"), "").await;
    }
    engine.index.add_marks(vec![engine.keys.mark()]).await.unwrap();
    let (settling, mark) = (Duration::from_millis(10), new_key().mark());
    // An engine that takes hardly any has something against the index, which is not put in the place of the old one.
    let source = Refused { inner: Listed(source), refused: ids.clone() };
    let failed = engine.index.rebuild_after(&source, mark, &RebuildProgress::default(), settling).await;
    assert!(matches!(failed, Err(ElasticsearchError::MostRefused { refused: 8, taken: 2 })), "{failed:?}");
    assert_eq!(indices(&engine, "read").await, ["000001", "000002"]);

    let refused = [ids[3], ids[5], ids[9]];
    let source = Refused { refused: refused.to_vec(), ..source };
    let progress = RebuildProgress::default();
    let rebuilt = engine.index.rebuild_after(&source, mark, &progress, settling).await.unwrap();
    let mut skipped = progress.skipped();
    skipped.first.sort();
    assert_eq!((rebuilt.entries, skipped), (9, Skipped { count: 3, first: refused.to_vec() }));
    assert_eq!(indices(&engine, "read").await, ["000002"]);
    engine.refresh().await;
    let mut query = engine.query(us.ann, "before");
    query.terms = both_keys().asked(&sentinel_domain::search::Query::parse("before"));
    let mut expected = ids[2..].to_vec();
    expected.reverse();
    let taken: Vec<MessageId> = expected.iter().copied().filter(|id| !refused.contains(id)).collect();
    assert_eq!(engine.ids(&query).await, taken);
    // An engine that takes them gets them by the next one.
    let progress = RebuildProgress::default();
    engine.index.rebuild_after(&source.inner, mark, &progress, settling).await.unwrap();
    engine.refresh().await;
    assert_eq!((engine.ids(&query).await, progress.skipped()), (expected, Skipped::default()));
}

/// As [`Listed`], some of which have a term that is too long for any engine.
struct Refused {
    inner: Listed,
    refused: Vec<MessageId>,
}

#[async_trait]
impl DocumentSource for Refused {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        let mut document = self.inner.document(entry).await?;
        if let Some(document) = document.as_mut().filter(|document| self.refused.contains(&document.message_id)) {
            document.terms.push(Term::Plain("x".repeat(40_000)));
        }
        Ok(document)
    }

    async fn entries(&self, after: Option<SearchEntry>, limit: usize) -> Result<Vec<SearchEntry>, StoreError> {
        self.inner.entries(after, limit).await
    }
}

pub async fn an_index_of_an_earlier_version_has_no_marks(engine: Elastic) {
    let mapping = r#"{"_meta": {"schema": 1}}"#;
    engine.raw("PUT", &format!("/{}-messages-write/_mapping", engine.config.prefix), mapping).await;
    assert_eq!(engine.index.marks().await.unwrap(), None);
    engine.index.add_marks(both_keys().possible_marks()).await.unwrap();
    assert_eq!(engine.index.marks().await.unwrap().map(|marks| marks.len()), Some(2));
    // The schema is still known.
    sentinel_adapters::elasticsearch::Elasticsearch::connect(&engine.config).await.unwrap();
}

pub async fn the_mode_changes_by_a_rebuild(engine: Elastic) {
    let (us, ids, source) = filled(&engine, 12).await;
    let mut expected = ids[2..].to_vec();
    expected.reverse();
    let mut keys = SearchKeys::new(&ring(&[1]));
    engine.index.add_marks(vec![keys.mark()]).await.unwrap();
    for mode in [SearchMode::Plaintext, SearchMode::Blind] {
        let (next, progress) = (SearchKeys::of(mode, &ring(&[1])), RebuildProgress::default());
        let source = Messages {
            keys: SearchKeys::of(mode, &ring(&[1])),
            texts: source.texts.clone(),
            pair: us,
            readable: AtomicUsize::new(usize::MAX),
        };
        engine.index.rebuild_after(&source, next.mark(), &progress, Duration::from_millis(10)).await.unwrap();
        assert_eq!(engine.index.marks().await.unwrap(), Some(vec![next.mark()]));
        engine.refresh().await;
        let mut query = engine.query(us.ann, "befo");
        for (keys, found) in [(&next, expected.clone()), (&keys, vec![])] {
            query.terms = keys.asked(&sentinel_domain::search::Query::parse("befo"));
            assert_eq!(engine.ids(&query).await, found, "{mode:?}");
        }
        // A blind index has no word, not even among its terms.
        let body = r#"{"size":0,"query":{"term":{"terms":"word:before"}}}"#;
        let path = format!("/{}-messages-read/_search", engine.config.prefix);
        let counted = engine.raw("POST", &path, body).await["hits"]["total"]["value"].as_u64();
        assert_eq!(counted, Some(if mode == SearchMode::Plaintext { expected.len() as u64 } else { 0 }));
        keys = next;
    }
}
