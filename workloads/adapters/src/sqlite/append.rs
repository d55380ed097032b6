//! Writing a message: the path that must be short. With the chat in the cache it is one insert into `messages`:
//! the members' inboxes have the message by its being there, and client ids are written once per batch. Files are attached
//! to the chat in the same transaction, so none is attached to a message that does not exist.

use rusqlite::{Connection, params};
use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, MessageId, UserId},
    message::{ClientMessageId, Draft, Message},
    outbox::{Change, PlatformEvent},
    ports::{Appended, StoreError},
    retention::Horizon,
    time::Timestamp,
};

use crate::{chat_keys::KeyCache, content};

use super::{
    batch::Batch,
    failure::Failure,
    media,
    rows::{self, execute, exists},
    sent::{Fingerprint, Sent},
    statements::{ATTACH_MEDIA, INSERT_MESSAGE, MESSAGE_EXISTS},
};

/// Writes a message, or finds the one that the sender wrote under the same client id.
pub(super) fn append(
    batch: &mut Batch<'_>,
    draft: Draft,
    origin: Option<Origin>,
    now: Timestamp,
) -> Result<Appended, Failure> {
    let Batch { db, keys, horizon, .. } = *batch;
    let (chat_id, sender_id) = (draft.chat_id, draft.sender_id);
    let state = batch.chats.of_caller(db, keys, sender_id, chat_id)?;
    let fingerprint = draft.client_message_id.as_ref().map(|id| Fingerprint::of(sender_id, id));
    if let Some(id) = &draft.client_message_id
        && let Some(message) = written(db, keys, horizon, batch.sent, sender_id, id)?
    {
        return Ok(Appended { message, duplicate: true });
    }
    if state.blocked {
        return Err(StoreError::Blocked.into());
    }
    if let Some(reply_to) = draft.reply_to
        && (!horizon.keeps(reply_to) || !exists(db, MESSAGE_EXISTS, params![chat_id.as_bytes(), reply_to.as_bytes()])?)
    {
        return Err(StoreError::UnknownReply.into());
    }
    // Given up since the sender was told that it may be sent.
    for media in &draft.attachments {
        if media::is_condemned(db, *media)? {
            return Err(StoreError::UnknownAttachment.into());
        }
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
    // Not before the message, whose clock may be ahead: as long as it is kept, so are its files.
    let shown_at = id.timestamp().0.max(now.0);
    for media in &draft.attachments {
        execute(db, ATTACH_MEDIA, params![media.as_bytes(), chat_id.as_bytes(), shown_at])?;
    }
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
    let Batch { db, keys, horizon, .. } = *batch;
    batch.chats.of_caller(db, keys, sender, chat)?;
    written(db, keys, horizon, batch.sent, sender, id)
}

/// What was sent under a client id, in whatever chat; `None` when nothing was, or the chat is gone.
fn written(
    db: &Connection,
    keys: &KeyCache,
    horizon: Horizon,
    sent: &Sent,
    sender: UserId,
    id: &ClientMessageId,
) -> Result<Option<Message>, Failure> {
    let Some((chat, message)) = sent.find(db, Fingerprint::of(sender, id))? else { return Ok(None) };
    let Some(row) = rows::chat(db, chat)? else { return Ok(None) };
    if !horizon.keeps(message) {
        // The message can't be compared any more; that the chat is the sender's can.
        return Ok(row.chat.has(sender).then(|| Message::expired(message, chat, sender, id.clone())));
    }
    let key = keys.open(row.chat.id, &row.key)?;
    let found = rows::message_of(db, horizon, &row.chat, &key, message)?.map(|found| found.message);
    Ok(found.filter(|message| message.sender_id == sender && message.client_message_id.as_ref() == Some(id)))
}
