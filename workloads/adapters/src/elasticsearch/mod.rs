//! The search index in Elasticsearch 8 or OpenSearch 2, by what both have in common.
//!
//! An entry has ids, a time and terms; no text. Of the terms there is no copy to read back. Its version is external, so that late events never win, and a
//! removed message leaves an empty entry, because the engines forget the version of what they delete after a minute.
//! Services use two aliases: all writes go to one index, and reads go to the same one, or during a rebuild to both.

mod client;
mod documents;
mod error;
mod index;
mod inspect;
mod marks;
mod missing;
mod patience;
mod query;
mod rebuild;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use sentinel_domain::{
    config::ElasticsearchConfig,
    ids::{ChatId, MessageId},
    ports::{Removal, SearchDocument, SearchIndex, SearchPage, SearchQuery, StoreError, Version},
    room::Room,
    search::Mark,
};

use self::{
    client::{Client, Found},
    documents::{Entry, bulk},
    index::Names,
};
pub use self::{error::ElasticsearchError, rebuild::Rebuilt};

/// The search index.
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    client: Client,
    names: Names,
    config: ElasticsearchConfig,
    /// Whether the schema was looked at and is known.
    known: Arc<AtomicBool>,
}

impl Elasticsearch {
    /// The index that [`Elasticsearch::migrate`] made. An engine that is away is not waited for: until one has answered that the
    /// index is there and of a schema that is known, nothing is read or written.
    pub async fn open(config: &ElasticsearchConfig) -> Result<Self, ElasticsearchError> {
        let store = Self::new(config)?;
        match store.look_at_schema().await {
            Err(error) if patience::passes(&error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the search engine can't be used yet; nothing is found until it can");
            }
            looked => looked?,
        }
        Ok(store)
    }

    /// As [`Elasticsearch::open`], for a command: waits half a minute for an endpoint that answers.
    pub async fn connect(config: &ElasticsearchConfig) -> Result<Self, ElasticsearchError> {
        let store = Self::reach(config).await?;
        store.look_at_schema().await?;
        Ok(store)
    }

    /// Makes the index and its aliases unless they are there, and sets the number of copies. Several may do so at once.
    pub async fn migrate(config: &ElasticsearchConfig) -> Result<(), ElasticsearchError> {
        Self::reach(config).await?.ensure_index().await
    }

    /// Whether the volumes of the engine take more.
    pub fn room(&self) -> Room {
        self.client.room().clone()
    }

    /// Whether the index can be used now.
    pub async fn check(&self) -> Result<(), ElasticsearchError> {
        let health = self.client.get(&format!("/_cluster/health/{}?timeout=2s", self.names.read())).await?;
        if health["status"] == "red" { Err(ElasticsearchError::Red) } else { Ok(()) }
    }

    /// Deletes the indices of this prefix with all that is in them.
    pub async fn drop_all(config: &ElasticsearchConfig) -> Result<(), ElasticsearchError> {
        let store = Self::reach(config).await?;
        for index in store.indices(&store.names.read()).await? {
            store.client.delete(&format!("/{index}")).await?;
        }
        Ok(())
    }

    async fn reach(config: &ElasticsearchConfig) -> Result<Self, ElasticsearchError> {
        let store = Self::new(config)?;
        store.client.wait().await?;
        Ok(store)
    }

    fn new(config: &ElasticsearchConfig) -> Result<Self, ElasticsearchError> {
        let (client, names) = (Client::new(&config.connection)?, Names::new(&config.prefix));
        Ok(Self { client, names, config: config.clone(), known: Arc::default() })
    }

    /// Refuses an index of a schema that is not known. What was known once stays so.
    async fn look_at_schema(&self) -> Result<(), ElasticsearchError> {
        if !self.known.load(Ordering::Relaxed) {
            self.check_schema().await?;
            self.known.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn write(&self, entries: &[Entry]) -> Result<(), ElasticsearchError> {
        bulk(&self.client, &self.names.write(), entries).await
    }

    async fn forget_chat(&self, chat: ChatId, version: Version) -> Result<(), ElasticsearchError> {
        let read = self.names.read();
        // A search sees what was refreshed only.
        self.client.post(&format!("/{read}/_refresh"), None).await?;
        let mut after = None;
        loop {
            let found = self.client.search(&read, &query::of_chat(chat, after.as_deref())).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let messages: Vec<MessageId> = found.iter().map(Found::message).collect::<Result<_, _>>()?;
            self.remove_all(messages.iter().map(|id| Entry::gone(*id, chat, version)).collect(), &messages).await?;
        }
    }

    /// Takes entries out of all indices that are searched. After a rebuild has begun, others than the one that is written to
    /// would have them until it is through.
    async fn remove_all(&self, gone: Vec<Entry>, messages: &[MessageId]) -> Result<(), ElasticsearchError> {
        if messages.is_empty() {
            return Ok(());
        }
        self.write(&gone).await?;
        let (searched, written) = (self.indices(&self.names.read()).await?, self.indices(&self.names.write()).await?);
        for index in searched.iter().filter(|index| !written.contains(index)) {
            documents::delete(&self.client, index, messages).await?;
        }
        Ok(())
    }
}

impl Elasticsearch {
    /// Deletes entries whose messages are too old, what is left of removed ones too, page by page. Nobody writes them
    /// again, so their versions need not be known any more.
    async fn forget(&self, up_to: MessageId) -> Result<u64, ElasticsearchError> {
        let mut count = 0;
        for index in self.indices(&self.names.read()).await? {
            loop {
                // A search sees what was refreshed only: what was deleted, too.
                self.client.post(&format!("/{index}/_refresh"), None).await?;
                let found = self.client.search(&index, &query::up_to(up_to)).await?;
                if found.is_empty() {
                    break;
                }
                let messages: Vec<MessageId> = found.iter().map(Found::message).collect::<Result<_, _>>()?;
                count += documents::delete(&self.client, &index, &messages).await?;
            }
        }
        Ok(count)
    }
}

#[async_trait]
impl SearchIndex for Elasticsearch {
    async fn put(&self, documents: Vec<SearchDocument>) -> Result<(), StoreError> {
        self.look_at_schema().await?;
        let entries: Vec<Entry> = documents.iter().map(Entry::of).collect();
        Ok(self.write(&entries).await?)
    }

    async fn remove(&self, removals: Vec<Removal>) -> Result<(), StoreError> {
        self.look_at_schema().await?;
        let entry = |removal: &Removal| Entry::gone(removal.message_id, removal.chat_id, removal.version);
        let messages: Vec<MessageId> = removals.iter().map(|removal| removal.message_id).collect();
        Ok(self.remove_all(removals.iter().map(entry).collect(), &messages).await?)
    }

    async fn remove_chat(&self, chat: ChatId, version: Version) -> Result<(), StoreError> {
        self.look_at_schema().await?;
        Ok(self.forget_chat(chat, version).await?)
    }

    async fn forget_up_to(&self, message: MessageId) -> Result<u64, StoreError> {
        self.look_at_schema().await?;
        Ok(self.forget(message).await?)
    }

    async fn marks(&self) -> Result<Option<Vec<Mark>>, StoreError> {
        self.look_at_schema().await?;
        Ok(self.marks_of_all().await?)
    }

    async fn add_marks(&self, marks: Vec<Mark>) -> Result<(), StoreError> {
        self.look_at_schema().await?;
        Ok(self.add_marks_to_written(&marks).await?)
    }

    async fn is_half_made(&self) -> Result<bool, StoreError> {
        self.look_at_schema().await?;
        Ok(self.indices(&self.names.read()).await?.len() > 1)
    }

    async fn query(&self, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        self.look_at_schema().await?;
        let found = self.client.search(&self.names.read(), &query::of(query)).await?;
        Ok(query::page(&found, query.limit)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use axum::{
        Router,
        http::{StatusCode, Uri},
        response::Json,
    };
    use sentinel_domain::config::Connection;
    use serde_json::json;

    use super::{index::SCHEMA, *};

    /// For the schema of an engine that is away, behind a gateway that is there.
    const AWAY: i64 = -1;

    #[tokio::test]
    async fn an_engine_that_is_away_at_the_start_is_used_once_its_index_is_known() {
        let schema = Arc::new(AtomicI64::new(AWAY));
        let told = schema.clone();
        let engine = Router::new().fallback(move |uri: Uri| {
            let schema = told.load(Ordering::Relaxed);
            let status = if schema == AWAY { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            let is_mapping = uri.path().ends_with("/_mapping");
            let of_index = if is_mapping { json!({"mappings": {"_meta": {"schema": schema}}}) } else { json!({}) };
            async move { (status, Json(json!({ "t-messages-000001": of_index }))) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoints = vec![format!("http://{}", listener.local_addr().unwrap())];
        let server = tokio::spawn(axum::serve(listener, engine).into_future());
        let connection = Connection { endpoints, credentials: None, tls: None };
        let config = ElasticsearchConfig { connection, prefix: "t".into(), shards: 1, replicas: 0 };

        let store = Elasticsearch::open(&config).await.unwrap();
        let write = async || store.put(Vec::new()).await;
        assert!(matches!(write().await, Err(StoreError::Unavailable(_))));
        schema.store(SCHEMA + 1, Ordering::Relaxed);
        assert!(matches!(write().await, Err(StoreError::Unavailable(_))), "a newer version made it");
        let opened = Elasticsearch::open(&config).await;
        assert!(matches!(opened, Err(ElasticsearchError::UnknownSchema { .. })), "{opened:?}");
        schema.store(SCHEMA, Ordering::Relaxed);
        write().await.unwrap();
        server.abort();
    }
}
