//! Rebuilding the index while it is used: after a change of the schema, or to write terms with a new key.
//!
//! A new index is made beside the old one. From then on it gets all writes, and searches see both. Each entry of the old
//! index is made anew from its message as it is now; versions keep a copy from replacing what is newer. Of a message that
//! can't be read the entry goes over without its terms, so it counts and is there for the next rebuild. When nothing is
//! missing, searches go to the new index alone and the old one is deleted. A rebuild that was interrupted goes on where the
//! aliases say; several at once do the same work twice, without harm.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::{ChatId, UserId},
    ports::{DocumentSource, IndexRebuild, RebuildProgress, SearchEntry, StoreError, Version},
    search::Mark,
};
use serde_json::{Value, json};

use super::{
    Elasticsearch, ElasticsearchError,
    client::{ANSWERED_WITHIN, Found, unexpected},
    documents::{Entry, bulk},
    query,
};
use crate::skipping::skip;

/// Messages that are read at the same time.
const READ_AT_ONCE: usize = 16;

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

    /// As [`Elasticsearch::rebuild`], when no write to the old index takes longer than `settling`.
    pub async fn rebuild_after(
        &self,
        source: &dyn DocumentSource,
        mark: Mark,
        progress: &RebuildProgress,
        settling: Duration,
    ) -> Result<Rebuilt, ElasticsearchError> {
        let (old, new) = self.begin(mark).await?;
        // Writes that were sent to the old index before the switch.
        tokio::time::sleep(settling).await;
        let mut expected = 0;
        for index in &old {
            self.refresh(index).await?;
            expected += self.count(index).await?;
        }
        progress.expect(expected);
        for index in &old {
            self.copy(index, &new, source, progress).await?;
        }
        self.refresh(&new).await?;
        let there = self.count(&new).await?;
        for index in &old {
            let expected = self.count(index).await?;
            if there < expected {
                return Err(ElasticsearchError::Incomplete { old: expected, new: there });
            }
        }
        self.finish(&old, &new).await?;
        Ok(Rebuilt { index: new, entries: progress.done() })
    }

    /// Makes the new index and sends all writes to it, unless an earlier rebuild did so. Gives the old ones and the new.
    async fn begin(&self, mark: Mark) -> Result<(Vec<String>, String), ElasticsearchError> {
        let (read, write) = (self.names.read(), self.names.write());
        let Some(current) = self.indices(&write).await?.pop() else {
            return Err(ElasticsearchError::NotMigrated(write));
        };
        let mut searched = self.indices(&read).await?;
        if searched.len() > 1 {
            searched.retain(|index| *index != current);
            self.add_marks_to_written(&[mark]).await?;
            return Ok((searched, current));
        }
        let number = self.names.number(&current).ok_or_else(|| unexpected("GET /_alias"))? + 1;
        self.create_index(number, &json!({}), &[mark]).await?;
        let new = self.names.index(number);
        self.swap(&[
            json!({ "remove": { "index": current, "alias": write } }),
            json!({ "add": { "index": new, "alias": write } }),
            json!({ "add": { "index": new, "alias": read } }),
        ])
        .await?;
        Ok((searched, new))
    }

    async fn copy(
        &self,
        old: &str,
        new: &str,
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
    ) -> Result<(), ElasticsearchError> {
        let mut after = None;
        loop {
            let found = self.client.search(old, &query::all(after.as_deref())).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let read = stream::iter(found).map(|one| anew(one, source, progress)).buffer_unordered(READ_AT_ONCE);
            let entries: Vec<Entry> = read.try_collect().await?;
            bulk(&self.client, &self.names.write(), &entries).await?;
            tracing::info!(from = old, to = new, copied = progress.done(), "rebuilding the search index");
        }
    }

    async fn finish(&self, old: &[String], new: &str) -> Result<(), ElasticsearchError> {
        let read = self.names.read();
        let removals = old.iter().map(|index| json!({ "remove": { "index": index, "alias": read } }));
        let mut actions: Vec<Value> = removals.collect();
        actions.push(json!({ "add": { "index": new, "alias": read } }));
        self.swap(&actions).await?;
        for index in old {
            self.client.delete(&format!("/{index}")).await?;
        }
        Ok(())
    }

    /// Changes aliases, all at once.
    async fn swap(&self, actions: &[Value]) -> Result<(), ElasticsearchError> {
        self.client.post("/_aliases", Some(json!({ "actions": actions }).to_string())).await.map(drop)
    }

    async fn refresh(&self, index: &str) -> Result<(), ElasticsearchError> {
        self.client.post(&format!("/{index}/_refresh"), None).await.map(drop)
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

/// An entry made anew. What is gone stays gone.
async fn anew(
    found: Found,
    source: &dyn DocumentSource,
    progress: &RebuildProgress,
) -> Result<Entry, ElasticsearchError> {
    let message_id = found.message()?;
    let chat_id: ChatId = found.id("chat_id")?;
    let version = Version(found.version.ok_or_else(|| unexpected("a search"))?);
    if found.source["gone"] == true {
        progress.add(1);
        return Ok(Entry::gone(message_id, chat_id, version));
    }
    let member: UserId = found.id("members")?;
    let entry = SearchEntry { message_id, chat_id, member, version };
    match source.document(entry).await {
        Ok(document) => {
            progress.add(1);
            Ok(document.map_or_else(|| Entry::gone(message_id, chat_id, version), |document| Entry::of(&document)))
        }
        Err(error) => {
            skip(progress, message_id, error).map_err(ElasticsearchError::Source)?;
            Ok(Entry::unread(message_id, version, found.source))
        }
    }
}
