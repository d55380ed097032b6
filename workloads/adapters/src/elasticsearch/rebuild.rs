//! Rebuilding the index while it is used: after a change of the schema, or to write terms with a new key.
//!
//! A new index is made beside the old one. From then on it gets all writes, and searches see both. Each entry of the old
//! index is made anew from its message as it is now; versions keep a copy from replacing what is newer. Of a message that
//! can't be read, or that the engine refuses, the entry goes over without its terms, so it counts and is there for the next
//! rebuild. Then messages of
//! which the old index had nothing are put in. When nothing is missing, searches go to the new index alone and the old one
//! is deleted. A rebuild that was interrupted goes on where the aliases say; several at once do the same work twice,
//! without harm. What is removed meanwhile is taken out of the old index, too.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    ports::{DocumentSource, IndexRebuild, RebuildProgress, SearchEntry, StoreError, Version},
    search::Mark,
};
use serde_json::{Value, json};

use super::{
    Elasticsearch, ElasticsearchError,
    client::{ANSWERED_WITHIN, Found, unexpected},
    documents::Entry,
    patience::Patience,
    query,
};
use crate::skipping::{refuse, skip};

/// How many times longer than the settling time a failure is borne: five minutes.
const PATIENCE: u32 = 30;
/// Messages that are read at the same time.
pub(super) const READ_AT_ONCE: usize = 16;

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The index that is used now.
    pub index: String,
    /// Entries that were made anew.
    pub entries: u64,
}

impl Elasticsearch {
    /// Rebuilds the index from the messages as they are now, whose terms have this mark.
    pub async fn rebuild(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
    ) -> Result<Rebuilt, ElasticsearchError> {
        self.rebuild_after(source, mark, progress, ANSWERED_WITHIN).await
    }

    /// As [`Elasticsearch::rebuild`], when no write to the old index takes longer than `settling`. Failures that may pass are
    /// borne for thirty times as long.
    pub async fn rebuild_after(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
        settling: Duration,
    ) -> Result<Rebuilt, ElasticsearchError> {
        let patience = Patience(settling * PATIENCE);
        let (old, new) = patience.with(|| self.begin(mark)).await?;
        // Writes that were sent to the old index before the switch.
        tokio::time::sleep(settling).await;
        let mut expected = 0;
        for index in &old {
            expected += patience.with(|| self.refreshed_count(index)).await?;
        }
        progress.expect(expected);
        // What was written there up to here may be of who had not said yet with what.
        patience.with(|| self.refresh(&new)).await?;
        self.copy(&new, &new, source, &RebuildProgress::default(), patience).await?;
        for index in &old {
            self.copy(index, &new, source, progress, patience).await?;
        }
        let (refused, taken) = (progress.refused(), progress.done());
        if refused > taken {
            return Err(ElasticsearchError::MostRefused { refused, taken });
        }
        let lacked = self.fill(&new, source, progress, patience).await?;
        if lacked > 0 {
            tracing::info!(lacked, "the search index lacked messages that it has now");
        }
        patience.with(|| self.refresh(&new)).await?;
        let there = patience.with(|| self.count(&new)).await?;
        for index in &old {
            let expected = patience.with(|| self.count(index)).await?;
            if there < expected {
                return Err(ElasticsearchError::Incomplete { old: expected, new: there });
            }
        }
        patience.with(|| self.finish(&old, &new)).await?;
        Ok(Rebuilt { index: new, entries: progress.done() })
    }

    /// Makes the new index and sends all writes to it, unless an earlier rebuild did so. Gives the old ones and the new.
    async fn begin(&self, mark: Mark) -> Result<(Vec<String>, String), ElasticsearchError> {
        self.look_at_schema().await?;
        let (read, write) = (self.names.read(), self.names.write());
        let Some(current) = self.indices(&write).await?.pop() else {
            return Err(ElasticsearchError::NotMigrated(write));
        };
        let mut searched = self.indices(&read).await?;
        let number = self.names.number(&current).ok_or_else(|| unexpected("GET /_alias"))?;
        self.sweep_or_warn(number).await;
        // One that was begun with another key or mode, or that others have written to with one, is itself to be replaced.
        if searched.len() > 1 && self.marks_of_written().await?.is_some_and(|marks| marks == [mark]) {
            searched.retain(|index| *index != current);
            return Ok((searched, current));
        }
        let number = number + 1;
        self.create_index(number, &json!({}), &[mark]).await?;
        let new = self.names.index(number);
        self.swap(&[
            json!({ "remove": { "index": current, "alias": write } }),
            json!({ "add": { "index": new, "alias": write } }),
            json!({ "add": { "index": new, "alias": read } }),
        ])
        .await?;
        // An earlier try may have made the index and not got further.
        self.add_marks_to_written(&[mark]).await?;
        Ok((searched, new))
    }

    async fn copy(
        &self,
        old: &str,
        new: &str,
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
        patience: Patience,
    ) -> Result<(), ElasticsearchError> {
        let mut after = None;
        loop {
            let page = query::all(after.as_deref());
            let found = patience.with(|| self.client.search(old, &page)).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let read = stream::iter(found).map(|one| anew(one, source, progress, patience));
            let read: Vec<Anew> = read.buffer_unordered(READ_AT_ONCE).try_collect().await?;
            let made = read.iter().filter(|anew| anew.is_made).count();
            let entries = read.into_iter().map(|anew| anew.entry).collect();
            let refused = self.write_anew(entries, progress, patience).await?;
            progress.add((made - refused.len()) as u64);
            tracing::info!(from = old, to = new, copied = progress.done(), "rebuilding the search index");
        }
    }

    /// Writes entries that were made anew; gives those that the engine refuses for what they are, which go over without their
    /// terms. One that it refuses even so tells of the index and not of a message, and ends the rebuild.
    pub(super) async fn write_anew(
        &self,
        mut entries: Vec<Entry>,
        progress: &RebuildProgress,
        patience: Patience,
    ) -> Result<HashSet<MessageId>, ElasticsearchError> {
        let mut refused = HashSet::new();
        loop {
            let Err(error) = patience.with(|| self.write(&entries)).await else { return Ok(refused) };
            let Some(these) = error.refused_for_good().map(|ids| ids.iter().copied().collect::<HashSet<_>>()) else {
                return Err(error);
            };
            let (refusable, others): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| entry.has_terms() && these.contains(&entry.id()));
            if refusable.len() != these.len() {
                return Err(error);
            }
            for entry in &refusable {
                refuse(progress, entry.id(), &error);
            }
            refused.extend(these);
            entries = others;
            entries.extend(refusable.into_iter().map(Entry::emptied));
        }
    }

    async fn finish(&self, old: &[String], new: &str) -> Result<(), ElasticsearchError> {
        let read = self.names.read();
        if self.indices(&read).await? != [new] {
            self.search_only(new, old).await?;
        }
        self.sweep_or_warn(self.names.number(new).ok_or_else(|| unexpected("GET /_alias"))?).await;
        Ok(())
    }

    async fn search_only(&self, new: &str, old: &[String]) -> Result<(), ElasticsearchError> {
        let read = self.names.read();
        let removals = old.iter().map(|index| json!({ "remove": { "index": index, "alias": read } }));
        let mut actions: Vec<Value> = removals.collect();
        actions.push(json!({ "add": { "index": new, "alias": read } }));
        self.swap(&actions).await
    }

    /// The index in use does not depend on it, and the next rebuild does it too.
    async fn sweep_or_warn(&self, current: u32) {
        if let Err(error) = self.sweep(current).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "indices that were replaced are deleted by the next rebuild");
        }
    }

    /// Changes aliases, all at once.
    async fn swap(&self, actions: &[Value]) -> Result<(), ElasticsearchError> {
        self.client.post("/_aliases", Some(json!({ "actions": actions }).to_string())).await.map(drop)
    }

    async fn refresh(&self, index: &str) -> Result<(), ElasticsearchError> {
        self.client.post(&format!("/{index}/_refresh"), None).await.map(drop)
    }

    async fn refreshed_count(&self, index: &str) -> Result<u64, ElasticsearchError> {
        self.refresh(index).await?;
        self.count(index).await
    }

    async fn count(&self, index: &str) -> Result<u64, ElasticsearchError> {
        let answer = self.client.get(&format!("/{index}/_count")).await?;
        answer["count"].as_u64().ok_or_else(|| unexpected("GET /_count"))
    }
}

#[async_trait]
impl IndexRebuild for Elasticsearch {
    async fn rebuild_index(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
    ) -> Result<u64, StoreError> {
        Ok(self.rebuild(source, mark, progress).await?.entries)
    }
}

/// An entry for the new index.
struct Anew {
    entry: Entry,
    /// Whether it was made from its message as it is now, or that is gone.
    is_made: bool,
}

/// An entry made anew. What is gone stays gone.
async fn anew(
    found: Found,
    source: &dyn DocumentSource,
    progress: &RebuildProgress,
    patience: Patience,
) -> Result<Anew, ElasticsearchError> {
    let message_id = found.message()?;
    let chat_id: ChatId = found.id("chat_id")?;
    let version = Version(found.version.ok_or_else(|| unexpected("a search"))?);
    if found.source["gone"] == true {
        return Ok(Anew { entry: Entry::gone(message_id, chat_id, version), is_made: true });
    }
    let member: UserId = found.id("members")?;
    let entry = SearchEntry { message_id, chat_id, member, version };
    Ok(match read(entry, source, progress, patience).await? {
        Read::Skipped => Anew { entry: Entry::unread(message_id, version, found.source), is_made: false },
        Read::Gone => Anew { entry: Entry::gone(message_id, chat_id, version), is_made: true },
        Read::Found(entry) => Anew { entry, is_made: true },
    })
}

/// What the source has of an entry now.
pub(super) enum Read {
    Found(Entry),
    Gone,
    /// It can't be read.
    Skipped,
}

pub(super) async fn read(
    entry: SearchEntry,
    source: &dyn DocumentSource,
    progress: &RebuildProgress,
    patience: Patience,
) -> Result<Read, ElasticsearchError> {
    let read = || async { source.document(entry).await.map_err(ElasticsearchError::Source) };
    match patience.with(read).await {
        Ok(Some(document)) => Ok(Read::Found(Entry::of(&document))),
        Ok(None) => Ok(Read::Gone),
        Err(ElasticsearchError::Source(error)) => {
            skip(progress, entry.message_id, error).map_err(ElasticsearchError::Source)?;
            Ok(Read::Skipped)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
