//! Inboxes: what happened to a user, in the order of ids.
//!
//! Events are rows; the newest receipts of each chat are in the row of the chat in the user's list, so that one replaces
//! the one before it. A page is a merge of both. Writers overlap, so an event may become visible after one with a higher
//! id: see [`InboxPlace`].

use scylla::DeserializeRow;
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, EventId, MessageId, UserId},
    place::{Given, InboxPlace, LISTED_BYTES, SETTLING_SECONDS},
    ports::{Inbox, StoreError},
    retention::INBOX_SECONDS,
    time::Timestamp,
    watermark::Watermarks,
};
use uuid::Uuid;

use super::{
    Shared,
    batch::{Writes, optional},
    history::row_limit,
    inbox_bodies::Bodies,
    list::{Told, UserChat},
    times::{INBOX_BUCKET, first_write_time, inbox_bucket, ttl, write_time},
};

const DAY_SECONDS: i64 = 24 * 3600;
/// How long an event is kept.
const KEPT_SECONDS: i32 = ttl(INBOX_SECONDS);
/// How much older than its row an event may be: a row is kept from when it is written, by a clock of the store's.
const WRITTEN_WITHIN_SECONDS: i64 = 2 * 60;
const MILLIS: i64 = 1000;

/// What a row of the inbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventKind {
    Message = 0,
    Edited = 1,
    Deleted = 2,
    ChatStarted = 3,
    ChatDeleted = 4,
}

impl EventKind {
    fn of(code: i8) -> Option<Self> {
        let all = [Self::Message, Self::Edited, Self::Deleted, Self::ChatStarted, Self::ChatDeleted];
        all.into_iter().find(|kind| kind.code() == code)
    }

    fn code(self) -> i8 {
        (self as u8).cast_signed()
    }
}

/// A row of `inbox`.
#[derive(DeserializeRow)]
struct StoredEvent {
    event_id: Uuid,
    kind: Option<i8>,
    chat_id: Option<Uuid>,
    subject: Option<Uuid>,
}

/// An event before it is known what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) chat: ChatId,
    pub(super) what: What,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A row of the inbox.
    Stored(EventKind, Option<MessageId>),
    /// The progress of the user, or of the peer, and what is known of it with the event.
    Receipt { own: bool, marks: Watermarks },
    /// What no version of this program writes.
    Unknown,
}

/// So much happened within a minute that no token can say what of it was given.
#[derive(Debug, thiserror::Error)]
#[error("more happened to the user within a minute than a token has room for; what is left is given a little later")]
struct NoRoom;

/// A partition of an inbox.
#[derive(Clone, Copy)]
struct Bucket {
    number: i32,
    first_written: Timestamp,
}

impl Bucket {
    /// Whether some of its events may have been dropped by their age.
    fn may_lack(&self, wall: Timestamp) -> bool {
        self.first_written.plus_seconds(INBOX_SECONDS) < wall
    }

    /// Whether all of its events are gone: those of a bucket are written within its width, or a little later.
    fn is_empty(&self, wall: Timestamp) -> bool {
        let width = i64::try_from(INBOX_BUCKET).unwrap_or(i64::MAX) / MILLIS;
        self.first_written.plus_seconds(INBOX_SECONDS + width + DAY_SECONDS) < wall
    }

    /// From where to read what comes after `after`. What is gone by its age is a tombstone for some time, and a read fails that
    /// meets many of these.
    fn kept_after(&self, after: EventId, wall: Timestamp) -> EventId {
        if !self.may_lack(wall) {
            return after;
        }
        let gone = wall.plus_seconds(-INBOX_SECONDS - WRITTEN_WITHIN_SECONDS);
        let millis = u64::try_from(gone.0).unwrap_or(0);
        after.max(EventId(Instant { millis, counter: 0 }.id(0)))
    }
}

impl Shared {
    /// Adds an event to a user's inbox.
    pub(super) fn add_event(
        &self,
        writes: &mut Writes,
        user: UserId,
        id: EventId,
        kind: EventKind,
        chat: ChatId,
        subject: Option<MessageId>,
    ) {
        let bucket = inbox_bucket(id);
        let subject = optional(subject.map(|id| id.0));
        let values = (user.0, bucket, id.0, kind.code(), chat.0, subject, write_time(id.0), KEPT_SECONDS);
        writes.add(&self.statements.insert_event, values);
        if !self.listed.has((user.0, bucket)) {
            let wall = Timestamp::now();
            writes.add(&self.statements.insert_inbox_bucket, (user.0, bucket, wall.0, first_write_time(wall)));
            writes.opened.push((user.0, bucket));
        }
    }

    /// A part of the inbox. Events of deleted chats are left out, so a page may be shorter than it could be. So is one that
    /// tells of what can't be seen yet, as if it could not be seen itself: a later page has it. A page ends early where the
    /// place after it would have no room to list what it gives; when that is nothing at all, the caller is to come back.
    pub(super) async fn inbox(
        &self,
        caller: UserId,
        since: Option<InboxPlace>,
        limit: usize,
    ) -> Result<Inbox, StoreError> {
        let limit = limit.max(1);
        // Before the reads: what is settled then is visible to them.
        let wall = Timestamp::now();
        let (mut buckets, chats) = futures::try_join!(self.inbox_buckets(caller), self.user_chats(caller))?;
        let place = since.clone().unwrap_or_else(InboxPlace::start);
        buckets.retain(|bucket| bucket.number >= inbox_bucket(place.up_to()));
        let reset = since.is_some() && buckets.iter().any(|bucket| bucket.may_lack(wall));
        buckets.retain(|bucket| !bucket.is_empty(wall));

        let listed = place.given();
        let mut entries = self.entries_after(caller, &buckets, wall, &place, &listed, limit).await?;
        entries.extend(receipts(&chats).filter(|receipt| receipt.id > place.up_to()));
        entries.sort_by_key(|entry| entry.id);
        let fresh: Vec<Entry> = entries.iter().filter(|entry| !listed.has(entry.id)).copied().collect();
        let ids: Vec<EventId> = entries.iter().map(|entry| entry.id).collect();
        let mut settled = self.settled(wall);
        let mut room = place.room(&listed, &ids, limit, settled);
        if room < limit.min(fresh.len()) {
            settled = self.settled_in_store(wall).await?;
            room = place.room(&listed, &ids, limit, settled);
        }
        let page = &fresh[..room.min(fresh.len())];
        let more = fresh.len() > page.len();
        if more && page.is_empty() {
            return Err(StoreError::unavailable(NoRoom));
        }
        let Bodies { events, unseen } = self.bodies(caller, page, wall).await?;
        let last = page.last().map(|entry| entry.id);
        let given: Vec<EventId> = ids
            .into_iter()
            .filter(|id| listed.has(*id) || last.is_some_and(|last| *id <= last))
            .filter(|id| !unseen.contains(id))
            .collect();
        let next = place.after_page(&given, last.filter(|_| more), settled);
        Ok(Inbox { events, next, more, reset })
    }

    /// The end of an inbox.
    pub(super) async fn inbox_head(&self, caller: UserId) -> Result<InboxPlace, StoreError> {
        let wall = Timestamp::now();
        let (buckets, chats) = futures::try_join!(self.inbox_buckets(caller), self.user_chats(caller))?;
        let floor = InboxPlace::start().after_page(&[], None, self.settled(wall)).up_to();
        let mut newest: Vec<EventId> = Vec::new();
        for bucket in buckets.iter().rev().filter(|bucket| bucket.number >= inbox_bucket(floor)) {
            // No event takes less than a byte of what a place can list.
            let left = LISTED_BYTES + 1 - newest.len();
            if left == 0 {
                break;
            }
            let values = (caller.0, bucket.number, floor.0, row_limit(left));
            let rows: Vec<(Uuid,)> = self.rows(&self.statements.newest_events, values).await?;
            newest.extend(rows.into_iter().map(|(id,)| EventId(id)));
        }
        newest.extend(receipts(&chats).map(|receipt| receipt.id).filter(|id| *id > floor));
        newest.sort();
        if let Some(newest) = newest.last() {
            self.order.clock().observe(newest.0);
        }
        let head = InboxPlace::exactly(floor).after_page(&newest, None, self.settled(wall));
        // Whoever goes on from before all that gets some of what was there, but misses nothing.
        Ok(if head.fits() { head } else { InboxPlace::exactly(head.up_to()) })
    }

    /// The time up to which nothing new becomes visible. A node whose clock is ahead does not run away with it.
    fn settled(&self, wall: Timestamp) -> Timestamp {
        let newest = self.order.clock().newest().millis.cast_signed();
        Timestamp(wall.0.min(newest)).plus_seconds(-SETTLING_SECONDS)
    }

    /// The same also when nobody here did or saw anything for a while: then what another clock says is asked for.
    async fn settled_in_store(&self, wall: Timestamp) -> Result<Timestamp, StoreError> {
        let there = self.store_time().await?;
        Ok(wall.min(there).plus_seconds(-SETTLING_SECONDS).max(self.settled(wall)))
    }

    async fn inbox_buckets(&self, user: UserId) -> Result<Vec<Bucket>, StoreError> {
        let rows: Vec<(i32, Option<i64>)> = self.rows(&self.statements.inbox_buckets, (user.0,)).await?;
        let bucket =
            |(number, written): (i32, Option<i64>)| Bucket { number, first_written: Timestamp(written.unwrap_or(0)) };
        Ok(rows.into_iter().map(bucket).collect())
    }

    /// Partitions of an inbox.
    pub(super) async fn inbox_bucket_numbers(&self, user: UserId) -> Result<Vec<i32>, StoreError> {
        Ok(self.inbox_buckets(user).await?.into_iter().map(|bucket| bucket.number).collect())
    }

    /// Rows after a place that are kept: more than `limit` that it does not have, if there are, and those that it lists. Nothing
    /// is read beyond both.
    async fn entries_after(
        &self,
        user: UserId,
        buckets: &[Bucket],
        wall: Timestamp,
        place: &InboxPlace,
        listed: &Given,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let last_listed = place.last_listed();
        let step = limit.saturating_add(1 + place.listed());
        let (mut entries, mut after, mut fresh) = (Vec::new(), place.up_to(), 0);
        for bucket in buckets {
            after = bucket.kept_after(after, wall);
            loop {
                let values = (user.0, bucket.number, after.0, row_limit(step));
                let rows: Vec<StoredEvent> = self.rows(&self.statements.events_after, values).await?;
                let full = rows.len() >= step;
                for row in rows {
                    let entry = entry(&row);
                    after = entry.id;
                    fresh += usize::from(!listed.has(entry.id));
                    entries.push(entry);
                }
                self.order.clock().observe(after.0);
                if fresh > limit && last_listed.is_none_or(|last| after.timestamp() > last) {
                    return Ok(entries);
                }
                if !full {
                    break;
                }
            }
        }
        Ok(entries)
    }
}

fn entry(row: &StoredEvent) -> Entry {
    let what = match (row.kind.and_then(EventKind::of), row.chat_id) {
        (Some(kind), Some(_)) => What::Stored(kind, row.subject.map(MessageId)),
        _ => What::Unknown,
    };
    Entry { id: EventId(row.event_id), chat: ChatId(row.chat_id.unwrap_or_default()), what }
}

/// The events of receipts. Those of one side are one and the same, unless devices were at it at the same time.
fn receipts(chats: &[UserChat]) -> impl Iterator<Item = Entry> {
    chats.iter().flat_map(|chat| {
        let own = receipts_of(chat, true, chat.receipt, chat.delivered, chat.read);
        own.into_iter().chain(receipts_of(chat, false, chat.peer_receipt, chat.peer_delivered, chat.peer_read))
    })
}

fn receipts_of(
    chat: &UserChat,
    own: bool,
    newest: Option<Uuid>,
    delivered: Option<Told>,
    read: Option<Told>,
) -> Vec<Entry> {
    let [delivered_up_to, read_up_to] = [delivered, read].map(|told| told.map(|(mark, _)| MessageId(mark)));
    let marks = Watermarks { delivered_up_to: delivered_up_to.max(read_up_to), read_up_to };
    let told = [delivered, read].into_iter().flatten().map(|(_, event)| event);
    let mut events: Vec<Uuid> = newest.into_iter().chain(told).collect();
    events.sort_unstable();
    events.dedup();
    let entry = |event| Entry { id: EventId(event), chat: ChatId(chat.chat_id), what: What::Receipt { own, marks } };
    events.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp(1_750_000_000_000);

    fn event(seconds_ago: i64) -> EventId {
        let millis = WALL.plus_seconds(-seconds_ago).0.unsigned_abs();
        EventId(Instant { millis, counter: 7 }.id(9))
    }

    /// Whether a read of a partition that was begun so long ago begins before an event.
    fn looks_at(begun_ago: i64, after: EventId, event: EventId) -> bool {
        let bucket = Bucket { number: 0, first_written: WALL.plus_seconds(-begun_ago) };
        bucket.kept_after(after, WALL) < event
    }

    #[test]
    fn a_read_passes_over_what_is_gone_and_nothing_else() {
        let start = InboxPlace::start().up_to();
        let begun = INBOX_SECONDS + 7 * DAY_SECONDS;
        assert!(!looks_at(begun, start, event(INBOX_SECONDS + 3600)), "it ended an hour ago");
        assert!(!looks_at(begun, event(begun), event(INBOX_SECONDS + 3600)), "with a token, too");
        assert!(looks_at(begun, start, event(INBOX_SECONDS + 60)), "it was written a minute late, and is there");
        assert!(looks_at(begun, start, event(0)));
        assert!(!looks_at(begun, event(5), event(10)), "the token has it");
        assert!(
            looks_at(INBOX_SECONDS - 1, start, event(begun)),
            "nothing of the partition is gone, whatever the ids say"
        );
    }
}
