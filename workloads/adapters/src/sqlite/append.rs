//! Writing a message: the path that must be short. With the chat in the cache it is one insert into `messages`:
//! the members' inboxes have the message by its being there, and client ids are written once per batch.

use rusqlite::{Connection, params};
use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, MessageId, UserId},
    message::{ClientMessageId, Draft, Message},
    outbox::{Change, PlatformEvent},
    ports::{Appended, StoreError},
    time::Timestamp,
};

use crate::{chat_keys::KeyCache, content};

use super::{
    batch::Batch,
    failure::Failure,
    rows::{self, execute, exists},
    sent::{Fingerprint, Sent},
    statements::{INSERT_MESSAGE, MESSAGE_EXISTS},
};

/// Writes a message, or finds the one that the sender wrote under the same client id.
pub(super) fn append(
    batch: &mut Batch<'_>,
    draft: Draft,
    origin: Option<Origin>,
    now: Timestamp,
) -> Result<Appended, Failure> {
    let Batch { db, keys, .. } = *batch;
    let (chat_id, sender_id) = (draft.chat_id, draft.sender_id);
    let state = batch.chats.of_caller(db, keys, sender_id, chat_id)?;
    let fingerprint = draft.client_message_id.as_ref().map(|id| Fingerprint::of(sender_id, id));
    if let Some(id) = &draft.client_message_id
        && let Some(message) = written(db, keys, batch.sent, sender_id, id)?
    {
        return Ok(Appended { message, duplicate: true });
    }
    if state.blocked {
        return Err(StoreError::Blocked.into());
    }
    if let Some(reply_to) = draft.reply_to
        && !exists(db, MESSAGE_EXISTS, params![chat_id.as_bytes(), reply_to.as_bytes()])?
    {
        return Err(StoreError::UnknownReply.into());
    }
    let (key, high) = (state.key.clone(), state.is_high(sender_id));
    let id = batch.message_id(now);
    let state = batch.chats.of_caller(db, keys, sender_id, chat_id)?;
    let sealed = content::seal(&key, &state.chat, id, 0, &draft.text, &draft.attachments)?;

    let reply_bytes = draft.reply_to.as_ref().map(MessageId::as_bytes);
    let client_text = draft.client_message_id.as_ref().map(ClientMessageId::as_str);
    let kind_code = content::kind_code(draft.kind);
    let values = params![chat_id.as_bytes(), id.as_bytes(), high, kind_code, reply_bytes, client_text, sealed];
    execute(db, INSERT_MESSAGE, values)?;
    if let Some(fingerprint) = fingerprint {
        batch.sent.add(fingerprint, chat_id, id);
    }

    let chat = state.chat.clone();
    let message = draft.into_message(id);
    batch.changes.push(PlatformEvent {
        event_id: id.into(),
        chat_id,
        members: chat.members,
        change: Change::Written { message_id: id, sender_id },
    });
    batch.events.push(LiveEvent::Message { chat, message: message.clone(), origin });
    Ok(Appended { message, duplicate: false })
}

/// The message that the sender wrote under a client id, for one who would send it to `chat`.
pub(super) fn sent(
    batch: &mut Batch<'_>,
    sender: UserId,
    chat: ChatId,
    id: &ClientMessageId,
) -> Result<Option<Message>, Failure> {
    let Batch { db, keys, .. } = *batch;
    batch.chats.of_caller(db, keys, sender, chat)?;
    written(db, keys, batch.sent, sender, id)
}

fn written(
    db: &Connection,
    keys: &KeyCache,
    sent: &Sent,
    sender: UserId,
    id: &ClientMessageId,
) -> Result<Option<Message>, Failure> {
    let Some(place) = sent.find(db, Fingerprint::of(sender, id))? else { return Ok(None) };
    let message = message_at(db, keys, place)?;
    Ok(message.filter(|message| message.sender_id == sender && message.client_message_id.as_ref() == Some(id)))
}

/// A message in whatever chat; `None` when it or its chat is gone.
fn message_at(db: &Connection, keys: &KeyCache, place: (ChatId, MessageId)) -> Result<Option<Message>, Failure> {
    let Some(row) = rows::chat(db, place.0)? else { return Ok(None) };
    let key = keys.open(row.chat.id, &row.key)?;
    Ok(rows::message_of(db, &row.chat, &key, place.1)?.map(|found| found.message))
}
