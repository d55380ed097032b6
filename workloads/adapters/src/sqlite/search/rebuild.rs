//! Making the index anew while it is used: with a new key, or when something is missing. Every message is read as it is
//! now, and each entry keeps its version, so what is written meanwhile stays. It may be broken off and begun again, and
//! another process may do it next to a server.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use rusqlite::params;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId},
    outbox::PlatformEvent,
    ports::{
        DocumentSource, IndexRebuild, RebuildProgress, Removal, SearchDocument, SearchEntry, SearchIndex, StoreError,
        Version,
    },
    search::Mark,
};

use super::{
    super::{
        Sqlite, inbox,
        rows::exists,
        scan::{self, Scan},
        statements::CHAT,
    },
    SearchDatabase, entries,
    statements::CHATS_AFTER,
};
use crate::skipping::skip;

/// Messages of one step.
const STEP: usize = 200;
/// Chats of one step.
const CHATS: u32 = 500;
/// Messages that are read at the same time.
const READ_AT_ONCE: usize = 8;
/// A step is followed by a pause as long as itself, but not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long others may write without having said with what; they look every two seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Counts a whole table, which the rebuild is about to read anyway.
const COUNT_MESSAGES: &str = "SELECT count(*) FROM messages";

/// An index that is made anew from the messages of a database.
#[derive(Clone)]
pub struct SearchRebuild {
    index: SearchDatabase,
    messages: Sqlite,
    settling: Duration,
}

impl SearchRebuild {
    /// Makes `index` anew from `messages`.
    pub fn new(index: SearchDatabase, messages: Sqlite) -> Self {
        Self { index, messages, settling: SETTLED_AFTER }
    }

    /// The same where all that write to the index say at once with what.
    #[must_use]
    pub fn settling(self, settling: Duration) -> Self {
        Self { settling, ..self }
    }
}

#[async_trait]
impl IndexRebuild for SearchRebuild {
    async fn rebuild_index(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
    ) -> Result<u64, StoreError> {
        self.index.begin_replacing(mark).await?;
        // What is written without a mark up to here is made anew: its messages are older than the head.
        tokio::time::sleep(self.settling).await;
        self.index.renew_all(&self.messages, source, progress).await?;
        self.index.end_replacing().await?;
        Ok(progress.done())
    }
}

impl SearchDatabase {
    /// Makes every entry anew from the messages in `store`. Removes chats that are gone.
    async fn renew_all(
        &self,
        store: &Sqlite,
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
    ) -> Result<(), StoreError> {
        let messages = store.read(|db| Ok(db.query_row(COUNT_MESSAGES, [], |row| row.get::<_, i64>(0))?)).await?;
        progress.expect(messages.unsigned_abs());
        let head = store.read(inbox::head).await?;
        let mut scan = Scan::up_to(head);
        let first = EventId::from_bytes([0; 16]);
        loop {
            let began = Instant::now();
            let page = store.read(move |db| scan::page(db, first, scan, STEP)).await?;
            self.renew(page.events, source, progress).await?;
            let Some(at) = page.next else { break };
            scan.at = at;
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
        self.forget_lost_chats(store, Version::of(head)).await
    }

    async fn renew(
        &self,
        events: Vec<PlatformEvent>,
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
    ) -> Result<(), StoreError> {
        let entries = self.readers.run(move |db| {
            let mut entries = Vec::new();
            for event in &events {
                let message_id = MessageId(event.event_id.0);
                // Receipts are no messages.
                if !matches!(event.change, sentinel_domain::outbox::Change::Written { .. }) {
                    continue;
                }
                let there = entries::version_of(db, event.chat_id, message_id.as_bytes())?;
                let version = there.unwrap_or(Version::of(event.event_id));
                entries.push(SearchEntry { message_id, chat_id: event.chat_id, member: event.members[0], version });
            }
            Ok(entries)
        });
        let entries = entries.await?;
        let read = stream::iter(entries).map(|entry| async move { (entry, source.document(entry).await) });
        let read: Vec<(SearchEntry, Result<Option<SearchDocument>, StoreError>)> =
            read.buffer_unordered(READ_AT_ONCE).collect().await;
        let mut count = 0;
        let (mut documents, mut removals) = (Vec::new(), Vec::new());
        for (SearchEntry { message_id, chat_id, version, .. }, document) in read {
            let gone = Removal { message_id, chat_id, version };
            match document {
                Ok(Some(document)) => documents.push(document),
                Ok(None) => removals.push(gone),
                // Its version stays, so that the next rebuild can put it in.
                Err(error) => {
                    skip(progress, message_id, error)?;
                    removals.push(gone);
                    continue;
                }
            }
            count += 1;
        }
        // The log is emptied at the end.
        self.put_all(documents).await?;
        self.remove_all(removals).await?;
        progress.add(count);
        Ok(())
    }

    /// Removes what the index has of chats that the store has no more.
    async fn forget_lost_chats(&self, store: &Sqlite, version: Version) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let found = self.readers.run(move |db| {
                let mut select = db.prepare_cached(CHATS_AFTER)?;
                let rows = select.query_map(params![after, CHATS], |row| {
                    Ok((row.get::<_, i64>(0)?, ChatId::from_bytes(row.get(1)?)))
                })?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?)
            });
            let found = found.await?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = *last;
            let lost = store.read(move |db| {
                let mut lost = Vec::new();
                for (_, chat) in found {
                    if !exists(db, CHAT, [chat.as_bytes()])? {
                        lost.push(chat);
                    }
                }
                Ok(lost)
            });
            for chat in lost.await? {
                self.remove_chat(chat, version).await?;
            }
        }
    }
}
