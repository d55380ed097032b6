//! A store where who sends has the turn of the chat until the message is written, and others wait for it. Where several
//! processes write, stores give out places in the order like that, and some chats share a queue; here all do.

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    event::Origin,
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message},
    place::InboxPlace,
    ports::{Appended, ChatReader, ChatStore, ChatSummary, HistoryPage, HistoryQuery, Inbox, Inboxes, StoreError},
    time::Timestamp,
    watermark::{Progress, Watermarks},
};
use tokio::sync::Mutex;

pub struct Turns {
    store: Sqlite,
    turn: Mutex<()>,
}

impl Turns {
    pub fn over(store: Sqlite) -> Self {
        Self { store, turn: Mutex::default() }
    }
}

#[async_trait]
impl ChatReader for Turns {
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
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

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.store.history(caller, chat, query, limit).await
    }
}

#[async_trait]
impl Inboxes for Turns {
    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError> {
        self.store.inbox(caller, since, limit).await
    }

    async fn inbox_head(&self, caller: UserId, now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.store.inbox_head(caller, now).await
    }
}

#[async_trait]
impl ChatStore for Turns {
    async fn append(&self, draft: Draft, origin: Option<Origin>, now: Timestamp) -> Result<Appended, StoreError> {
        let _turn = self.turn.lock().await;
        self.store.append(draft, origin, now).await
    }

    async fn start_chat(&self, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), StoreError> {
        self.store.start_chat(caller, peer, now).await
    }

    async fn sent(
        &self,
        sender: UserId,
        chat: ChatId,
        client_message_id: ClientMessageId,
        origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError> {
        self.store.sent(sender, chat, client_message_id, origin).await
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
}
