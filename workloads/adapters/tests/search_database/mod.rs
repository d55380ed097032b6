//! Looks at a search index on `SQLite`: what is found in it, and what its files hold.

use std::path::Path;

use sentinel_adapters::sqlite::SearchDatabase;
use sentinel_domain::{
    ids::{MessageId, UserId},
    ports::{SearchIndex, SearchQuery},
    search::Term,
};

/// What the caller finds by these terms, newest first; a thousand messages at most.
pub async fn found(index: &SearchDatabase, caller: UserId, terms: Vec<Vec<Term>>) -> Vec<MessageId> {
    let (chat, sender, kind, from, to, before) = (None, None, None, None, None, None);
    let query = SearchQuery { caller, chat, sender, kind, from, to, terms, before, limit: 1000 };
    index.query(&query).await.unwrap().hits.into_iter().map(|hit| hit.message_id).collect()
}

/// Whether a file in the folder has these bytes.
pub fn is_anywhere(folder: &Path, bytes: &str) -> bool {
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|file| file.windows(bytes.len()).any(|window| window == bytes.as_bytes()))
}
