//! The index behind the aliases: its name, its schema, and how it is made.

use sentinel_domain::search::Mark;
use serde_json::{Value, json};

use super::{Elasticsearch, ElasticsearchError, client::unexpected, marks::meta};

/// The schema that this code makes and knows.
pub(super) const SCHEMA: i64 = 1;
/// Found within two seconds of the acknowledgement, of which the way here takes a part.
const REFRESHED_EVERY: &str = "500ms";

/// Names of indices and aliases.
#[derive(Clone, Debug)]
pub(super) struct Names {
    base: String,
}

impl Names {
    pub fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}-messages") }
    }

    /// The alias that is searched.
    pub fn read(&self) -> String {
        format!("{}-read", self.base)
    }

    /// The alias that is written to.
    pub fn write(&self) -> String {
        format!("{}-write", self.base)
    }

    /// The n-th index.
    pub fn index(&self, number: u32) -> String {
        format!("{}-{number:06}", self.base)
    }

    /// All indices, by a pattern.
    pub fn all(&self) -> String {
        format!("{}-*", self.base)
    }

    /// The number of an index.
    pub fn number(&self, index: &str) -> Option<u32> {
        index.strip_prefix(&self.base)?.strip_prefix('-')?.parse().ok()
    }
}

impl Elasticsearch {
    /// Makes the first index with its aliases, unless there is one.
    pub(super) async fn ensure_index(&self) -> Result<(), ElasticsearchError> {
        if self.indices(&self.names.write()).await?.is_empty() {
            let (read, write) = (self.names.read(), self.names.write());
            // Index and aliases come into being together.
            self.create_index(1, &json!({ read: {}, write: {} }), &[]).await?;
        }
        self.check_schema().await?;
        let settings = json!({ "index": { "number_of_replicas": self.config.replicas } });
        self.client.put(&format!("/{}/_settings", self.names.read()), &settings).await?;
        Ok(())
    }

    /// Makes an index unless it is there, which is about to get terms with these marks.
    pub(super) async fn create_index(
        &self,
        number: u32,
        aliases: &Value,
        marks: &[Mark],
    ) -> Result<(), ElasticsearchError> {
        let body = json!({
            "settings": settings(self.config.shards, self.config.replicas),
            "mappings": mappings(marks),
            "aliases": aliases,
        });
        match self.client.put(&format!("/{}", self.names.index(number)), &body).await {
            // Another was faster; both engines say so in these words.
            Err(ElasticsearchError::Refused { status: 400, reason, .. })
                if reason.contains("resource_already_exists_exception") =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Deletes what rebuilds have replaced and not deleted: indices before this one that no alias names.
    pub(super) async fn sweep(&self, current: u32) -> Result<(), ElasticsearchError> {
        let answer = match self.client.get(&format!("/{}/_alias", self.names.all())).await {
            Err(ElasticsearchError::Refused { status: 404, .. }) => return Ok(()),
            answer => answer?,
        };
        for (index, told) in answer.as_object().ok_or_else(|| unexpected("GET /_alias"))? {
            let before = self.names.number(index).is_some_and(|number| number < current);
            let unused = told["aliases"].as_object().is_some_and(serde_json::Map::is_empty);
            if before && unused {
                self.client.delete(&format!("/{index}")).await?;
                tracing::info!(index, "an index that was replaced is deleted");
            }
        }
        Ok(())
    }

    /// Refuses an index that is not there or that a newer version made.
    pub(super) async fn check_schema(&self) -> Result<(), ElasticsearchError> {
        let write = self.names.write();
        let Some(index) = self.indices(&write).await?.pop() else {
            return Err(ElasticsearchError::NotMigrated(write));
        };
        let answer = self.client.get(&format!("/{index}/_mapping")).await?;
        let found = answer[&index]["mappings"]["_meta"]["schema"].as_i64().unwrap_or_default();
        if found > SCHEMA { Err(ElasticsearchError::UnknownSchema { found, known: SCHEMA }) } else { Ok(()) }
    }

    /// The indices behind an alias, in the order of their names.
    pub(super) async fn indices(&self, alias: &str) -> Result<Vec<String>, ElasticsearchError> {
        match self.client.get(&format!("/_alias/{alias}")).await {
            Ok(Value::Object(indices)) => {
                let mut names: Vec<String> = indices.keys().cloned().collect();
                names.sort();
                Ok(names)
            }
            Ok(_) => Err(unexpected("GET /_alias")),
            Err(ElasticsearchError::Refused { status: 404, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn settings(shards: u32, replicas: u32) -> Value {
    json!({
        "index": {
            "number_of_shards": shards,
            "number_of_replicas": replicas,
            "refresh_interval": REFRESHED_EVERY,
            // Kept newest first, so that a search stops when the page is full.
            "sort.field": "message_id",
            "sort.order": "desc",
        },
    })
}

fn mappings(marks: &[Mark]) -> Value {
    let keyword = json!({ "type": "keyword", "doc_values": false });
    json!({
        "dynamic": "strict",
        "_meta": meta(marks),
        // A rebuild makes the terms anew, so there is no use in keeping a copy.
        "_source": { "excludes": ["terms"] },
        "properties": {
            "message_id": { "type": "keyword" },
            "chat_id": keyword,
            "members": keyword,
            "sender_id": keyword,
            "kind": keyword,
            "terms": keyword,
            "sent_at": { "type": "long", "doc_values": false },
            "gone": { "type": "boolean", "doc_values": false },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_numbered() {
        let names = Names::new("sentinel");
        assert_eq!(names.index(7), "sentinel-messages-000007");
        assert_eq!(names.number("sentinel-messages-000007"), Some(7));
        assert_eq!(names.number(&names.write()), None);
        assert_eq!(names.number("other-messages-000007"), None);
    }
}
