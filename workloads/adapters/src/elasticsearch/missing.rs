//! What an index lacks although there is the message: lost with a volume, or never indexed. A rebuild goes from the old index to
//! the new one, so it would not come back by that alone.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{DocumentSource, RebuildProgress, SearchEntry},
};
use serde_json::{Value, json};

use super::{
    Elasticsearch, ElasticsearchError,
    client::unexpected,
    documents::Entry,
    patience::Patience,
    query::PAGE,
    rebuild::{self, Read},
};

impl Elasticsearch {
    /// Puts in what the source has and the index has no entry of, not even of what is gone; gives how many that were.
    pub(super) async fn fill(
        &self,
        index: &str,
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
        patience: Patience,
    ) -> Result<u64, ElasticsearchError> {
        let (mut after, mut put) = (None, 0);
        loop {
            let read = || async { source.entries(after, PAGE).await.map_err(ElasticsearchError::Source) };
            let entries = patience.with(read).await?;
            let Some(last) = entries.last() else { return Ok(put) };
            let lacking = patience.with(|| self.lacking(index, &entries)).await?;
            after = Some(*last);
            let read = stream::iter(lacking)
                .map(async |entry| rebuild::read(entry, source, progress, patience).await.map(|read| (entry, read)));
            let read: Vec<(SearchEntry, Read)> = read.buffer_unordered(rebuild::READ_AT_ONCE).try_collect().await?;
            let (mut asked, mut found) = (Vec::new(), Vec::<Entry>::new());
            for (entry, read) in read {
                if let Read::Found(made) = read {
                    asked.push(entry);
                    found.push(made);
                }
            }
            let refused = self.write_anew(found, progress, patience).await?;
            self.empty_deleted(&asked, source, progress, patience).await?;
            let made = (asked.len() - refused.len()) as u64;
            progress.add(made);
            put += made;
        }
    }

    /// Empties those of these entries, which were just put in, whose chats were deleted meanwhile: the deletion did not find
    /// them. A message that was deleted alone has left an entry with a higher version.
    async fn empty_deleted(
        &self,
        put: &[SearchEntry],
        source: &dyn DocumentSource,
        progress: &RebuildProgress,
        patience: Patience,
    ) -> Result<(), ElasticsearchError> {
        let mut chats: HashMap<ChatId, Vec<SearchEntry>> = HashMap::new();
        for entry in put {
            chats.entry(entry.chat_id).or_default().push(*entry);
        }
        let looks = stream::iter(chats.into_values()).map(async |of_chat| {
            let mut gone = Vec::new();
            for entry in of_chat {
                // One that is there tells that its chat is.
                let Read::Gone = rebuild::read(entry, source, progress, patience).await? else { break };
                gone.push(Entry::gone(entry.message_id, entry.chat_id, entry.version));
            }
            Ok::<_, ElasticsearchError>(gone)
        });
        let gone: Vec<Vec<Entry>> = looks.buffer_unordered(rebuild::READ_AT_ONCE).try_collect().await?;
        let gone: Vec<Entry> = gone.into_iter().flatten().collect();
        patience.with(|| self.write(&gone)).await
    }

    /// Those of which the index has no entry.
    async fn lacking(&self, index: &str, entries: &[SearchEntry]) -> Result<Vec<SearchEntry>, ElasticsearchError> {
        let ids: Vec<MessageId> = entries.iter().map(|entry| entry.message_id).collect();
        let (path, body) = (format!("/{index}/_mget?_source=false"), json!({ "ids": ids }).to_string());
        let answer = self.client.post(&path, Some(body)).await?;
        let found = found(&answer, entries.len()).ok_or_else(|| unexpected("POST /_mget"))?;
        Ok(entries.iter().zip(found).filter(|(_, found)| !found).map(|(entry, _)| *entry).collect())
    }
}

/// Whether each of what was asked for is there.
fn found(answer: &Value, asked: usize) -> Option<Vec<bool>> {
    let told = answer["docs"].as_array().filter(|told| told.len() == asked)?;
    // An error in place of a document has no `found`.
    told.iter().map(|one| one["found"].as_bool()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_for_each() {
        let answer = json!({"docs": [{"_id": "a", "found": true}, {"_id": "b", "found": false}]});
        assert_eq!(found(&answer, 2), Some(vec![true, false]));
        assert_eq!(found(&answer, 3), None);
        assert_eq!(found(&json!({"docs": [{"_id": "a", "error": {"type": "x"}}]}), 1), None);
    }
}
