use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::StoreError;
use crate::{
    clock::Instant,
    ids::{ChatId, EventId, MessageId, UserId},
    message::MessageKind,
    reindex::{SKIPPED_NAMED, Skipped},
    search::{Mark, Term},
    time::Timestamp,
};

/// How new an entry of the index is: the instant of the event that led to it. Events are handled late, twice or by two
/// consumers at once; the highest version stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i64);

impl Version {
    /// The version of what was read after `event`.
    pub fn of(event: EventId) -> Self {
        let Instant { millis, counter } = Instant::of(event.0);
        // 48 bits of milliseconds and 12 of the counter.
        Self(((millis << 12) | u64::from(counter)).cast_signed())
    }
}

/// What an index has of a message: nothing that can be read, unless its terms are plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDocument {
    /// Which message; its time is in it.
    pub message_id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
    /// The chat's members.
    pub members: [UserId; 2],
    /// Who wrote it.
    pub sender_id: UserId,
    /// What kind it is.
    pub kind: MessageKind,
    /// The terms of its text.
    pub terms: Vec<Term>,
    /// How new this is.
    pub version: Version,
}

/// A message that is not to be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Which message.
    pub message_id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
    /// How new this is.
    pub version: Version,
}

/// What to look for. Every condition that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// Who asks: only messages of this user's chats are found, whatever else is asked.
    pub caller: UserId,
    /// In this chat.
    pub chat: Option<ChatId>,
    /// Written by this user.
    pub sender: Option<UserId>,
    /// Of this kind.
    pub kind: Option<MessageKind>,
    /// Accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Accepted before this time.
    pub to: Option<Timestamp>,
    /// Of each group one.
    pub terms: Vec<Vec<Term>>,
    /// Older than this message.
    pub before: Option<MessageId>,
    /// At most so many.
    pub limit: usize,
}

/// A message that may be what was looked for; only its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// Which message.
    pub message_id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
}

/// Some hits, newest first, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// The hits.
    pub hits: Vec<SearchHit>,
    /// Whether there may be more after the last one.
    pub more: bool,
}

/// An index of messages by terms. What was put is found a moment later.
///
/// An entry is replaced or removed only by one of the same or a higher version, and a removal stays: nothing that comes
/// late brings old text or a deleted message back.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Puts messages in, each instead of what the index has of it.
    async fn put(&self, documents: Vec<SearchDocument>) -> Result<(), StoreError>;
    /// Takes messages out.
    async fn remove(&self, removals: Vec<Removal>) -> Result<(), StoreError>;
    /// Takes out all that the index has of a chat.
    async fn remove_chat(&self, chat: ChatId, version: Version) -> Result<(), StoreError>;
    /// Takes out all that the index has of messages up to this one, piece by piece, and forgets that it ever had them; gives
    /// their number. They are too old: nobody puts them in again.
    async fn forget_up_to(&self, message: MessageId) -> Result<u64, StoreError>;
    /// The marks of all that its terms may have been written with, each once; none when nothing was written. `None` when
    /// that was never kept.
    async fn marks(&self) -> Result<Option<Vec<Mark>>, StoreError>;
    /// Keeps these marks along with those that are there. Terms with another mark must not be put in before that.
    async fn add_marks(&self, marks: Vec<Mark>) -> Result<(), StoreError>;
    /// Whether a rebuild has begun and not come through, so that some entries are still those of before.
    async fn is_half_made(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
    /// Messages that have what is asked for, newest first.
    async fn query(&self, query: &SearchQuery) -> Result<SearchPage, StoreError>;
}

/// An entry of an index that is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchEntry {
    /// Which message.
    pub message_id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
    /// A member of the chat.
    pub member: UserId,
    /// How new the entry is; what is made of it must have the same version.
    pub version: Version,
}

/// What an index is rebuilt from: the messages as they are now.
#[async_trait]
pub trait DocumentSource: Send + Sync {
    /// What an index should have of this message; `None` when it is not to be found. A message that can't be read is an error
    /// that [`StoreError::is_about_content`].
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError>;
    /// Up to `limit` entries that an index should have, with the versions of messages as they were written, in an order of the
    /// source's own, from the one after `after` on; none: that was all. For an index that is made from another one, which
    /// may lack some. A source that can't tell gives none.
    async fn entries(&self, _after: Option<SearchEntry>, _limit: usize) -> Result<Vec<SearchEntry>, StoreError> {
        Ok(Vec::new())
    }
}

/// How far a rebuild is, told while it runs.
#[derive(Debug, Default)]
pub struct RebuildProgress {
    done: AtomicU64,
    expected: AtomicU64,
    skipped: Mutex<Skipped>,
    refused: AtomicU64,
}

impl RebuildProgress {
    /// So many more messages were made anew.
    pub fn add(&self, messages: u64) {
        self.done.fetch_add(messages, Ordering::Relaxed);
    }

    /// This message can't be read. Gives whether it is one of the first, which are told by name.
    pub fn skip(&self, message: MessageId) -> bool {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.count += 1;
        let named = skipped.first.len() < SKIPPED_NAMED;
        if named {
            skipped.first.push(message);
        }
        named
    }

    /// The engine refuses this message, which counts as skipped. Gives whether it is one of the first.
    pub fn refuse(&self, message: MessageId) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.skip(message)
    }

    /// Messages that the engine refuses.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Messages that can't be read, or that the engine refuses.
    pub fn skipped(&self) -> Skipped {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// About so many are to be made anew in all.
    pub fn expect(&self, messages: u64) {
        self.expected.store(messages, Ordering::Relaxed);
    }

    /// Messages made anew.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// About how many messages there are; `None` until that is known.
    pub fn expected(&self) -> Option<u64> {
        Some(self.expected.load(Ordering::Relaxed)).filter(|expected| *expected > 0)
    }
}

/// An index that can be made anew while it is used.
#[async_trait]
pub trait IndexRebuild: Send + Sync {
    /// Makes every entry anew from `source`, whose terms have this mark, and takes out what is gone; gives the number of
    /// messages. Then the index has this mark alone. Searches find everything meanwhile. It may be broken off and begun
    /// again, also by another process.
    ///
    /// A message that can't be read, or that the engine refuses for what it is, is skipped and not found any more; the next
    /// rebuild tries it again.
    async fn rebuild_index(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
    ) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn versions_are_in_the_order_of_events() {
        let at = |millis, counter| Version::of(EventId(Instant { millis, counter }.id(7)));
        assert!(at(1_750_000_000_000, 1) > at(1_750_000_000_000, 0));
        assert!(at(1_750_000_000_001, 0) > at(1_750_000_000_000, 4095));
        assert!(Version::of(EventId(Uuid::max())) > at(u64::from(u32::MAX) * 1000, 0));
        assert!(Version::of(EventId(Uuid::max())).0 > 0);
    }
}
