//! Chats that can fail for one user, or in part, and that remember who was asked for.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    event::Origin,
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message},
    place::InboxPlace,
    ports::{Appended, ChatStore, ChatSummary, HistoryPage, HistoryQuery, Inbox, StoreError},
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

/// What is wrong with an inbox.
#[derive(Clone, Copy)]
pub enum Failing {
    Away,
    Damaged,
}

pub struct MayFail {
    store: Sqlite,
    /// No chat can be read by itself.
    pub no_chat: AtomicBool,
    failing: Mutex<HashMap<UserId, Failing>>,
    inboxes: Mutex<Vec<UserId>>,
}

impl MayFail {
    pub fn over(store: Sqlite) -> Self {
        Self { store, no_chat: AtomicBool::new(false), failing: Mutex::default(), inboxes: Mutex::default() }
    }

    /// From now on this inbox can't be read.
    pub fn fail(&self, user: UserId, failing: Failing) {
        self.failing.lock().unwrap().insert(user, failing);
    }

    /// How often an inbox was to be read.
    pub fn asked_for(&self, user: UserId) -> usize {
        self.inboxes.lock().unwrap().iter().filter(|asked| **asked == user).count()
    }
}

#[async_trait]
impl ChatStore for MayFail {
    async fn start_chat(&self, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), StoreError> {
        self.store.start_chat(caller, peer, now).await
    }

    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        if self.no_chat.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("away"));
        }
        self.store.chat(caller, chat).await
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        self.store.chat_and_block(caller, chat).await
    }

    async fn chats(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError> {
        self.store.chats(caller, before, limit).await
    }

    async fn append(&self, draft: Draft, origin: Option<Origin>, now: Timestamp) -> Result<Appended, StoreError> {
        self.store.append(draft, origin, now).await
    }

    async fn sent(&self, sender: UserId, chat: ChatId, client: ClientMessageId) -> Result<Option<Message>, StoreError> {
        self.store.sent(sender, chat, client).await
    }

    async fn edit(
        &self,
        caller: UserId,
        chat: ChatId,
        message: MessageId,
        text: String,
        now: Timestamp,
    ) -> Result<Message, StoreError> {
        self.store.edit(caller, chat, message, text, now).await
    }

    async fn delete(&self, caller: UserId, chat: ChatId, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
        self.store.delete(caller, chat, message, now).await
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

    async fn advance(
        &self,
        caller: UserId,
        chat: ChatId,
        progress: Progress,
        up_to: MessageId,
        now: Timestamp,
    ) -> Result<Watermarks, StoreError> {
        self.store.advance(caller, chat, progress, up_to, now).await
    }

    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError> {
        self.inboxes.lock().unwrap().push(caller);
        let failing = self.failing.lock().unwrap().get(&caller).copied();
        match failing {
            None => self.store.inbox(caller, since, limit).await,
            Some(Failing::Away) => Err(StoreError::unavailable("away")),
            Some(Failing::Damaged) => Err(StoreError::unreadable("damaged")),
        }
    }

    async fn inbox_head(&self, caller: UserId, now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.store.inbox_head(caller, now).await
    }
}
