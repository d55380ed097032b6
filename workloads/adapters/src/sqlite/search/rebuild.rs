//! Making the index anew while it is used: with a new key, or when something is missing. Every message is read as it is
//! now, and each entry keeps its version, so what is written meanwhile stays. It may be broken off and begun again, and
//! another process may do it next to a server.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use rusqlite::params;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId},
    outbox::PlatformEvent,
    ports::{DocumentSource, Removal, SearchDocument, SearchEntry, SearchIndex, StoreError, Version},
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

/// Messages of one step.
const STEP: usize = 200;
/// Chats of one step.
const CHATS: u32 = 500;
/// Messages that are read at the same time.
const READ_AT_ONCE: usize = 8;
/// A step is followed by a pause as long as itself, but not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl SearchDatabase {
    /// Makes every entry anew from the messages in `store`; gives the number of messages. Removes chats that are gone.
    pub async fn rebuild(&self, store: &Sqlite, source: &dyn DocumentSource) -> Result<u64, StoreError> {
        let head = store.read(inbox::head).await?;
        let (mut scan, mut count) = (Scan::up_to(head), 0);
        let first = EventId::from_bytes([0; 16]);
        loop {
            let began = Instant::now();
            let page = store.read(move |db| scan::page(db, first, scan, STEP)).await?;
            count += self.renew(page.events, source).await?;
            let Some(at) = page.next else { break };
            scan.at = at;
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
        self.forget_lost_chats(store, Version::of(head)).await?;
        Ok(count)
    }

    async fn renew(&self, events: Vec<PlatformEvent>, source: &dyn DocumentSource) -> Result<u64, StoreError> {
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
        let count = entries.len() as u64;
        let read = stream::iter(entries)
            .map(|entry| async move { Ok::<_, StoreError>((entry, source.document(entry).await?)) });
        let read: Vec<(SearchEntry, Option<SearchDocument>)> =
            read.buffer_unordered(READ_AT_ONCE).try_collect().await?;
        let (mut documents, mut removals) = (Vec::new(), Vec::new());
        for (SearchEntry { message_id, chat_id, version, .. }, document) in read {
            match document {
                Some(document) => documents.push(document),
                None => removals.push(Removal { message_id, chat_id, version }),
            }
        }
        self.put(documents).await?;
        self.remove(removals).await?;
        Ok(count)
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
