//! From events to the index. An event says which message changed; what is indexed is the message as it is now. So events
//! may come late, twice or out of order.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::{MessageId, UserId},
    message::Message,
    outbox::{Change, PlatformEvent},
    place::{NotVisible, is_settling},
    ports::{
        ChatReader, DocumentSource, EventHandler, HandlerError, MessageScan, Removal, Scanned, SearchDocument,
        SearchEntry, SearchIndex, StoreError, Version,
    },
    search::SearchKeys,
    time::Timestamp,
};

use crate::terms::IndexTerms;

/// Messages that are read at the same time.
const READ_AT_ONCE: usize = 16;

/// Keeps the index in step with the messages.
pub struct Indexer {
    chats: Arc<dyn ChatReader>,
    index: Arc<dyn SearchIndex>,
    pub(crate) terms: IndexTerms,
    scan: Option<Arc<dyn MessageScan>>,
}

/// What an event means for the index.
enum Step {
    Put(SearchDocument),
    Remove(Removal),
}

impl Indexer {
    /// An indexer that reads from `chats` and writes to `index`.
    pub fn new(chats: Arc<dyn ChatReader>, index: Arc<dyn SearchIndex>, keys: Arc<SearchKeys>) -> Self {
        let terms = IndexTerms::new(index.clone(), keys);
        Self { chats, index, terms, scan: None }
    }

    /// The same, with what tells a rebuild of messages that the index lacks.
    #[must_use]
    pub fn with_scan(self, scan: Arc<dyn MessageScan>) -> Self {
        Self { scan: Some(scan), ..self }
    }

    async fn apply(&self, events: &[PlatformEvent], now: Timestamp) -> Result<(), StoreError> {
        // Of several events of a message the last one counts.
        let mut changed: BTreeMap<MessageId, PlatformEvent> = BTreeMap::new();
        for event in events {
            match event.change {
                Change::Written { message_id, .. }
                | Change::Edited { message_id, .. }
                | Change::Deleted { message_id, .. } => {
                    let last = changed.entry(message_id).or_insert_with(|| event.clone());
                    if last.event_id < event.event_id {
                        *last = event.clone();
                    }
                }
                Change::Read { .. } => {}
                Change::ChatDeleted => {
                    changed.retain(|_, other| other.chat_id != event.chat_id);
                    self.index.remove_chat(event.chat_id, Version::of(event.event_id)).await?;
                }
            }
        }
        let steps = stream::iter(changed).map(|(message, event)| self.step(message, event, now));
        let steps: Vec<Step> = steps.buffer_unordered(READ_AT_ONCE).try_collect().await?;
        let (mut documents, mut removals) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Put(document) => documents.push(document),
                Step::Remove(removal) => removals.push(removal),
            }
        }
        let (put, removed) = (documents.len() as u64, removals.len() as u64);
        if put > 0 {
            self.terms.announce().await?;
            self.index.put(documents).await?;
        }
        if removed > 0 {
            self.index.remove(removals).await?;
        }
        metrics::counter!("sentinel_search_indexed_total", "result" => "put").increment(put);
        metrics::counter!("sentinel_search_indexed_total", "result" => "removed").increment(removed);
        Ok(())
    }

    async fn step(&self, id: MessageId, event: PlatformEvent, now: Timestamp) -> Result<Step, StoreError> {
        let (chat, member, version) = (event.chat_id, event.members[0], Version::of(event.event_id));
        let gone = Step::Remove(Removal { message_id: id, chat_id: chat, version });
        match self.chats.message_of_event(member, chat, id, event.event_id, now).await?.map(|found| found.message) {
            Some(message) if is_settling(event.event_id, now) && !shows(&event.change, &message) => {
                Err(StoreError::unavailable(NotVisible(id)))
            }
            Some(message) if !message.deleted => Ok(Step::Put(self.document(&message, event.members, version))),
            Some(_) | None => Ok(gone),
        }
    }

    fn document(&self, message: &Message, members: [UserId; 2], version: Version) -> SearchDocument {
        SearchDocument {
            message_id: message.id,
            chat_id: message.chat_id,
            members,
            sender_id: message.sender_id,
            kind: message.kind,
            terms: self.terms.of_text(&message.text),
            version,
        }
    }
}

/// Whether the message is at least as new as the change, as far as it tells itself; its store may know better.
fn shows(change: &Change, message: &Message) -> bool {
    match change {
        Change::Edited { .. } => message.edited_at.is_some() || message.deleted,
        Change::Deleted { .. } => message.deleted,
        _ => true,
    }
}

#[async_trait]
impl EventHandler for Indexer {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        let now = Timestamp::now();
        self.apply(events, now).await?;
        if let Some(last) = events.last() {
            let delay = Timestamp::now().0.saturating_sub(last.event_id.timestamp().0).max(0);
            metrics::histogram!("sentinel_search_index_delay_seconds")
                .record(std::time::Duration::from_millis(delay.unsigned_abs()));
        }
        Ok(())
    }
}

#[async_trait]
impl DocumentSource for Indexer {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        let SearchEntry { message_id, chat_id, member, version } = entry;
        let read = async {
            let chat = self.chats.chat(member, chat_id).await?;
            Ok((chat, self.chats.message(member, chat_id, message_id).await?))
        };
        match read.await {
            Ok((chat, message)) if !message.deleted => Ok(Some(self.document(&message, chat.members, version))),
            Ok(_) | Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn entries(&self, after: Option<SearchEntry>, limit: usize) -> Result<Vec<SearchEntry>, StoreError> {
        let Some(scan) = &self.scan else { return Ok(Vec::new()) };
        let after = after.map(|SearchEntry { message_id, chat_id, member, .. }| Scanned {
            chat_id,
            message_id,
            sender_id: member,
        });
        let entry = |Scanned { chat_id, message_id, sender_id }: Scanned| SearchEntry {
            message_id,
            chat_id,
            member: sender_id,
            version: Version::of(message_id.into()),
        };
        Ok(scan.scan(after, limit).await?.into_iter().map(entry).collect())
    }
}
