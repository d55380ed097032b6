//! What an index lacks although there is the message: lost with a volume, or never indexed. A rebuild goes from the old index to
//! the new one, so it would not come back by that alone.

use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    ids::MessageId,
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
            let read = stream::iter(lacking).map(|entry| rebuild::read(entry, source, progress, patience));
            let read: Vec<Read> = read.buffer_unordered(rebuild::READ_AT_ONCE).try_collect().await?;
            let found =
                read.into_iter().filter_map(|read| if let Read::Found(entry) = read { Some(entry) } else { None });
            let found: Vec<Entry> = found.collect();
            patience.with(|| self.write(&found)).await?;
            progress.add(found.len() as u64);
            put += found.len() as u64;
        }
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
