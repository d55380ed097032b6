//! A chat's history.

use rusqlite::{Connection, Params, params};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::{Chat, Message},
    ports::{HistoryPage, HistoryQuery, StoreError},
    retention::Horizon,
};

use crate::chat_keys::{KeyCache, OpenKey};

use super::{
    accounts::row_limit,
    failure::Failure,
    rows::{self, ChatRow, exists},
    statements::{MESSAGE_FROM, MESSAGE_UNTIL, MESSAGES_AFTER, MESSAGES_BEFORE, MESSAGES_UNTIL},
};

/// Damaged messages that one call gets past. Asking for more rows than are read costs nothing.
const PASSED_OVER: usize = 1000;
/// Sorts after every id.
const LAST_ID: [u8; 16] = [0xff; 16];

/// A part of the history.
pub(super) fn page(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    caller: UserId,
    chat: ChatId,
    query: HistoryQuery,
    limit: usize,
) -> Result<HistoryPage, Failure> {
    let row = chat_of(db, caller, chat)?;
    let view = View { db, horizon, key: keys.open(chat, &row.key)?, chat: row.chat };
    let limit = limit.max(1);
    match query {
        HistoryQuery::Latest => {
            let (messages, more_before) = view.until(MESSAGES_UNTIL, &LAST_ID, limit)?;
            Ok(HistoryPage { messages, more_before, more_after: false })
        }
        HistoryQuery::Before(id) => {
            let (messages, more_before) = view.until(MESSAGES_BEFORE, id.as_bytes(), limit)?;
            Ok(HistoryPage { messages, more_before, more_after: view.has_from(id)? })
        }
        HistoryQuery::After(id) => {
            let (mut messages, more_after) = view.after(id, limit)?;
            messages.reverse();
            Ok(HistoryPage { messages, more_before: view.has_until(id)?, more_after })
        }
        HistoryQuery::Around(id) => {
            // The message itself counts as one of the older half, so that a limit of one gives it.
            let newer = limit / 2;
            let (older, more_before) = view.until(MESSAGES_UNTIL, id.as_bytes(), limit - newer)?;
            let (mut messages, more_after) = view.after(id, newer)?;
            messages.reverse();
            messages.extend(older);
            Ok(HistoryPage { messages, more_before, more_after })
        }
    }
}

/// One message.
pub(super) fn one(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    caller: UserId,
    chat: ChatId,
    message: MessageId,
) -> Result<Message, Failure> {
    let row = chat_of(db, caller, chat)?;
    let key = keys.open(chat, &row.key)?;
    let found = rows::message_of(db, horizon, &row.chat, &key, message)?;
    Ok(found.ok_or(StoreError::NotFound)?.message)
}

/// The row of a chat of this caller.
pub(super) fn chat_of(db: &Connection, caller: UserId, chat: ChatId) -> Result<ChatRow, Failure> {
    let row = rows::chat(db, chat)?.filter(|row| row.chat.has(caller));
    Ok(row.ok_or(StoreError::NotFound)?)
}

/// The newest message of a chat.
pub(super) fn newest(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    row: &ChatRow,
) -> Result<Option<Message>, Failure> {
    // A list is not lost along with a chat that is damaged.
    let key = rows::readable(keys.open(row.chat.id, &row.key).map_err(Failure::from), row.chat.id)?;
    let Some(key) = key else { return Ok(None) };
    let mut select = db.prepare_cached(MESSAGES_UNTIL)?;
    let asked = row_limit(1 + PASSED_OVER);
    let mut found = select.query(params![row.chat.id.as_bytes(), LAST_ID, asked, horizon.id().as_bytes()])?;
    while let Some(message) = found.next()? {
        if let Some(message) = rows::message_among_others(message, &row.chat, &key)? {
            return Ok(Some(message.message));
        }
    }
    Ok(None)
}

struct View<'a> {
    db: &'a Connection,
    horizon: Horizon,
    chat: Chat,
    key: OpenKey,
}

impl View<'_> {
    /// Up to `limit` messages before a place, newest first, and whether there is another.
    fn until(&self, sql: &str, from: &[u8; 16], limit: usize) -> Result<(Vec<Message>, bool), Failure> {
        let (chat, asked, horizon) =
            (self.chat.id, row_limit(limit.saturating_add(1 + PASSED_OVER)), self.horizon.id());
        self.some(sql, params![chat.as_bytes(), from, asked, horizon.as_bytes()], limit)
    }

    /// Up to `limit` messages after a place, oldest first, and whether there is another.
    fn after(&self, from: MessageId, limit: usize) -> Result<(Vec<Message>, bool), Failure> {
        let (chat, asked, from) =
            (self.chat.id, row_limit(limit.saturating_add(1 + PASSED_OVER)), self.horizon.or_later(from));
        self.some(MESSAGES_AFTER, params![chat.as_bytes(), from.as_bytes(), asked], limit)
    }

    /// Up to `limit` messages in the statement's order, and whether there is another.
    fn some(&self, sql: &str, values: impl Params, limit: usize) -> Result<(Vec<Message>, bool), Failure> {
        let mut select = self.db.prepare_cached(sql)?;
        let mut found = select.query(values)?;
        let mut messages = Vec::new();
        while let Some(row) = found.next()? {
            if messages.len() == limit {
                return Ok((messages, true));
            }
            messages.extend(rows::message_among_others(row, &self.chat, &self.key)?.map(|row| row.message));
        }
        Ok((messages, false))
    }

    /// Whether there is this message or a newer one.
    fn has_from(&self, id: MessageId) -> Result<bool, Failure> {
        let from = self.horizon.or_later(id);
        Ok(exists(self.db, MESSAGE_FROM, params![self.chat.id.as_bytes(), from.as_bytes()])?)
    }

    /// Whether there is this message or an older one.
    fn has_until(&self, id: MessageId) -> Result<bool, Failure> {
        let horizon = self.horizon.id();
        Ok(exists(self.db, MESSAGE_UNTIL, params![self.chat.id.as_bytes(), id.as_bytes(), horizon.as_bytes()])?)
    }
}
