//! Opened chat keys, kept in memory by the stores that hold messages.

use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;
use sentinel_domain::{
    ids::ChatId,
    keyring::{ChatKey, KeyError, Keyring, WrappedKey},
};

/// Opened keys that are kept; about 1 KiB each.
const KEYS: usize = 16_384;

/// An opened chat key.
pub(crate) type OpenKey = Arc<ChatKey>;

/// Opened chat keys. A chat's key never changes, only its wrapping does, so an entry is good as long as the chat.
pub(crate) struct KeyCache {
    keyring: Option<Arc<Keyring>>,
    opened: Mutex<LruCache<ChatId, OpenKey>>,
}

impl KeyCache {
    /// Without a keyring no chat is opened: a process that shows no messages has none.
    pub(crate) fn new(keyring: impl Into<Option<Arc<Keyring>>>) -> Self {
        Self { keyring: keyring.into(), opened: Mutex::new(LruCache::new(KEYS)) }
    }

    pub(crate) fn keyring(&self) -> Result<&Keyring, KeyError> {
        self.keyring.as_deref().ok_or(KeyError::Empty)
    }

    /// The key of a chat whose row was just read.
    pub(crate) fn open(&self, chat: ChatId, wrapped: &WrappedKey) -> Result<OpenKey, KeyError> {
        if let Some(key) = self.lock().get(&chat) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.keyring()?.unwrap_key(chat, wrapped)?);
        self.lock().insert(chat, Arc::clone(&key));
        Ok(key)
    }

    /// Forgets a deleted chat's key.
    pub(crate) fn forget(&self, chat: ChatId) {
        self.lock().remove(&chat);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<ChatId, OpenKey>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
