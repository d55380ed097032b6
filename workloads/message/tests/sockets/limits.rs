//! What one user can do at once, and what is too much.

use std::time::Duration;

use sentinel_domain::config::LimitsConfig;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::platform::{Platform, client::Client, polling::Polling};

#[tokio::test]
async fn events_beyond_the_queue_are_refused_at_once() {
    let platform =
        Platform::with(LimitsConfig { socket_queue: 4, messages_per_second: 10_000, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut client = Client::of(address, &ann).await;
    for n in 0..200 {
        client.emit(json!(["send_message", {"chat_id": chat, "message": n.to_string()}])).await;
    }
    let mut outcomes = Vec::new();
    for _ in 0..200 {
        let (_, ack) = client.any_ack().await;
        outcomes.push(ack["code"].as_str().unwrap_or("ok").to_owned());
    }
    assert!(outcomes.iter().all(|outcome| outcome == "ok" || outcome == "too_many_events"), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| outcome == "too_many_events"));
    assert_eq!(client.ask("heartbeat", json!({})).await["status"], "ok");
}

/// What waits is in memory: large packets count by their size.
#[tokio::test]
async fn large_packets_that_wait_are_refused_before_they_are_many() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 10_000, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let mut client = Client::of(address, &ann).await;
    let large = "x".repeat(120 * 1024);
    for _ in 0..200 {
        client.emit(json!(["no_such_event", {"text": large}])).await;
    }
    let mut codes = Vec::new();
    for _ in 0..200 {
        codes.push(client.any_ack().await.1["code"].as_str().unwrap().to_owned());
    }
    let handled = codes.iter().filter(|code| *code == "unknown_event").count();
    assert!(handled >= 34, "4 MiB of them fit: {handled}");
    assert!(codes.iter().all(|code| code == "unknown_event" || code == "too_many_events"), "{codes:?}");
    assert_eq!(client.ask("heartbeat", json!({})).await["status"], "ok");
}

/// What of its sends is under way may have the turn of a chat, which goes on to the next only when it goes on itself.
#[tokio::test]
async fn a_client_that_is_slow_to_read_holds_up_no_others_sends() {
    let platform = Platform::with_turns();
    let address = platform.listen().await;
    let [ann, bob, eve] = [platform.user("ann").await, platform.user("bob").await, platform.user("eve").await];
    let (chat, other) = (platform.chat(&ann, &bob).await, platform.chat(&bob, &eve).await);
    let path = |chat: &str| format!("/users/chat/{chat}/messages");
    for _ in 0..5 {
        platform.post(&bob, &path(&chat), json!({"message": "\u{1}".repeat(16 * 1024)})).await;
    }
    let mut slow = Polling::open(&[address]).await;
    slow.post(&format!("40/chat,{}", json!({"token": ann.token}))).await;
    slow.packet("42/chat,[\"ready\"").await;
    // The answers to these, about a MiB each, are more than may wait for a client.
    let syncs = (1..=5).map(|id| format!("42/chat,{id}{}", json!(["sync", {}])));
    let send = |id| json!(["send_message", {"chat_id": chat, "message": format!("number {id}")}]);
    let sends = (6..=9).map(|id| format!("42/chat,{id}{}", send(id)));
    let packets: Vec<String> = syncs.chain(sends).collect();
    assert_eq!(slow.post(&packets.join("\u{1e}")).await.0, 200);
    let newest = async || platform.get(&bob, &format!("/users/chat/{chat}?limit=1")).await.1["messages"][0].clone();
    let written = async {
        while !newest().await["message"].as_str().unwrap().starts_with("number") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), written).await.expect("its own sends");

    let body = json!({"message": "of another chat"});
    let sent = timeout(Duration::from_secs(3), platform.post(&eve, &path(&other), body)).await;
    assert_eq!(sent.expect("others do not wait until it reads").0, 201);
    for id in 6..=9 {
        let answer = slow.packet(&format!("43/chat,{id}")).await;
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()[0]["status"], "ok", "{answer}");
    }
    assert_eq!(newest().await["message"], "number 9");
}

/// Each join reads the stores, also when the client leaves at once.
#[tokio::test]
async fn who_joins_again_and_again_is_refused() {
    // The seat of one that left is free a moment later.
    let limits = LimitsConfig { messages_per_second: 1, sockets_per_user: 1_000, ..LimitsConfig::default() };
    let platform = Platform::with(limits);
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    // A connection without any namespace would be closed.
    let mut client = Client::open(address, None).await.unwrap().in_namespace("/notifications");
    client.join(json!({"token": ann.token})).await.unwrap();
    client = client.in_namespace("/chat");
    let mut refusal = None;
    for _ in 0..60 {
        match client.join(json!({"token": ann.token})).await {
            Ok(()) => client.send("41/chat,").await,
            Err(refused) => {
                refusal = Some(refused);
                break;
            }
        }
    }
    let refusal = refusal.expect("a limit");
    assert_eq!(refusal["data"]["code"], "rate_limited");
    assert!(refusal["message"].as_str().unwrap().contains("wait"), "{refusal}");
    Client::of(address, &bob).await;
}

#[tokio::test]
async fn senders_are_limited_and_told_when_to_go_on() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut client = Client::of(address, &ann).await;
    let (mut taken, mut refused) = (0, Value::Null);
    // Counted, for on a slow machine some more come in while these are written.
    while refused.is_null() && taken < 40 {
        let answer = client.ask("send_message", json!({"chat_id": chat, "message": "x"})).await;
        if answer["status"] == "ok" { taken += 1 } else { refused = answer }
    }
    assert!(taken >= 10, "{taken}: {refused}");
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("rate_limited"), &json!("message")));
    assert!(refused["detail"].as_str().unwrap().starts_with("too many messages"), "{refused}");
    assert!(refused["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{refused}");
}

#[tokio::test]
async fn who_writes_very_much_is_limited_by_its_length() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut client = Client::of(address, &ann).await;
    let longest = "x".repeat(16 * 1024);
    let sent = client.ask("send_message", json!({"chat_id": chat, "message": longest})).await;
    assert_eq!(sent["status"], "ok", "{sent}");
    let edit = json!({"chat_id": chat, "message_id": sent["message_id"], "message": longest});
    for (event, payload) in [("send_message", json!({"chat_id": chat, "message": longest})), ("edit_message", edit)] {
        let refused = client.ask(event, payload).await;
        assert_eq!((&refused["code"], &refused["limit"]), (&json!("rate_limited"), &json!("message_bytes")), "{event}");
        assert!(refused["detail"].as_str().unwrap().starts_with("too many bytes of text"), "{refused}");
        assert!(refused["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{refused}");
    }
    let short = client.ask("send_message", json!({"chat_id": chat, "message": "a word"})).await;
    assert_eq!(short["status"], "ok", "there is room for it");
    let mut other = Client::of(address, &bob).await;
    assert_eq!(other.ask("send_message", json!({"chat_id": chat, "message": longest})).await["status"], "ok");
}

/// Whatever is refused costs something, too, and is acknowledged all the same.
#[tokio::test]
async fn events_that_are_refused_are_limited_like_others() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (bob, nobody) = (platform.user("bob").await, uuid::Uuid::nil());
    let elsewhere = json!({"chat_id": nobody, "message_id": nobody, "message": "x", "sender_id": bob.id});
    let cases = [
        ("/chat", json!(["no_such_event", {}]), "unknown_event"),
        ("/", json!(["send_message", {}]), "unknown_event"),
        ("/notifications", json!(["typing", {}]), "unknown_event"),
        ("/chat", json!(["send_message", {"chat_id": 5}]), "malformed"),
        ("/chat", json!(["edit_message", "text"]), "malformed"),
        ("/chat", json!(["edit_message", elsewhere]), "forbidden"),
        ("/chat", json!(["delete_message"]), "malformed"),
        ("/chat", json!(["delete_message", elsewhere]), "forbidden"),
        ("/chat", json!(["send_message", elsewhere]), "forbidden"),
    ];
    for (number, (namespace, packet, code)) in cases.into_iter().enumerate() {
        let user = platform.user(&format!("user{number}")).await;
        let mut client = Client::open(address, None).await.unwrap().in_namespace(namespace);
        client.join(json!({"token": user.token})).await.unwrap();
        for _ in 0..60 {
            client.emit(packet.clone()).await;
        }
        let mut codes = Vec::new();
        for _ in 0..60 {
            codes.push(client.any_ack().await.1["code"].as_str().unwrap().to_owned());
        }
        assert_eq!(codes[0], code, "{packet}");
        assert!(codes.iter().all(|other| other == code || other == "rate_limited"), "{packet}: {codes:?}");
        assert!(codes.iter().any(|code| code == "rate_limited"), "{packet}");
    }
}

#[tokio::test]
async fn a_user_has_so_many_sockets_and_no_more() {
    let platform = Platform::with(LimitsConfig { sockets_per_user: 2, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let _first = Client::of(address, &ann).await;
    let second = Client::of(address, &ann).await;
    let mut third = Client::open(address, None).await.unwrap();
    let refusal = third.join(json!({"token": ann.token})).await.unwrap_err();
    assert_eq!(refusal["data"]["code"], "too_many_sockets");
    let said = "2 sockets of this user are open: close one, or connect again in a minute";
    assert_eq!(refusal["message"], said);
    drop(second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    Client::of(address, &ann).await;
}

/// Escapes make a text larger, and it is there twice.
#[tokio::test]
async fn a_page_of_large_messages_leaves_room_for_live_events() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1_000, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let path = format!("/users/chat/{chat}/messages");
    for _ in 0..80 {
        assert_eq!(platform.post(&ann, &path, json!({"message": "\u{1}".repeat(16 * 1024)})).await.0, 201);
    }
    let mut client = Client::of(address, &bob).await;
    let (mut since, mut got, mut pages) = (Value::Null, 0, 0);
    loop {
        let id = client.emit(json!(["sync", {"since": since}])).await;
        platform.post(&ann, &path, json!({"message": "live"})).await;
        let page = client.ack(id).await;
        assert_eq!(page["status"], "ok");
        let events = page["events"].as_array().unwrap();
        let bytes: usize = events.iter().map(|event| event["data"].to_string().len()).sum();
        assert!(!events.is_empty() && bytes <= 1024 * 1024, "{} events of {bytes} bytes", events.len());
        let (_, same) = platform.get(&bob, &format!("/sync?since={}", since.as_str().unwrap_or_default())).await;
        assert_eq!(same["events"][0], page["events"][0]);
        assert!(same["events"].to_string().len() <= 1024 * 1024 + 100 * events.len());
        got += events.iter().filter(|event| event["data"]["message"] != "live").count();
        (since, pages) = (page["next"].clone(), pages + 1);
        if page["more"] == false {
            break;
        }
    }
    // The chat's start, too.
    assert_eq!((got, pages > 10), (81, true), "{pages} pages");
}
