//! Two stock clients in one chat, and whether what they were told agrees with what is stored.

use std::{collections::HashMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    account::{Account, Answer},
    deployed::eventually,
    writer::{self, Log, Patience, Transport, Writer},
};

/// Two accounts, each with a stock client that writes without pause.
pub struct Conversation {
    ann: Account,
    bob: Account,
    chat: String,
    ann_token: String,
    bob_token: String,
    javascript: Writer,
    python: Writer,
    devices: Vec<Writer>,
    transports: [Transport; 2],
}

#[allow(dead_code)] // each test file uses a part of this
impl Conversation {
    /// Registers both accounts and starts their writers, which connect as stock clients do by default.
    pub async fn begin(url: &str) -> Self {
        Self::begin_by(url, [Transport::PollingFirst, Transport::PollingFirst], &[]).await
    }

    /// As [`Conversation::begin`], with writers that wait for as long as `patience` says.
    pub async fn begin_patient(url: &str, patience: Patience) -> Self {
        Self::begin_with(url, [Transport::PollingFirst, Transport::PollingFirst], &[], patience).await
    }

    /// Registers both accounts and starts their writers, socket.io-client and python-socketio, and further devices of
    /// the first account that only listen.
    pub async fn begin_by(url: &str, transports: [Transport; 2], devices: &[Transport]) -> Self {
        Self::begin_with(url, transports, devices, Patience::default()).await
    }

    async fn begin_with(url: &str, transports: [Transport; 2], devices: &[Transport], patience: Patience) -> Self {
        writer::install();
        let (ann, bob) = (Account::register(url, "ann").await, Account::register(url, "bob").await);
        let chat = ann.start_chat(&bob).await;
        let (ann_token, bob_token) = (ann.sync_token().await, bob.sync_token().await);
        let mut listeners = Vec::new();
        for transport in devices {
            listeners.push(Writer::listener(&ann, &chat, *transport).await);
        }
        let javascript = Writer::javascript(&ann, &chat, transports[0], patience).await;
        let python = Writer::python(&bob, &chat, transports[1], patience).await;
        Self { ann, bob, chat, ann_token, bob_token, javascript, python, devices: listeners, transports }
    }

    /// Waits until each writer has got `more` messages acknowledged from now on.
    pub async fn acknowledged(&mut self, more: usize, patience: Duration) {
        tokio::join!(self.javascript.acknowledged(more, patience), self.python.acknowledged(more, patience));
    }

    /// Waits until `more` sends of each writer in a row have been refused from now on with `code`, none of them
    /// acknowledged and none left without an answer.
    pub async fn refused(&mut self, code: &str, more: usize, patience: Duration) {
        tokio::join!(self.javascript.refused(code, more, patience), self.python.refused(code, more, patience));
    }

    /// Sends a message of the first account over HTTP under a client message id, once.
    pub async fn send(&self, client_message_id: &str) -> Answer {
        let message = json!({"message": format!("from {client_message_id}"), "client_message_id": client_message_id});
        self.ann.ask(Method::POST, &format!("/users/chat/{}/messages", self.chat), &message).await
    }

    /// Whether both accounts can log in once more.
    pub async fn log_in_again(&self) -> Result<(), Answer> {
        for account in [&self.ann, &self.bob] {
            let answer = account.log_in().await;
            if answer.status != 200 || answer.body["user_id"] != account.id.as_str() {
                return Err(answer);
            }
        }
        Ok(())
    }

    /// Ids of the messages in history with a client message id.
    pub async fn stored(&self, client_message_id: &str) -> Vec<String> {
        let mut history = self.ann.history_backwards(&self.chat).await;
        history.retain(|message| message["client_message_id"] == client_message_id);
        ids_of(&history)
    }

    /// [`Conversation::check`], and waits until search and notifications agree too: they follow when their stores are back.
    pub async fn check_with_consumers(self, breaks: usize, patience: Duration) {
        let (ann, bob, chat) = (self.ann.clone(), self.bob.clone(), self.chat.clone());
        self.check(breaks).await;
        let history = ann.history_backwards(&chat).await;
        let ids = ids_of(&history);
        eventually("search finds every message", patience, async || {
            let found = ann.found(&chat, "from").await;
            if found == ids { Ok(()) } else { Err(format!("{} of {}", found.len(), ids.len())) }
        })
        .await;
        for account in [&ann, &bob] {
            let to_them = history.iter().filter(|message| message["sender_id"] != account.id.as_str());
            let expected = ids_of(&to_them.cloned().collect::<Vec<_>>());
            eventually("each message is notified once", patience, async || {
                let notified = account.notified().await;
                if notified == expected { Ok(()) } else { Err(format!("{} of {}", notified.len(), expected.len())) }
            })
            .await;
        }
    }

    /// Ends the writers, whose connections broke at least `breaks` times, and compares.
    pub async fn check(self, breaks: usize) {
        let Self { ann, bob, chat, ann_token, bob_token, javascript, python, devices, transports } = self;
        let (javascript, python) = (javascript.stop().await, python.stop().await);
        for log in [&javascript, &python] {
            assert!(log.connected.len() > breaks, "{}: connected only {:?}", log.name, log.connected);
            assert!(log.complete, "{}: gave up on a message", log.name);
        }
        let first = if transports[0] == Transport::WebSocketOnly { "websocket" } else { "polling" };
        let began: Vec<_> = javascript.opened.iter().filter(|transport| *transport != first).collect();
        assert!(began.is_empty() && !javascript.opened.is_empty(), "the stock client begins with {first}: {began:?}");
        assert_eq!(javascript.upgraded > 0, transports[0] == Transport::PollingFirst, "upgrades to WebSocket");

        let history = ann.history_backwards(&chat).await;
        let ids = ids_of(&history);
        println!("{} messages, {} and {} acknowledged", ids.len(), javascript.acked.len(), python.acked.len());
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(ids, sorted, "history is not in the order of its ids, or repeats one");
        for (account, who) in [(&ann, "ann"), (&bob, "bob")] {
            assert_eq!(ids_of(&account.history_backwards(&chat).await), ids, "{who}, backwards");
            assert_eq!(ids_of(&account.history_forwards(&chat).await), ids, "{who}, forwards");
        }
        assert_eq!(ids_of(&ann.sync_from(Some(&ann_token)).await.0), ids, "ann's sync differs from history");
        assert_eq!(ids_of(&bob.sync_from(Some(&bob_token)).await.0), ids, "bob's sync differs from history");

        let stored = by_client_id(&history);
        for log in [&javascript, &python] {
            check_writer(log, &history, &stored);
        }
        for device in devices {
            check_live(&device.stop().await, &stored);
        }
    }
}

fn ids_of(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["message_id"].as_str().expect("message_id").to_owned()).collect()
}

/// Message ids by client message id; a client message id that is there twice fails.
fn by_client_id(history: &[Value]) -> HashMap<String, String> {
    let mut stored = HashMap::new();
    for message in history {
        let text = |field: &str| message[field].as_str().expect("a text").to_owned();
        let twice = stored.insert(text("client_message_id"), text("message_id"));
        assert_eq!(twice, None, "{} was stored twice", text("client_message_id"));
    }
    stored
}

/// What one writer was told agrees with what is stored.
fn check_writer(log: &Log, history: &[Value], stored: &HashMap<String, String>) {
    for (client_id, message_id) in &log.acked {
        assert_eq!(stored.get(client_id), Some(message_id), "{client_id} was acknowledged as {message_id}");
    }
    // One message in flight at a time: the order of sending is the order in history.
    let mine: Vec<_> = history
        .iter()
        .filter_map(|message| message["client_message_id"].as_str())
        .filter(|id| id.starts_with(&log.name))
        .collect();
    let sent: Vec<_> = log.acked.iter().map(|(client_id, _)| client_id.as_str()).collect();
    assert_eq!(mine, sent, "{}: history differs from what was sent", log.name);
    check_live(log, stored);
}

/// What was delivered live is stored, and came once.
fn check_live(log: &Log, stored: &HashMap<String, String>) {
    let mut received = log.received.clone();
    received.sort();
    received.dedup();
    assert_eq!(received.len(), log.received.len(), "{}: a message was delivered live twice", log.name);
    assert!(!received.is_empty(), "{}: nothing was delivered live", log.name);
    for id in &received {
        assert!(stored.values().any(|stored| stored == id), "{}: {id} was delivered but is not stored", log.name);
    }
}
