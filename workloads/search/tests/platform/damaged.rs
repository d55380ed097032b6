//! Chats some of whose messages can't be read.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, Message},
    ports::{ChatReader, ChatSummary, HistoryPage, HistoryQuery, StoreError},
};

/// A store of chats with damage.
pub struct Damaged {
    store: Sqlite,
    /// Messages that are damaged, and what is read of each.
    pub messages: Mutex<HashMap<MessageId, fn() -> StoreError>>,
}

impl Damaged {
    /// Nothing is damaged yet.
    pub fn of(store: Sqlite) -> Self {
        Self { store, messages: Mutex::default() }
    }
}

#[async_trait]
impl ChatReader for Damaged {
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
        self.store.history(caller, chat, query, limit).await
    }

    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        let damage = self.messages.lock().unwrap().get(&message).copied();
        match damage {
            Some(error) => Err(error()),
            None => self.store.message(caller, chat, message).await,
        }
    }
}
