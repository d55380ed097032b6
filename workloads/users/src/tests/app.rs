//! The whole service with its layers, and a client for it.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request},
};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    config::PlatformConfig,
    key_generation::signing_key,
    keyring::Keyring,
    ports::AdministrationStore,
};
use sentinel_http::{layers, rate::RateLimits, tokens::Tokens};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::stores::Memory;
use crate::{UserStores, UsersService, mail::Mail, router};

pub const PASSWORD: &str = "correct horse";

static KEYS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jwt-0001.pem"), signing_key().unwrap()).unwrap();
    folder
});

pub struct App {
    pub memory: Arc<Memory>,
    pub service: Arc<UsersService>,
    pub router: Router,
}

/// An answer with its body read.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

/// Somebody who is logged in.
#[derive(Clone)]
pub struct Client {
    pub id: String,
    pub access: String,
    pub refresh: String,
}

impl App {
    pub fn new() -> Self {
        // The limits of log-ins are tested on their own.
        Self::with(&json!({}), &json!({ "loginsPerMinute": 1000 }))
    }

    pub fn with(auth: &Value, limits: &Value) -> Self {
        Self::with_mail(auth, limits, None)
    }

    /// With mail through a relay at this port of loopback.
    pub fn mailing(port: u16) -> Self {
        let mail = json!({
            "host": "127.0.0.1", "port": port, "tls": "Off", "from": "Chat <chat@example.com>",
            "baseUrl": "https://chat.example.com/",
        });
        Self::with_mail(&json!({}), &json!({ "loginsPerMinute": 1000 }), Some(&mail))
    }

    fn with_mail(auth: &Value, limits: &Value, mail: Option<&Value>) -> Self {
        let config: PlatformConfig = serde_json::from_value(json!({
            "listen": "0.0.0.0:1", "adminListen": "0.0.0.0:2", "dataDir": "/d", "keysDir": "/k",
            "auth": auth, "limits": limits, "mail": mail,
        }))
        .unwrap();
        let config = Arc::new(config);
        let memory = Arc::new(Memory::default());
        let tokens = Arc::new(Tokens::load(KEYS.path(), &config.auth).unwrap());
        let limits = Arc::new(RateLimits::new(&config.limits));
        let keyring = Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap());
        let mut service = UsersService::new(
            UserStores {
                accounts: memory.clone(),
                sessions: memory.clone(),
                chats: memory.clone(),
                media: memory.clone(),
                devices: memory.clone(),
                notifications: memory.clone(),
                notification_lists: memory.clone(),
                preferences: memory.clone(),
                administration: memory.clone(),
                reports: memory.clone(),
                mail: memory.clone(),
                presence: memory.clone(),
            },
            Arc::clone(&tokens),
            keyring,
            Arc::clone(&limits),
            Arc::clone(&config),
        )
        .unwrap();
        service.mail = config.mail.as_deref().map(|mail| Mail::new(mail, None, None).unwrap());
        let service = Arc::new(service);
        let (routes, _) = router(Arc::clone(&service)).split_for_parts();
        let router = layers::apply(routes, &config, tokens, limits);
        Self { memory, service, router }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 10_000_000).await.unwrap().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, body }
    }

    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        self.call_from("192.0.2.1:9", method, path, token, body).await
    }

    pub async fn call_from(
        &self,
        peer: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "tests/1");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        self.send(request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, None, Some(body)).await
    }

    pub async fn get(&self, path: &str, client: &Client) -> Answer {
        self.call("GET", path, Some(&client.access), None).await
    }

    pub async fn register(&self, name: &str) -> Client {
        let body = json!({ "username": name, "password": PASSWORD, "email": format!("{name}@example.com") });
        let answer = self.post("/register", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.client()
    }

    /// An account that is an admin, logged in as such.
    pub async fn admin(&self, name: &str) -> Client {
        let id = self.register(name).await.id.parse().unwrap();
        let entry = AuditEntry::now(AuditAction::AdminGranted, None, Some(id));
        self.memory.set_admin(id, true, entry).await.unwrap();
        self.login(name).await
    }

    pub async fn login(&self, name: &str) -> Client {
        let answer = self.post("/login", json!({ "username": name, "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.client()
    }
}

impl Answer {
    pub fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub fn client(&self) -> Client {
        let text = |name: &str| self.body[name].as_str().unwrap().to_owned();
        Client { id: text("user_id"), access: text("access_token"), refresh: text("refresh_token") }
    }

    /// The body without what is different in every request.
    pub fn anonymous(&self) -> String {
        let id = self.headers["x-request-id"].to_str().unwrap();
        self.text.replace(id, "…")
    }
}
