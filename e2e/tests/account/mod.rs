//! An account and what it sees over HTTP.

#![allow(dead_code)] // each test file uses a part of this

use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

/// A registered account.
#[derive(Clone)]
pub struct Account {
    http: Client,
    /// Base URL of the chat.
    pub url: String,
    /// Its id.
    pub id: String,
    /// Its access token.
    pub token: String,
    name: String,
}

/// The password of every account.
const PASSWORD: &str = "end to end";

/// What a route answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The body; null when it is no JSON.
    pub body: Value,
}

impl Account {
    /// Registers a new one.
    pub async fn register(url: &str, prefix: &str) -> Self {
        let http = Client::builder().no_proxy().timeout(std::time::Duration::from_secs(20)).build().unwrap();
        let name = format!("{prefix}_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let body = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.com")});
        let (id, token) = (String::new(), String::new());
        let mut account = Self { http, url: url.to_owned(), id, token, name };
        let tokens = account.call(Method::POST, "/register", Some(body)).await;
        account.id = tokens["user_id"].as_str().expect("user_id").into();
        account.token = tokens["access_token"].as_str().expect("access_token").into();
        account
    }

    /// Logs in once more.
    pub async fn log_in(&self) -> Answer {
        self.ask(Method::POST, "/login", &json!({"username": self.name, "password": PASSWORD})).await
    }

    /// The same log-in at another base URL.
    pub fn at(self, url: String) -> Self {
        Self { url, ..self }
    }

    /// Calls a route, which must succeed.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Calls a route with a body; gives the answer, whatever it is. None at all in time fails.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(String::from);
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        Answer { status, retry_after, body: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// The id of the chat with `other`.
    pub async fn start_chat(&self, other: &Self) -> String {
        let chat = self.call(Method::POST, "/users/chat", Some(json!({"receiver_id": other.id}))).await;
        chat["chat_id"].as_str().expect("chat_id").to_owned()
    }

    /// The whole history, oldest first, by pages from the newest back.
    pub async fn history_backwards(&self, chat: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.call(Method::GET, &format!("/users/chat/{chat}?limit=37{cursor}"), None).await;
            all.extend(page["messages"].as_array().expect("messages").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// The whole history, oldest first, by pages from the oldest on.
    pub async fn history_forwards(&self, chat: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        // An id that sorts before every message.
        let mut after = Uuid::nil().to_string();
        loop {
            let page = self.call(Method::GET, &format!("/users/chat/{chat}?limit=41&after={after}"), None).await;
            let messages = page["messages"].as_array().expect("messages");
            let Some(newest) = messages.first() else { return all };
            newest["message_id"].as_str().expect("message_id").clone_into(&mut after);
            all.extend(messages.iter().rev().cloned());
        }
    }

    /// Ids of the messages of a chat that search finds by a word, oldest first.
    pub async fn found(&self, chat: &str, word: &str) -> Vec<String> {
        let path = format!("/search/messages?limit=100&q={word}&chat_id={chat}");
        self.paged(&path, "hits", |hit| hit["message"]["message_id"].clone()).await
    }

    /// Ids of the messages that the account was notified of, oldest first; not every notification is about one.
    pub async fn notified(&self) -> Vec<String> {
        self.paged("/notifications?limit=100", "notifications", |one| one["message_id"].clone()).await
    }

    /// A text of each entry that has it, of a list that comes newest first, in pages.
    async fn paged(&self, path: &str, list: &str, text: impl Fn(&Value) -> Value) -> Vec<String> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.call(Method::GET, &format!("{path}{cursor}"), None).await;
            let entries = page[list].as_array().expect("a list");
            let texts = entries.iter().map(&text).filter(|text| !text.is_null());
            all.extend(texts.map(|text| text.as_str().expect("a text").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// The token to sync from what happens next.
    pub async fn sync_token(&self) -> String {
        self.sync_from(None).await.1
    }

    /// The new messages since a token, in the order in which `sync` tells them, and the next token.
    pub async fn sync_from(&self, since: Option<&str>) -> (Vec<Value>, String) {
        let mut all = Vec::new();
        let mut query = since.map(|since| format!("&since={since}")).unwrap_or_default();
        loop {
            let page = self.call(Method::GET, &format!("/sync?limit=43{query}"), None).await;
            assert_eq!(page["reset"], false, "sync lost its place");
            let events = page["events"].as_array().expect("events");
            all.extend(
                events.iter().filter(|event| event["event"] == "receive_message").map(|event| event["data"].clone()),
            );
            let next = page["next"].as_str().expect("next").to_owned();
            if page["more"] == false {
                return (all, next);
            }
            query = format!("&since={next}");
        }
    }
}
