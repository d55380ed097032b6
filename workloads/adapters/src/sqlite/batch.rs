//! One transaction of the writer, which carries out the commands of many callers.

use rusqlite::{Connection, params};
use sentinel_domain::{
    clock::HybridClock,
    event::LiveEvent,
    ids::{ChatId, EventId, MessageId, UserId},
    outbox::PlatformEvent,
    retention::Horizon,
    time::Timestamp,
};
use uuid::Uuid;

use crate::chat_keys::KeyCache;

use super::{
    chat_cache::ChatCache,
    failure::Failure,
    rows::execute,
    sent::Sent,
    statements::{INSERT_EVENT, SET_CLOCK},
};

/// What a row of the inbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventKind {
    Edited = 1,
    Deleted = 2,
    ChatStarted = 3,
    ChatDeleted = 4,
}

impl EventKind {
    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::Edited, Self::Deleted, Self::ChatStarted, Self::ChatDeleted].into_iter().find(|kind| *kind as u8 == code)
    }
}

/// A row of the inbox.
pub(super) struct Event {
    pub(super) id: EventId,
    pub(super) kind: EventKind,
    pub(super) chat: ChatId,
    /// The message of an edit or a deletion.
    pub(super) subject: Option<MessageId>,
    /// Whether the chat's `high` started it.
    pub(super) high: Option<bool>,
}

impl Event {
    pub(super) fn new(id: EventId, kind: EventKind, chat: ChatId) -> Self {
        Self { id, kind, chat, subject: None, high: None }
    }

    /// Adds this to a user's inbox.
    pub(super) fn insert(&self, db: &Connection, user: UserId) -> Result<(), Failure> {
        let (id, chat, subject) = (self.id.as_bytes(), self.chat.as_bytes(), self.subject.as_ref());
        let subject = subject.map(MessageId::as_bytes);
        let values = params![user.as_bytes(), id, self.kind as u8, chat, subject, self.high];
        execute(db, INSERT_EVENT, values)?;
        Ok(())
    }
}

/// A transaction under way. A command returns [`Failure::Refused`] only before its first write, so that a refused
/// command leaves nothing behind and its neighbours are committed.
pub(super) struct Batch<'a> {
    pub(super) db: &'a Connection,
    pub(super) keys: &'a KeyCache,
    pub(super) chats: &'a mut ChatCache,
    pub(super) sent: &'a mut Sent,
    /// Which messages are too old.
    pub(super) horizon: Horizon,
    /// What sockets hear of once this is durable.
    pub(super) events: Vec<LiveEvent>,
    /// What consumers hear of once this is durable, in the order of ids.
    pub(super) changes: Vec<PlatformEvent>,
    /// Chats whose keys must leave memory once this is durable.
    pub(super) destroyed: Vec<ChatId>,
    clock: &'a HybridClock,
    newest: Option<Uuid>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        db: &'a Connection,
        keys: &'a KeyCache,
        chats: &'a mut ChatCache,
        sent: &'a mut Sent,
        clock: &'a HybridClock,
        horizon: Horizon,
    ) -> Self {
        Self {
            db,
            keys,
            chats,
            sent,
            horizon,
            clock,
            events: Vec::new(),
            changes: Vec::new(),
            destroyed: Vec::new(),
            newest: None,
        }
    }

    /// The next message's id. Ids are given here only, so ids rise in the order of commits.
    pub(super) fn message_id(&mut self, now: Timestamp) -> MessageId {
        let id = self.clock.message_id(now);
        self.newest = Some(id.0);
        id
    }

    /// The next event's id.
    pub(super) fn event_id(&mut self, now: Timestamp) -> EventId {
        self.message_id(now).into()
    }

    /// Writes what is written once per batch.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.sent.write(self.db)?;
        if let Some(newest) = self.newest {
            execute(self.db, SET_CLOCK, [newest.as_bytes()])?;
        }
        Ok(())
    }
}
