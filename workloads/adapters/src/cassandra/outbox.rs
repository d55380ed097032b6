//! The outbox: events in shards and minutes, dropped by the minute when the log has them.

use async_trait::async_trait;
use scylla::{DeserializeRow, value::MaybeUnset};
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, EventId, MessageId, UserId},
    message::Chat,
    outbox::{Change, PlatformEvent},
    ports::{Outbox, OutboxPage, StoreError},
};
use uuid::Uuid;

use super::{
    Cassandra, Shared,
    batch::{Writes, optional},
    history::row_limit,
    times::{minute, write_time},
};

/// Shards, each of which one process works on.
pub(super) const SHARDS: u8 = 8;
/// How long the log may be out of reach before events are lost.
const OUTBOX_SECONDS: i32 = 7 * 24 * 3600;
const MINUTE_MICROS: i64 = 60_000_000;

/// The shard of a chat. Ids of chats are hashes, so any byte will do.
pub(super) fn shard_of(chat: ChatId) -> i16 {
    i16::from(chat.as_bytes()[0] % SHARDS)
}

/// The write time of a shard's progress up to a minute: it never goes back. Events of earlier minutes were written before.
pub(super) fn progress_time(next_minute: i64) -> i64 {
    next_minute.saturating_mul(MINUTE_MICROS)
}

/// A row of `outbox`.
#[derive(DeserializeRow)]
struct StoredEvent {
    event_id: Uuid,
    chat_id: Option<Uuid>,
    low: Option<Uuid>,
    high: Option<Uuid>,
    kind: Option<i8>,
    subject: Option<Uuid>,
    actor: Option<Uuid>,
    before: Option<Uuid>,
}

impl StoredEvent {
    /// `None` for what no version of this program writes.
    fn read(self) -> Option<PlatformEvent> {
        let message_id = self.subject.map(MessageId);
        let actor = self.actor.map(UserId);
        let change = match self.kind? {
            0 => Change::Written { message_id: message_id?, sender_id: actor? },
            1 => Change::Edited { message_id: message_id?, sender_id: actor? },
            2 => Change::Deleted { message_id: message_id?, sender_id: actor? },
            3 => Change::Read { message_id: message_id?, user_id: actor?, before: self.before.map(MessageId) },
            4 => Change::ChatDeleted,
            _ => return None,
        };
        Some(PlatformEvent {
            event_id: EventId(self.event_id),
            chat_id: ChatId(self.chat_id?),
            members: [UserId(self.low?), UserId(self.high?)],
            change,
        })
    }
}

/// Number, subject and actor of a change, and up to where the actor had read before.
fn columns(change: &Change) -> (i8, Option<MessageId>, Option<UserId>, Option<MessageId>) {
    match *change {
        Change::Written { message_id, sender_id } => (0, Some(message_id), Some(sender_id), None),
        Change::Edited { message_id, sender_id } => (1, Some(message_id), Some(sender_id), None),
        Change::Deleted { message_id, sender_id } => (2, Some(message_id), Some(sender_id), None),
        Change::Read { message_id, user_id, before } => (3, Some(message_id), Some(user_id), before),
        Change::ChatDeleted => (4, None, None, None),
    }
}

impl Shared {
    /// Adds what consumers must hear.
    pub(super) fn add_outbox(&self, writes: &mut Writes, chat: &Chat, event: EventId, change: &Change) {
        let (kind, subject, actor, before) = columns(change);
        let [low, high] = chat.members;
        let subject: MaybeUnset<Uuid> = optional(subject.map(|id| id.0));
        let actor: MaybeUnset<Uuid> = optional(actor.map(|id| id.0));
        let before: MaybeUnset<Uuid> = optional(before.map(|id| id.0));
        let values = (
            shard_of(chat.id),
            minute(event),
            event.0,
            chat.id.0,
            low.0,
            high.0,
            kind,
            subject,
            actor,
            before,
            write_time(event.0),
            OUTBOX_SECONDS,
        );
        writes.add(&self.statements.insert_outbox, values);
    }
}

#[async_trait]
impl Outbox for Cassandra {
    fn shards(&self) -> u16 {
        u16::from(SHARDS)
    }

    async fn lease(&self, shard: u16, holder: Uuid, seconds: u16) -> Result<bool, StoreError> {
        let (shard, seconds) = (shard.cast_signed(), i32::from(seconds.max(1)));
        let Shared { statements, .. } = &*self.shared;
        // A read costs a fraction of a decision, and idle processes ask about shards of others all day.
        let found: Vec<(Option<Uuid>,)> = self.shared.rows(&statements.lease_holder, (shard,)).await?;
        match found.first().and_then(|(holder,)| *holder) {
            Some(other) if other != holder => Ok(false),
            Some(_) if self.shared.decide(&statements.renew_lease, (seconds, holder, shard, holder)).await? => Ok(true),
            _ => self.shared.decide(&statements.take_lease, (seconds, holder, shard)).await,
        }
    }

    async fn release(&self, shard: u16, holder: Uuid) -> Result<(), StoreError> {
        // Another may hold it by now.
        let values = (shard.cast_signed(), holder);
        self.shared.decide(&self.shared.statements.release_lease, values).await.map(|_| ())
    }

    async fn first_minute(&self, shard: u16) -> Result<Option<i64>, StoreError> {
        let values = (shard.cast_signed(),);
        let rows: Vec<(Option<i64>,)> = self.shared.rows(&self.shared.statements.progress, values).await?;
        Ok(rows.first().and_then(|(minute,)| *minute))
    }

    async fn events(
        &self,
        shard: u16,
        minute: i64,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<OutboxPage, StoreError> {
        let limit = limit.max(1);
        let after = after.map_or_else(|| Instant::default().id(0), |after| after.0);
        let values = (shard.cast_signed(), minute, after, row_limit(limit));
        let rows: Vec<StoredEvent> = self.shared.rows(&self.shared.statements.outbox_after, values).await?;
        // Told by all rows: one that can't be read must not make a full page look like the last one.
        let next = rows.last().filter(|_| rows.len() >= limit).map(|row| EventId(row.event_id));
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.event_id;
            let event = row.read();
            if event.is_none() {
                tracing::error!(%id, shard, minute, "an event in the outbox can't be read and is left out");
            }
            events.extend(event);
        }
        Ok(OutboxPage { events, next })
    }

    async fn drop_minute(&self, shard: u16, minute: i64) -> Result<(), StoreError> {
        let shard = shard.cast_signed();
        let Shared { statements, .. } = &*self.shared;
        let end = progress_time(minute + 1);
        self.shared.write(&statements.drop_minute, (end, shard, minute)).await?;
        self.shared.write(&statements.set_progress, (end, minute + 1, shard)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = |number| Uuid::from_u128(number);
        let (message_id, user_id) = (MessageId(id(5)), UserId(id(6)));
        for change in [
            Change::Written { message_id, sender_id: user_id },
            Change::Edited { message_id, sender_id: user_id },
            Change::Deleted { message_id, sender_id: user_id },
            Change::Read { message_id, user_id, before: None },
            Change::Read { message_id, user_id, before: Some(MessageId(id(4))) },
            Change::ChatDeleted,
        ] {
            let (kind, subject, actor, before) = columns(&change);
            let stored = StoredEvent {
                event_id: id(1),
                chat_id: Some(id(2)),
                low: Some(id(3)),
                high: Some(id(4)),
                kind: Some(kind),
                subject: subject.map(|id| id.0),
                actor: actor.map(|id| id.0),
                before: before.map(|id| id.0),
            };
            let event = stored.read().unwrap();
            assert_eq!((event.change, event.members), (change, [UserId(id(3)), UserId(id(4))]));
        }
    }
}
