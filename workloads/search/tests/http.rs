//! `GET /search/messages`, as a client sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod platform;

use std::time::{Duration, Instant};

use futures::future::join_all;
use platform::{Platform, User};
use sentinel_domain::{ids::ChatId, keyring::KeyError, ports::StoreError};
use serde_json::{Value, json};

async fn people(platform: &Platform) -> (User, User, User, ChatId) {
    let (ann, bob, eve) = (platform.user("ann").await, platform.user("bob").await, platform.user("eve").await);
    let chat = platform.chat(&ann, &bob).await;
    (ann, bob, eve, chat)
}

#[tokio::test]
async fn messages_are_found_with_what_to_highlight() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    platform.say(chat, &ann, "nothing of the kind").await;
    let id = platform.say(chat, &bob, "😀 Meet me at the Café tomorrow").await;
    let (status, page) = platform.get(&ann, "/search/messages?q=tomorrow%20CAFE%20me").await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(page["next_cursor"], Value::Null);
    assert_eq!(page["hits"].as_array().unwrap().len(), 1);
    let hit = &page["hits"][0];
    // The emoji has two UTF-16 code units.
    assert_eq!(hit["highlights"], json!([[3, 5], [8, 10], [18, 22], [23, 31]]));
    let message = &hit["message"];
    assert_eq!(
        (&message["message_id"], &message["chat_id"], &message["sender_id"], &message["status"]),
        (&json!(id), &json!(chat), &json!(bob.id), &json!("sent"))
    );
    for (query, expected) in [
        ("q=tom", 1),
        ("q=%22at%20the%20cafe%22", 1),
        ("q=%22the%20at%22", 0),
        ("q=%F0%9F%98%80", 1),
        ("q=omorrow", 0),
        ("q=e", 0),
        // A letter at the end, too, may be where somebody still types; alone it is a word.
        ("q=me%20t", 1),
        ("q=cafe%20x", 0),
        ("q=t", 0),
        ("q=me&type=text", 1),
        ("q=me&type=image", 0),
    ] {
        assert_eq!(platform.texts(&bob, query).await.len(), expected, "{query}");
    }
}

#[tokio::test]
async fn everybody_finds_in_their_own_chats_only() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let other = platform.chat(&bob, &eve).await;
    platform.say(chat, &ann, "the secret of ann").await;
    platform.say(other, &bob, "the secret of bob").await;
    assert_eq!(platform.texts(&ann, "q=secret").await, ["the secret of ann"]);
    assert_eq!(platform.texts(&eve, "q=secret").await, ["the secret of bob"]);
    assert_eq!(platform.texts(&bob, "q=secret").await, ["the secret of bob", "the secret of ann"]);
    assert_eq!(platform.texts(&bob, &format!("q=secret&chat_id={chat}")).await, ["the secret of ann"]);

    for careless in [false, true] {
        *platform.index.careless.lock().unwrap() = careless;
        for query in [
            format!("q=secret&sender_id={}", ann.id),
            format!("q=ann&sender_id={}&user_id={0}&members={0}&caller={0}", ann.id),
            "q=secret%22%7D%7D,%7B%22match_all%22:%7B%7D%7D&q2=x".to_owned(),
            "q=*".to_owned() + "%20secret%20ann%20OR%20bob",
            "q=ann".to_owned(),
        ] {
            assert_eq!(platform.texts(&eve, &query).await, [""; 0], "{query}");
        }
        // A chat of others and one that does not exist are the same.
        let foreign = platform.get(&eve, &format!("/search/messages?q=secret&chat_id={chat}")).await;
        let missing = platform.get(&eve, &format!("/search/messages?q=secret&chat_id={}", ann.id)).await;
        let known = |(status, problem): &(u16, Value)| (*status, problem["code"].clone(), problem["detail"].clone());
        assert_eq!((foreign.0, known(&foreign)), (404, known(&missing)));
    }
}

#[tokio::test]
async fn conditions_hold_whatever_the_index_says() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let notes = platform.chat(&ann, &ann).await;
    let first = platform.say(chat, &ann, "word one").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = platform.say(chat, &bob, "word two").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    platform.say(notes, &ann, "word three").await;
    let at = second.timestamp();
    assert!(first.timestamp() < at);
    for careless in [false, true] {
        *platform.index.careless.lock().unwrap() = careless;
        for (query, expected) in [
            ("q=word".to_owned(), vec!["word three", "word two", "word one"]),
            (format!("q=word&chat_id={chat}"), vec!["word two", "word one"]),
            (format!("q=word&sender_id={}", bob.id), vec!["word two"]),
            (format!("q=word&from={at}"), vec!["word three", "word two"]),
            (format!("q=word&to={at}"), vec!["word one"]),
            (format!("q=word&from={at}&chat_id={chat}"), vec!["word two"]),
            (format!("q=word&from={at}&to={at}"), vec![]),
            ("q=word&from=2199-01-01T00:00:00%2B01:00".to_owned(), vec![]),
            ("q=word&type=file".to_owned(), vec![]),
            ("q=two%20word&from=&to=&cursor=".to_owned(), vec!["word two"]),
            ("q=missing".to_owned(), vec![]),
        ] {
            assert_eq!(platform.texts(&ann, &query).await, expected, "{careless} {query}");
        }
    }
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repeat() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let mut expected = Vec::new();
    for n in 0..90 {
        // Every third is a hit; the index, careless, offers all of them.
        let text = if n % 3 == 0 { format!("hit {n}") } else { format!("other {n}") };
        platform.say(chat, &ann, &text).await;
        if n % 3 == 0 {
            expected.insert(0, text);
        }
    }
    for careless in [false, true] {
        *platform.index.careless.lock().unwrap() = careless;
        for limit in [1, 7, 10, 30, 100] {
            let (mut read, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/search/messages?q=hit&limit={limit}&cursor={cursor}");
                let (status, page) = platform.get(&bob, &path).await;
                assert_eq!(status, 200, "{page}");
                let hits = page["hits"].as_array().unwrap();
                read.extend(hits.iter().map(|hit| hit["message"]["message"].as_str().unwrap().to_owned()));
                match page["next_cursor"].as_str() {
                    Some(next) => {
                        assert_eq!(hits.len(), limit, "a page before the last is full");
                        next.clone_into(&mut cursor);
                    }
                    None => break,
                }
            }
            assert_eq!(read, expected, "{careless} {limit}");
        }
    }
}

#[tokio::test]
async fn a_request_looks_at_a_bounded_number_of_entries() {
    let platform = Platform::new();
    let (ann, _, _, chat) = people(&platform).await;
    platform.say(chat, &ann, "needle").await;
    for _ in 0..520 {
        platform.say(chat, &ann, "hay").await;
    }
    *platform.index.careless.lock().unwrap() = true;
    let (_, page) = platform.get(&ann, "/search/messages?q=needle").await;
    assert_eq!(page["hits"], json!([]));
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, page) = platform.get(&ann, &format!("/search/messages?q=needle&cursor={cursor}")).await;
    assert_eq!((&page["hits"][0]["message"]["message"], &page["next_cursor"]), (&json!("needle"), &Value::Null));
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    for n in 0..3 {
        platform.say(chat, &ann, &format!("word {n}")).await;
    }
    let (_, page) = platform.get(&ann, "/search/messages?q=word&limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let words = (0..40).fold(String::new(), |words, n| words + &format!("w{n}%20"));
    for (user, query, status, code, field) in [
        (&ann, String::new(), 422, "invalid_request", "q"),
        (&ann, "q=".into(), 422, "empty_query", "q"),
        (&ann, "q=%22%20%3F!".into(), 422, "empty_query", "q"),
        (&ann, format!("q={}", "x".repeat(1_025)), 422, "query_too_long", "q"),
        (&ann, format!("q={words}"), 422, "query_too_long", "q"),
        (&ann, "q=word&limit=0".into(), 422, "out_of_range", "limit"),
        (&ann, "q=word&limit=101".into(), 422, "out_of_range", "limit"),
        (&ann, "q=word&limit=x".into(), 422, "invalid_request", "limit"),
        (&ann, "q=word&chat_id=x".into(), 422, "invalid_request", "chat_id"),
        (&ann, "q=word&sender_id=x".into(), 422, "invalid_request", "sender_id"),
        (&ann, "q=word&type=video".into(), 422, "invalid_request", "type"),
        (&ann, "q=word&from=yesterday".into(), 422, "invalid_timestamp", "from"),
        (&ann, "q=word&to=2024-01-27".into(), 422, "invalid_timestamp", "to"),
        (&ann, "q=word&cursor=x".into(), 400, "invalid_cursor", "cursor"),
        // A cursor serves its own query and caller.
        (&bob, format!("q=word&limit=1&cursor={cursor}"), 400, "invalid_cursor", "cursor"),
        (&ann, format!("q=wor&limit=1&cursor={cursor}"), 400, "invalid_cursor", "cursor"),
        (&ann, format!("q=word&chat_id={chat}&cursor={cursor}"), 400, "invalid_cursor", "cursor"),
    ] {
        let (got, problem) = platform.get(user, &format!("/search/messages?{query}")).await;
        let named = (&problem["code"], &problem["errors"][0]["field"]);
        assert_eq!((got, named), (status, (&json!(code), &json!(field))), "{query}: {problem}");
    }
    let (status, problem) = platform.call(None, "/search/messages?q=word").await;
    assert_eq!((status, &problem["code"]), (401, &json!("missing_token")));
    // Another page size is no other query.
    let (status, page) = platform.get(&ann, &format!("/search/messages?q=word&limit=2&cursor={cursor}")).await;
    assert_eq!((status, page["hits"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn one_person_s_searches_are_limited_and_other_requests_are_not() {
    // 2 searches at once, 10 requests.
    let platform = Platform::limited(1);
    let (ann, bob, _, chat) = people(&platform).await;
    platform.say(chat, &ann, "word").await;
    for _ in 0..2 {
        assert_eq!(platform.get(&ann, "/search/messages?q=word").await.0, 200);
        // What never gets to the index costs nothing.
        assert_eq!(platform.get(&ann, "/search/messages?q=").await.0, 422);
    }
    let (status, problem) = platform.get(&ann, "/search/messages?q=word").await;
    assert_eq!((status, &problem["code"], &problem["limit"]), (429, &json!("rate_limited"), &json!("search")));
    assert_eq!(platform.get(&ann, "/search/messages?q=").await.0, 422, "other requests go on");
    assert_eq!(platform.texts(&bob, "q=word").await, ["word"]);
}

#[tokio::test]
async fn an_index_that_is_away_is_told() {
    let platform = Platform::new();
    let (ann, ..) = people(&platform).await;
    *platform.index.away.lock().unwrap() = true;
    let (status, problem) = platform.get(&ann, "/search/messages?q=word").await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
}

#[tokio::test]
async fn no_search_waits_for_others_at_an_index_that_hangs() {
    let platform = Platform::new();
    let (ann, _, _, chat) = people(&platform).await;
    platform.say(chat, &ann, "word").await;
    let hangs = Duration::from_secs(1);
    *platform.index.hangs.lock().unwrap() = hangs;
    *platform.index.away.lock().unwrap() = true;
    let begun = Instant::now();
    let answers = join_all((0..20).map(|_| platform.get(&ann, "/search/messages?q=word"))).await;
    assert!(begun.elapsed() < 5 * hangs, "{:?}", begun.elapsed());
    for (status, problem) in answers {
        assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    }
    *platform.index.away.lock().unwrap() = false;
    assert_eq!(platform.texts(&ann, "q=word").await, ["word"]);
}

#[tokio::test]
async fn a_blocked_peer_s_messages_stay_in_ones_own_chats() {
    use sentinel_domain::ports::AccountStore;
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    platform.say(chat, &bob, "from before").await;
    platform.store.block(ann.id, bob.id, sentinel_domain::time::Timestamp::now()).await.unwrap();
    // As in history: a block cuts what comes, not what was said.
    for user in [&ann, &bob] {
        assert_eq!(platform.texts(user, "q=before").await, ["from before"]);
    }
}

#[test]
fn the_route_is_described_with_its_answers() {
    let description = serde_json::to_value(sentinel_search::openapi()).unwrap();
    let operation = &description["paths"]["/search/messages"]["get"];
    for status in ["200", "400", "401", "404", "422", "429", "503"] {
        assert!(operation["responses"].get(status).is_some(), "{status}");
    }
    let names: Vec<&str> =
        operation["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["q", "chat_id", "sender_id", "from", "to", "type", "limit", "cursor"]);
    assert!(description["components"]["schemas"]["Message"]["properties"]["message_id"].is_object(), "{description}");
}

#[tokio::test]
async fn one_message_that_can_not_be_read_does_not_hide_the_others() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(platform.say(chat, &ann, &format!("word {n}")).await);
    }
    let mark = |message, error| platform.chats.damaged.lock().unwrap().insert(message, error);
    mark(sent[1], || KeyError::Corrupt.into());
    mark(sent[3], || KeyError::Missing("kek-0002".into()).into());
    assert_eq!(platform.texts(&bob, "q=word").await, ["word 4", "word 2", "word 0"]);
    // What is only away is told: an answer would lack something that is there.
    mark(sent[2], || StoreError::unavailable("away"));
    let (status, problem) = platform.get(&bob, "/search/messages?q=word").await;
    assert!(status >= 500, "{status} {problem}");
}
