//! Events read off the tables: what happened between two ids. New messages and receipts are in their chats, and the rare
//! rest in the table `outbox`.
//!
//! A consumer needs this at its start and when it was too slow. It goes from chat to chat, so events come in order within
//! a chat and not among chats. All ids are given by the one writer as it commits: what is committed later than a
//! snapshot sorts after the newest id in it.

use rusqlite::{Connection, Row, params};
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId, UserId},
    outbox::{Change, PlatformEvent},
};

use super::{
    accounts::row_limit,
    batch::Batch,
    failure::Failure,
    rows::{self, execute},
    statements::{CHATS_FROM, INSERT_OUTBOX, MESSAGES_BETWEEN, OUTBOX_BETWEEN},
};

/// Sorts after every id.
const LAST_ID: [u8; 16] = [0xff; 16];
/// Chats that one page looks at.
const CHATS: u32 = 500;

/// A part of the past that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// It ends with this id.
    pub(super) to: EventId,
    /// The chats before this one are done, and of it the messages up to the other.
    pub(super) at: (ChatId, MessageId),
}

impl Scan {
    pub(super) fn up_to(to: EventId) -> Self {
        Self { to, at: (ChatId::from_bytes([0; 16]), MessageId::from_bytes([0; 16])) }
    }
}

/// Some events, and where to go on; `None`: this was all.
pub(super) struct Page {
    pub(super) events: Vec<PlatformEvent>,
    pub(super) next: Option<(ChatId, MessageId)>,
}

/// A chat as a scan sees it.
struct Found {
    id: ChatId,
    members: [UserId; 2],
    reads: [Option<(EventId, MessageId)>; 2],
}

/// New messages and receipts after `after`, about `limit` of them.
pub(super) fn page(db: &Connection, after: EventId, scan: Scan, limit: usize) -> Result<Page, Failure> {
    let (from, mut seen) = scan.at;
    let mut select = db.prepare_cached(CHATS_FROM)?;
    let found = select
        .query_map(params![from.as_bytes(), CHATS], |row| Ok((ChatId::from_bytes(rows::key(row, 0)?), chat(row))))?;
    let (mut events, mut at, mut looked_at) = (Vec::new(), scan.at, 0);
    for found in found {
        if events.len() >= limit {
            return Ok(Page { events, next: Some(at) });
        }
        let (id, chat) = found?;
        looked_at += 1;
        if id != from {
            seen = MessageId::from_bytes([0; 16]);
        }
        // A chat that is damaged must not hold up the events of all others, nor must a page of them.
        let Some(chat) = rows::readable(chat.map_err(Failure::from), id)? else {
            at = (id, MessageId::from_bytes(LAST_ID));
            continue;
        };
        let room = limit.saturating_sub(events.len());
        let written = messages(db, &chat, after.max(seen.into()), scan.to, room)?;
        if let Some(last) = written.last().filter(|_| written.len() == room) {
            let at = (chat.id, MessageId(last.event_id.0));
            events.extend(written);
            return Ok(Page { events, next: Some(at) });
        }
        events.extend(written);
        if seen.as_bytes() != &LAST_ID {
            events.extend(reads(&chat, after));
        }
        at = (chat.id, MessageId::from_bytes(LAST_ID));
    }
    Ok(Page { events, next: (looked_at == CHATS).then_some(at) })
}

/// A row of `id, low, high, low_receipt, low_read, high_receipt, high_read`.
fn chat(row: &Row<'_>) -> rusqlite::Result<Found> {
    let read = |column| -> rusqlite::Result<Option<(EventId, MessageId)>> {
        Ok(rows::event_id(row, column)?.zip(rows::message_id(row, column + 1)?))
    };
    Ok(Found {
        id: ChatId::from_bytes(row.get(0)?),
        members: [UserId::from_bytes(row.get(1)?), UserId::from_bytes(row.get(2)?)],
        reads: [read(3)?, read(5)?],
    })
}

fn messages(
    db: &Connection,
    chat: &Found,
    after: EventId,
    to: EventId,
    limit: usize,
) -> Result<Vec<PlatformEvent>, Failure> {
    let mut select = db.prepare_cached(MESSAGES_BETWEEN)?;
    let values = params![chat.id.as_bytes(), after.as_bytes(), to.as_bytes(), row_limit(limit)];
    let written = select.query_map(values, |row| {
        let message_id = MessageId::from_bytes(rows::key(row, 0)?);
        let sender_id = chat.members[usize::from(row.get::<_, bool>(1)?)];
        Ok(PlatformEvent {
            event_id: message_id.into(),
            chat_id: chat.id,
            members: chat.members,
            change: Change::Written { message_id, sender_id },
        })
    })?;
    Ok(written.collect::<Result<_, _>>()?)
}

/// The newest progress of each member, if it is news. It stands for all before it.
fn reads(chat: &Found, after: EventId) -> impl Iterator<Item = PlatformEvent> {
    let news = chat.members.iter().zip(&chat.reads).filter_map(move |(user_id, read)| {
        let (event_id, message_id) = (*read).filter(|(event, _)| *event > after)?;
        Some((event_id, Change::Read { message_id, user_id: *user_id, before: None }))
    });
    news.map(|(event_id, change)| PlatformEvent { event_id, chat_id: chat.id, members: chat.members, change })
}

/// Events of the outbox after `after` and up to `to`, oldest first.
pub(super) fn outbox(
    db: &Connection,
    after: EventId,
    to: EventId,
    limit: usize,
) -> Result<Vec<(EventId, Option<PlatformEvent>)>, Failure> {
    let mut select = db.prepare_cached(OUTBOX_BETWEEN)?;
    let rows = select.query_map(params![after.as_bytes(), to.as_bytes(), row_limit(limit)], |row| {
        let event = row.get_ref(1)?.as_str().ok().and_then(|json| serde_json::from_str(json).ok());
        Ok((EventId::from_bytes(rows::key(row, 0)?), event))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes an event that the tables do not show, and hands it on once that is durable.
pub(super) fn record(batch: &mut Batch<'_>, event: PlatformEvent) -> Result<(), Failure> {
    let json = serde_json::to_string(&event).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    execute(batch.db, INSERT_OUTBOX, params![event.event_id.as_bytes(), json])?;
    batch.changes.push(event);
    Ok(())
}
