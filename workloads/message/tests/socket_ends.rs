//! How sockets end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod platform;

use std::time::{Duration, Instant};

use platform::{Platform, client::Client, now};
use sentinel_domain::{config::LimitsConfig, ports::SessionStore};
use serde_json::json;

#[tokio::test]
async fn a_socket_ends_with_its_session() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let other = platform.log_in(ann.id, &ann.name).await;
    let mut ended = Client::of(address, &ann).await;
    let mut stays = Client::of(address, &other).await;
    let start = Instant::now();
    platform.store.end_session(ann.id, ann.session).await.unwrap();
    assert!(ended.end().await, "a namespace disconnect, so that clients stay away");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(stays.ask("heartbeat", json!({})).await["status"], "ok");
    let mut again = Client::open(address, None).await.unwrap();
    assert_eq!(again.join(json!({"token": ann.token})).await.unwrap_err()["data"]["code"], "session_ended");
}

#[tokio::test]
async fn a_socket_ends_with_its_token_unless_it_gets_a_new_one() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let issued_so_that = |seconds_left: i64| {
        let issued = now().plus_seconds(seconds_left - platform.tokens.lifetime_seconds());
        platform.tokens.issue(ann.id, ann.session, &ann.name, issued).unwrap().token
    };
    let mut client = Client::open(address, None).await.unwrap();
    client.join(json!({"token": issued_so_that(3)})).await.unwrap();
    assert!(client.event("token_expiring").await["expires_at"].is_string());
    let mut renewed = Client::open(address, None).await.unwrap();
    renewed.join(json!({"token": issued_so_that(3)})).await.unwrap();
    let bob = platform.user("bob").await;
    assert_eq!(renewed.ask("reauthenticate", json!({"token": bob.token})).await["code"], "forbidden");
    assert_eq!(renewed.ask("reauthenticate", json!({"token": ann.token})).await["status"], "ok");
    assert!(client.end().await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(renewed.ask("heartbeat", json!({})).await["status"], "ok");
}

#[tokio::test]
async fn a_namespace_ends_with_its_token_and_leaves_the_others_of_its_connection_alone() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let issued = now().plus_seconds(5 - platform.tokens.lifetime_seconds());
    let short = json!({"token": platform.tokens.issue(ann.id, ann.session, &ann.name, issued).unwrap().token});
    let mut client = Client::of(address, &ann).await;
    for namespace in ["/notifications", "/"] {
        client = client.in_namespace(namespace);
        client.join(short.clone()).await.unwrap();
        assert!(client.event("token_expiring").await["expires_at"].is_string(), "{namespace}");
        assert_eq!(client.ask("send_message", json!({})).await["code"], "unknown_event", "{namespace}");
    }
    // Of all three only `/notifications` gets no new token.
    assert_eq!(client.ask("reauthenticate", json!({"token": ann.token})).await["status"], "ok");
    client = client.in_namespace("/notifications");
    assert!(client.end().await, "a namespace disconnect");
    // Longer than clients have to close the connection once nothing is left of it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for namespace in ["/chat", "/"] {
        client = client.in_namespace(namespace);
        assert_eq!(client.ask("reauthenticate", json!({"token": ann.token})).await["status"], "ok", "{namespace}");
    }
    platform.store.end_session(ann.id, ann.session).await.unwrap();
    client.closed().await;
}

/// A connection without a socket has no seat, no token and no session: it must not stay for as long as it answers pings.
#[tokio::test]
async fn a_connection_ends_soon_after_its_client_left_the_last_namespace() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let mut client = Client::of(address, &ann).await.in_namespace("/notifications");
    client.join(json!({"token": ann.token})).await.unwrap();
    client.send("41/chat,").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let token = json!({"token": ann.token});
    assert_eq!(client.ask("reauthenticate", token.clone()).await["status"], "ok", "another namespace is used");
    client.send("41/notifications,").await;
    client.join(token.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.ask("reauthenticate", token).await["status"], "ok", "it came back");
    client.send("41/notifications,").await;
    client.closed().await;
}

/// The token is good when it is looked at, and its session ends before the socket bears it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_socket_does_not_outlive_the_log_in_that_it_is_about_to_bear() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let first = platform.user("ann").await;
    for _ in 0..30 {
        let (ann, other) = (platform.log_in(first.id, &first.name).await, platform.log_in(first.id, &first.name).await);
        let mut client = Client::of(address, &ann).await;
        let renewed = client.emit(json!(["reauthenticate", {"token": other.token}]));
        tokio::join!(renewed, async { platform.store.end_session(other.id, other.session).await.unwrap() });
        tokio::time::sleep(Duration::from_millis(20)).await;
        platform.store.end_session(ann.id, ann.session).await.unwrap();
        assert!(client.end().await, "neither log-in is left");
    }
}

#[tokio::test]
async fn a_client_that_joins_again_with_another_log_in_keeps_its_connection() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let other = platform.log_in(ann.id, &ann.name).await;
    let mut client = Client::of(address, &ann).await;
    platform.store.end_session(ann.id, ann.session).await.unwrap();
    assert!(client.end().await);
    client.join(json!({"token": other.token})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.ask("heartbeat", json!({})).await["status"], "ok");
}

#[tokio::test]
async fn draining_breaks_the_transports_over_the_window_and_takes_no_more() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::of(address, &ann).await);
    }
    let start = Instant::now();
    let service = platform.service.clone();
    let drain = tokio::spawn(async move { service.drain(Duration::from_secs(1)).await });
    let ends = clients.into_iter().map(async |mut client| {
        assert!(!client.end().await, "no namespace disconnect, so that clients come back");
        start.elapsed()
    });
    let mut ends = futures::future::join_all(ends).await;
    ends.sort();
    assert!(ends[9] > ends[0] + Duration::from_millis(400), "{ends:?}");
    assert_eq!(Client::open(address, None).await.err(), Some(503));
    drain.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_syncs_when_it_is_back() {
    let platform = Platform::with(LimitsConfig { messages_per_second: 1_000, ..LimitsConfig::default() });
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::open(address, None).await.unwrap();
    bobs.join(json!({"token": bob.token})).await.unwrap();
    let mut since = bobs.event("ready").await["sync_token"].clone();
    // As many bytes as may wait here and in the system's buffers.
    let text = "x".repeat(16 * 1024);
    for _ in 0..500 {
        anns.emit(json!(["send_message", {"chat_id": chat, "message": text}])).await;
    }
    let mut sent = Vec::new();
    for _ in 0..500 {
        let ack = anns.any_ack().await.1;
        assert_eq!(ack["status"], "ok", "{ack}");
        sent.push(ack["message_id"].as_str().unwrap().to_owned());
    }
    assert!(!bobs.end().await, "the transport broke");
    let mut back = Client::of(address, &bob).await;
    let (mut synced, mut more) = (Vec::new(), true);
    while more {
        let page = back.ask("sync", json!({"since": since})).await;
        assert_eq!((&page["status"], &page["reset"]), (&json!("ok"), &json!(false)), "{}", page["code"]);
        let events = page["events"].as_array().unwrap().iter().filter(|event| event["event"] == "receive_message");
        synced.extend(events.map(|event| event["data"]["message_id"].as_str().unwrap().to_owned()));
        (since, more) = (page["next"].clone(), page["more"] == true);
    }
    sent.sort();
    assert!(synced == sent, "{} of {}", synced.len(), sent.len());
}
