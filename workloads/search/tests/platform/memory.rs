//! An index in memory that keeps to the port's rules, and can be made to break them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{
        DocumentSource, IndexRebuild, RebuildProgress, Removal, SearchDocument, SearchEntry, SearchHit, SearchIndex,
        SearchPage, SearchQuery, StoreError, Version,
    },
    search::{Mark, Term},
};

/// Per message its version and, unless it was removed, what it is found by.
type Entries = BTreeMap<MessageId, (Version, Option<SearchDocument>)>;

#[derive(Default)]
pub struct MemoryIndex {
    entries: Mutex<Entries>,
    /// What its terms were written with.
    pub marks: Mutex<Vec<Mark>>,
    /// Held by a test to keep a rebuild from its end.
    pub gate: tokio::sync::Mutex<()>,
    /// Messages that the source of a rebuild can't read.
    pub unread: Mutex<Vec<MessageId>>,
    /// Whether a rebuild fails.
    pub breaks: Mutex<bool>,
    /// Instead of what was asked: everything that there is, as a broken index would answer.
    pub careless: Mutex<bool>,
    /// Whether it is away.
    pub away: Mutex<bool>,
    /// How long it takes to tell its marks.
    pub hangs: Mutex<Duration>,
    /// Whether a rebuild broke off.
    pub half_made: Mutex<bool>,
}

impl MemoryIndex {
    fn entries(&self) -> Result<MutexGuard<'_, Entries>, StoreError> {
        if *self.away.lock().unwrap() { Err(StoreError::unavailable("away")) } else { Ok(self.entries.lock().unwrap()) }
    }

    /// All terms that it has.
    pub fn terms(&self) -> Vec<Term> {
        let entries = self.entries.lock().unwrap();
        let documents = entries.values().filter_map(|(_, document)| document.as_ref());
        documents.flat_map(|document| document.terms.clone()).collect()
    }

    /// Messages that it could find.
    pub fn len(&self) -> usize {
        self.entries.lock().unwrap().values().filter(|(_, document)| document.is_some()).count()
    }
}

fn set(entries: &mut Entries, id: MessageId, version: Version, document: Option<SearchDocument>) {
    if entries.get(&id).is_none_or(|(there, _)| *there <= version) {
        entries.insert(id, (version, document));
    }
}

#[async_trait]
impl SearchIndex for MemoryIndex {
    async fn put(&self, documents: Vec<SearchDocument>) -> Result<(), StoreError> {
        let mut entries = self.entries()?;
        for document in documents {
            set(&mut entries, document.message_id, document.version, Some(document));
        }
        Ok(())
    }

    async fn remove(&self, removals: Vec<Removal>) -> Result<(), StoreError> {
        let mut entries = self.entries()?;
        for removal in removals {
            set(&mut entries, removal.message_id, removal.version, None);
        }
        Ok(())
    }

    async fn remove_chat(&self, chat: ChatId, version: Version) -> Result<(), StoreError> {
        let mut entries = self.entries()?;
        let of_chat = |(_, document): &&(Version, Option<SearchDocument>)| {
            document.as_ref().is_some_and(|document| document.chat_id == chat)
        };
        let ids: Vec<MessageId> = entries.iter().filter(|(_, entry)| of_chat(entry)).map(|(id, _)| *id).collect();
        for id in ids {
            set(&mut entries, id, version, None);
        }
        Ok(())
    }

    async fn forget_up_to(&self, message: MessageId) -> Result<u64, StoreError> {
        let mut entries = self.entries()?;
        let before = entries.len();
        entries.retain(|id, _| *id > message);
        Ok((before - entries.len()) as u64)
    }

    async fn marks(&self) -> Result<Option<Vec<Mark>>, StoreError> {
        let hangs = *self.hangs.lock().unwrap();
        tokio::time::sleep(hangs).await;
        drop(self.entries()?);
        Ok(Some(self.marks.lock().unwrap().clone()))
    }

    async fn add_marks(&self, added: Vec<Mark>) -> Result<(), StoreError> {
        drop(self.entries()?);
        let mut marks = self.marks.lock().unwrap();
        marks.extend(added);
        marks.sort_unstable();
        marks.dedup();
        Ok(())
    }

    async fn is_half_made(&self) -> Result<bool, StoreError> {
        Ok(*self.half_made.lock().unwrap())
    }

    async fn query(&self, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let careless = *self.careless.lock().unwrap();
        let entries = self.entries()?;
        let asked_for = |document: &SearchDocument| {
            let at = document.message_id.timestamp();
            document.members.contains(&query.caller)
                && query.chat.is_none_or(|chat| chat == document.chat_id)
                && query.sender.is_none_or(|sender| sender == document.sender_id)
                && query.kind.is_none_or(|kind| kind == document.kind)
                && query.from.is_none_or(|from| from <= at)
                && query.to.is_none_or(|to| at < to)
                && query.terms.iter().all(|group| group.iter().any(|term| document.terms.contains(term)))
        };
        let hits: Vec<SearchHit> = entries
            .values()
            .rev()
            .filter_map(|(_, document)| document.as_ref())
            .filter(|document| query.before.is_none_or(|before| document.message_id < before))
            .filter(|document| careless || asked_for(document))
            .map(|document| SearchHit { message_id: document.message_id, chat_id: document.chat_id })
            .take(query.limit)
            .collect();
        Ok(SearchPage { more: hits.len() == query.limit, hits })
    }
}

#[async_trait]
impl IndexRebuild for MemoryIndex {
    async fn rebuild_index(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
    ) -> Result<u64, StoreError> {
        let there: Vec<SearchDocument> =
            self.entries()?.values().filter_map(|(_, document)| document.clone()).collect();
        progress.expect(there.len() as u64);
        for SearchDocument { message_id, chat_id, members, version, .. } in there {
            let document = if self.unread.lock().unwrap().contains(&message_id) {
                progress.skip(message_id);
                None
            } else {
                progress.add(1);
                source.document(SearchEntry { message_id, chat_id, member: members[0], version }).await?
            };
            let mut entries = self.entries()?;
            set(&mut entries, message_id, version, document);
        }
        if *self.breaks.lock().unwrap() {
            return Err(StoreError::unavailable("broken"));
        }
        drop(self.gate.lock().await);
        *self.marks.lock().unwrap() = vec![mark];
        Ok(progress.done())
    }
}
