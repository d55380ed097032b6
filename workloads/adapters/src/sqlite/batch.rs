//! One transaction of the writer, which carries out the commands of many callers.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use sentinel_domain::{
    clock::HybridClock,
    event::LiveEvent,
    ids::{ChatId, EventId, MessageId, UserId},
    message::Chat,
    time::Timestamp,
    watermark::Watermarks,
};
use uuid::Uuid;

use super::{
    chat_cache::{ChatCache, KeyCache},
    failure::Failure,
    rows::execute,
    statements::{DELETE_MEMBER, INSERT_EVENT, INSERT_MEMBER, SET_CLOCK},
};

/// What a row of the inbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventKind {
    Message = 0,
    Edited = 1,
    Deleted = 2,
    Receipt = 3,
    ChatStarted = 4,
    ChatDeleted = 5,
}

impl EventKind {
    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::Message, Self::Edited, Self::Deleted, Self::Receipt, Self::ChatStarted, Self::ChatDeleted]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }
}

/// A row of the inbox other than that of a new message.
pub(super) struct Event {
    pub(super) id: EventId,
    pub(super) kind: EventKind,
    pub(super) chat: ChatId,
    /// The message of an edit or a deletion.
    pub(super) subject: Option<MessageId>,
    /// Whether the chat's `high` is the member of a receipt, or the one who started the chat.
    pub(super) high: Option<bool>,
    /// Those of a receipt.
    pub(super) watermarks: Watermarks,
}

impl Event {
    pub(super) fn new(id: EventId, kind: EventKind, chat: ChatId) -> Self {
        Self { id, kind, chat, subject: None, high: None, watermarks: Watermarks::default() }
    }

    /// Adds this to a user's inbox.
    pub(super) fn insert(&self, db: &Connection, user: UserId) -> Result<(), Failure> {
        let (id, chat, subject) = (self.id.as_bytes(), self.chat.as_bytes(), self.subject.as_ref());
        let (delivered, read) = watermark_bytes(&self.watermarks);
        let subject = subject.map(MessageId::as_bytes);
        let values = params![user.as_bytes(), id, self.kind as u8, chat, subject, self.high, delivered, read];
        execute(db, INSERT_EVENT, values)?;
        Ok(())
    }
}

/// Watermarks as the tables have them: delivered, then read.
pub(super) fn watermark_bytes(watermarks: &Watermarks) -> (Option<&[u8; 16]>, Option<&[u8; 16]>) {
    let Watermarks { delivered_up_to, read_up_to } = watermarks;
    (delivered_up_to.as_ref().map(MessageId::as_bytes), read_up_to.as_ref().map(MessageId::as_bytes))
}

/// A transaction under way. A command returns [`Failure::Refused`] only before its first write, so that a refused
/// command leaves nothing behind and its neighbours are committed.
pub(super) struct Batch<'a> {
    pub(super) db: &'a Connection,
    pub(super) keys: &'a KeyCache,
    pub(super) chats: &'a mut ChatCache,
    /// What sockets hear of once this is durable.
    pub(super) events: Vec<LiveEvent>,
    /// Chats whose keys must leave memory once this is durable.
    pub(super) destroyed: Vec<ChatId>,
    clock: &'a HybridClock,
    newest: Option<Uuid>,
    moved: HashMap<ChatId, Moved>,
}

/// A chat that moves up in its members' lists.
struct Moved {
    members: [UserId; 2],
    from: EventId,
    to: EventId,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        db: &'a Connection,
        keys: &'a KeyCache,
        chats: &'a mut ChatCache,
        clock: &'a HybridClock,
    ) -> Self {
        Self { db, keys, chats, clock, events: Vec::new(), destroyed: Vec::new(), newest: None, moved: HashMap::new() }
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

    /// Notes that a chat's newest activity changed; the lists are written once per batch and chat.
    pub(super) fn moved(&mut self, chat: &Chat, from: EventId, to: EventId) {
        self.moved.entry(chat.id).or_insert(Moved { members: chat.members, from, to }).to = to;
    }

    /// Writes the members' lists of what moved so far.
    pub(super) fn write_moves(&mut self) -> Result<(), Failure> {
        let mut remove = self.db.prepare_cached(DELETE_MEMBER)?;
        let mut insert = self.db.prepare_cached(INSERT_MEMBER)?;
        for (chat, Moved { members, from, to }) in self.moved.drain() {
            let distinct = if members[0] == members[1] { &members[..1] } else { &members };
            for member in distinct {
                remove.execute(params![member.as_bytes(), from.as_bytes()])?;
                insert.execute(params![member.as_bytes(), to.as_bytes(), chat.as_bytes()])?;
            }
        }
        Ok(())
    }

    /// Writes what is written once per batch.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.write_moves()?;
        if let Some(newest) = self.newest {
            execute(self.db, SET_CLOCK, [newest.as_bytes()])?;
        }
        Ok(())
    }
}
