//! Entries, and writing them in batches.

use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{SearchDocument, Version},
};
use serde_json::{Value, json};

use super::{
    ElasticsearchError,
    client::{Client, unexpected},
};

/// Bytes of a batch beyond which the next one begins.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const BATCH_ENTRIES: usize = 500;
/// An entry with a higher version is there: just what versions are for.
const NEWER_IS_THERE: u64 = 409;

/// What is written of one message.
pub(super) struct Entry {
    id: MessageId,
    version: Version,
    source: Value,
}

impl Entry {
    pub fn of(document: &SearchDocument) -> Self {
        let SearchDocument { message_id, chat_id, members, sender_id, kind, terms, version } = document;
        let source = json!({
            "message_id": message_id,
            "chat_id": chat_id,
            "members": members,
            "sender_id": sender_id,
            "kind": kind,
            "sent_at": message_id.timestamp().0,
            "terms": terms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        Self { id: *message_id, version: *version, source }
    }

    /// What is left of a message that is not to be found: no members, so that nobody finds it.
    pub fn gone(id: MessageId, chat: ChatId, version: Version) -> Self {
        Self { id, version, source: json!({ "message_id": id, "chat_id": chat, "gone": true }) }
    }

    fn lines(&self) -> String {
        let action = json!({
            "index": { "_id": self.id, "version": self.version.0, "version_type": "external_gte" },
        });
        format!("{action}\n{}\n", self.source)
    }
}

/// Writes entries. Those of which the index has something newer are left out.
pub(super) async fn bulk(client: &Client, index: &str, entries: &[Entry]) -> Result<(), ElasticsearchError> {
    let mut batch = String::new();
    let mut count = 0;
    for entry in entries {
        batch.push_str(&entry.lines());
        count += 1;
        if count == BATCH_ENTRIES || batch.len() >= BATCH_BYTES {
            write(client, index, std::mem::take(&mut batch), std::mem::take(&mut count)).await?;
        }
    }
    if count == 0 { Ok(()) } else { write(client, index, batch, count).await }
}

async fn write(client: &Client, index: &str, batch: String, count: usize) -> Result<(), ElasticsearchError> {
    // Without the alias, an index with guessed types would be made.
    let answer = client.post(&format!("/{index}/_bulk?require_alias=true"), Some(batch)).await?;
    outcome(&answer, count)
}

/// Looks at each entry: a batch is answered with 200 even when all of it was refused.
fn outcome(answer: &Value, count: usize) -> Result<(), ElasticsearchError> {
    let items = answer["items"].as_array().filter(|items| items.len() == count).ok_or_else(|| unexpected("a batch"))?;
    let failures: Vec<&Value> = items
        .iter()
        .map(|item| &item["index"])
        .filter(|item| !matches!(item["status"].as_u64(), Some(200 | 201 | NEWER_IS_THERE)))
        .collect();
    let Some(first) = failures.first() else { return Ok(()) };
    let reason = first["error"]["reason"].as_str().unwrap_or("no reason given").chars().take(300).collect();
    Err(ElasticsearchError::Entries { failed: failures.len(), all: count, reason })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_entry_is_written_with_its_version() {
        let entry = Entry::gone(MessageId(Uuid::from_u128(1)), ChatId(Uuid::from_u128(2)), Version(7));
        let lines = entry.lines();
        let (action, source) = lines.trim_end().split_once('\n').unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(action).unwrap(),
            json!({"index": {"_id": Uuid::from_u128(1), "version": 7, "version_type": "external_gte"}})
        );
        assert_eq!(serde_json::from_str::<Value>(source).unwrap()["gone"], true);
    }

    #[test]
    fn every_refused_entry_counts_but_those_that_came_late() {
        let answer = |statuses: &[u16]| {
            let item = |status: &u16| json!({"index": {"status": status, "error": {"reason": format!("r{status}")}}});
            json!({"errors": true, "items": statuses.iter().map(item).collect::<Vec<_>>()})
        };
        outcome(&answer(&[200, 201, 409]), 3).unwrap();
        let error = outcome(&answer(&[200, 429, 400]), 3).unwrap_err().to_string();
        assert_eq!(error, "elasticsearch refused 2 of 3 entries; the first: r429");
        assert!(matches!(outcome(&answer(&[200]), 2), Err(ElasticsearchError::Answer { .. })));
    }
}
