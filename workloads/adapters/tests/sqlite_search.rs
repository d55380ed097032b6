//! The search index on `SQLite`: the suite of all indices, and making it anew from the messages.

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, dead_code, unused_imports, clippy::unwrap_used)]

mod search_contract;

use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;
use sentinel_adapters::sqlite::{SearchDatabase, Sqlite};
use sentinel_domain::{
    account::{Email, Username},
    clock::HybridClock,
    event::Nobody,
    ids::{ChatId, EventId, MessageId, UserId},
    keyring::Keyring,
    message::{Draft, MessageKind},
    ports::{
        AccountStore, ChatStore, DocumentSource, NewAccount, SearchDocument, SearchEntry, SearchIndex, StoreError,
        Version,
    },
    search::{Query, SearchKeys},
    time::Timestamp,
};
use uuid::Uuid;

use search_contract::{Engine, keys, message, pair};

async fn on<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Engine) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let index = SearchDatabase::open(&folder.path().join("search.db")).unwrap();
    let refresh = || -> futures::future::BoxFuture<'static, ()> { Box::pin(async {}) };
    test(Engine { index: Arc::new(index), keys: Arc::new(keys()), refresh: Arc::new(refresh) }).await;
}

search_tests!(@port on);

#[tokio::test]
async fn an_index_keeps_what_it_has_and_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("search.db");
    let index = SearchDatabase::open(&path).unwrap();
    let (us, keys, id) = (pair(), keys(), message(search_contract::NOW));
    index.put(vec![us.says(&keys, id, "the walrus was paul")]).await.unwrap();
    index.set_written_with(keys.mark()).await.unwrap();
    index.close();
    assert!(index.put(vec![]).await.is_ok() && index.put(vec![us.says(&keys, id, "late")]).await.is_err());
    let again = SearchDatabase::open(&path).unwrap();
    assert_eq!(again.id(), index.id());
    assert_eq!(again.written_with().await.unwrap(), Some(keys.mark()));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"walrus"));
    }
    let other = SearchDatabase::open(&folder.path().join("other.db")).unwrap();
    assert_ne!(other.id(), index.id());
    assert_eq!(other.written_with().await.unwrap(), None);
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
    let new = NewAccount {
        id: UserId(Uuid::new_v4()),
        username: Username::parse(&format!("u{}", &name[..20])).unwrap(),
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        password_hash: String::new(),
        created_at: Timestamp::now(),
    };
    store.create_account(new).await.unwrap().id
}

async fn send(store: &Sqlite, chat_id: ChatId, sender_id: UserId, text: &str) -> MessageId {
    let draft = Draft {
        chat_id,
        sender_id,
        kind: MessageKind::Text,
        text: text.into(),
        attachments: vec![],
        reply_to: None,
        client_message_id: None,
    };
    store.append(draft, None, Timestamp::now()).await.unwrap().message.id
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
    assert_eq!(index.rebuild(&store, &source).await.unwrap(), 450);
    let ask = async |keys: &SearchKeys, words: &str| {
        let terms = keys.asked(&Query::parse(words));
        let query = sentinel_domain::ports::SearchQuery {
            caller: ann,
            chat: None,
            sender: None,
            kind: None,
            from: None,
            to: None,
            terms,
            before: None,
            limit: 1000,
        };
        let hits = index.query(&query).await.unwrap().hits;
        hits.into_iter().map(|hit| hit.message_id).collect::<Vec<_>>()
    };
    let mut expected: Vec<MessageId> = sent.iter().copied().filter(|id| *id != sent[1]).collect();
    expected.reverse();
    assert_eq!(ask(&new, "number").await, expected);
    assert_eq!(ask(&new, "edited").await, [sent[0]]);
    assert_eq!(ask(&old, "number").await, [], "nothing is left that needs the old key");
    // Again changes nothing, and what comes late still changes nothing.
    assert_eq!(index.rebuild(&store, &source).await.unwrap(), 450);
    index.put(vec![document(lost, &doomed, "number", Version::of(lost.into()))]).await.unwrap();
    assert_eq!(ask(&new, "number").await, expected);
    assert_eq!(ask(&old, "number").await, []);
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
