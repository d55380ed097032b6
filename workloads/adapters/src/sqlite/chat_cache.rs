//! What the writer keeps in memory of chats, its own uncommitted writes included.

use hashlink::LruCache;
use rusqlite::{Connection, params};
use sentinel_domain::{
    ids::{ChatId, UserId},
    message::Chat,
    ports::StoreError,
};

use crate::chat_keys::{KeyCache, OpenKey};

use super::{
    failure::Failure,
    rows::{self, Receipts, exists},
    statements::BLOCK_EXISTS,
};

/// Chats that the writer keeps.
const CHATS: usize = 16_384;

/// What the writer knows of a chat, its own uncommitted writes included.
pub(super) struct ChatState {
    pub(super) chat: Chat,
    pub(super) key: OpenKey,
    pub(super) receipts: [Receipts; 2],
    /// Whether either member blocks the other.
    pub(super) blocked: bool,
}

impl ChatState {
    /// Whether this member is the chat's `high`.
    pub(super) fn is_high(&self, user: UserId) -> bool {
        self.chat.members[0] != user
    }
}

/// The writer's chats, least recently used out first.
pub(super) struct ChatCache {
    chats: LruCache<ChatId, ChatState>,
}

impl ChatCache {
    pub(super) fn new() -> Self {
        Self { chats: LruCache::new(CHATS) }
    }

    /// A chat of this caller.
    pub(super) fn of_caller(
        &mut self,
        db: &Connection,
        keys: &KeyCache,
        caller: UserId,
        id: ChatId,
    ) -> Result<&mut ChatState, Failure> {
        // Looked up twice because a reference that is returned from one branch would keep the cache borrowed.
        if self.chats.get(&id).is_none() {
            let state = load(db, keys, id)?.ok_or(StoreError::NotFound)?;
            self.chats.insert(id, state);
        }
        match self.chats.get_mut(&id) {
            Some(state) if state.chat.has(caller) => Ok(state),
            _ => Err(StoreError::NotFound.into()),
        }
    }

    /// Forgets a chat: something about it changes by other ways than [`ChatState`].
    pub(super) fn forget(&mut self, id: ChatId) {
        self.chats.remove(&id);
    }

    /// Forgets everything, after a rollback.
    pub(super) fn clear(&mut self) {
        self.chats.clear();
    }
}

fn load(db: &Connection, keys: &KeyCache, id: ChatId) -> Result<Option<ChatState>, Failure> {
    let Some(row) = rows::chat(db, id)? else { return Ok(None) };
    let [low, high] = row.chat.members;
    Ok(Some(ChatState {
        key: keys.open(id, &row.key)?,
        blocked: blocked_between(db, low, high)?,
        receipts: row.receipts,
        chat: row.chat,
    }))
}

/// Whether either account blocks the other.
pub(super) fn blocked_between(db: &Connection, a: UserId, b: UserId) -> rusqlite::Result<bool> {
    Ok(exists(db, BLOCK_EXISTS, params![a.as_bytes(), b.as_bytes()])?
        || exists(db, BLOCK_EXISTS, params![b.as_bytes(), a.as_bytes()])?)
}
