//! Writing a message: the path that must be short. With the chat in the cache it is an insert into `messages`, and a
//! look and an insert into `sent` when the client gave an id. The members' inboxes have the message by its being there.

use rusqlite::{Connection, OptionalExtension, params};
use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, MessageId, UserId},
    message::{ClientMessageId, Draft, Message},
    ports::{Appended, StoreError},
    time::Timestamp,
};

use super::{
    batch::Batch,
    chat_cache::KeyCache,
    content,
    failure::Failure,
    rows::{self, execute, exists},
    statements::{INSERT_MESSAGE, INSERT_SENT, MESSAGE_EXISTS, SENT},
};

/// Writes a message, or finds the one that the sender wrote under the same client id.
pub(super) fn append(
    batch: &mut Batch<'_>,
    draft: Draft,
    origin: Option<Origin>,
    now: Timestamp,
) -> Result<Appended, Failure> {
    let Batch { db, keys, .. } = *batch;
    let Draft { chat_id, sender_id, kind, text, attachments, reply_to, client_message_id } = draft;
    let state = batch.chats.of_caller(db, keys, sender_id, chat_id)?;
    if let Some(client_id) = &client_message_id
        && let Some(message) = earlier(db, keys, sender_id, client_id)?
    {
        return Ok(Appended { message, duplicate: true });
    }
    if state.blocked {
        return Err(StoreError::Blocked.into());
    }
    if let Some(reply_to) = reply_to
        && !exists(db, MESSAGE_EXISTS, params![chat_id.as_bytes(), reply_to.as_bytes()])?
    {
        return Err(StoreError::UnknownReply.into());
    }
    let (key, high) = (state.key.clone(), state.is_high(sender_id));
    let id = batch.message_id(now);
    let state = batch.chats.of_caller(db, keys, sender_id, chat_id)?;
    let sealed = content::seal(&key, &state.chat, id, 0, &text, &attachments)?;

    let reply_bytes = reply_to.as_ref().map(MessageId::as_bytes);
    let client_text = client_message_id.as_ref().map(ClientMessageId::as_str);
    let kind_code = content::kind_code(kind);
    let values = params![chat_id.as_bytes(), id.as_bytes(), high, kind_code, reply_bytes, client_text, sealed];
    execute(db, INSERT_MESSAGE, values)?;
    if let Some(client_id) = client_text {
        execute(db, INSERT_SENT, params![sender_id.as_bytes(), client_id, chat_id.as_bytes(), id.as_bytes()])?;
    }

    let chat = state.chat.clone();
    let message = Message {
        id,
        chat_id,
        sender_id,
        kind,
        text,
        attachments,
        reply_to,
        client_message_id,
        edited_at: None,
        deleted: false,
    };
    batch.events.push(LiveEvent::Message { chat, message: message.clone(), origin });
    Ok(Appended { message, duplicate: false })
}

/// The message that the sender wrote under this id, in whatever chat; `None` also when its chat is gone.
fn earlier(
    db: &Connection,
    keys: &KeyCache,
    sender: UserId,
    client_id: &ClientMessageId,
) -> Result<Option<Message>, Failure> {
    let sent = db
        .prepare_cached(SENT)?
        .query_row(params![sender.as_bytes(), client_id.as_str()], |row| {
            Ok((ChatId::from_bytes(row.get(0)?), MessageId::from_bytes(row.get(1)?)))
        })
        .optional()?;
    let Some((chat_id, message_id)) = sent else { return Ok(None) };
    let Some(row) = rows::chat(db, chat_id)? else { return Ok(None) };
    let key = keys.open(chat_id, &row.key)?;
    Ok(rows::message_of(db, &row.chat, &key, message_id)?.map(|found| found.message))
}
