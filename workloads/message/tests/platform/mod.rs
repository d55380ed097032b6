//! The message service over a real store, as one process runs it.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod client;
pub mod inboxes;
pub mod polling;
pub mod turns;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Router, body::Body, http::Request};
use sentinel_adapters::{
    keys,
    redis::{Redis, RedisPresence},
    sqlite::{LocalPresence, Sqlite},
};
use sentinel_domain::{
    account::{Account, Username},
    clock::HybridClock,
    config::{AuthConfig, LimitsConfig, PlatformConfig},
    event::Fanout,
    ids::{MediaId, SessionId, UserId},
    keyring::Keyring,
    media::Shown,
    nodes::NodeId,
    ports::{AccountReader, AccountStore, ChatStore, MediaStore, PresenceStore, SessionReader, SessionStore},
    time::Timestamp,
};
use sentinel_http::{rate::RateLimits, tokens::Tokens};
use sentinel_message::{Hub, MessageService, MessageStores, Replica, RoutedFanout, router, socket_router};
use sentinel_testing::{account, config, session, upload};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt;
use uuid::Uuid;

use self::{inboxes::MayFail, turns::Turns};

pub const ORIGIN: &str = "https://chat.example.com";

/// A running service.
pub struct Platform {
    pub service: Arc<MessageService>,
    pub hub: Arc<Hub>,
    pub store: Sqlite,
    pub inboxes: Arc<MayFail>,
    pub tokens: Arc<Tokens>,
    pub router: Router,
    folder: Arc<tempfile::TempDir>,
}

/// An account with a log-in.
#[derive(Clone)]
pub struct User {
    pub id: UserId,
    pub session: SessionId,
    pub name: Username,
    pub token: String,
}

impl User {
    pub fn id(&self) -> String {
        self.id.to_string()
    }
}

pub fn now() -> Timestamp {
    Timestamp::now()
}

/// What the processes of one deployment have in common.
pub struct Foundation {
    pub folder: Arc<tempfile::TempDir>,
    pub config: Arc<PlatformConfig>,
    pub keyring: Arc<Keyring>,
    /// What profile Embedded has, one for all.
    presence: OnceLock<Arc<dyn PresenceStore>>,
    /// Where the processes find each other's devices in Redis.
    prefix: String,
}

impl Foundation {
    pub fn new(limits: LimitsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys_dir = folder.path().join("keys");
        keys::create_missing(&keys_dir).unwrap();
        std::fs::write(keys_dir.join("jwt-0001.pem"), sentinel_domain::key_generation::signing_key().unwrap()).unwrap();
        let config = PlatformConfig {
            auth: AuthConfig { cors_origins: vec![ORIGIN.into()], ..AuthConfig::default() },
            limits,
            drain_seconds: 1,
            ..config(&keys_dir)
        };
        let keyring = Arc::new(keys::load_keyring(&keys_dir).unwrap());
        let prefix = format!("test-{}", Uuid::new_v4().simple());
        Self { folder: Arc::new(folder), config: Arc::new(config), keyring, presence: OnceLock::new(), prefix }
    }

    pub fn store(&self, clock: Arc<HybridClock>, fanout: Arc<dyn Fanout>) -> Sqlite {
        Sqlite::open(&self.folder.path().join("test.db"), self.keyring.clone(), clock, fanout).unwrap()
    }

    /// Redis when `SENTINEL_TEST_REDIS` names one as `redis://:password@host:port`, where each process has devices of its
    /// own; else what profile Embedded has.
    fn presence_store(&self, store: &Sqlite) -> Arc<dyn PresenceStore> {
        let Ok(address) = std::env::var("SENTINEL_TEST_REDIS") else {
            return self.presence.get_or_init(|| Arc::new(LocalPresence::new(store.clone()))).clone();
        };
        let (user, endpoint) = address.strip_prefix("redis://").and_then(|rest| rest.split_once('@')).unwrap();
        let credentials = self.folder.path().join("redis");
        // Processes that run already may be reading them.
        if !credentials.exists() {
            std::fs::create_dir(&credentials).unwrap();
            std::fs::write(credentials.join("username"), "default").unwrap();
            std::fs::write(credentials.join("password"), user.trim_start_matches(':')).unwrap();
        }
        let config = serde_json::json!({
            "connection": {"endpoints": [endpoint], "credentials": credentials},
            "prefix": self.prefix,
        });
        let redis = Redis::new(&serde_json::from_value(config).unwrap()).unwrap();
        Arc::new(RedisPresence::new(redis, NodeId::started("test")))
    }

    /// A process over a store.
    pub fn process(
        &self,
        store: Sqlite,
        accounts: Arc<dyn AccountReader>,
        sessions: Arc<dyn SessionReader>,
        hub: Arc<Hub>,
        routed: Option<Arc<RoutedFanout>>,
    ) -> Platform {
        self.process_over(Arc::new(store.clone()), store, accounts, sessions, hub, routed)
    }

    /// The same with another view of the store's chats.
    fn process_over(
        &self,
        chats: Arc<dyn ChatStore>,
        store: Sqlite,
        accounts: Arc<dyn AccountReader>,
        sessions: Arc<dyn SessionReader>,
        hub: Arc<Hub>,
        routed: Option<Arc<RoutedFanout>>,
    ) -> Platform {
        let inboxes = Arc::new(MayFail::over(store.clone()));
        let stores = MessageStores {
            accounts,
            sessions,
            chats,
            inboxes: inboxes.clone(),
            media: Arc::new(store.clone()),
            preferences: inboxes.clone(),
            presence: Some(self.presence_store(&store)),
        };
        let tokens = Arc::new(Tokens::load(&self.config.keys_dir, &self.config.auth).unwrap());
        let limits = Arc::new(RateLimits::new(&self.config.limits));
        let service = MessageService::new(
            stores,
            tokens.clone(),
            self.keyring.clone(),
            limits,
            self.config.clone(),
            hub.clone(),
            routed,
        );
        let router = Router::from(router(service.clone())).merge(socket_router(&service, None));
        Platform { service, hub, store, inboxes, tokens, router, folder: self.folder.clone() }
    }
}

impl Platform {
    pub fn new() -> Self {
        Self::with(LimitsConfig { messages_per_second: 100_000, ..LimitsConfig::default() })
    }

    pub fn with(limits: LimitsConfig) -> Self {
        let foundation = Foundation::new(limits);
        let hub = Arc::new(Hub::new());
        let store = foundation.store(Arc::new(HybridClock::new()), hub.clone());
        foundation.process(store.clone(), Arc::new(store.clone()), Arc::new(store), hub, None)
    }

    /// Over a store where sends wait for each other.
    pub fn with_turns() -> Self {
        let foundation = Foundation::new(LimitsConfig { messages_per_second: 100_000, ..LimitsConfig::default() });
        let hub = Arc::new(Hub::new());
        let store = foundation.store(Arc::new(HybridClock::new()), hub.clone());
        let chats = Arc::new(Turns::over(store.clone()));
        foundation.process_over(chats, store.clone(), Arc::new(store.clone()), Arc::new(store), hub, None)
    }

    pub async fn user(&self, name: &str) -> User {
        let Account { id, username, .. } = self.store.create_account(account(name)).await.unwrap();
        self.log_in(id, &username).await
    }

    /// One more log-in of an account.
    pub async fn log_in(&self, user: UserId, name: &Username) -> User {
        let new = session(user);
        let session = new.id;
        self.store.create_session(new).await.unwrap();
        let token = self.tokens.issue(user, session, name, now()).unwrap().token;
        User { id: user, session, name: name.clone(), token }
    }

    /// A completed upload of a user.
    pub async fn upload(&self, owner: &User) -> MediaId {
        let media = upload(owner.id);
        let (id, content_type) = (media.id, media.content_type.clone());
        self.store.create(media).await.unwrap();
        self.store.complete(id, &content_type, Shown { size: 1, picture: None }).await.unwrap();
        id
    }

    pub async fn call(&self, user: &User, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", user.token))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000_000).await.unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    pub async fn get(&self, user: &User, path: &str) -> (u16, Value) {
        self.call(user, "GET", path, None).await
    }

    pub async fn post(&self, user: &User, path: &str, body: Value) -> (u16, Value) {
        self.call(user, "POST", path, Some(body)).await
    }

    /// The chat of two users.
    pub async fn chat(&self, a: &User, b: &User) -> String {
        let (_, chat) = self.post(a, "/users/chat", serde_json::json!({"receiver_id": b.id})).await;
        chat["chat_id"].as_str().unwrap().to_owned()
    }

    /// Serves until the test ends.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Serves sockets as one of several replicas.
    pub fn serve_as(&self, replica: Replica, listener: TcpListener) -> JoinHandle<std::io::Result<()>> {
        let router = socket_router(&self.service, Some(replica));
        tokio::spawn(async move { axum::serve(listener, router).await })
    }
}

/// The ids of messages in a page.
pub fn ids(messages: &Value) -> Vec<String> {
    messages.as_array().unwrap().iter().map(|message| message["message_id"].as_str().unwrap().to_owned()).collect()
}

/// What an object has, without the fields that differ from run to run.
pub fn without(value: &Value, fields: &[&str]) -> BTreeMap<String, Value> {
    let object = value.as_object().unwrap();
    object.iter().filter(|(name, _)| !fields.contains(&name.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}
