//! What the engine is asked.

use sentinel_domain::{
    ids::{ChatId, MessageId},
    ports::{SearchHit, SearchPage, SearchQuery},
    search::Term,
};
use serde_json::{Value, json};

use super::{ElasticsearchError, client::Found};

/// Entries of one page when all of an index or a chat is read.
pub(super) const PAGE: usize = 500;
const TIMEOUT: &str = "5s";

/// The search for what a user asks.
pub(super) fn of(query: &SearchQuery) -> Value {
    let mut filter: Vec<Value> = query.terms.iter().map(|group| any_of(group)).collect();
    let mut must_be = |field: &str, value: Value| filter.push(json!({ "term": { field: value } }));
    if let Some(chat) = query.chat {
        must_be("chat_id", json!(chat));
    }
    if let Some(sender) = query.sender {
        must_be("sender_id", json!(sender));
    }
    if let Some(kind) = query.kind {
        must_be("kind", json!(kind));
    }
    if query.from.is_some() || query.to.is_some() {
        let mut range = serde_json::Map::new();
        range.extend(query.from.map(|from| ("gte".to_owned(), json!(from.0))));
        range.extend(query.to.map(|to| ("lt".to_owned(), json!(to.0))));
        filter.push(json!({ "range": { "sent_at": range } }));
    }
    // Last and always: nothing above can widen it.
    filter.push(json!({ "term": { "members": query.caller } }));
    let mut body = json!({
        "size": query.limit,
        "query": { "bool": { "filter": filter } },
        "sort": [{ "message_id": "desc" }],
        "_source": ["chat_id"],
        "track_total_hits": false,
        "timeout": TIMEOUT,
    });
    if let Some(before) = query.before {
        body["search_after"] = json!([before]);
    }
    body
}

fn any_of(group: &[Term]) -> Value {
    let terms: Vec<String> = group.iter().map(ToString::to_string).collect();
    json!({ "terms": { "terms": terms } })
}

/// The hits of [`of`].
pub(super) fn page(found: &[Found], limit: usize) -> Result<SearchPage, ElasticsearchError> {
    let mut hits: Vec<SearchHit> = Vec::with_capacity(found.len());
    for one in found {
        hits.push(SearchHit { message_id: one.message()?, chat_id: one.id("chat_id")? });
    }
    // During a rebuild both indices may have it.
    hits.dedup_by_key(|hit| hit.message_id);
    Ok(SearchPage { hits, more: found.len() == limit })
}

/// What the index has of a chat, without what is gone.
pub(super) fn of_chat(chat: ChatId, after: Option<&str>) -> Value {
    let bool = json!({ "filter": [{ "term": { "chat_id": chat } }], "must_not": [{ "term": { "gone": true } }] });
    paged(&json!({ "bool": bool }), after)
}

/// All entries up to a message: ids sort as texts in the order of their bytes.
pub(super) fn up_to(message: MessageId) -> Value {
    paged(&json!({ "range": { "message_id": { "lte": message } } }), None)
}

/// Everything in an index, with versions.
pub(super) fn all(after: Option<&str>) -> Value {
    paged(&json!({ "match_all": {} }), after)
}

fn paged(query: &Value, after: Option<&str>) -> Value {
    let mut body = json!({
        "size": PAGE,
        "query": query,
        "sort": [{ "message_id": "desc" }],
        "version": true,
        "track_total_hits": false,
    });
    if let Some(after) = after {
        body["search_after"] = json!([after]);
    }
    body
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        ids::{MessageId, UserId},
        message::MessageKind,
        time::Timestamp,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_caller_is_the_last_filter_whatever_else_is_asked() {
        let id = Uuid::from_u128;
        let query = SearchQuery {
            caller: UserId(id(1)),
            chat: Some(ChatId(id(2))),
            sender: Some(UserId(id(3))),
            kind: Some(MessageKind::Image),
            from: Some(Timestamp(5)),
            to: Some(Timestamp(9)),
            terms: vec![vec![Term::Blind([1; 8]), Term::Blind([2; 8]), Term::Plain("word:at".into())]],
            before: Some(MessageId(id(4))),
            limit: 20,
        };
        let body = of(&query);
        let filter = body["query"]["bool"]["filter"].as_array().unwrap();
        assert_eq!(
            filter,
            &[
                json!({"terms": {"terms": ["AQEBAQEBAQE", "AgICAgICAgI", "word:at"]}}),
                json!({"term": {"chat_id": id(2)}}),
                json!({"term": {"sender_id": id(3)}}),
                json!({"term": {"kind": "image"}}),
                json!({"range": {"sent_at": {"gte": 5, "lt": 9}}}),
                json!({"term": {"members": id(1)}}),
            ]
        );
        assert_eq!((&body["search_after"], &body["size"]), (&json!([id(4)]), &json!(20)));
    }

    #[test]
    fn a_message_that_two_indices_have_is_one_hit() {
        let found = |n: u128| Found {
            id: Uuid::from_u128(n).to_string(),
            version: None,
            source: json!({ "chat_id": Uuid::from_u128(9) }),
        };
        let page = page(&[found(3), found(3), found(2)], 3).unwrap();
        assert_eq!(page.hits.iter().map(|hit| hit.message_id.0.as_u128()).collect::<Vec<_>>(), [3, 2]);
        assert!(page.more);
    }
}
