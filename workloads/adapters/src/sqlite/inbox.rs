//! Inboxes: what happened to a user, with what it refers to as it is now.
//!
//! An inbox is not stored as such. New messages are in their chats, the newest receipts in the rows of the chats, and
//! the rare rest in the table `inbox`; all have ids of one clock, so a page is a merge of these by id. A message costs
//! no more writes than its own row for it, and a page one look at each of the user's chats.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    clock,
    event::{InboxBody, InboxEvent},
    ids::{ChatId, EventId, MessageId, UserId},
    place::InboxPlace,
    ports::Inbox,
    retention::Horizon,
};

use crate::chat_keys::{KeyCache, OpenKey};

use super::{
    batch::EventKind,
    failure::Failure,
    rows::{self, ChatRow},
    statements::{CHATS_TOUCHED, CLOCK, EVENTS_AFTER, INBOX_PRUNED, NEXT_MESSAGE_ID},
};

/// A part of the inbox. Events of deleted chats and of messages that are too old are left out, so a page may be shorter
/// than it could be.
pub(super) fn page(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    caller: UserId,
    since: Option<&InboxPlace>,
    limit: usize,
) -> Result<Inbox, Failure> {
    let since = since.map(InboxPlace::up_to);
    let newest = head(db)?;
    let pruned = pruned(db, caller)?;
    let after = since.unwrap_or_else(first);
    let mut inbox =
        Inbox { events: Vec::new(), next: after.into(), more: false, reset: since.is_some() && since < pruned };
    if after >= newest {
        return Ok(inbox);
    }
    let mut merge = Merge { db, keys, horizon, caller, after, chats: Vec::new(), pending: BTreeMap::new() };
    merge.find_chats()?;
    merge.find_rows(limit.max(1))?;
    for _ in 0..limit.max(1) {
        let Some((id, pending)) = merge.pending.pop_first() else { break };
        inbox.next = id.into();
        inbox.events.extend(merge.body(id, pending)?.map(|body| InboxEvent { id, body }));
    }
    inbox.more = !merge.pending.is_empty();
    if !inbox.more {
        // Nothing of this user lies between; a token that is fresh is good for longer.
        inbox.next = newest.into();
    }
    Ok(inbox)
}

/// The newest id that anybody was given: whatever comes to any inbox later sorts after it. It is read from the
/// snapshot and not from the clock, because an event that is being committed may have a lower id than the clock's.
pub(super) fn head(db: &Connection) -> Result<EventId, Failure> {
    let newest = db.prepare_cached(CLOCK)?.query_row([], |row| row.get(0).map(EventId::from_bytes)).optional()?;
    Ok(newest.unwrap_or_else(first))
}

fn pruned(db: &Connection, caller: UserId) -> rusqlite::Result<Option<EventId>> {
    let mut select = db.prepare_cached(INBOX_PRUNED)?;
    Ok(select.query_row([caller.as_bytes()], |row| rows::event_id(row, 0)).optional()?.flatten())
}

/// Sorts before every event.
fn first() -> EventId {
    EventId(clock::Instant::default().id(0))
}

/// What the next events may be, by id.
struct Merge<'a> {
    db: &'a Connection,
    keys: &'a KeyCache,
    horizon: Horizon,
    caller: UserId,
    after: EventId,
    chats: Vec<(ChatRow, OpenKey)>,
    pending: BTreeMap<EventId, Pending>,
}

enum Pending {
    /// The next message of a chat, given by its place in [`Merge::chats`].
    Message(usize),
    /// A row of `inbox`.
    Stored { kind: EventKind, chat: ChatId, subject: Option<MessageId>, high: Option<bool> },
    /// Anything that is complete.
    Ready(InboxBody),
}

impl Merge<'_> {
    /// Finds the chats with news, their first new message and their receipts.
    fn find_chats(&mut self) -> Result<(), Failure> {
        let mut select = self.db.prepare_cached(CHATS_TOUCHED)?;
        let first = self.horizon.or_later(MessageId(self.after.0));
        let mut found = select.query(params![self.caller.as_bytes(), self.after.as_bytes(), first.as_bytes()])?;
        while let Some(touched) = found.next()? {
            let id = ChatId::from_bytes(touched.get(0)?);
            // The other chats are not to be lost along with one that is damaged.
            let Some(row) = rows::readable(rows::chat(self.db, id), id)?.flatten() else { continue };
            self.add_receipts(&row);
            let Some(key) = rows::readable(self.keys.open(id, &row.key).map_err(Failure::from), id)? else { continue };
            if let Some(message) = whole(self.db, id, touched.get(1)?)? {
                self.pending.insert(message, Pending::Message(self.chats.len()));
            }
            self.chats.push((row, key));
        }
        Ok(())
    }

    fn add_receipts(&mut self, row: &ChatRow) {
        let ChatRow { chat, receipts, .. } = row;
        for (member, receipts) in chat.distinct_members().iter().zip(receipts) {
            let (event, watermarks) = if *member == self.caller {
                (receipts.own, chat.watermarks_of(*member))
            } else {
                (receipts.shown, chat.shown_of(*member))
            };
            if let Some(event) = event.filter(|event| *event > self.after) {
                let receipt = InboxBody::Receipt { chat_id: chat.id, user_id: *member, watermarks };
                self.pending.insert(event, Pending::Ready(receipt));
            }
        }
    }

    /// Finds as many rows of `inbox` as a page can have, and one that tells that there are more.
    fn find_rows(&mut self, limit: usize) -> Result<(), Failure> {
        let mut select = self.db.prepare_cached(EVENTS_AFTER)?;
        let mut found = select.query(params![self.caller.as_bytes(), self.after.as_bytes()])?;
        let mut count = 0;
        while count <= limit
            && let Some(row) = found.next()?
        {
            // Those that can't be read do not count: what comes after them would be taken for none.
            let chat = ChatId::from_bytes(rows::key(row, 2)?);
            if let Some((id, stored)) = rows::readable(stored(row).map_err(Failure::from), chat)?.flatten() {
                self.pending.insert(id, stored);
                count += 1;
            }
        }
        Ok(())
    }

    /// What an event says; `None` when its chat or its message is gone.
    fn body(&mut self, id: EventId, pending: Pending) -> Result<Option<InboxBody>, Failure> {
        Ok(match pending {
            Pending::Ready(body) => Some(body),
            Pending::Message(place) => {
                let (row, key) = &self.chats[place];
                if let Some(next) = whole(self.db, row.chat.id, next(self.db, row.chat.id, id.as_bytes())?)? {
                    self.pending.insert(next, Pending::Message(place));
                }
                let found = rows::message_of(self.db, self.horizon, &row.chat, key, MessageId(id.0));
                rows::readable(found, row.chat.id)?.flatten().map(|found| InboxBody::Message(found.message))
            }
            Pending::Stored { kind: EventKind::ChatDeleted, chat, .. } => {
                Some(InboxBody::ChatDeleted { chat_id: chat })
            }
            Pending::Stored { kind, chat, subject, high } => {
                let row = rows::readable(rows::chat(self.db, chat), chat)?.flatten();
                let Some(row) = row else { return Ok(None) };
                let body = stored_body(self.db, self.keys, self.horizon, &row, kind, subject, high);
                rows::readable(body, chat)?.flatten()
            }
        })
    }
}

/// The id of the first message of a chat after another, as it is stored.
fn next(db: &Connection, chat: ChatId, after: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    Ok(db.prepare_cached(NEXT_MESSAGE_ID)?.query_row(params![chat.as_bytes(), after], |row| row.get(0))?)
}

/// The first message of a chat, beginning with the one that was found, whose id is not damaged.
fn whole(db: &Connection, chat: ChatId, mut found: Option<Vec<u8>>) -> Result<Option<EventId>, Failure> {
    while let Some(id) = found {
        if let Ok(id) = <[u8; 16]>::try_from(id.as_slice()) {
            return Ok(Some(EventId::from_bytes(id)));
        }
        rows::tell_damaged_id(chat, &id);
        found = next(db, chat, &id)?;
    }
    Ok(None)
}

/// A row of `event_id, kind, chat_id, subject, high`; `None` when it is of a kind that only a later version knows.
fn stored(row: &Row<'_>) -> rusqlite::Result<Option<(EventId, Pending)>> {
    let Some(kind) = EventKind::of(row.get(1)?) else { return Ok(None) };
    let chat = ChatId::from_bytes(row.get(2)?);
    let stored = Pending::Stored { kind, chat, subject: rows::message_id(row, 3)?, high: row.get(4)? };
    Ok(Some((EventId::from_bytes(row.get(0)?), stored)))
}

fn stored_body(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    row: &ChatRow,
    kind: EventKind,
    subject: Option<MessageId>,
    high: Option<bool>,
) -> Result<Option<InboxBody>, Failure> {
    let chat_id = row.chat.id;
    Ok(match (kind, subject) {
        (EventKind::Edited, Some(id)) => {
            let key = keys.open(chat_id, &row.key)?;
            rows::message_of(db, horizon, &row.chat, &key, id)?.map(|found| InboxBody::Edited(found.message))
        }
        (EventKind::Deleted, Some(message_id)) => Some(InboxBody::Deleted { chat_id, message_id }),
        (EventKind::ChatStarted, _) => {
            Some(InboxBody::ChatStarted { chat_id, by: row.chat.members[usize::from(high.unwrap_or_default())] })
        }
        _ => None,
    })
}
