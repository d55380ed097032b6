//! The search service over a real store of messages and an index in memory.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod memory;

use std::sync::Arc;

use axum::{Router, body::Body, http::Request};
use sentinel_adapters::{keys, sqlite::Sqlite};
use sentinel_domain::{
    account::{Account, Username},
    clock::HybridClock,
    config::{LimitsConfig, PlatformConfig, SearchMode},
    event::Nobody,
    ids::{ChatId, EventId, MessageId, SessionId, UserId},
    keyring::Keyring,
    message::Message,
    outbox::{Change, PlatformEvent},
    ports::{AccountStore, ChatReader, ChatStore, EventHandler, SessionStore},
    search::SearchKeys,
    time::Timestamp,
};
use sentinel_http::{layers, rate::RateLimits, tokens::Tokens};
use sentinel_search::{Indexer, Reindexer, SearchService, router};
use sentinel_testing::{account, chats::FlawedChats, config, draft, session};
use serde_json::Value;
use tower::ServiceExt;

use self::memory::MemoryIndex;

/// The service and what feeds it.
pub struct Platform {
    pub store: Sqlite,
    /// The same as the service reads it.
    pub chats: Arc<FlawedChats>,
    pub index: Arc<MemoryIndex>,
    pub indexer: Arc<Indexer>,
    pub reindexer: Arc<Reindexer>,
    pub keyring: Arc<Keyring>,
    pub clock: Arc<HybridClock>,
    tokens: Arc<Tokens>,
    router: Router,
    folder: tempfile::TempDir,
}

/// An account with a log-in.
#[derive(Clone)]
pub struct User {
    pub id: UserId,
    token: String,
    session: SessionId,
    username: Username,
}

impl Platform {
    pub fn new() -> Self {
        Self::in_mode(SearchMode::Blind)
    }

    pub fn in_mode(mode: SearchMode) -> Self {
        Self::with(mode, 10_000)
    }

    /// With a limit of requests that a test may meet.
    pub fn limited(requests_per_second: u32) -> Self {
        Self::with(SearchMode::Blind, requests_per_second)
    }

    fn with(mode: SearchMode, requests_per_second: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys_dir = folder.path().join("keys");
        keys::create_missing(&keys_dir).unwrap();
        let config = PlatformConfig {
            limits: LimitsConfig { requests_per_second, ..LimitsConfig::default() },
            ..config(&keys_dir)
        };
        let keyring = Arc::new(keys::load_keyring(&keys_dir).unwrap());
        let tokens = Arc::new(Tokens::load(&keys_dir, &config.auth).unwrap());
        let clock = Arc::new(HybridClock::new());
        let database = folder.path().join("test.db");
        let store = Sqlite::open(&database, keyring.clone(), clock.clone(), Arc::new(Nobody)).unwrap();
        let flawed = Arc::new(FlawedChats::of(Arc::new(store.clone())));
        let chats: Arc<dyn ChatReader> = flawed.clone();
        let index = Arc::new(MemoryIndex::default());
        let search_keys = Arc::new(SearchKeys::of(mode, &keyring));
        let indexer = Arc::new(Indexer::new(chats.clone(), index.clone(), search_keys.clone()));
        let reindexer = Reindexer::new(Arc::new(store.clone()), index.clone(), indexer.clone(), false);
        let reindexer = Arc::new(reindexer);
        let limits = Arc::new(RateLimits::new(&config.limits));
        let service =
            SearchService::new(chats, index.clone(), search_keys, tokens.clone(), keyring.clone(), limits.clone());
        let routes = Router::from(router(Arc::new(service), reindexer.clone()));
        let router = layers::apply(routes, &Arc::new(config), tokens.clone(), limits);
        Self { store, chats: flawed, index, indexer, reindexer, keyring, clock, tokens, router, folder }
    }

    pub async fn user(&self, name: &str) -> User {
        let Account { id, username, .. } = self.store.create_account(account(name)).await.unwrap();
        let new = session(id);
        let session = new.id;
        self.store.create_session(new).await.unwrap();
        let token = self.tokens.issue(id, session, &username, Timestamp::now()).unwrap().token;
        User { id, token, session, username }
    }

    /// An account with the scope of admins.
    pub async fn admin(&self, name: &str) -> User {
        let user = self.user(name).await;
        let token = self.tokens.issue_admin(user.id, user.session, &user.username, Timestamp::now()).unwrap().token;
        User { token, ..user }
    }

    pub async fn chat(&self, a: &User, b: &User) -> ChatId {
        self.store.start_chat(a.id, b.id, Timestamp::now()).await.unwrap().0.id
    }

    /// Writes a message that is not indexed yet.
    pub async fn write(&self, chat: ChatId, sender: &User, text: &str) -> Message {
        self.store.append(draft(chat, sender.id, text), None, Timestamp::now()).await.unwrap().message
    }

    /// Writes a message that is indexed when this returns.
    pub async fn say(&self, chat: ChatId, sender: &User, text: &str) -> MessageId {
        let message = self.write(chat, sender, text).await;
        let change = Change::Written { message_id: message.id, sender_id: sender.id };
        self.happen(&[self.event(sender, chat, change).await]).await;
        message.id
    }

    pub async fn event(&self, member: &User, chat: ChatId, change: Change) -> PlatformEvent {
        let members = self.store.chat(member.id, chat).await.unwrap().members;
        let event_id = EventId(self.clock.tick(Timestamp::now()));
        PlatformEvent { event_id, chat_id: chat, members, change }
    }

    /// The indexer hears of events.
    pub async fn happen(&self, events: &[PlatformEvent]) {
        self.indexer.handle(events).await.unwrap();
    }

    pub async fn get(&self, user: &User, path: &str) -> (u16, Value) {
        self.call(Some(user), path).await
    }

    pub async fn call(&self, user: Option<&User>, path: &str) -> (u16, Value) {
        self.ask("GET", user, path).await
    }

    pub async fn ask(&self, method: &str, user: Option<&User>, path: &str) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request.header("authorization", format!("Bearer {}", user.token));
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: std::net::SocketAddr = "192.0.2.1:9".parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The texts that a search finds.
    pub async fn texts(&self, user: &User, query: &str) -> Vec<String> {
        let (status, page) = self.get(user, &format!("/search/messages?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let hits = page["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["message"]["message"].as_str().unwrap().to_owned()).collect()
    }
}
