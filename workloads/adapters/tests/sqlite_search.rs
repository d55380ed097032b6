//! The search index on `SQLite`: the suite of all indices, and making it anew from the messages.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, dead_code, unused_imports, clippy::unwrap_used)]

mod search_contract;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use proptest::prelude::*;
use sentinel_adapters::sqlite::{SearchDatabase, SearchRebuild, Sqlite};
use sentinel_domain::{
    clock::HybridClock,
    config::SearchMode,
    event::Nobody,
    ids::{ChatId, EventId, MessageId, UserId},
    keyring::Keyring,
    message::MessageKind,
    ports::{
        AccountStore, ChatReader, ChatStore, DocumentSource, Inboxes, IndexRebuild, RebuildProgress, SearchDocument,
        SearchEntry, SearchIndex, SearchQuery, StoreError, Version,
    },
    reindex::Skipped,
    search::{Mark, Query, SearchKeys},
    time::Timestamp,
};
use sentinel_testing::{account, draft};
use uuid::Uuid;

use search_contract::{Engine, message, pair, ring};

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
    test(Engine { index: Arc::new(index), keys, refresh: Arc::new(refresh) }).await;
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
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"walrus"));
    }
    let other = SearchDatabase::open(&folder.path().join("other.db")).unwrap();
    assert_ne!(other.id(), index.id());
    assert_eq!(other.marks().await.unwrap(), Some(vec![]));
}

/// Messages in a database, indexed with a key.
struct Messages {
    store: Sqlite,
    keys: SearchKeys,
}

#[async_trait]
impl DocumentSource for Messages {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        let SearchEntry { message_id, chat_id, member, version } = entry;
        let chat = self.store.chat(member, chat_id).await?;
        let found = self.store.message(member, chat_id, message_id).await?;
        Ok((!found.deleted).then(|| SearchDocument {
            message_id,
            chat_id,
            members: chat.members,
            sender_id: found.sender_id,
            kind: found.kind,
            terms: self.keys.terms(&found.text),
            version,
        }))
    }
}

fn keyring(names: &[&str]) -> Arc<Keyring> {
    let key = |name: &str| std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
    Arc::new(Keyring::new(names.iter().map(|name| ((*name).to_owned(), key(name))).collect()).unwrap())
}

async fn user(store: &Sqlite) -> UserId {
    let name = Uuid::new_v4().simple().to_string();
    store.create_account(account(&format!("u{}", &name[..20]))).await.unwrap().id
}

async fn send(store: &Sqlite, chat_id: ChatId, sender_id: UserId, text: &str) -> MessageId {
    store.append(draft(chat_id, sender_id, text), None, Timestamp::now()).await.unwrap().message.id
}

async fn found(
    index: &SearchDatabase,
    caller: UserId,
    terms: Vec<Vec<sentinel_domain::search::Term>>,
) -> Vec<MessageId> {
    let (chat, sender, kind, from, to, before) = (None, None, None, None, None, None);
    let query = SearchQuery { caller, chat, sender, kind, from, to, terms, before, limit: 1000 };
    index.query(&query).await.unwrap().hits.into_iter().map(|hit| hit.message_id).collect()
}

/// Whether a file in the folder has these bytes.
fn is_anywhere(folder: &std::path::Path, bytes: &str) -> bool {
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|file| file.windows(bytes.len()).any(|window| window == bytes.as_bytes()))
}

#[tokio::test]
async fn a_change_of_the_mode_loses_nothing_and_leaves_no_word_behind() {
    let (messages, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = ["kek-0001"];
    let path = messages.path().join("db");
    let store = Sqlite::open(&path, keyring(&names), Arc::new(HybridClock::new()), Arc::new(Nobody)).unwrap();
    let path = folder.path().join("search.db");
    let (ann, bob) = (user(&store).await, user(&store).await);
    let (chat, _) = store.start_chat(ann, bob, Timestamp::now()).await.unwrap();
    let mut sent = Vec::new();
    for number in 0..230 {
        sent.push(send(&store, chat.id, ann, &format!("walrus {number}")).await);
    }
    sent.reverse();
    let of = |mode| SearchKeys::of(mode, &keyring(&names));
    let mut before = of(SearchMode::Blind);
    for mode in [SearchMode::Blind, SearchMode::Plaintext, SearchMode::Blind] {
        let index = SearchDatabase::open(&path).unwrap();
        let source = Messages { store: store.clone(), keys: of(mode) };
        let rebuild = SearchRebuild::new(index.clone(), store.clone()).settling(Duration::ZERO);
        let after = of(mode);
        let (stop, progress) = (AtomicBool::new(false), RebuildProgress::default());
        // Everything is found throughout, as the marks say how to ask.
        let searching = async {
            let mut searches = 0;
            while !stop.load(Ordering::Relaxed) {
                let marks = index.marks().await.unwrap().unwrap();
                if !marks.is_empty() && mode != before.mode() {
                    let found = found(&index, bob, after.asked_of(&Query::parse("walr"), &marks)).await;
                    assert_eq!(found.len(), 230, "{mode:?} by {marks:?}");
                    searches += 1;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            searches
        };
        let rebuilding = async {
            let rebuilt = rebuild.rebuild_index(&source, after.mark(), &progress).await;
            stop.store(true, Ordering::Relaxed);
            rebuilt.unwrap()
        };
        let (searches, rebuilt) = tokio::join!(searching, rebuilding);
        assert!(rebuilt == 230 && (searches > 0 || mode == before.mode()), "{rebuilt} {searches}");
        assert_eq!(index.marks().await.unwrap(), Some(vec![after.mark()]));
        assert_eq!(found(&index, bob, after.asked(&Query::parse("walr"))).await, sent);
        if mode != before.mode() {
            assert_eq!(found(&index, bob, before.asked(&Query::parse("walr"))).await, [], "old terms never match");
        }
        before = after;
        // The log is copied into the file, and what was there is overwritten.
        assert_eq!(is_anywhere(folder.path(), "walrus"), mode == SearchMode::Plaintext, "{mode:?}");
        index.close();
    }
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

#[tokio::test]
async fn who_writes_during_a_rebuild_keeps_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = Sqlite::open(&path, keyring(&["kek-0001"]), Arc::new(HybridClock::new()), Arc::new(Nobody)).unwrap();
    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let (old, new, other) = (Mark([1; 8]), Mark([2; 8]), Mark([3; 8]));
    index.add_marks(vec![old, other]).await.unwrap();
    let source = Messages { store: store.clone(), keys: keys() };
    let rebuild = SearchRebuild::new(index.clone(), store).settling(Duration::from_millis(300));
    let progress = RebuildProgress::default();
    let another = async {
        tokio::time::timeout(Duration::from_secs(20), until(|| index.marks(), new)).await.unwrap();
        // It may be there already: of what is about to be replaced.
        index.add_marks(vec![other]).await.unwrap();
    };
    let (rebuilt, ()) = tokio::join!(rebuild.rebuild_index(&source, new, &progress), another);
    rebuilt.unwrap();
    assert_eq!(index.marks().await.unwrap(), Some(vec![new, other]));
}

/// Waits until the index has a mark.
async fn until<F: Future<Output = Result<Option<Vec<Mark>>, StoreError>>>(marks: impl Fn() -> F, mark: Mark) {
    while !marks().await.unwrap().unwrap().contains(&mark) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_index_is_made_anew_from_the_messages_with_a_new_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let open = |names: &[&str]| Sqlite::open(&path, keyring(names), Arc::new(HybridClock::new()), Arc::new(Nobody));
    let store = open(&["kek-0001"]).unwrap();
    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let old = SearchKeys::new(&keyring(&["kek-0001"]));
    let (ann, bob, eve) = (user(&store).await, user(&store).await, user(&store).await);
    let (chat, _) = store.start_chat(ann, bob, Timestamp::now()).await.unwrap();
    let (doomed, _) = store.start_chat(ann, eve, Timestamp::now()).await.unwrap();
    let mut sent = Vec::new();
    for number in 0..450 {
        sent.push(send(&store, chat.id, ann, &format!("number {number}")).await);
    }
    let lost = send(&store, doomed.id, eve, "number of a lost chat").await;
    let document = |id: MessageId, chat: &sentinel_domain::message::Chat, text: &str, version| SearchDocument {
        message_id: id,
        chat_id: chat.id,
        members: chat.members,
        sender_id: ann,
        kind: MessageKind::Text,
        terms: old.terms(text),
        version,
    };
    // Some are indexed; one of them was edited, one deleted, and the index knows the edit only.
    let entries = sent[..300].iter().map(|id| document(*id, &chat, "number", Version::of((*id).into())));
    index.put(entries.collect()).await.unwrap();
    index.put(vec![document(lost, &doomed, "number", Version::of(lost.into()))]).await.unwrap();
    store.edit(ann, chat.id, sent[0], "number edited".into(), Timestamp::now()).await.unwrap();
    let edited = Version::of(store.inbox_head(ann, Timestamp::now()).await.unwrap().up_to());
    index.put(vec![document(sent[0], &chat, "number edited", edited)]).await.unwrap();
    store.delete(ann, chat.id, sent[1], Timestamp::now()).await.unwrap();
    store.delete_account(eve).await.unwrap();
    store.close();

    let store = open(&["kek-0001", "kek-0002"]).unwrap();
    let new = SearchKeys::new(&keyring(&["kek-0002"]));
    let source = Messages { store: store.clone(), keys: SearchKeys::new(&keyring(&["kek-0001", "kek-0002"])) };
    let rebuild = SearchRebuild::new(index.clone(), store.clone()).settling(Duration::ZERO);
    let progress = RebuildProgress::default();
    index.add_marks(vec![old.mark()]).await.unwrap();
    assert_eq!(rebuild.rebuild_index(&source, new.mark(), &progress).await.unwrap(), 450);
    assert_eq!((progress.done(), progress.expected()), (450, Some(450)));
    assert_eq!(index.marks().await.unwrap(), Some(vec![new.mark()]), "nothing is left of the old key's");
    let ask = async |keys: &SearchKeys, words: &str| found(&index, ann, keys.asked(&Query::parse(words))).await;
    let mut expected: Vec<MessageId> = sent.iter().copied().filter(|id| *id != sent[1]).collect();
    expected.reverse();
    assert_eq!(ask(&new, "number").await, expected);
    assert_eq!(ask(&new, "edited").await, [sent[0]]);
    assert_eq!(ask(&old, "number").await, [], "nothing is left that needs the old key");
    // Again changes nothing, and what comes late still changes nothing.
    assert_eq!(rebuild.rebuild_index(&source, new.mark(), &RebuildProgress::default()).await.unwrap(), 450);
    index.put(vec![document(lost, &doomed, "number", Version::of(lost.into()))]).await.unwrap();
    assert_eq!(ask(&new, "number").await, expected);
    assert_eq!(ask(&old, "number").await, []);
}

#[tokio::test]
async fn a_rebuild_goes_on_after_messages_that_can_not_be_read_and_the_next_one_tries_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let open = || Sqlite::open(&path, keyring(&["kek-0001"]), Arc::new(HybridClock::new()), Arc::new(Nobody)).unwrap();
    let store = open();
    let (ann, bob) = (user(&store).await, user(&store).await);
    let (chat, _) = store.start_chat(ann, bob, Timestamp::now()).await.unwrap();
    let (locked, _) = store.start_chat(ann, ann, Timestamp::now()).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(send(&store, chat.id, ann, "number").await);
    }
    let note = send(&store, locked.id, ann, "number").await;
    store.close();

    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let keys = SearchKeys::new(&keyring(&["kek-0001"]));
    // A store that misses a key is not opened: it gets lost when it is.
    let rebuild = async |lose: &dyn Fn()| {
        let store = open();
        lose();
        let source = Messages { store: store.clone(), keys: SearchKeys::new(&keyring(&["kek-0001"])) };
        let progress = RebuildProgress::default();
        let rebuild = SearchRebuild::new(index.clone(), store.clone()).settling(Duration::ZERO);
        let count = rebuild.rebuild_index(&source, keys.mark(), &progress).await.unwrap();
        store.close();
        (count, progress.skipped())
    };
    let ask = async || found(&index, ann, keys.asked(&Query::parse("number"))).await;
    let all = [note, sent[3], sent[2], sent[1], sent[0]];
    assert_eq!((rebuild(&|| ()).await, ask().await), ((5, Skipped::default()), all.to_vec()));

    // What one says was changed on the disk, and the key of another's chat is not in the folder.
    let db = rusqlite::Connection::open(&path).unwrap();
    let sealed = "SELECT sealed FROM messages WHERE message_id = ?1";
    let before: Vec<u8> = db.query_row(sealed, [sent[1].as_bytes()], |row| row.get(0)).unwrap();
    let seal = "UPDATE messages SET sealed = ?2 WHERE message_id = ?1";
    let changed: Vec<u8> = before.iter().map(|byte| byte ^ 1).collect();
    assert_eq!(db.execute(seal, rusqlite::params![sent[1].as_bytes(), changed]).unwrap(), 1);
    let name = "UPDATE chats SET kek = ?2 WHERE id = ?1";
    let lose = || {
        assert_eq!(db.execute(name, rusqlite::params![locked.id.as_bytes(), "kek-0009"]).unwrap(), 1);
    };
    let (count, mut skipped) = rebuild(&lose).await;
    skipped.first.sort();
    assert_eq!((count, skipped), (3, Skipped { count: 2, first: vec![sent[1], note] }));
    assert_eq!(ask().await, [sent[3], sent[2], sent[0]]);
    assert_eq!(index.marks().await.unwrap(), Some(vec![keys.mark()]));

    db.execute(seal, rusqlite::params![sent[1].as_bytes(), before]).unwrap();
    db.execute(name, rusqlite::params![locked.id.as_bytes(), "kek-0001"]).unwrap();
    assert_eq!((rebuild(&|| ()).await, ask().await), ((5, Skipped::default()), all.to_vec()));
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
