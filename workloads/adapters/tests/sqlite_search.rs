//! The search index on `SQLite`: the suite of all indices, and what is this one's own.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, dead_code, unused_imports, clippy::unwrap_used)]

mod search_contract;
mod search_database;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sentinel_adapters::sqlite::SearchDatabase;
use sentinel_domain::{
    config::SearchMode,
    ids::{ChatId, MessageId, UserId},
    message::MessageKind,
    ports::{SearchDocument, SearchIndex, Version},
    search::{Query, SearchKeys},
    time::Timestamp,
};
use uuid::Uuid;

use search_contract::{Engine, message, pair, ring};
use search_database::{found, is_anywhere};

fn keys() -> SearchKeys {
    SearchKeys::new(&ring(&[1]))
}

async fn on<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Engine) -> F) {
    on_in(SearchMode::Blind, test).await;
}

async fn on_in<F: Future<Output = ()> + Send + 'static>(mode: SearchMode, test: impl FnOnce(Engine) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let refresh = || -> futures::future::BoxFuture<'static, ()> { Box::pin(async {}) };
    let keys = Arc::new(SearchKeys::of(mode, &ring(&[1])));
    let found_within = Duration::from_secs(2);
    test(Engine { index: Arc::new(index), keys, found_within, refresh: Arc::new(refresh) }).await;
}

search_tests!(@port on);

/// The same, with words in place of hashes.
mod plaintext {
    use super::{Engine, SearchMode};

    async fn on<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Engine) -> F) {
        super::on_in(SearchMode::Plaintext, test).await;
    }

    crate::search_tests!(@port on);
}

#[tokio::test]
async fn an_index_keeps_what_it_has_and_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("search.db");
    let index = SearchDatabase::open(&path).unwrap();
    let (us, keys, id) = (pair(), keys(), message(search_contract::NOW));
    index.put(vec![us.says(&keys, id, "the walrus was paul")]).await.unwrap();
    index.add_marks(vec![keys.mark()]).await.unwrap();
    index.close();
    assert!(index.put(vec![]).await.is_ok() && index.put(vec![us.says(&keys, id, "late")]).await.is_err());
    let again = SearchDatabase::open(&path).unwrap();
    assert_eq!(again.id(), index.id());
    assert_eq!(again.marks().await.unwrap(), Some(vec![keys.mark()]));
    assert!(!is_anywhere(folder.path(), "walrus"));
    let other = SearchDatabase::open(&folder.path().join("other.db")).unwrap();
    assert_ne!(other.id(), index.id());
    assert_eq!(other.marks().await.unwrap(), Some(vec![]));
}

#[tokio::test]
async fn what_is_taken_out_is_in_no_file_any_more() {
    let (us, keys) = (pair(), SearchKeys::of(SearchMode::Plaintext, &ring(&[1])));
    for way in ["edited", "deleted", "of a deleted chat", "too old"] {
        let folder = tempfile::tempdir().unwrap();
        let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
        let (id, later) = (message(search_contract::NOW), search_contract::version(search_contract::NOW + 1));
        index.put(vec![us.says(&keys, id, "the walrus was paul")]).await.unwrap();
        assert!(is_anywhere(folder.path(), "walrus"), "{way}");
        match way {
            "edited" => {
                let document = us.says(&keys, id, "the egg man");
                index.put(vec![SearchDocument { version: later, ..document }]).await.unwrap();
            }
            "deleted" => index.remove(vec![us.removal(id, later)]).await.unwrap(),
            "of a deleted chat" => index.remove_chat(us.chat, later).await.unwrap(),
            _ => assert_eq!(index.forget_up_to(id).await.unwrap(), 1),
        }
        assert!(!is_anywhere(folder.path(), "walrus"), "{way}");
    }
}

#[tokio::test]
async fn an_index_of_an_earlier_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("search.db");
    let (us, keys, id) = (pair(), keys(), message(search_contract::NOW));
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("../src/sqlite/search/schema.sql")).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    let about = Uuid::new_v4();
    db.execute("INSERT INTO about VALUES (0, ?1, ?2)", (about.as_bytes(), keys.mark().0)).unwrap();
    let [low, high] = [us.ann.min(us.bob), us.ann.max(us.bob)];
    let chat = (us.chat.as_bytes(), low.as_bytes(), high.as_bytes());
    db.execute("INSERT INTO chats (number, chat_id, low, high) VALUES (1, ?1, ?2, ?3)", chat).unwrap();
    db.execute("INSERT INTO members VALUES (?1, 1)", [us.ann.as_bytes()]).unwrap();
    let document = us.says(&keys, id, "still here");
    let mut numbers = Vec::new();
    for term in &document.terms {
        let sentinel_domain::search::Term::Blind(bytes) = term else { panic!("{term:?}") };
        numbers.push(i64::from_be_bytes(*bytes));
        let row = (i64::from_be_bytes(*bytes), id.as_bytes());
        db.execute("INSERT INTO terms VALUES (1, ?1, ?2, 0)", row).unwrap();
    }
    numbers.sort_unstable();
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    db.execute("INSERT INTO messages VALUES (1, ?1, ?2, 0, ?3)", (id.as_bytes(), document.version.0, bytes)).unwrap();
    db.close().unwrap();

    let index = SearchDatabase::open(&path).unwrap();
    assert_eq!((index.id(), index.marks().await.unwrap()), (about, Some(vec![keys.mark()])));
    assert_eq!(found(&index, us.ann, keys.asked(&Query::parse("still he"))).await, [id]);
    let plain = SearchKeys::of(SearchMode::Plaintext, &ring(&[1]));
    index.put(vec![us.says(&plain, id, "still here")]).await.unwrap();
    assert_eq!(found(&index, us.ann, keys.asked(&Query::parse("still"))).await, []);
    assert_eq!(found(&index, us.ann, plain.asked(&Query::parse("still"))).await, [id]);
}

/// A document of a small world: two of three chats' members, few words, so that everything meets everything.
#[derive(Clone, Debug)]
struct Small {
    chat: usize,
    by_high: bool,
    kind: usize,
    millis: u64,
    words: Vec<usize>,
    removed: bool,
}

#[derive(Clone, Debug)]
struct Question {
    caller: usize,
    chat: Option<usize>,
    sender: Option<usize>,
    kind: Option<usize>,
    from: Option<u64>,
    to: Option<u64>,
    words: Vec<usize>,
    limit: usize,
}

const KINDS: [MessageKind; 3] = [MessageKind::Text, MessageKind::Image, MessageKind::File];
const WORDS: [&str; 4] = ["walrus", "egg", "penguin", "semolina"];

fn small() -> impl Strategy<Value = Small> {
    let words = prop::collection::vec(0..WORDS.len(), 0..4);
    (0..3usize, any::<bool>(), 0..KINDS.len(), 0..20u64, words, prop::bool::weighted(0.1))
        .prop_map(|(chat, by_high, kind, millis, words, removed)| Small { chat, by_high, kind, millis, words, removed })
}

fn question() -> impl Strategy<Value = Question> {
    (
        0..4usize,
        prop::option::weighted(0.3, 0..3usize),
        prop::option::weighted(0.3, 0..3usize),
        prop::option::weighted(0.2, 0..KINDS.len()),
        prop::option::weighted(0.2, 0..20u64),
        prop::option::weighted(0.2, 0..20u64),
        prop::collection::vec(0..WORDS.len(), 0..3),
        1..8usize,
    )
        .prop_map(|(caller, chat, sender, kind, from, to, words, limit)| Question {
            caller,
            chat,
            sender,
            kind,
            from,
            to,
            words,
            limit,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The index gives what a look at every message gives, page by page.
    #[test]
    fn a_search_finds_what_looking_at_every_message_finds(
        documents in prop::collection::vec(small(), 0..60),
        questions in prop::collection::vec(question(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
            let keys = keys();
            // The fourth is in no chat.
            let mut users: Vec<UserId> = (0..4).map(|_| UserId(Uuid::new_v4())).collect();
            users.sort();
            let members = [[users[0], users[1]], [users[0], users[2]], [users[1], users[1]]];
            let chats = members.map(|[a, b]| ChatId::of_pair(a, b));
            let mut all = Vec::new();
            for small in &documents {
                let id = message(search_contract::NOW + small.millis);
                let text: Vec<&str> = small.words.iter().map(|word| WORDS[*word]).collect();
                let document = SearchDocument {
                    message_id: id,
                    chat_id: chats[small.chat],
                    members: members[small.chat],
                    sender_id: members[small.chat][usize::from(small.by_high)],
                    kind: KINDS[small.kind],
                    terms: keys.terms(&text.join(" ")),
                    version: Version::of(id.into()),
                };
                index.put(vec![document.clone()]).await.unwrap();
                if small.removed {
                    let Version(version) = document.version;
                    let version = Version(version + 1);
                    let removal =
                        sentinel_domain::ports::Removal { message_id: id, chat_id: document.chat_id, version };
                    index.remove(vec![removal]).await.unwrap();
                } else {
                    all.push(document);
                }
            }
            all.sort_by_key(|document| std::cmp::Reverse(document.message_id));
            for asked in &questions {
                let text: Vec<String> = asked.words.iter().map(|word| format!("\"{}\"", WORDS[*word])).collect();
                let at = |millis: Option<u64>| {
                    millis.map(|millis| Timestamp((search_contract::NOW + millis).cast_signed()))
                };
                let mut query = sentinel_domain::ports::SearchQuery {
                    caller: users[asked.caller],
                    chat: asked.chat.map(|chat| chats[chat]),
                    sender: asked.sender.map(|sender| users[sender]),
                    kind: asked.kind.map(|kind| KINDS[kind]),
                    from: at(asked.from),
                    to: at(asked.to),
                    terms: keys.asked(&Query::parse(&text.join(" "))),
                    before: None,
                    limit: asked.limit,
                };
                let meant = |document: &&SearchDocument| {
                    let sent = document.message_id.timestamp();
                    document.members.contains(&query.caller)
                        && query.chat.is_none_or(|chat| chat == document.chat_id)
                        && query.sender.is_none_or(|sender| sender == document.sender_id)
                        && query.kind.is_none_or(|kind| kind == document.kind)
                        && query.from.is_none_or(|from| from <= sent)
                        && query.to.is_none_or(|to| sent < to)
                        && query.terms.iter().all(|group| group.iter().any(|term| document.terms.contains(term)))
                };
                let expected: Vec<MessageId> = all.iter().filter(meant).map(|found| found.message_id).collect();
                let mut found = Vec::new();
                loop {
                    let page = index.query(&query).await.unwrap();
                    assert!(page.hits.len() <= asked.limit);
                    found.extend(page.hits.iter().map(|hit| hit.message_id));
                    query.before = found.last().copied();
                    if !page.more {
                        break;
                    }
                }
                assert_eq!(found, expected, "{asked:?}");
            }
        });
    }
}
