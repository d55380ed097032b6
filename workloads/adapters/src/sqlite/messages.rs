//! Changing and deleting messages.

use rusqlite::params;
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, MessageId, UserId},
    message::{Chat, Message},
    outbox::{Change, PlatformEvent},
    ports::StoreError,
    time::Timestamp,
};

use crate::{chat_keys::OpenKey, content};

use super::{
    batch::{Batch, Event, EventKind},
    failure::Failure,
    rows::{self, MessageRow, execute},
    scan,
    statements::{DELETE_MESSAGE, EDIT_MESSAGE},
};

/// Replaces a message's text. A block cuts edits as it cuts messages: both carry text to the peer.
pub(super) fn edit(
    batch: &mut Batch<'_>,
    caller: UserId,
    chat_id: ChatId,
    id: MessageId,
    text: String,
    now: Timestamp,
) -> Result<Message, Failure> {
    let Own { chat, key, blocked, row: MessageRow { mut message, version } } = own(batch, caller, chat_id, id)?;
    if message.deleted {
        return Err(StoreError::Gone.into());
    }
    if blocked {
        return Err(StoreError::Blocked.into());
    }
    let version = version.saturating_add(1);
    let sealed = content::seal(&key, &chat, id, version, &text, &message.attachments)?;
    // Also when the clock went back: clients keep the later edit.
    let edited_at = message.edited_at.map_or(now, |before| now.max(Timestamp(before.0.saturating_add(1))));
    execute(batch.db, EDIT_MESSAGE, params![chat_id.as_bytes(), id.as_bytes(), version, edited_at.0, sealed])?;
    message.text = text;
    message.edited_at = Some(edited_at);
    notify_all(batch, &chat, EventKind::Edited, caller, id, now)?;
    batch.events.push(LiveEvent::Edited { chat, message: message.clone() });
    Ok(message)
}

/// Leaves a tombstone. The author may always take back what was said, also when blocked.
pub(super) fn delete(
    batch: &mut Batch<'_>,
    caller: UserId,
    chat_id: ChatId,
    id: MessageId,
    now: Timestamp,
) -> Result<(), Failure> {
    let Own { chat, row: MessageRow { message, version }, .. } = own(batch, caller, chat_id, id)?;
    if message.deleted {
        return Ok(());
    }
    execute(batch.db, DELETE_MESSAGE, params![chat_id.as_bytes(), id.as_bytes(), version.saturating_add(1)])?;
    notify_all(batch, &chat, EventKind::Deleted, caller, id, now)?;
    batch.events.push(LiveEvent::Deleted { chat, message_id: id });
    Ok(())
}

/// A message that the caller wrote, with its chat.
struct Own {
    chat: Chat,
    key: OpenKey,
    blocked: bool,
    row: MessageRow,
}

fn own(batch: &mut Batch<'_>, caller: UserId, chat: ChatId, id: MessageId) -> Result<Own, Failure> {
    let state = batch.chats.of_caller(batch.db, batch.keys, caller, chat)?;
    let (chat, key, blocked) = (state.chat.clone(), state.key.clone(), state.blocked);
    let row = rows::message_of(batch.db, batch.horizon, &chat, &key, id)?.ok_or(StoreError::NotFound)?;
    if row.message.sender_id != caller {
        return Err(StoreError::NotAuthor.into());
    }
    Ok(Own { chat, key, blocked, row })
}

fn notify_all(
    batch: &mut Batch<'_>,
    chat: &Chat,
    kind: EventKind,
    author: UserId,
    message: MessageId,
    now: Timestamp,
) -> Result<(), Failure> {
    let event = Event { subject: Some(message), ..Event::new(batch.event_id(now), kind, chat.id) };
    for member in chat.distinct_members() {
        event.insert(batch.db, *member)?;
    }
    let change = match kind {
        EventKind::Deleted => Change::Deleted { message_id: message, sender_id: author },
        _ => Change::Edited { message_id: message, sender_id: author },
    };
    scan::record(batch, PlatformEvent { event_id: event.id, chat_id: chat.id, members: chat.members, change })
}
