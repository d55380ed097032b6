//! Rows as values of the domain.

use std::fmt::Display;

use rusqlite::{
    Connection, OptionalExtension, Row, params,
    types::{FromSqlError, Type},
};
use sentinel_domain::{
    account::{Account, Email, Profile, Standing, Username},
    ids::{ChatId, EventId, MessageId, SessionId, UserId},
    keyring::WrappedKey,
    message::{Chat, ClientMessageId, Message},
    ports::Credentials,
    retention::Horizon,
    session::Session,
    time::Timestamp,
    watermark::Watermarks,
};

use crate::{
    chat_keys::OpenKey,
    content::{self, Content},
};

use super::{failure::Failure, statements::CHAT};

/// A value that no writer of this schema stores.
pub(super) fn malformed(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(FromSqlError::InvalidType))
}

fn username(row: &Row<'_>, column: usize) -> rusqlite::Result<Username> {
    Username::parse(row.get_ref(column)?.as_str()?).map_err(|_| malformed(column, Type::Text))
}

/// A row of `id, username, email, display_name, avatar_url, created_at, password_hash, admin, disabled_at,
/// email_verified_at, …`.
pub(super) fn credentials(row: &Row<'_>) -> rusqlite::Result<Credentials> {
    Ok(Credentials {
        account: Account {
            id: UserId::from_bytes(row.get(0)?),
            username: username(row, 1)?,
            email: Email::kept(row.get(2)?),
            email_verified: row.get::<_, Option<i64>>(9)?.is_some(),
            display_name: row.get(3)?,
            avatar_url: row.get(4)?,
            created_at: Timestamp(row.get(5)?),
        },
        password_hash: row.get(6)?,
        standing: Standing { admin: row.get(7)?, disabled_at: row.get::<_, Option<i64>>(8)?.map(Timestamp) },
    })
}

/// A row of `id, username, display_name, avatar_url, …`.
pub(super) fn profile(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        user_id: UserId::from_bytes(row.get(0)?),
        username: username(row, 1)?,
        display_name: row.get(2)?,
        avatar_url: row.get(3)?,
    })
}

/// A row of `id, user_id, device, created_at, refreshed_at, generation, earlier_rotations`.
pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let earlier: Vec<i64> = serde_json::from_str(row.get_ref(6)?.as_str()?).map_err(|_| malformed(6, Type::Text))?;
    Ok(Session {
        id: SessionId::from_bytes(row.get(0)?),
        user_id: UserId::from_bytes(row.get(1)?),
        device: row.get(2)?,
        created_at: Timestamp(row.get(3)?),
        refreshed_at: Timestamp(row.get(4)?),
        generation: row.get(5)?,
        earlier_rotations: earlier.into_iter().map(Timestamp).collect(),
    })
}

/// A member's newest receipt, for the member and for the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Receipts {
    /// The event of the member's progress.
    pub(super) own: Option<EventId>,
    /// The event of what the peer may know.
    pub(super) shown: Option<EventId>,
}

/// A row of `chats`.
pub(super) struct ChatRow {
    pub(super) chat: Chat,
    pub(super) key: WrappedKey,
    /// In the order of the members; a chat with oneself uses the first.
    pub(super) receipts: [Receipts; 2],
}

/// Reads a chat's row; `None` when it is gone.
pub(super) fn chat(db: &Connection, id: ChatId) -> Result<Option<ChatRow>, Failure> {
    let mut select = db.prepare_cached(CHAT)?;
    let row = select
        .query_row([id.as_bytes()], |row| {
            let members = [UserId::from_bytes(row.get(0)?), UserId::from_bytes(row.get(1)?)];
            let both = |low, high| if members[0] == members[1] { [low, low] } else { [low, high] };
            Ok(ChatRow {
                chat: Chat {
                    id,
                    members,
                    created_at: Timestamp(row.get(2)?),
                    watermarks: both(watermarks(row, 5)?, watermarks(row, 11)?),
                    shown: both(watermarks(row, 8)?, watermarks(row, 14)?),
                },
                key: WrappedKey { kek: row.get(3)?, bytes: row.get(4)? },
                receipts: [receipts(row, 7)?, receipts(row, 13)?],
            })
        })
        .optional()?;
    Ok(row)
}

fn watermarks(row: &Row<'_>, column: usize) -> rusqlite::Result<Watermarks> {
    Ok(Watermarks { delivered_up_to: message_id(row, column)?, read_up_to: message_id(row, column + 1)? })
}

fn receipts(row: &Row<'_>, column: usize) -> rusqlite::Result<Receipts> {
    Ok(Receipts { own: event_id(row, column)?, shown: event_id(row, column + 3)? })
}

/// An id that says where a row is. One that is damaged is read as far as it goes, so that there is a place to go on from.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 16]> {
    Ok(as_far_as_it_goes(row.get_ref(column)?.as_blob()?))
}

/// The same of bytes that were read already.
pub(super) fn as_far_as_it_goes(bytes: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = *from;
    }
    key
}

/// Tells whoever runs the platform of a row of a chat, or of a user's inbox, whose id is damaged.
pub(super) fn tell_damaged_id(of: impl Display, id: &[u8]) {
    metrics::counter!("sentinel_messages_unreadable_total").increment(1);
    tracing::error!(%of, id = format_args!("{id:02x?}"), "the id of what is stored of a chat or in an inbox is damaged");
}

/// An optional message id.
pub(super) fn message_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MessageId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(MessageId::from_bytes))
}

/// An optional event id.
pub(super) fn event_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<EventId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(EventId::from_bytes))
}

/// A message with the number of its changes.
pub(super) struct MessageRow {
    pub(super) message: Message,
    pub(super) version: u32,
}

/// A row of `message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed`, decrypted.
pub(super) fn message(row: &Row<'_>, chat: &Chat, key: &OpenKey) -> Result<MessageRow, Failure> {
    let id = MessageId::from_bytes(row.get(0)?);
    let version = row.get(3)?;
    let sealed = row.get_ref(7)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    let content = match sealed {
        Some(sealed) => content::open(key, chat, id, version, sealed)?,
        None => Content::default(),
    };
    let client_message_id = row
        .get::<_, Option<String>>(5)?
        .map(ClientMessageId::parse)
        .transpose()
        .map_err(|_| malformed(5, Type::Text))?;
    Ok(MessageRow {
        message: Message {
            id,
            chat_id: chat.id,
            sender_id: chat.members[usize::from(row.get::<_, bool>(1)?)],
            kind: content::kind_of(row.get(2)?),
            text: content.text,
            attachments: content.attachments,
            reply_to: message_id(row, 4)?,
            client_message_id,
            edited_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            deleted: sealed.is_none(),
        },
        version,
    })
}

/// A row where it is one of many; `None` when it is damaged: the others are not to be lost along with it.
pub(super) fn message_among_others(row: &Row<'_>, chat: &Chat, key: &OpenKey) -> Result<Option<MessageRow>, Failure> {
    readable(message(row, chat, key), chat.id)
}

/// What was read; `None`, and whoever runs the platform is told, when it is damaged.
pub(super) fn readable<T>(read: Result<T, Failure>, chat: ChatId) -> Result<Option<T>, Failure> {
    match read {
        Err(failure) if failure.is_damage() => {
            metrics::counter!("sentinel_messages_unreadable_total").increment(1);
            tracing::error!(%chat, ?failure, "what is stored of a chat is damaged and is left out");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Reads one message; `None` when it is not in the chat, or too old.
pub(super) fn message_of(
    db: &Connection,
    horizon: Horizon,
    chat: &Chat,
    key: &OpenKey,
    id: MessageId,
) -> Result<Option<MessageRow>, Failure> {
    if !horizon.keeps(id) {
        return Ok(None);
    }
    let mut select = db.prepare_cached(super::statements::MESSAGE)?;
    let mut rows = select.query(params![chat.id.as_bytes(), id.as_bytes()])?;
    rows.next()?.map(|row| message(row, chat, key)).transpose()
}

/// Whether a statement finds a row.
pub(super) fn exists(db: &Connection, sql: &str, arguments: impl rusqlite::Params) -> rusqlite::Result<bool> {
    db.prepare_cached(sql)?.exists(arguments)
}

/// Runs a statement that writes; gives the number of rows it changed.
pub(super) fn execute(db: &Connection, sql: &str, arguments: impl rusqlite::Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(arguments)
}
