//! Chats as a store shows them that is not whole: some messages can't be read, or become visible after their events, as
//! where several nodes hold the parts of a write.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, Message},
    ports::{ChatReader, ChatSummary, HistoryPage, HistoryQuery, StoreError},
};

/// A store of chats with flaws; none to begin with.
pub struct FlawedChats {
    store: Arc<dyn ChatReader>,
    /// Messages that are damaged, and what is read of each.
    pub damaged: Mutex<HashMap<MessageId, fn() -> StoreError>>,
    /// How often messages are still looked for in vain.
    pub hidden: AtomicUsize,
}

impl FlawedChats {
    /// What this store has.
    pub fn of(store: Arc<dyn ChatReader>) -> Self {
        Self { store, damaged: Mutex::default(), hidden: AtomicUsize::new(0) }
    }

    fn hides(&self) -> bool {
        self.hidden.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[async_trait]
impl ChatReader for FlawedChats {
    async fn chats(&self, user: UserId, before: Option<EventId>, limit: usize) -> Result<Vec<ChatSummary>, StoreError> {
        self.store.chats(user, before, limit).await
    }

    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        self.store.chat(caller, chat).await
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        self.store.chat_and_block(caller, chat).await
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        if self.hides() {
            return Ok(HistoryPage::default());
        }
        self.store.history(caller, chat, query, limit).await
    }

    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        if self.hides() {
            return Err(StoreError::NotFound);
        }
        let damage = self.damaged.lock().unwrap().get(&message).copied();
        match damage {
            Some(error) => Err(error()),
            None => self.store.message(caller, chat, message).await,
        }
    }
}
