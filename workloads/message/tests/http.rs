//! The HTTP routes over a real store: chats, histories, receipts and sync.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "http/leniency.rs"]
mod leniency;
#[path = "http/messages.rs"]
mod messages;
mod platform;

use std::sync::Arc;

use platform::{Foundation, Platform, User, ids, inboxes::Failing, now, without};
use sentinel_domain::{
    clock::{self, HybridClock},
    config::LimitsConfig,
    cursor,
    ids::EventId,
    notification::{MutedChat, Preferences},
    place::InboxPlace,
    ports::{AccountStore, NotificationStore},
    time::Timestamp,
};
use sentinel_message::Hub;
use serde_json::{Value, json};

/// Two users with a chat, and one who is not in it.
async fn people(platform: &Platform) -> (User, User, User, String) {
    let (ann, bob, eve) = (platform.user("ann").await, platform.user("bob").await, platform.user("eve").await);
    let chat = platform.chat(&ann, &bob).await;
    (ann, bob, eve, chat)
}

async fn send(platform: &Platform, user: &User, chat: &str, text: &str) -> String {
    let (status, message) =
        platform.post(user, &format!("/users/chat/{chat}/messages"), json!({"message": text})).await;
    assert_eq!(status, 201, "{message}");
    message["message_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_chat_is_started_once_whoever_starts_it() {
    let platform = Platform::new();
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let (status, first) = platform.post(&ann, "/users/chat", json!({"receiver_id": bob.id})).await;
    assert_eq!((status, &first["created"]), (201, &json!(true)));
    assert_eq!(first["peer"], json!({"user_id": bob.id, "username": "bob", "display_name": "bob", "avatar_url": null}));
    let (status, second) = platform.post(&bob, "/users/chat", json!({"receiver_id": ann.id})).await;
    assert_eq!((status, &second["created"], &second["chat_id"]), (200, &json!(false), &first["chat_id"]));
    let (status, own) = platform.post(&ann, "/users/chat", json!({"receiver_id": ann.id})).await;
    assert_eq!((status, &own["peer"]["username"]), (201, &json!("ann")));

    let chat = first["chat_id"].clone();
    for (body, status, code) in [
        (json!({"receiver_id": chat}), 404, "not_found"),
        (json!({"receiver_id": bob.id, "sender_id": bob.id}), 403, "forbidden"),
        (json!({"receiver_id": "x"}), 422, "invalid_request"),
        (json!({}), 422, "invalid_request"),
    ] {
        let (got, problem) = platform.post(&ann, "/users/chat", body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)));
    }
    let eve = platform.user("eve").await;
    platform.store.block(eve.id, ann.id, now()).await.unwrap();
    let (status, problem) = platform.post(&ann, "/users/chat", json!({"receiver_id": eve.id})).await;
    assert_eq!((status, &problem["code"]), (403, &json!("blocked")));
}

#[tokio::test]
async fn who_starts_chats_again_and_again_is_limited() {
    let platform = Platform::new();
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let start = async |user: &User| platform.post(user, "/users/chat", json!({"receiver_id": bob.id})).await;
    let (mut taken, mut answer) = (0, start(&ann).await);
    // Counted, for on a slow machine some more come in meanwhile.
    while answer.0 < 300 && taken < 240 {
        (taken, answer) = (taken + 1, start(&ann).await);
    }
    let (status, refused) = answer;
    assert_eq!((status, &refused["code"], &refused["limit"]), (429, &json!("rate_limited"), &json!("start_chat")));
    assert!(taken >= 60, "{taken}");
    assert_eq!(start(&bob).await.0, 201);
}

#[tokio::test]
async fn the_callers_chats_come_newest_activity_first_in_pages() {
    let platform = Platform::new();
    let ann = platform.user("ann").await;
    let mut chats = Vec::new();
    for name in ["bob", "carl", "dora"] {
        let peer = platform.user(name).await;
        let chat = platform.chat(&ann, &peer).await;
        send(&platform, &peer, &chat, &format!("from {name}")).await;
        chats.push(chat);
    }
    let newest = send(&platform, &ann, &chats[0], "last").await;
    let expected = json!([chats[0], chats[2], chats[1]]);
    for path in ["/users/chat".to_owned(), "/users/chat/".to_owned(), format!("/users/chat?user_id={}", ann.id)] {
        let (status, page) = platform.get(&ann, &path).await;
        assert_eq!((status, &page["status"], &page["chat_ids"]), (200, &json!(200), &expected), "{path}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    let (_, first) = platform.get(&ann, "/users/chat?limit=2").await;
    let entry = &first["chats"][0];
    assert_eq!(
        without(entry, &["peer", "last_message"]),
        without(
            &json!({"chat_id": chats[0], "unread": 1, "delivered_up_to": entry["delivered_up_to"],
                "read_up_to": entry["read_up_to"], "muted": false}),
            &[]
        )
    );
    assert_eq!((&entry["last_message"]["message_id"], &entry["peer"]["username"]), (&json!(newest), &json!("bob")));
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = platform.get(&ann, &format!("/users/chat?limit=2&cursor={cursor}")).await;
    assert_eq!((&second["chat_ids"], &second["next_cursor"]), (&json!([chats[1]]), &Value::Null));

    let bob = platform.user("bob2").await;
    for (user, path, status, code) in [
        (&bob, format!("/users/chat?cursor={cursor}"), 400, "invalid_cursor"),
        (&ann, "/users/chat?cursor=x".to_owned(), 400, "invalid_cursor"),
        (&ann, format!("/users/chat?user_id={}", bob.id), 403, "forbidden"),
        (&ann, "/users/chat?user_id=x".to_owned(), 422, "invalid_request"),
        (&ann, "/users/chat?limit=0".to_owned(), 422, "out_of_range"),
        (&ann, "/users/chat?limit=x".to_owned(), 422, "invalid_request"),
    ] {
        let (got, problem) = platform.get(user, &path).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{path}");
    }
}

#[tokio::test]
async fn the_list_tells_which_chats_the_caller_muted_until_that_ends() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let other = platform.chat(&ann, &eve).await;
    let muted = async |user: &User| {
        let (status, page) = platform.get(user, "/users/chat").await;
        assert_eq!(status, 200, "{page}");
        let chats = page["chats"].as_array().unwrap();
        let muted = chats.iter().map(|entry| (entry["chat_id"].as_str().unwrap(), entry["muted"].as_bool().unwrap()));
        muted.filter(|(_, muted)| *muted).map(|(chat, _)| chat.to_owned()).collect::<Vec<String>>()
    };
    let mute = async |chat: &str, seconds: i64| {
        let (chat_id, until) = (chat.parse().unwrap(), now().plus_seconds(seconds).0);
        let preferences = Preferences { muted: vec![MutedChat { chat_id, until }], ..Preferences::default() };
        platform.store.set_preferences(ann.id, &preferences).await.unwrap();
    };
    assert_eq!(muted(&ann).await, [""; 0]);
    mute(&chat, 3600).await;
    assert_eq!(muted(&ann).await, [chat.as_str()]);
    assert_eq!(muted(&bob).await, [""; 0], "the peer is not told");
    mute(&other, 3600).await;
    assert_eq!(muted(&ann).await, [other.as_str()]);
    mute(&other, -1).await;
    assert_eq!(muted(&ann).await, [""; 0], "it has ended");

    mute(&chat, 3600).await;
    for failing in [Failing::Away, Failing::Damaged] {
        platform.inboxes.fail(ann.id, failing);
        assert_eq!(muted(&ann).await, [""; 0], "the chats are listed all the same");
        assert_eq!(platform.get(&ann, "/users/chat").await.1["chat_ids"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn history_is_read_in_both_directions() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let mut sent = Vec::new();
    for n in 0..7 {
        sent.push(send(&platform, if n % 2 == 0 { &ann } else { &bob }, &chat, &n.to_string()).await);
    }
    sent.reverse();
    let path = format!("/users/chat/{chat}");
    let (_, page) = platform.get(&bob, &format!("{path}?limit=3")).await;
    assert_eq!((ids(&page["messages"]), &page["prev_cursor"]), (sent[..3].to_vec(), &Value::Null));
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let (_, page) = platform.get(&bob, &format!("{path}?limit=3&cursor={cursor}")).await;
    assert_eq!(ids(&page["messages"]), sent[3..6]);
    let newer = page["prev_cursor"].as_str().unwrap();
    let (_, back) = platform.get(&bob, &format!("{path}?limit=3&cursor={newer}")).await;
    assert_eq!(ids(&back["messages"]), sent[..3]);
    let older = page["next_cursor"].as_str().unwrap();
    let (_, last) = platform.get(&bob, &format!("{path}?limit=3&cursor={older}")).await;
    assert_eq!((ids(&last["messages"]), &last["next_cursor"]), (sent[6..].to_vec(), &Value::Null));
    for (query, expected) in [
        (format!("before={}", sent[4]), &sent[5..]),
        (format!("after={}", sent[4]), &sent[..4]),
        (format!("after={}&limit=2", sent[4]), &sent[2..4]),
        (format!("around={}&limit=3", sent[3]), &sent[2..5]),
    ] {
        let (_, page) = platform.get(&ann, &format!("{path}?{query}")).await;
        assert_eq!(ids(&page["messages"]), expected, "{query}");
    }

    let other = platform.chat(&bob, &eve).await;
    for (user, path, status, code) in [
        (&eve, path.clone(), 404, "not_found"),
        (&ann, format!("/users/chat/{}", ann.id), 404, "not_found"),
        (&ann, format!("{path}?cursor={cursor}"), 400, "invalid_cursor"),
        (&bob, format!("/users/chat/{other}?cursor={cursor}"), 400, "invalid_cursor"),
        (&ann, format!("{path}?before={0}&after={0}", sent[0]), 422, "conflicting_parameters"),
        (&ann, format!("{path}?before=x"), 422, "invalid_request"),
        (&ann, format!("{path}?limit=101"), 422, "out_of_range"),
        (&ann, "/users/chat/x".to_owned(), 422, "invalid_request"),
    ] {
        let (got, problem) = platform.get(user, &path).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{path}");
    }
}

#[tokio::test]
async fn clients_of_the_seed_page_as_they_did() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let mut sent = Vec::new();
    for n in 0..10 {
        sent.push(send(&platform, &ann, &chat, &n.to_string()).await);
    }
    sent.reverse();
    let path = format!("/users/chat/{chat}");
    let (status, first) = platform.post(&bob, &path, json!({})).await;
    assert_eq!((status, ids(&first["user_messages"])), (200, sent[..5].to_vec()));
    let message = &first["user_messages"][0];
    assert_eq!((&message["content"], &message["sender_id"]), (&json!("9"), &json!(ann.id)));
    assert!(message["timestamp"].as_str().unwrap().ends_with('Z'));
    let state = &first["next_paging_state_id"];
    let (_, last) = platform.post(&bob, &path, json!({"paging_state_id": state})).await;
    assert_eq!((ids(&last["user_messages"]), last.get("next_paging_state_id")), (sent[5..].to_vec(), None));
    let time = message["timestamp"].as_str().unwrap();
    let seeds = time.replace('T', " ").replace('Z', "000");
    for starting in [time, &seeds] {
        let (_, page) = platform.post(&bob, &path, json!({"fetch_size": 1, "starting_timestamp_str": starting})).await;
        assert_eq!(ids(&page["user_messages"]), sent[..1], "{starting}");
    }
    for (user, body, status, code) in [
        (&ann, json!({"paging_state_id": state}), 400, "invalid_cursor"),
        (&bob, json!({"fetch_size": 0}), 422, "out_of_range"),
        (&bob, json!({"starting_timestamp_str": "yesterday"}), 422, "invalid_timestamp"),
        (&eve, json!({}), 404, "not_found"),
    ] {
        let (got, problem) = platform.post(user, &path, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn reading_moves_a_watermark_that_never_goes_back() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let first = send(&platform, &ann, &chat, "1").await;
    let second = send(&platform, &ann, &chat, "2").await;
    let path = format!("/users/chat/{chat}/read");
    for id in [&second, &first] {
        assert_eq!(platform.post(&bob, &path, json!({"message_id": id})).await.0, 204);
        let (_, page) = platform.get(&ann, &format!("/users/chat/{chat}")).await;
        for message in page["messages"].as_array().unwrap() {
            assert_eq!((&message["status"], message["seen_at"].is_string()), (&json!("read"), true));
        }
        let (_, chats) = platform.get(&bob, "/users/chat").await;
        assert_eq!((&chats["chats"][0]["unread"], &chats["chats"][0]["read_up_to"]), (&json!(0), &json!(second)));
    }
    assert_eq!(platform.post(&eve, &path, json!({"message_id": first})).await.0, 404);
    assert_eq!(platform.post(&bob, &path, json!({"message_id": eve.id})).await.0, 404);
    assert_eq!(platform.post(&bob, &path, json!({})).await.0, 422);
}

#[tokio::test]
async fn sync_tells_what_happened_in_order_and_as_it_is_now() {
    let platform = Platform::new();
    let (ann, bob, eve, chat) = people(&platform).await;
    let kept = send(&platform, &ann, &chat, "kept").await;
    let gone = send(&platform, &ann, &chat, "gone").await;
    platform.call(&ann, "DELETE", &format!("/users/chat/{chat}/messages/{gone}"), None).await;
    platform.post(&bob, &format!("/users/chat/{chat}/read"), json!({"message_id": kept})).await;
    let mut since = String::new();
    let mut events = Vec::new();
    loop {
        let (status, page) = platform.get(&bob, &format!("/sync?limit=2&since={since}")).await;
        assert_eq!((status, &page["reset"]), (200, &json!(false)));
        events.extend(page["events"].as_array().unwrap().clone());
        since = page["next"].as_str().unwrap().to_owned();
        if page["more"] == json!(false) {
            break;
        }
    }
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["chat_started", "receive_message", "receive_message", "message_deleted", "receipt"]);
    let started = &events[0]["data"];
    assert_eq!((&started["chat_id"], &started["by"]), (&json!(chat), &json!(ann.id)));
    assert!([ann.id, bob.id].iter().all(|id| started["members"].as_array().unwrap().contains(&json!(id))), "{started}");
    assert_eq!((&events[1]["data"]["message"], &events[1]["data"]["status"]), (&json!("kept"), &json!("read")));
    assert_eq!((&events[2]["data"]["message"], &events[2]["data"]["deleted"]), (&json!(""), &json!(true)));
    assert_eq!(events[3]["data"], json!({"chat_id": chat, "message_id": gone}));
    assert_eq!(events[4]["data"]["read_up_to"], json!(kept));
    assert!(events.windows(2).all(|pair| pair[0]["event_id"].as_str() < pair[1]["event_id"].as_str()));

    let (_, page) = platform.get(&bob, &format!("/sync?since={since}")).await;
    assert_eq!((&page["events"], &page["more"]), (&json!([]), &json!(false)));
    assert_eq!(platform.get(&eve, &format!("/sync?since={since}")).await.0, 400);
    let (status, lost) = platform.get(&eve, "/sync?since=x").await;
    assert_eq!((status, &lost["code"]), (400, &json!("invalid_cursor")));
    // Without it, sync would tell everything from the oldest event on.
    let detail = lost["detail"].as_str().unwrap();
    assert!(detail.contains("load the chats anew") && !detail.contains("start again without it"), "{detail}");
    assert_eq!(platform.get(&eve, "/sync?limit=0").await.0, 422);
}

/// Its chats have to be loaded anew, and it is told so once.
#[tokio::test]
async fn a_client_that_was_away_for_too_long_is_told_and_goes_on_from_there() {
    let platform = Platform::new();
    let (ann, bob, _, chat) = people(&platform).await;
    let sync = async |since: &Value| {
        let (status, page) = platform.get(&bob, &format!("/sync?since={}", since.as_str().unwrap())).await;
        assert_eq!((status, &page["more"]), (200, &json!(false)));
        page
    };
    let before = sync(&json!("")).await;
    send(&platform, &ann, &chat, "long ago").await;
    let missed = sync(&before["next"]).await;
    assert_eq!((&missed["reset"], missed["events"].as_array().unwrap().len()), (&json!(false), 1));
    let id = missed["events"][0]["event_id"].as_str().unwrap();
    platform.inboxes.prune(bob.id, EventId(id.parse().unwrap()));
    let kept = send(&platform, &ann, &chat, "today").await;
    let page = sync(&before["next"]).await;
    assert_eq!((&page["reset"], page["events"].as_array().unwrap().len()), (&json!(true), 1));
    assert_eq!(page["events"][0]["data"]["message_id"], json!(kept));
    let next = sync(&page["next"]).await;
    assert_eq!((&next["reset"], &next["events"]), (&json!(false), &json!([])));
}

/// In a flood of events a token lists those of the last minute, all of which are read over again.
#[tokio::test]
async fn who_reads_a_flood_over_and_over_is_limited_and_nobody_else_is() {
    let foundation = Foundation::new(LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
    let hub = Arc::new(Hub::new());
    let store = foundation.store(Arc::new(HybridClock::new()), hub.clone());
    let platform = foundation.process(store.clone(), Arc::new(store.clone()), Arc::new(store), hub, None);
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let start = now().0.unsigned_abs();
    let events: Vec<EventId> =
        (0..2_000).map(|n| EventId(clock::Instant { millis: start + n * 10, counter: 0 }.id(7))).collect();
    let place = InboxPlace::exactly(events[0]).after_page(&events, None, Timestamp(0));
    let sync = async |user: &User| {
        let since = cursor::encode(&foundation.keyring, "sync", user.id, &place.to_bytes());
        platform.get(user, &format!("/sync?since={since}")).await
    };
    assert_eq!(sync(&ann).await.0, 200);
    let (status, problem) = sync(&ann).await;
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")));
    assert_eq!(sync(&bob).await.0, 200);
    for _ in 0..20 {
        assert_eq!(platform.get(&ann, "/sync").await.0, 200, "what reads nothing again is not limited by that");
    }
}

#[tokio::test]
async fn every_route_needs_a_token() {
    let platform = Platform::new();
    let mut nobody = platform.user("ann").await;
    nobody.token = "nonsense".into();
    let id = nobody.id();
    for (method, path) in [
        ("POST", "/users/chat".to_owned()),
        ("GET", "/users/chat".to_owned()),
        ("GET", format!("/users/chat/{id}")),
        ("POST", format!("/users/chat/{id}")),
        ("POST", format!("/users/chat/{id}/messages")),
        ("PATCH", format!("/users/chat/{id}/messages/{id}")),
        ("DELETE", format!("/users/chat/{id}/messages/{id}")),
        ("POST", format!("/users/chat/{id}/read")),
        ("GET", "/sync".to_owned()),
    ] {
        assert_eq!(platform.call(&nobody, method, &path, Some(json!({}))).await.0, 401, "{method} {path}");
    }
}

#[test]
fn every_route_is_described_with_its_answers() {
    let api = serde_json::to_value(sentinel_message::openapi()).unwrap();
    let paths = api["paths"].as_object().unwrap();
    let routes: Vec<(&str, Vec<&str>)> = paths
        .iter()
        .map(|(path, item)| (path.as_str(), item.as_object().unwrap().keys().map(String::as_str).collect()))
        .collect();
    let expected = [
        ("/sync", vec!["get"]),
        ("/users/chat", vec!["get", "post"]),
        ("/users/chat/{chat_id}", vec!["get", "post"]),
        ("/users/chat/{chat_id}/messages", vec!["post"]),
        ("/users/chat/{chat_id}/messages/{message_id}", vec!["delete", "patch"]),
        ("/users/chat/{chat_id}/read", vec!["post"]),
    ];
    assert_eq!(routes, expected);
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            let mut expected = vec!["401", "422", "429", "503"];
            if operation.get("requestBody").is_some() {
                expected.extend(["400", "413", "415"]);
            }
            for status in expected {
                assert!(answers.contains_key(status), "{method} {path} {status}");
            }
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "400") {
                let content: Vec<_> = answer["content"].as_object().unwrap().keys().collect();
                assert_eq!(content, ["application/problem+json"], "{method} {path} {status}");
            }
        }
    }
}
