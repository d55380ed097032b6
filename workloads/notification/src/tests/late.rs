//! Chats whose messages become visible some time after their events, as where several nodes hold the parts of a write.

use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_domain::ports::{ChatSummary, HistoryPage, HistoryQuery};

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
impl ChatReader for Late {
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
        if self.hidden.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(HistoryPage::default());
        }
        self.store.history(caller, chat, query, limit).await
    }
}
