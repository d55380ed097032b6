//! What becomes of entries that an engine refuses, with one that refuses at will.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, response::Json, routing::post};
use sentinel_domain::{
    config::{Connection, ElasticsearchConfig},
    message::MessageKind,
    ports::SearchDocument,
    search::Term,
};
use uuid::Uuid;

use super::*;

/// Entries by their ids.
type Entries = BTreeMap<String, Value>;

/// An engine with one old index, which keeps what it takes into the new one.
#[derive(Default)]
struct Engine {
    old: Vec<Value>,
    taken: Mutex<Entries>,
    /// Batches that are still refused because its queue is full.
    busy: Mutex<u32>,
    /// Whether it refuses each entry, whatever it is.
    closed_to_all: bool,
}

async fn search(State(engine): State<Arc<Engine>>, body: String) -> Json<Value> {
    let asked: Value = serde_json::from_str(&body).unwrap();
    let hits = if asked["search_after"].is_null() { engine.old.clone() } else { Vec::new() };
    Json(json!({ "hits": { "hits": hits } }))
}

async fn bulk(State(engine): State<Arc<Engine>>, body: String) -> Json<Value> {
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut busy = engine.busy.lock().unwrap();
    let mut items = Vec::new();
    for pair in lines.chunks(2) {
        let id = pair[0]["index"]["_id"].as_str().unwrap().to_owned();
        let too_long = pair[1]["terms"].to_string().contains("endless");
        let (status, kind) = match () {
            () if *busy > 0 => (429, "es_rejected_execution_exception"),
            () if too_long || engine.closed_to_all => (400, "document_parsing_exception"),
            () => (201, ""),
        };
        if status == 201 {
            engine.taken.lock().unwrap().insert(id.clone(), pair[1].clone());
        }
        items.push(json!({ "index": { "_id": id, "status": status, "error": { "type": kind, "reason": kind } } }));
    }
    *busy = busy.saturating_sub(1);
    Json(json!({ "items": items }))
}

fn message(number: u128) -> MessageId {
    MessageId(Uuid::from_u128(number))
}

/// Each message has one term; that of odd ones is refused.
struct Odd;

#[async_trait]
impl DocumentSource for Odd {
    async fn document(&self, entry: SearchEntry) -> Result<Option<SearchDocument>, StoreError> {
        let SearchEntry { message_id, chat_id, member, version } = entry;
        let word = if message_id.0.as_u128() % 2 == 0 { "short" } else { "endless" };
        let terms = vec![Term::Plain(word.into())];
        let members = [member, member];
        let kind = MessageKind::Text;
        Ok(Some(SearchDocument { message_id, chat_id, members, sender_id: member, kind, terms, version }))
    }
}

/// Copies three messages to a new index, as a rebuild does.
async fn copied(engine: Engine) -> (Result<(), ElasticsearchError>, RebuildProgress, Entries) {
    let old = (1..=3).map(|number| {
        let source = json!({ "chat_id": Uuid::nil(), "members": [Uuid::nil()], "message_id": message(number) });
        json!({ "_id": message(number), "_version": 1, "_source": source })
    });
    let engine = Arc::new(Engine { old: old.collect(), ..engine });
    let routes = Router::new().route("/{index}/_search", post(search)).route("/{index}/_bulk", post(bulk));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = vec![format!("http://{}", listener.local_addr().unwrap())];
    let server = tokio::spawn(axum::serve(listener, routes.with_state(engine.clone())).into_future());
    let connection = Connection { endpoints, credentials: None, tls: None };
    let config = ElasticsearchConfig { connection, prefix: "t".into(), shards: 1, replicas: 0 };
    let index = Elasticsearch::new(&config).unwrap();
    let progress = RebuildProgress::default();
    let outcome = index.copy("old", "new", &Odd, &progress, Patience(Duration::from_mins(1))).await;
    server.abort();
    let taken = engine.taken.lock().unwrap().clone();
    (outcome, progress, taken)
}

#[tokio::test]
async fn what_is_refused_for_good_goes_over_without_its_terms_and_is_told() {
    // A full queue passes, and is no reason to leave anything out.
    let (outcome, progress, taken) = copied(Engine { busy: Mutex::new(1), ..Engine::default() }).await;
    outcome.unwrap();
    let skipped = progress.skipped();
    let first: HashSet<MessageId> = skipped.first.iter().copied().collect();
    assert_eq!((progress.done(), progress.refused(), skipped.count), (1, 2, 2));
    assert_eq!(first, [message(1), message(3)].into());
    let terms: Vec<&Value> = taken.values().map(|entry| &entry["terms"]).collect();
    assert_eq!(terms, [&json!([]), &json!(["short"]), &json!([])], "all count");
    assert_eq!(taken[&message(1).to_string()]["chat_id"], json!(Uuid::nil()), "the next rebuild can read it");
}

#[tokio::test]
async fn an_index_that_refuses_even_entries_without_terms_ends_the_rebuild() {
    let (outcome, progress, taken) = copied(Engine { closed_to_all: true, ..Engine::default() }).await;
    assert!(matches!(outcome, Err(ElasticsearchError::Entries { failed: 3, .. })), "{outcome:?}");
    assert_eq!((progress.done(), taken.len()), (0, 0));
}
