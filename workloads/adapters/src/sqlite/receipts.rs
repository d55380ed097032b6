//! Watermarks. Their events are in the chat's row, so a new one replaces the one before it in both inboxes.

use rusqlite::params;
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, EventId, MessageId, UserId},
    outbox::{Change, PlatformEvent},
    ports::StoreError,
    time::Timestamp,
    watermark::{Progress, Watermarks},
};

use super::{
    batch::Batch,
    failure::Failure,
    rows::{execute, exists},
    statements::{MESSAGE_EXISTS, SET_HIGH_PROGRESS, SET_LOW_PROGRESS},
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
    let state = batch.chats.of_caller(db, keys, caller, chat_id)?;
    let (before, shown_before) = (state.chat.watermarks_of(caller), state.chat.shown_of(caller));
    let blocked = state.blocked;
    if !batch.horizon.keeps(up_to) || !exists(db, MESSAGE_EXISTS, params![chat_id.as_bytes(), up_to.as_bytes()])? {
        return Err(StoreError::NotFound.into());
    }
    let watermarks = before.advanced(progress, up_to);
    // What a blocked peer has heard stays, and what was said behind the block is not told later either: only what is said again.
    let shown = if blocked { shown_before } else { shown_before.advanced(progress, up_to) };
    if (watermarks, shown) == (before, shown_before) {
        return Ok(before);
    }
    let event = batch.event_id(now);
    let state = batch.chats.of_caller(db, keys, caller, chat_id)?;
    let (high, peer) = (state.is_high(caller), state.chat.peer_of(caller));
    let receipts = &mut state.receipts[usize::from(high)];
    receipts.own = Some(event);
    state.chat.watermarks[usize::from(high)] = watermarks;
    if !blocked {
        receipts.shown = Some(event);
        state.chat.shown[usize::from(high)] = shown;
    }
    if peer == caller {
        state.chat.watermarks[1] = watermarks;
        state.chat.shown[1] = shown;
    }
    let sql = if high { SET_HIGH_PROGRESS } else { SET_LOW_PROGRESS };
    let (delivered, read) = bytes(&watermarks);
    let (shown_delivered, shown_read) = bytes(&shown);
    let told = state.receipts[usize::from(high)].shown.as_ref().map(EventId::as_bytes);
    let id = chat_id.as_bytes();
    execute(db, sql, params![id, delivered, read, event.as_bytes(), shown_delivered, shown_read, told])?;
    let live = LiveEvent::Receipt { chat: state.chat.clone(), user_id: caller, blocked };
    batch.events.push(live);
    if let Some(message_id) = watermarks.read_up_to.filter(|read| before.read_up_to < Some(*read)) {
        let members = state.chat.members;
        let change = Change::Read { message_id, user_id: caller, before: before.read_up_to };
        batch.changes.push(PlatformEvent { event_id: event, chat_id, members, change });
    }
    Ok(watermarks)
}

fn bytes(watermarks: &Watermarks) -> (Option<&[u8; 16]>, Option<&[u8; 16]>) {
    let Watermarks { delivered_up_to, read_up_to } = watermarks;
    (delivered_up_to.as_ref().map(MessageId::as_bytes), read_up_to.as_ref().map(MessageId::as_bytes))
}
