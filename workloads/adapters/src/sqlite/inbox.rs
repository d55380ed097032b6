//! Inboxes: what happened to a user, with what it refers to as it is now.

use std::collections::{HashMap, hash_map::Entry};

use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    clock,
    event::{InboxBody, InboxEvent},
    ids::{ChatId, EventId, MessageId, UserId},
    message::{Chat, Message},
    ports::Inbox,
    watermark::Watermarks,
};

use super::{
    accounts::row_limit,
    batch::EventKind,
    chat_cache::{KeyCache, OpenKey},
    failure::Failure,
    rows,
    statements::{EVENTS_AFTER, INBOX_PRUNED, NEWEST_EVENT_ID},
};

/// A part of the inbox. Events of deleted chats are left out, so a page may be shorter than it could be.
pub(super) fn page(
    db: &Connection,
    keys: &KeyCache,
    caller: UserId,
    since: Option<EventId>,
    limit: usize,
) -> Result<Inbox, Failure> {
    let pruned = pruned(db, caller)?;
    let limit = limit.max(1);
    let mut next = since.unwrap_or(pruned.unwrap_or_else(first));
    let mut select = db.prepare_cached(EVENTS_AFTER)?;
    let mut found = select.query(params![caller.as_bytes(), next.as_bytes(), row_limit(limit.saturating_add(1))])?;
    let mut chats = Chats { db, keys, seen: HashMap::new() };
    let mut inbox = Inbox { events: Vec::new(), next, more: false, reset: since < pruned && since.is_some() };
    let mut read = 0;
    while let Some(row) = found.next()? {
        if read == limit {
            inbox.more = true;
            break;
        }
        read += 1;
        next = EventId::from_bytes(row.get(0)?);
        inbox.events.extend(chats.body(row, next)?.map(|body| InboxEvent { id: next, body }));
    }
    inbox.next = next;
    Ok(inbox)
}

/// The newest event, or what sorts before all that will come.
pub(super) fn head(db: &Connection, caller: UserId) -> Result<EventId, Failure> {
    let newest = db
        .prepare_cached(NEWEST_EVENT_ID)?
        .query_row([caller.as_bytes()], |row| rows::event_id(row, 0))
        .optional()?
        .flatten();
    Ok(match newest {
        Some(newest) => newest,
        // Not an id of now: an event that is being committed may have a lower one.
        None => pruned(db, caller)?.unwrap_or_else(first),
    })
}

fn pruned(db: &Connection, caller: UserId) -> rusqlite::Result<Option<EventId>> {
    let mut select = db.prepare_cached(INBOX_PRUNED)?;
    Ok(select.query_row([caller.as_bytes()], |row| rows::event_id(row, 0)).optional()?.flatten())
}

/// Sorts before every event.
fn first() -> EventId {
    EventId(clock::Instant::default().id(0))
}

/// The chats that a page refers to, each read once.
struct Chats<'a> {
    db: &'a Connection,
    keys: &'a KeyCache,
    seen: HashMap<ChatId, Option<(Chat, OpenKey)>>,
}

impl Chats<'_> {
    /// What a row of `event_id, kind, chat_id, subject, high, delivered, read` says; `None` when that is gone.
    fn body(&mut self, row: &Row<'_>, event: EventId) -> Result<Option<InboxBody>, Failure> {
        let Some(kind) = EventKind::of(row.get(1)?) else { return Ok(None) };
        let chat_id = ChatId::from_bytes(row.get(2)?);
        if kind == EventKind::ChatDeleted {
            return Ok(Some(InboxBody::ChatDeleted { chat_id }));
        }
        let Some((chat, key)) = self.chat(chat_id)? else { return Ok(None) };
        let subject = rows::message_id(row, 3)?.unwrap_or(MessageId(event.0));
        let member = || Ok::<_, Failure>(chat.members[usize::from(row.get::<_, bool>(4)?)]);
        let message = || -> Result<Option<Message>, Failure> {
            Ok(rows::message_of(self.db, &chat, &key, subject)?.map(|found| found.message))
        };
        Ok(match kind {
            EventKind::Message => message()?.map(InboxBody::Message),
            EventKind::Edited => message()?.map(InboxBody::Edited),
            EventKind::Deleted => Some(InboxBody::Deleted { chat_id, message_id: subject }),
            EventKind::Receipt => Some(InboxBody::Receipt {
                chat_id,
                user_id: member()?,
                watermarks: Watermarks {
                    delivered_up_to: rows::message_id(row, 5)?,
                    read_up_to: rows::message_id(row, 6)?,
                },
            }),
            EventKind::ChatStarted => Some(InboxBody::ChatStarted { chat_id, by: member()? }),
            EventKind::ChatDeleted => None,
        })
    }

    fn chat(&mut self, id: ChatId) -> Result<Option<(Chat, OpenKey)>, Failure> {
        Ok(match self.seen.entry(id) {
            Entry::Occupied(seen) => seen.get().clone(),
            Entry::Vacant(new) => {
                let found = match rows::chat(self.db, id)? {
                    Some(row) => Some((row.chat, self.keys.open(id, &row.key)?)),
                    None => None,
                };
                new.insert(found).clone()
            }
        })
    }
}
