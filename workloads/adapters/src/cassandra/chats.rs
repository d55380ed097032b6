//! Chats, their lists and inboxes, as services read and change them.

use async_trait::async_trait;
use sentinel_domain::{
    event::Origin,
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message},
    place::{InboxPlace, NotVisible},
    ports::{
        Appended, ChatReader, ChatStore, ChatSummary, EventMessage, HistoryPage, HistoryQuery, Inbox, Inboxes,
        StoreError,
    },
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

use super::{Cassandra, messages::is_unseen, order::Arrival};

#[async_trait]
impl ChatReader for Cassandra {
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        Ok(self.shared.chat_of(caller, chat).await?.chat)
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        let known = self.shared.chat_of(caller, chat).await?;
        Ok((known.chat, known.blocked))
    }

    async fn chats(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError> {
        self.shared.list(caller, before, limit).await
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.shared.page(caller, chat, query, limit).await
    }

    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        let known = self.shared.chat_of(caller, chat).await?;
        self.shared.message_row(&known, message).await?.map(|row| row.message).ok_or(StoreError::NotFound)
    }

    async fn message_of_event(
        &self,
        member: UserId,
        chat: ChatId,
        message: MessageId,
        event: EventId,
        now: Timestamp,
    ) -> Result<Option<EventMessage>, StoreError> {
        let known = match self.shared.chat_of(member, chat).await {
            Ok(known) => known,
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = self.shared.message_row(&known, message).await?;
        if is_unseen(row.as_ref(), message, event, now) {
            return Err(StoreError::unavailable(NotVisible(message)));
        }
        Ok(row.map(|row| EventMessage { message: row.message, chat: known.chat, blocked: known.blocked }))
    }
}

#[async_trait]
impl Inboxes for Cassandra {
    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError> {
        self.shared.inbox(caller, since, limit).await
    }

    async fn inbox_head(&self, caller: UserId, _now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.shared.inbox_head(caller).await
    }
}

#[async_trait]
impl ChatStore for Cassandra {
    async fn start_chat(&self, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), StoreError> {
        self.shared.start(caller, peer, Arrival::new(now)).await
    }

    async fn append(&self, draft: Draft, origin: Option<Origin>, now: Timestamp) -> Result<Appended, StoreError> {
        self.shared.append(draft, origin, Arrival::new(now)).await
    }

    async fn sent(
        &self,
        sender: UserId,
        chat: ChatId,
        client_message_id: ClientMessageId,
        origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError> {
        self.shared.sent(sender, chat, &client_message_id, origin).await
    }

    async fn edit(
        &self,
        caller: UserId,
        chat: ChatId,
        message: MessageId,
        text: String,
        now: Timestamp,
    ) -> Result<Message, StoreError> {
        self.shared.edit(caller, chat, message, text, Arrival::new(now)).await
    }

    async fn delete(&self, caller: UserId, chat: ChatId, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
        self.shared.delete(caller, chat, message, Arrival::new(now)).await
    }

    async fn advance(
        &self,
        caller: UserId,
        chat: ChatId,
        progress: Progress,
        up_to: MessageId,
        now: Timestamp,
    ) -> Result<Watermarks, StoreError> {
        self.shared.advance(caller, chat, progress, up_to, Arrival::new(now)).await
    }
}
