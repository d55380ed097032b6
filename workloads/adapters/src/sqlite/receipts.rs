//! Watermarks, and their events in inboxes: each new one replaces the one before it.

use rusqlite::{Connection, params};
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, EventId, MessageId, UserId},
    ports::StoreError,
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

use super::{
    batch::{Batch, Event, EventKind, watermark_bytes},
    failure::Failure,
    rows::{execute, exists},
    statements::{DELETE_EVENT, MESSAGE_EXISTS, SET_HIGH_PROGRESS, SET_LOW_PROGRESS},
};

/// Raises the caller's watermarks.
pub(super) fn advance(
    batch: &mut Batch<'_>,
    caller: UserId,
    chat_id: ChatId,
    progress: Progress,
    up_to: MessageId,
    now: Timestamp,
) -> Result<Watermarks, Failure> {
    let (db, keys) = (batch.db, batch.keys);
    let before = batch.chats.of_caller(db, keys, caller, chat_id)?.chat.watermarks_of(caller);
    if !exists(db, MESSAGE_EXISTS, params![chat_id.as_bytes(), up_to.as_bytes()])? {
        return Err(StoreError::NotFound.into());
    }
    let watermarks = before.advanced(progress, up_to);
    if watermarks == before {
        return Ok(before);
    }
    let event = batch.event_id(now);
    let state = batch.chats.of_caller(db, keys, caller, chat_id)?;
    let (high, peer) = (state.is_high(caller), state.chat.peer_of(caller));
    let receipts = &mut state.receipts[usize::from(high)];

    let receipt = Event { high: Some(high), watermarks, ..Event::new(event, EventKind::Receipt, chat_id) };
    replace(db, caller, receipts.own.replace(event), &receipt)?;
    // What a blocked peer has heard stays; later progress is none of its business.
    if peer != caller && !state.blocked {
        replace(db, peer, receipts.shown.replace(event), &receipt)?;
    }
    state.chat.watermarks[usize::from(high)] = watermarks;
    if peer == caller {
        state.chat.watermarks[1] = watermarks;
    }
    let sql = if high { SET_HIGH_PROGRESS } else { SET_LOW_PROGRESS };
    let (delivered, read) = watermark_bytes(&watermarks);
    let (own, shown) = (receipts.own.as_ref().map(EventId::as_bytes), receipts.shown.as_ref().map(EventId::as_bytes));
    execute(db, sql, params![chat_id.as_bytes(), delivered, read, own, shown])?;
    let live = LiveEvent::Receipt { chat: state.chat.clone(), user_id: caller, blocked: state.blocked };
    batch.events.push(live);
    Ok(watermarks)
}

/// Puts a receipt into an inbox in place of the older one.
fn replace(db: &Connection, user: UserId, older: Option<EventId>, receipt: &Event) -> Result<(), Failure> {
    if let Some(older) = older {
        execute(db, DELETE_EVENT, params![user.as_bytes(), older.as_bytes()])?;
    }
    receipt.insert(db, user)
}
