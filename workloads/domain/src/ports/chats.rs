use async_trait::async_trait;

use super::StoreError;
use crate::{
    event::{InboxEvent, Origin},
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message},
    place::{InboxPlace, NotVisible, is_settling},
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

/// The result of [`ChatStore::append`].
#[derive(Clone, Debug)]
pub struct Appended {
    /// The message as stored: the first one when this was a repeat.
    pub message: Message,
    /// Whether a message with the same client id was there already.
    pub duplicate: bool,
}

/// A chat in a user's list.
#[derive(Clone, Debug)]
pub struct ChatSummary {
    /// The chat.
    pub chat: Chat,
    /// Its newest message.
    pub last_message: Option<Message>,
    /// Messages of the peer after the user's read watermark; counted up to 1,000.
    pub unread: u32,
    /// What orders the list: the newest message's id, or the id of the start.
    pub activity: EventId,
}

/// A message as a scan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Which chat.
    pub chat_id: ChatId,
    /// Which message.
    pub message_id: MessageId,
    /// Who wrote it.
    pub sender_id: UserId,
}

/// Which part of a chat's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryQuery {
    /// The newest messages.
    Latest,
    /// Messages older than this one.
    Before(MessageId),
    /// Messages newer than this one, those nearest to it.
    After(MessageId),
    /// This message, if it exists, and about half as many on either side.
    Around(MessageId),
}

/// A part of a chat's history, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The messages, newest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub more_before: bool,
    /// Whether there are newer ones.
    pub more_after: bool,
}

/// A part of a user's inbox, in the order of ids. An event that took long to become visible may come in a later part.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// The events.
    pub events: Vec<InboxEvent>,
    /// Where to go on.
    pub next: InboxPlace,
    /// Whether there are more events after `next` now.
    pub more: bool,
    /// Whether `since` is older than what the inbox keeps: the client must load its chats anew.
    pub reset: bool,
}

/// A message that an event tells of, with its chat, as they are now.
#[derive(Clone, Debug)]
pub struct EventMessage {
    /// The message; it may have been edited or deleted since.
    pub message: Message,
    /// Its chat.
    pub chat: Chat,
    /// Whether either member blocks the other.
    pub blocked: bool,
}

/// Chats and their messages, as their members see them.
///
/// A chat that does not exist and one that the caller is no member of are the same: [`StoreError::NotFound`]. A message
/// that is too old ([`crate::retention`]) does not exist any more: it is in no answer. Places in histories that lie before
/// it stay good.
#[async_trait]
pub trait ChatReader: Send + Sync {
    /// A chat of this caller.
    async fn chat(&self, caller: UserId, chat: ChatId) -> Result<Chat, StoreError>;
    /// The same, and whether either member blocks the other: what [`ChatStore::append`] goes by, in one look.
    async fn chat_and_block(&self, caller: UserId, chat: ChatId) -> Result<(Chat, bool), StoreError>;
    /// The caller's chats, newest activity first, those before `before`.
    async fn chats(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError>;
    /// A part of a chat's history.
    async fn history(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError>;
    /// One message of a chat.
    async fn message(&self, caller: UserId, chat: ChatId, message: MessageId) -> Result<Message, StoreError> {
        let page = self.history(caller, chat, HistoryQuery::Around(message), 1).await?;
        page.messages.into_iter().find(|found| found.id == message).ok_or(StoreError::NotFound)
    }
    /// The message that an event tells of, as it is now; `None` when it or its chat is gone. As long as it, or what the
    /// event did to it, may still be becoming visible it is [`StoreError::Unavailable`], so that the event is tried again.
    /// A message that was written well before is visible or gone, however young what happened to it is. As it is here, this
    /// is for stores in which a change is visible as soon as its event.
    async fn message_of_event(
        &self,
        member: UserId,
        chat: ChatId,
        message: MessageId,
        event: EventId,
        now: Timestamp,
    ) -> Result<Option<EventMessage>, StoreError> {
        let found = match self.message(member, chat, message).await {
            Err(StoreError::NotFound) if is_settling(event, now) && is_settling(message.into(), now) => None,
            Err(StoreError::NotFound) => return Ok(None),
            found => Some(found?),
        };
        match (self.chat_and_block(member, chat).await, found) {
            (Ok((chat, blocked)), Some(message)) => Ok(Some(EventMessage { message, chat, blocked })),
            // A message that is that young does not go away while its chat is there.
            (Ok(_), None) => Err(StoreError::unavailable(NotVisible(message))),
            (Err(StoreError::NotFound), _) => Ok(None),
            (Err(error), _) => Err(error),
        }
    }
}

/// What happened to users, one after the other. A place in an inbox before messages that are too old stays good.
#[async_trait]
pub trait Inboxes: Send + Sync {
    /// Events of the caller's inbox after `since`; from the oldest that is kept when `None`.
    async fn inbox(&self, caller: UserId, since: Option<InboxPlace>, limit: usize) -> Result<Inbox, StoreError>;
    /// The end of the caller's inbox: what a client that is up to date syncs from.
    async fn inbox_head(&self, caller: UserId, now: Timestamp) -> Result<InboxPlace, StoreError>;
}

/// Chats, messages, watermarks and inboxes. Whatever is written is durable when the call returns, appears in the
/// inbox of each member, and is published to the [`crate::event::Fanout`] in the order of its ids.
///
/// What a [`ChatReader`] does not find can't be changed, answered or read up to either. A repeat of a message that is too
/// old gets [`Message::expired`].
#[async_trait]
pub trait ChatStore: ChatReader + Inboxes {
    /// The one chat of these two accounts, made if need be; the flag says whether it was.
    /// [`StoreError::NotFound`] when there is no such peer, [`StoreError::Blocked`] when either blocks the other and
    /// the chat does not exist yet.
    async fn start_chat(&self, caller: UserId, peer: UserId, now: Timestamp) -> Result<(Chat, bool), StoreError>;
    /// Writes a message. A repeat of the sender's client message id returns the first message, also under a race. A store whose
    /// writes may go unanswered publishes that again, for as long as the sender may be trying; so with a deletion.
    /// `origin` is the socket that must not get an echo. A call takes its place in the order when it is first polled, so
    /// that several may be on their way at once.
    ///
    /// With the message its files are attached to the chat ([`super::MediaReader::chats_of`]), as long as a message that is
    /// written at `now` is kept. Members see the files before the message or together with it. When no message comes of it,
    /// whatever the reason, they are not attached, or for a day at most, and then looked at by whoever destroys what is not
    /// used.
    async fn append(&self, draft: Draft, origin: Option<Origin>, now: Timestamp) -> Result<Appended, StoreError>;
    /// The message, as it is now, that `sender` wrote under a client message id: what [`ChatStore::append`] to `chat` would
    /// return as a duplicate. `None` when none is known to be written; one that is being written may not be known yet.
    /// `origin` is the socket that must not get an echo.
    async fn sent(
        &self,
        sender: UserId,
        chat: ChatId,
        client_message_id: ClientMessageId,
        origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError>;
    /// Replaces a message's text; author only. A message of another chat is [`StoreError::NotFound`], one that was deleted, be
    /// that meanwhile, [`StoreError::Gone`]: nobody hears of a text after the deletion, unless another process writes that at the
    /// same moment or the store does not answer the edit. Clients keep the deletion then.
    async fn edit(
        &self,
        caller: UserId,
        chat: ChatId,
        message: MessageId,
        text: String,
        now: Timestamp,
    ) -> Result<Message, StoreError>;
    /// Leaves a tombstone; author only. A repeat changes nothing.
    async fn delete(&self, caller: UserId, chat: ChatId, message: MessageId, now: Timestamp) -> Result<(), StoreError>;
    /// Raises the caller's watermarks to a message of the chat ([`StoreError::NotFound`] when it is not one); returns
    /// them as they are then. Nothing is written or published when they were there already.
    async fn advance(
        &self,
        caller: UserId,
        chat: ChatId,
        progress: Progress,
        up_to: MessageId,
        now: Timestamp,
    ) -> Result<Watermarks, StoreError>;
}

/// All messages of a store, for what is made from them.
#[async_trait]
pub trait MessageScan: Send + Sync {
    /// Up to `limit` messages that are kept and not deleted, in an order of the store's own, from the one after `after` on;
    /// none: that was all. What is written meanwhile may be left out.
    async fn scan(&self, after: Option<Scanned>, limit: usize) -> Result<Vec<Scanned>, StoreError>;
}
