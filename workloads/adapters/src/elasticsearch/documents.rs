//! Entries, and writing them in batches.

use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{SearchDocument, Version},
    room::Room,
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
/// What is to be deleted is gone.
const NOT_THERE: u64 = 404;
/// An entry is not understood, or something about the index is wrong.
const BAD_REQUEST: u64 = 400;

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

    /// What is left of a message that can't be read: no terms, so that nobody finds it, and all that the next rebuild needs.
    pub fn unread(id: MessageId, version: Version, source: Value) -> Self {
        Self { id, version, source }.emptied()
    }

    /// The same without its terms: nobody finds it, and it has all that the next rebuild needs.
    pub fn emptied(mut self) -> Self {
        self.source["terms"] = json!([]);
        self
    }

    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Whether there is anything to find it by.
    pub fn has_terms(&self) -> bool {
        self.source["terms"].as_array().is_some_and(|terms| !terms.is_empty())
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
    let answer = client.post(&format!("/{index}/_bulk?require_alias=true"), Some(batch)).await;
    let written = answer.and_then(|answer| outcome(&answer, count));
    note(client.room(), &written);
    written
}

/// Notes what a write tells of the volumes. All writes to an index are refused as long as one of its nodes is full.
fn note(room: &Room, written: &Result<(), ElasticsearchError>) {
    match written {
        Ok(()) if room.is_back() => tracing::info!("the search engine has room again"),
        Err(error) if error.is_full() && room.ran_out() => {
            tracing::error!(%error, "a volume of the search engine is full: nothing gets into the index until it is larger");
        }
        _ => {}
    }
}

/// Deletes entries of one index, whatever their versions; gives how many were still there.
pub(super) async fn delete(client: &Client, index: &str, messages: &[MessageId]) -> Result<u64, ElasticsearchError> {
    let lines = messages.iter().map(|id| format!("{}\n", json!({ "delete": { "_id": id } })));
    let answer = client.post(&format!("/{index}/_bulk"), Some(lines.collect())).await?;
    let items = outcomes(&answer, "delete", messages.len(), NOT_THERE)?;
    Ok(items.iter().filter(|item| item["status"] != NOT_THERE).count() as u64)
}

/// Looks at each entry of what was written.
fn outcome(answer: &Value, count: usize) -> Result<(), ElasticsearchError> {
    outcomes(answer, "index", count, NEWER_IS_THERE).map(drop)
}

/// The answers to each entry. A batch is answered with 200 even when all of it was refused, so each is looked at; one
/// refusal is `fine`.
fn outcomes<'a>(
    answer: &'a Value,
    action: &str,
    count: usize,
    fine: u64,
) -> Result<Vec<&'a Value>, ElasticsearchError> {
    let items = answer["items"].as_array().filter(|items| items.len() == count).ok_or_else(|| unexpected("a batch"))?;
    let items: Vec<&Value> = items.iter().map(|item| &item[action]).collect();
    let is_failure =
        |item: &&&Value| item["status"].as_u64().is_none_or(|status| !matches!(status, 200 | 201) && status != fine);
    let failures: Vec<&Value> = items.iter().filter(is_failure).copied().collect();
    let Some(first) = failures.first() else { return Ok(items) };
    let reason = first["error"]["reason"].as_str().unwrap_or("no reason given");
    // What comes then may be what somebody wrote: that is for no log.
    let reason = reason.split(" Preview of field's value").next().unwrap_or_default().chars().take(300).collect();
    let for_good = failures.iter().filter(|item| is_refused_for_good(item));
    let for_good = for_good.filter_map(|item| item["_id"].as_str()?.parse().ok()).collect();
    Err(ElasticsearchError::Entries { failed: failures.len(), all: count, reason, for_good })
}

/// Whether the engine says of the entry itself that it can't take it: then it never will. Other answers of this kind are
/// about the index, such as one that is closed, missing (404), or blocked (403), and end when somebody mends that.
fn is_refused_for_good(item: &Value) -> bool {
    let told = |field: &str| item["error"][field].as_str().unwrap_or_default();
    item["status"] == BAD_REQUEST
        && match told("type") {
            "mapper_parsing_exception" | "document_parsing_exception" => true,
            "illegal_argument_exception" => told("reason").contains("immense term"),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::ports::StoreError;
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

    #[test]
    fn entries_are_given_up_only_when_no_engine_would_ever_take_them() {
        let item = |(status, kind, reason): (u16, &str, &str)| {
            let error = json!({"type": kind, "reason": reason});
            json!({"index": {"_id": Uuid::from_u128(1), "status": status, "error": error}})
        };
        let refusal = |failures: &[(u16, &str, &str)]| {
            let mut items = vec![json!({"index": {"status": 201}})];
            items.extend(failures.iter().copied().map(item));
            StoreError::from(outcome(&json!({"items": items}), items.len()).unwrap_err())
        };
        let parsing = (
            400,
            "document_parsing_exception",
            "[1:2] failed to parse field [kind] of type [keyword] in document with id '0'. Preview of field's value: 'secret'",
        );
        let older = (400, "mapper_parsing_exception", "failed to parse");
        let immense =
            (400, "illegal_argument_exception", "Document contains at least one immense term in field=\"terms\"");
        for failures in [&[parsing][..], &[older, immense, parsing]] {
            let error = refusal(failures);
            assert!(matches!(error, StoreError::Unreadable(_)), "{failures:?}: {error:?}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        for about_the_index in [
            (400, "index_closed_exception", "closed"),
            (400, "illegal_argument_exception", "no write index is defined for alias [sentinel]"),
            (403, "cluster_block_exception", "index [sentinel-1] blocked by: [FORBIDDEN/8/index write (api)];"),
            (404, "index_not_found_exception", "no such index [sentinel] and [require_alias] request flag is [true]"),
            (429, "es_rejected_execution_exception", "rejected execution of bulk"),
            (503, "unavailable_shards_exception", "primary shard is not active"),
        ] {
            for failures in [&[about_the_index][..], &[parsing, about_the_index], &[about_the_index, parsing]] {
                let error = refusal(failures);
                assert!(matches!(error, StoreError::Unavailable(_)), "{failures:?}: {error:?}");
            }
        }
    }

    #[test]
    fn a_block_for_want_of_room_is_noted_until_a_write_goes_through() {
        let item = |reason: &str| json!({"items": [{"index": {"status": 429, "error": {"reason": reason}}}]});
        let told = "index [sentinel-1] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, \
                    index has read-only-allow-delete block];";
        let room = Room::default();
        note(&room, &outcome(&item("rejected execution of bulk"), 1));
        assert!(!room.is_full(), "a queue is full, not a volume");
        note(&room, &outcome(&item(told), 1));
        assert!(room.is_full());
        note(&room, &Err(unexpected("a batch")));
        assert!(room.is_full(), "nothing was written");
        note(&room, &Ok(()));
        assert!(!room.is_full());
    }

    #[test]
    fn what_is_deleted_already_is_no_failure() {
        let answer = json!({"items": [{"delete": {"status": 200}}, {"delete": {"status": 404}}]});
        assert_eq!(outcomes(&answer, "delete", 2, NOT_THERE).unwrap().len(), 2);
        let refused = json!({"items": [{"delete": {"status": 403, "error": {"reason": "no"}}}]});
        assert!(outcomes(&refused, "delete", 1, NOT_THERE).is_err());
    }
}
