//! What is kept in memory of chats: opened keys, which readers and the writer share, and the writer's own view.

use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;
use rusqlite::{Connection, params};
use sentinel_domain::{
    ids::{ChatId, UserId},
    keyring::{ChatKey, KeyError, Keyring, WrappedKey},
    message::Chat,
    ports::StoreError,
};

use super::{
    failure::Failure,
    rows::{self, Receipts, exists},
    statements::BLOCK_EXISTS,
};

/// Opened keys that are kept; about 1 KiB each.
const KEYS: usize = 16_384;
/// Chats that the writer keeps.
const CHATS: usize = 16_384;

/// An opened chat key.
pub(super) type OpenKey = Arc<ChatKey>;

/// Opened chat keys. A chat's key never changes, only its wrapping does, so an entry is good as long as the chat.
pub(super) struct KeyCache {
    keyring: Arc<Keyring>,
    opened: Mutex<LruCache<ChatId, OpenKey>>,
}

impl KeyCache {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring, opened: Mutex::new(LruCache::new(KEYS)) }
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The key of a chat whose row was just read.
    pub(super) fn open(&self, chat: ChatId, wrapped: &WrappedKey) -> Result<OpenKey, KeyError> {
        if let Some(key) = self.lock().get(&chat) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.keyring.unwrap_key(chat, wrapped)?);
        self.lock().insert(chat, Arc::clone(&key));
        Ok(key)
    }

    /// Forgets a deleted chat's key.
    pub(super) fn forget(&self, chat: ChatId) {
        self.lock().remove(&chat);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<ChatId, OpenKey>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
