//! Chats whose messages become visible some time after their events, as where several nodes hold the parts of a write.

use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_domain::{
    event::Origin,
    message::ClientMessageId,
    place::InboxPlace,
    ports::{Appended, ChatSummary, HistoryPage, HistoryQuery, Inbox},
    watermark::Watermarks,
};

use super::*;

pub struct Late {
    store: Arc<Sqlite>,
    /// How often messages are looked for in vain.
    hidden: AtomicUsize,
}

impl Late {
    pub fn new(store: Arc<Sqlite>, hidden: usize) -> Self {
        Self { store, hidden: AtomicUsize::new(hidden) }
    }
}

#[async_trait]
impl ChatStore for Late {
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        self.store.chat(caller, chat).await
    }

    async fn chat_and_block(&self, _: UserId, _: ChatId) -> Result<(Chat, bool), StoreError> {
        unreachable!()
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        if self.hidden.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(HistoryPage::default());
        }
        self.store.history(caller, chat, query, limit).await
    }

    async fn start_chat(&self, _: UserId, _: UserId, _: Timestamp) -> Result<(Chat, bool), StoreError> {
        unreachable!()
    }

    async fn chats(&self, _: UserId, _: Option<EventId>, _: usize) -> Result<Vec<ChatSummary>, StoreError> {
        unreachable!()
    }

    async fn append(&self, _: Draft, _: Option<Origin>, _: Timestamp) -> Result<Appended, StoreError> {
        unreachable!()
    }

    async fn sent(&self, _: UserId, _: ChatId, _: ClientMessageId) -> Result<Option<Message>, StoreError> {
        unreachable!()
    }

    async fn edit(&self, _: UserId, _: ChatId, _: MessageId, _: String, _: Timestamp) -> Result<Message, StoreError> {
        unreachable!()
    }

    async fn delete(&self, _: UserId, _: ChatId, _: MessageId, _: Timestamp) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn advance(
        &self,
        _: UserId,
        _: ChatId,
        _: Progress,
        _: MessageId,
        _: Timestamp,
    ) -> Result<Watermarks, StoreError> {
        unreachable!()
    }

    async fn inbox(&self, _: UserId, _: Option<InboxPlace>, _: usize) -> Result<Inbox, StoreError> {
        unreachable!()
    }

    async fn inbox_head(&self, _: UserId, _: Timestamp) -> Result<InboxPlace, StoreError> {
        unreachable!()
    }
}
