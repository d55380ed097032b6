//! Values of the domain for tests: each has something good in every field, so that a test says only what matters to it.

#![allow(clippy::unwrap_used, reason = "only tests use it")]

pub mod chats;

use std::path::Path;

use sentinel_domain::{
    account::{Email, Username},
    config::PlatformConfig,
    ids::{ChatId, MediaId, SessionId, UserId},
    media::{ContentType, Media, MediaState},
    message::{Draft, MessageKind},
    ports::NewAccount,
    session::Session,
    time::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

/// An account of this name that is made now, with an address of the same name. No password is right.
pub fn account(name: &str) -> NewAccount {
    NewAccount {
        id: UserId(Uuid::new_v4()),
        username: Username::parse(name).unwrap(),
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        password_hash: "$argon2id$".into(),
        created_at: Timestamp::now(),
    }
}

/// A session that begins now.
pub fn session(user_id: UserId) -> Session {
    Session::begin(SessionId(Uuid::new_v4()), user_id, "test".into(), Timestamp::now())
}

/// A text.
pub fn draft(chat_id: ChatId, sender_id: UserId, text: &str) -> Draft {
    Draft {
        chat_id,
        sender_id,
        kind: MessageKind::Text,
        text: text.into(),
        attachments: vec![],
        reply_to: None,
        client_message_id: None,
    }
}

/// A text file of one byte that is announced now.
pub fn upload(owner: UserId) -> Media {
    Media {
        id: MediaId(Uuid::now_v7()),
        owner,
        filename: "a.txt".into(),
        content_type: ContentType::parse("text/plain").unwrap(),
        size: 1,
        sha256: None,
        state: MediaState::Pending,
        shown: None,
    }
}

/// A configuration with a folder of keys and defaults for all else, which listens on any free port of loopback.
pub fn config(keys_dir: &Path) -> PlatformConfig {
    let config = json!({ "listen": "127.0.0.1:0", "adminListen": "127.0.0.1:0", "keysDir": keys_dir });
    serde_json::from_value(config).unwrap()
}
