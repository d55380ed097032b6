//! The search index on `SQLite` made anew from the messages: after a change of the key or of the mode, and while it is used.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used)]

mod search_database;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sentinel_adapters::sqlite::{SearchDatabase, SearchRebuild, Sqlite};
use sentinel_domain::{
    clock::HybridClock,
    config::SearchMode,
    event::Nobody,
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    message::MessageKind,
    ports::{
        AccountStore, ChatReader, ChatStore, DocumentSource, Inboxes, IndexRebuild, RebuildProgress, SearchDocument,
        SearchEntry, SearchIndex, StoreError, Version,
    },
    reindex::Skipped,
    search::{Mark, Query, SearchKeys},
    time::Timestamp,
};
use sentinel_testing::{account, draft};
use uuid::Uuid;

use search_database::{found, is_anywhere};

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
async fn who_writes_during_a_rebuild_keeps_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = Sqlite::open(&path, keyring(&["kek-0001"]), Arc::new(HybridClock::new()), Arc::new(Nobody)).unwrap();
    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let (old, new, other) = (Mark([1; 8]), Mark([2; 8]), Mark([3; 8]));
    index.add_marks(vec![old, other]).await.unwrap();
    let source = Messages { store: store.clone(), keys: SearchKeys::new(&keyring(&["kek-0001"])) };
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
