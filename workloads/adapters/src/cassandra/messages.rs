//! Rows of messages; changing and deleting them.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow;
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, EventId, MessageId, UserId},
    keyring::KeyError,
    message::{Chat, ClientMessageId, Message},
    outbox::Change,
    place::is_settling,
    ports::StoreError,
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Shared,
    batch::Writes,
    chat::KnownChat,
    detached,
    inbox::EventKind,
    order::Arrival,
    times::{final_write_time, id_at, message_bucket, time_of, write_time},
    unanswered::PUBLISHED_AGAIN_SECONDS,
};
use crate::{
    chat_keys::OpenKey,
    content::{self, Content},
};

const VERSION_BYTES: usize = 4;
/// Partitions that one call reads at the same time.
pub(super) const READS: usize = 16;
/// Ids in one statement.
const IDS: usize = 100;

/// A row of `messages`. Columns other than the id may be missing in what is left of a deleted chat.
#[derive(DeserializeRow)]
#[scylla(flavor = "enforce_order", skip_name_checks)]
pub(super) struct StoredMessage {
    message_id: Uuid,
    sender: Option<Uuid>,
    kind: Option<i8>,
    reply_to: Option<Uuid>,
    client_message_id: Option<String>,
    edited_at: Option<i64>,
    body: Option<Vec<u8>>,
    deleted: Option<bool>,
    written: Option<i64>,
}

impl StoredMessage {
    pub(super) fn id(&self) -> MessageId {
        MessageId(self.message_id)
    }
}

/// A message with the number of its changes.
pub(super) struct MessageRow {
    pub(super) message: Message,
    pub(super) version: u32,
    /// The write time of what it says; `None` when it is deleted.
    pub(super) written: Option<i64>,
}

impl MessageRow {
    /// Whether what it says is as new as this event, which changed it.
    pub(super) fn shows(&self, event: EventId) -> bool {
        self.message.deleted || self.written.is_some_and(|written| written >= write_time(event.0))
    }
}

/// Whether a message, or what this event did to it, may still be becoming visible. A message that is young does not go away
/// while its chat is there; an older one is visible or gone.
pub(super) fn is_unseen(row: Option<&MessageRow>, message: MessageId, event: EventId, now: Timestamp) -> bool {
    is_settling(event, now) && row.map_or_else(|| is_settling(message.into(), now), |row| !row.shows(event))
}

/// What a message says in its `version`th form, as its cell has it.
pub(super) fn body(version: u32, sealed: &[u8]) -> Vec<u8> {
    [version.to_be_bytes().as_slice(), sealed].concat()
}

/// Decrypts a row where it is one of many; `None` when it is no whole message, also when it is damaged: the others are not
/// to be lost along with it.
pub(super) fn message_among_others(
    stored: StoredMessage,
    chat: &Chat,
    key: &OpenKey,
) -> Result<Option<MessageRow>, KeyError> {
    let id = stored.id();
    match message_of(stored, chat, key) {
        Err(KeyError::Corrupt) => {
            report_damage(chat.id, Some(id));
            Ok(None)
        }
        row => row,
    }
}

/// Tells whoever runs the platform of what is stored and can't be read.
pub(super) fn report_damage(chat: ChatId, message: Option<MessageId>) {
    metrics::counter!("sentinel_messages_unreadable_total").increment(1);
    tracing::error!(%chat, ?message, "what is stored of a chat is damaged and is left out");
}

/// Decrypts a row; `None` when it is no whole message.
pub(super) fn message_of(stored: StoredMessage, chat: &Chat, key: &OpenKey) -> Result<Option<MessageRow>, KeyError> {
    let Some(sender) = stored.sender else { return Ok(None) };
    let id = MessageId(stored.message_id);
    let body = stored.body.filter(|_| stored.deleted != Some(true));
    let (version, content) = match &body {
        Some(body) => {
            let (version, sealed) = body.split_first_chunk::<VERSION_BYTES>().ok_or(KeyError::Corrupt)?;
            let version = u32::from_be_bytes(*version);
            (version, content::open(key, chat, id, version, sealed)?)
        }
        None => (0, Content::default()),
    };
    let client_message_id = stored.client_message_id.map(ClientMessageId::parse).transpose();
    Ok(Some(MessageRow {
        message: Message {
            id,
            chat_id: chat.id,
            sender_id: UserId(sender),
            kind: content::kind_of(stored.kind.unwrap_or_default().cast_unsigned()),
            text: content.text,
            attachments: content.attachments,
            reply_to: stored.reply_to.map(MessageId),
            client_message_id: client_message_id.map_err(|_| KeyError::Corrupt)?,
            edited_at: stored.edited_at.map(Timestamp),
            deleted: body.is_none(),
        },
        version,
        written: stored.written.filter(|_| body.is_some()),
    }))
}

impl Shared {
    /// One message of a chat, unless it is too old.
    pub(super) async fn message_row(&self, known: &KnownChat, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        if !self.horizon().keeps(id) {
            return Ok(None);
        }
        let rows = self.stored(known.chat.id, message_bucket(id), vec![id]).await?;
        let key = self.key(known)?;
        let row = rows.into_iter().next().map(|row| message_of(row, &known.chat, &key));
        Ok(row.transpose()?.flatten())
    }

    /// Whether a chat has this message, and it is not too old.
    pub(super) async fn has_message(&self, chat: ChatId, id: MessageId) -> Result<bool, StoreError> {
        if !self.horizon().keeps(id) {
            return Ok(false);
        }
        let values = (chat.0, message_bucket(id), id.0);
        let found: Vec<(Option<Uuid>,)> = self.rows(&self.statements.sender, values).await?;
        Ok(found.iter().any(|(sender,)| sender.is_some()))
    }

    async fn stored(&self, chat: ChatId, bucket: i32, ids: Vec<MessageId>) -> Result<Vec<StoredMessage>, StoreError> {
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        self.rows(&self.statements.messages, (chat.0, bucket, ids)).await
    }

    /// Messages of several chats, by id; without those that are too old.
    pub(super) async fn messages_of(
        &self,
        chats: &HashMap<ChatId, KnownChat>,
        wanted: impl IntoIterator<Item = (ChatId, MessageId)>,
    ) -> Result<HashMap<MessageId, MessageRow>, StoreError> {
        let mut groups: HashMap<(ChatId, i32), Vec<MessageId>> = HashMap::new();
        let horizon = self.horizon();
        for (chat, id) in wanted.into_iter().filter(|(_, id)| horizon.keeps(*id)) {
            let ids = groups.entry((chat, message_bucket(id))).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let reads: Vec<(ChatId, i32, Vec<MessageId>)> = groups
            .into_iter()
            .flat_map(|((chat, bucket), ids)| {
                ids.chunks(IDS).map(|ids| (chat, bucket, ids.to_vec())).collect::<Vec<_>>()
            })
            .collect();
        let found: Vec<Vec<MessageRow>> = stream::iter(reads)
            .map(|(chat, bucket, ids)| self.group(chats.get(&chat), bucket, ids))
            .buffer_unordered(READS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().map(|row| (row.message.id, row)).collect())
    }

    async fn group(
        &self,
        known: Option<&KnownChat>,
        bucket: i32,
        ids: Vec<MessageId>,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let Some(known) = known else { return Ok(Vec::new()) };
        let key = match self.key(known) {
            Err(StoreError::Unreadable(_)) => {
                report_damage(known.chat.id, None);
                return Ok(Vec::new());
            }
            key => key?,
        };
        let rows = self.stored(known.chat.id, bucket, ids).await?.into_iter();
        let messages = rows.filter_map(|row| message_among_others(row, &known.chat, &key).transpose());
        Ok(messages.collect::<Result<_, KeyError>>()?)
    }

    /// Replaces a message's text. A block cuts edits as it cuts messages: both carry text to the peer.
    pub(super) async fn edit(
        self: &Arc<Self>,
        caller: UserId,
        chat: ChatId,
        id: MessageId,
        text: String,
        arrival: Arrival,
    ) -> Result<Message, StoreError> {
        let (known, MessageRow { mut message, version, .. }) = self.own(caller, chat, id).await?;
        if message.deleted {
            return Err(StoreError::Gone);
        }
        if known.blocked {
            return Err(StoreError::Blocked);
        }
        let version = version.saturating_add(1);
        let key = self.key(&known)?;
        let sealed = content::seal(&key, &known.chat, id, version, &text, &message.attachments)?;
        let place = self.order.take(chat, arrival);
        // Not the time of the clock here, which may be behind that of who edited it before: clients keep the later edit.
        let edited_at = place.id().timestamp();
        message.text = text;
        message.edited_at = Some(edited_at);
        let mut writes = Writes::new();
        let values = (write_time(place.id().0), edited_at.0, body(version, &sealed), chat.0, message_bucket(id), id.0);
        writes.add(&self.statements.edit_message, values);
        for member in known.chat.distinct_members() {
            self.add_event(&mut writes, *member, place.id(), EventKind::Edited, chat, Some(id));
        }
        self.add_outbox(&mut writes, &known.chat, place.id(), &Change::Edited { message_id: id, sender_id: caller });
        let shared = Arc::clone(self);
        detached(async move {
            let event = LiveEvent::Edited { chat: known.chat.clone(), message: message.clone() };
            shared.put_or_follow(&writes, &place, place.id(), &event).await?;
            // It was deleted meanwhile, perhaps by another process: nobody shall hear of a text after that.
            match shared.message_row(&known, id).await {
                Ok(Some(MessageRow { message: Message { deleted: false, .. }, .. })) => place.publish(event),
                Ok(Some(_)) => return Err(StoreError::Gone),
                Ok(None) => return Err(StoreError::NotFound),
                // It is written, and heard of when it can be seen what became of it.
                Err(_) => shared.follow(place.id(), event),
            }
            Ok(message)
        })
        .await
    }

    /// Leaves a tombstone. The author may always take back what was said, also when blocked.
    pub(super) async fn delete(
        self: &Arc<Self>,
        caller: UserId,
        chat: ChatId,
        id: MessageId,
        arrival: Arrival,
    ) -> Result<(), StoreError> {
        let (known, row) = self.own(caller, chat, id).await?;
        if row.message.deleted {
            // Perhaps nobody heard of it, as of a send that is repeated.
            let deleted_at = self.deleted_at(chat, id).await?;
            if deleted_at.is_some_and(|at| arrival.at < at.plus_seconds(PUBLISHED_AGAIN_SECONDS)) {
                let place = self.order.behind_all(chat);
                place.publish(LiveEvent::Deleted { chat: known.chat, message_id: id });
            }
            return Ok(());
        }
        let place = self.order.take(chat, arrival);
        let event = place.id();
        let mut writes = Writes::new();
        let bucket = message_bucket(id);
        writes.add(&self.statements.set_deleted, (write_time(event.0), chat.0, bucket, id.0));
        // An edit that is on its way must not bring text back.
        writes.add(&self.statements.delete_body, (final_write_time(event.0), chat.0, bucket, id.0));
        for member in known.chat.distinct_members() {
            self.add_event(&mut writes, *member, event, EventKind::Deleted, chat, Some(id));
        }
        self.add_outbox(&mut writes, &known.chat, event, &Change::Deleted { message_id: id, sender_id: caller });
        let shared = Arc::clone(self);
        detached(async move {
            shared.put_and_publish(&writes, place, event, LiveEvent::Deleted { chat: known.chat, message_id: id }).await
        })
        .await
    }

    /// When a message was deleted.
    async fn deleted_at(&self, chat: ChatId, id: MessageId) -> Result<Option<Timestamp>, StoreError> {
        let values = (chat.0, message_bucket(id), id.0);
        let rows: Vec<(Option<i64>,)> = self.rows(&self.statements.deletion_written, values).await?;
        Ok(rows.first().and_then(|(written,)| *written).map(time_of))
    }

    /// A message that the caller wrote, with its chat.
    async fn own(&self, caller: UserId, chat: ChatId, id: MessageId) -> Result<(KnownChat, MessageRow), StoreError> {
        let stored = self.stored(chat, message_bucket(id), vec![id]);
        let (known, rows) = futures::try_join!(self.chat_of(caller, chat), stored)?;
        let key = self.key(&known)?;
        let row = rows.into_iter().next().map(|row| message_of(row, &known.chat, &key)).transpose();
        let row = row?.flatten().filter(|_| self.horizon().keeps(id)).ok_or(StoreError::NotFound)?;
        if row.message.sender_id != caller {
            return Err(StoreError::NotAuthor);
        }
        let clock = self.order.clock();
        clock.observe(id.0);
        // The change before, too: it may be another node's, whose clock is ahead, and the later write time wins.
        if let Some(written) = row.written {
            clock.observe(id_at(written));
        }
        Ok((known, row))
    }
}
