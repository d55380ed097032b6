//! Chats and their lists.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message},
    place::InboxPlace,
    ports::{Appended, ChatReader, ChatStore, ChatSummary, HistoryPage, HistoryQuery, Inbox, Inboxes, StoreError},
    retention::Horizon,
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

use crate::chat_keys::KeyCache;

use super::{
    Sqlite,
    accounts::require_account,
    append,
    batch::{Batch, Event, EventKind},
    chat_cache::blocked_between,
    failure::Failure,
    history::{self, chat_of},
    inbox, messages, receipts,
    rows::{self, ChatRow, execute},
    statements::{ACTIVITIES_OF, INSERT_CHAT, INSERT_MEMBER, UNREAD},
};

/// Highest count of unread messages.
const UNREAD_MAX: u32 = 1000;
/// Messages that are looked at for it, those of the user among them.
const UNREAD_LOOKED_AT: u32 = 10_000;

#[async_trait]
impl ChatReader for Sqlite {
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError> {
        self.read(move |db| Ok(chat_of(db, caller, chat)?.chat)).await
    }

    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError> {
        self.read(move |db| {
            let chat = chat_of(db, caller, chat)?.chat;
            let blocked = blocked_between(db, caller, chat.peer_of(caller))?;
            Ok((chat, blocked))
        })
        .await
    }

    async fn chats(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let (keys, horizon) = (Arc::clone(&self.shared.keys), self.horizon());
        self.read(move |db| list(db, &keys, horizon, caller, before, limit)).await
    }

    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let (keys, horizon) = (Arc::clone(&self.shared.keys), self.horizon());
        self.read(move |db| history::page(db, &keys, horizon, caller, chat, query, limit)).await
    }

    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        let (keys, horizon) = (Arc::clone(&self.shared.keys), self.horizon());
        self.read(move |db| history::one(db, &keys, horizon, caller, chat, message)).await
    }
}

#[async_trait]
impl Inboxes for Sqlite {
    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError> {
        let (keys, horizon) = (Arc::clone(&self.shared.keys), self.horizon());
        self.read(move |db| inbox::page(db, &keys, horizon, caller, since.as_ref(), limit)).await
    }

    async fn inbox_head(&self, _caller: UserId, _now: Timestamp) -> Result<InboxPlace, StoreError> {
        self.read(inbox::head).await.map(InboxPlace::exactly)
    }
}

#[async_trait]
impl ChatStore for Sqlite {
    async fn start_chat(&self, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), StoreError> {
        self.write(move |batch| start(batch, caller, peer, now)).await
    }

    async fn append(&self, draft: Draft, origin: Option<Origin>, now: Timestamp) -> Result<Appended, StoreError> {
        self.write(move |batch| append::append(batch, draft, origin, now)).await
    }

    async fn sent(
        &self,
        sender: UserId,
        chat: ChatId,
        client_message_id: ClientMessageId,
        _origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError> {
        self.write(move |batch| append::sent(batch, sender, chat, &client_message_id)).await
    }

    async fn edit(
        &self,
        caller: UserId,
        chat: ChatId,
        message: MessageId,
        text: String,
        now: Timestamp,
    ) -> Result<Message, StoreError> {
        self.write(move |batch| messages::edit(batch, caller, chat, message, text, now)).await
    }

    async fn delete(&self, caller: UserId, chat: ChatId, message: MessageId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| messages::delete(batch, caller, chat, message, now)).await
    }

    async fn advance(
        &self,
        caller: UserId,
        chat: ChatId,
        progress: Progress,
        up_to: MessageId,
        now: Timestamp,
    ) -> Result<Watermarks, StoreError> {
        self.write(move |batch| receipts::advance(batch, caller, chat, progress, up_to, now)).await
    }
}

fn start(batch: &mut Batch<'_>, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), Failure> {
    let id = ChatId::of_pair(caller, peer);
    if let Some(row) = rows::chat(batch.db, id)? {
        return Ok((row.chat, false));
    }
    require_account(batch, caller)?;
    require_account(batch, peer)?;
    if blocked_between(batch.db, caller, peer)? {
        return Err(StoreError::Blocked.into());
    }
    let members = if caller <= peer { [caller, peer] } else { [peer, caller] };
    let (_, key) = batch.keys.keyring()?.new_chat_key(id)?;
    let event = batch.event_id(now);
    let [low, high] = &members;
    let values = params![id.as_bytes(), low.as_bytes(), high.as_bytes(), now.0, key.kek, key.bytes];
    execute(batch.db, INSERT_CHAT, values)?;
    let chat = Chat { id, members, created_at: now, watermarks: Default::default(), shown: Default::default() };
    let started = Event { high: Some(members[0] != caller), ..Event::new(event, EventKind::ChatStarted, id) };
    for member in chat.distinct_members() {
        execute(batch.db, INSERT_MEMBER, params![member.as_bytes(), id.as_bytes(), event.as_bytes()])?;
        started.insert(batch.db, *member)?;
    }
    batch.events.push(LiveEvent::ChatStarted { chat: chat.clone(), by: caller });
    Ok((chat, true))
}

fn list(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    caller: UserId,
    before: Option<EventId>,
    limit: usize,
) -> Result<Vec<ChatSummary>, Failure> {
    let mut select = db.prepare_cached(ACTIVITIES_OF)?;
    let mut chats: Vec<(EventId, ChatId)> = select
        .query_map([caller.as_bytes()], |row| Ok((EventId::from_bytes(row.get(1)?), ChatId::from_bytes(row.get(0)?))))?
        .filter(|chat| !matches!((chat, before), (Ok((activity, _)), Some(before)) if *activity >= before))
        .collect::<Result<_, _>>()?;
    chats.sort_unstable_by(|a, b| b.cmp(a));
    let mut summaries = Vec::new();
    for (activity, id) in chats {
        if summaries.len() == limit {
            break;
        }
        // The list is not to be lost along with one that is damaged.
        let Some(chat) = rows::readable(chat_of(db, caller, id), id)? else { continue };
        summaries.push(ChatSummary {
            last_message: history::newest(db, keys, horizon, &chat)?,
            unread: unread(db, horizon, &chat, caller)?,
            activity,
            chat: chat.chat,
        });
    }
    Ok(summaries)
}

/// Messages of the peer after the caller's read watermark. Notes to oneself are never unread.
fn unread(db: &Connection, horizon: Horizon, row: &ChatRow, caller: UserId) -> Result<u32, Failure> {
    let chat = &row.chat;
    if chat.peer_of(caller) == caller {
        return Ok(0);
    }
    let read = chat.watermarks_of(caller).read_up_to.map_or(horizon.id(), |read| horizon.or_later(read));
    let peer_is_high = chat.members[0] == caller;
    let mut count = db.prepare_cached(UNREAD)?;
    let unread: u32 = count
        .query_row(params![chat.id.as_bytes(), read.as_bytes(), peer_is_high, UNREAD_LOOKED_AT], |row| row.get(0))?;
    Ok(unread.min(UNREAD_MAX))
}
