//! Several replicas of the message service behind something that sends requests to any of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod platform;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, Request},
    routing::any,
};
use futures::{SinkExt, StreamExt};
use platform::{
    Platform,
    client::Client,
    polling::{Polling, send},
};
use sentinel_domain::ports::SessionStore;
use sentinel_message::Replica;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, connect_async,
    tungstenite::{self, Message},
};

const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
/// Nobody listens on the address of this replica.
const DEAD: u16 = 7;

/// Two replicas with an address each, and how they reach each other.
struct Pair {
    first: Platform,
    second: Platform,
    addresses: [SocketAddr; 2],
}

/// Replica N listens on `127.0.N.1`, all of them on one port.
async fn listeners() -> (TcpListener, TcpListener, String) {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(format!("127.0.1.1:{port}")).await {
            return (first, second, format!("127.0.{{ordinal}}.1:{port}"));
        }
    }
}

impl Pair {
    async fn new() -> Self {
        let (first, second) = (Platform::new(), Platform::new());
        let (zero, one, peers) = listeners().await;
        let addresses = [zero.local_addr().unwrap(), one.local_addr().unwrap()];
        first.serve_as(Replica::new(0, &peers).unwrap(), zero);
        second.serve_as(Replica::new(1, &peers).unwrap(), one);
        Self { first, second, addresses }
    }
}

#[tokio::test]
async fn a_polling_client_needs_no_sticky_balancer() {
    let pair = Pair::new().await;
    let (ann, bob) = (pair.first.user("ann").await, pair.first.user("bob").await);
    let chat = pair.first.chat(&ann, &bob).await;
    let mut bobs = Client::of(pair.addresses[0], &bob).await;
    // Each request goes to the other replica than the one before.
    let mut anns = Polling::open(&pair.addresses).await;
    assert!(anns.sid().starts_with("0.") && anns.sid().len() == 18, "{}", anns.sid());
    let connect = format!("40/chat,{}", json!({"token": ann.token}));
    assert_eq!(anns.post(&connect).await, (200, "ok".into()));
    let joined = anns.packet("40/chat,").await;
    assert!(!joined.contains('.'), "the id of the namespace is as ever: {joined}");
    anns.packet("42/chat,[\"ready\"").await;
    for n in 0..10 {
        let sent = anns.ask("send_message", json!({"chat_id": chat, "message": n.to_string()})).await;
        assert_eq!(sent["status"], "ok");
        assert_eq!(bobs.event("receive_message").await["message"], n.to_string());
        let reply = json!({"chat_id": chat, "message": format!("re {n}")});
        assert_eq!(bobs.ask("send_message", reply).await["status"], "ok");
        let heard = anns.packet("42/chat,[\"receive_message\"").await;
        assert!(heard.contains(&format!("\"re {n}\"")), "{heard}");
    }
    // What is large goes through too.
    let text = "x".repeat(16 * 1024);
    assert_eq!(anns.ask("send_message", json!({"chat_id": chat, "message": text})).await["status"], "ok");
    // And so does a refusal.
    let mut refused = Polling::open(&pair.addresses).await;
    refused.post("40/chat,{}").await;
    assert!(refused.packet("44/chat,").await.contains(r#""data":{"code":"missing_token"}"#));
    // A session that ends is ended whichever replica is asked.
    pair.first.store.end_session(ann.id, ann.session).await.unwrap();
    anns.packet("41/chat,").await;
}

#[tokio::test]
async fn a_session_is_upgraded_to_a_websocket_through_another_replica() {
    let pair = Pair::new().await;
    let ann = pair.first.user("ann").await;
    let mut polling = Polling::open(&pair.addresses).await;
    let url = |sid: &str| format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={sid}", pair.addresses[1]);
    let (mut socket, _) = connect_async(url(polling.sid())).await.unwrap();
    let next = async |socket: &mut WebSocketStream<_>| loop {
        match timeout(Duration::from_secs(5), socket.next()).await.expect("a packet in time") {
            Some(Ok(Message::Text(ping))) if ping == "2" => socket.send("3".into()).await.unwrap(),
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            _ => return None,
        }
    };
    socket.send("2probe".into()).await.unwrap();
    assert_eq!(next(&mut socket).await.as_deref(), Some("3probe"));
    assert_eq!(polling.poll().await, (200, "6".into()));
    socket.send("5".into()).await.unwrap();
    socket.send(format!("40/chat,{}", json!({"token": ann.token})).into()).await.unwrap();
    assert!(next(&mut socket).await.unwrap().starts_with("40/chat,"));
    assert!(next(&mut socket).await.unwrap().starts_with("42/chat,[\"ready\""));
    // The replica that only carries it breaks it when it stops, after the sockets of its own.
    pair.second.service.drain(Duration::from_millis(100)).await;
    assert_eq!(next(&mut socket).await, None);

    let refused = connect_async(url(&format!("{DEAD}.{}", &polling.sid()[2..]))).await.unwrap_err();
    let tungstenite::Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_close_reaches_the_replica_behind_and_the_client_in_front() {
    let pair = Pair::new().await;
    let ann = pair.first.user("ann").await;
    let polling = Polling::open(&pair.addresses).await;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={}", pair.addresses[1], polling.sid());
    let (mut socket, _) = connect_async(url).await.unwrap();
    for packet in ["2probe".into(), "5".into(), format!("40/chat,{}", json!({"token": ann.token}))] {
        socket.send(Message::text(packet)).await.unwrap();
    }
    while let Some(Ok(packet)) = socket.next().await {
        if packet.to_text().unwrap().contains("ready") {
            break;
        }
    }
    pair.first.store.end_session(ann.id, ann.session).await.unwrap();
    let mut last = String::new();
    while let Some(Ok(packet)) = timeout(Duration::from_secs(5), socket.next()).await.expect("an end in time") {
        if let Message::Text(text) = packet {
            last = text.to_string();
        }
    }
    assert_eq!(last, "41/chat,", "the last packet before the transport was closed");
}

#[tokio::test]
async fn sessions_of_a_dead_replica_are_unknown_at_once() {
    let pair = Pair::new().await;
    let sid = Polling::open(&pair.addresses).await.sid().to_owned();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={DEAD}{}", &sid[1..]);
    for method in ["GET", "POST"] {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", pair.addresses[0]));
        let answer = timeout(Duration::from_secs(5), send(request)).await.unwrap();
        assert_eq!(answer, (400, UNKNOWN.into()));
    }
}

#[tokio::test]
async fn what_was_passed_on_once_is_not_passed_on_again() {
    let pair = Pair::new().await;
    let sid = Polling::open(&pair.addresses).await.sid().to_owned();
    let url = format!("http://{}/socket.io/?EIO=4&transport=polling&sid={sid}", pair.addresses[1]);
    let looped = Request::get(url).header("x-sentinel-forwarded", "1");
    assert_eq!(send(looped).await, (400, UNKNOWN.into()));
    // Two replicas that both take the other for the owner.
    let (platform, (zero, _, _)) = (Platform::new(), listeners().await);
    let address = zero.local_addr().unwrap();
    let itself = Replica::new(0, &format!("{{ordinal}}.0.0.1:{}", address.port())).unwrap();
    platform.serve_as(itself, zero);
    let url = format!("http://{address}/socket.io/?EIO=4&transport=polling&sid=127{}", &sid[1..]);
    assert_eq!(send(Request::get(url)).await, (400, UNKNOWN.into()));
}

#[tokio::test]
async fn hostile_session_ids_are_unknown() {
    let pair = Pair::new().await;
    let own = Polling::open(&pair.addresses).await.sid().to_owned();
    let bare = &own[2..];
    for bad in [
        "1.".to_owned(),
        "99999999999.x".to_owned(),
        "-1.x".to_owned(),
        "0.0.x".to_owned(),
        "../".to_owned(),
        ".".to_owned(),
        String::new(),
        format!("99999999999.{bare}"),
        format!("-1.{bare}"),
        format!("00.{bare}"),
        format!("0.0.{bare}"),
        format!("0%2E{bare}"),
        format!("1.{bare}/../../x"),
        format!("1.{bare}@127.0.0.1"),
        format!("0.{bare}."),
    ] {
        for transport in ["polling", "websocket"] {
            let url = format!("http://{}/socket.io/?EIO=4&transport={transport}&sid={bad}", pair.addresses[0]);
            let (status, body) = send(Request::get(url)).await;
            assert!(status == 400 && body.contains("Session ID unknown"), "{transport} {bad}: {status} {body}");
        }
    }
    let path = format!("{}/socket.io/?EIO=4&sid={bare}", pair.addresses[0]);
    assert_eq!(send(Request::get(format!("http://{path}&transport=polling"))).await, (400, UNKNOWN.into()));
    assert!(connect_async(format!("ws://{path}&transport=websocket")).await.is_err(), "an id without a number");
    // Whatever was tried, the session is still there.
    let alive = format!("http://{}/socket.io/?EIO=4&transport=polling&sid={own}", pair.addresses[0]);
    assert_eq!(send(Request::post(alive)).await.1, "ok");
}

#[tokio::test]
async fn the_other_replica_sees_who_asks_and_for_which_host() {
    let (zero, one, peers) = listeners().await;
    let address = zero.local_addr().unwrap();
    let platform = Platform::new();
    let router = sentinel_message::socket_router(&platform.service, Some(Replica::new(0, &peers).unwrap()));
    tokio::spawn(async move {
        axum::serve(zero, router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
    });
    // Shows what it was sent.
    let show = |headers: HeaderMap| async move {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        lines.collect::<String>()
    };
    tokio::spawn(async move { axum::serve(one, Router::new().route("/socket.io/", any(show))).await });
    let url = format!("http://{address}/socket.io/?EIO=4&transport=polling&sid=1.abcdefghijklmnop");
    let request = Request::get(url)
        .header("host", "chat.example.com")
        .header("authorization", "Bearer x")
        .header("x-forwarded-for", "198.51.100.7")
        .header("x-forwarded-proto", "https")
        .header("connection", "x-private")
        .header("x-private", "1");
    let (status, shown) = send(request).await;
    assert_eq!(status, 200);
    for line in [
        "host: chat.example.com\n",
        "authorization: Bearer x\n",
        "x-forwarded-for: 198.51.100.7\nx-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: https\n",
        "x-sentinel-forwarded: 1\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(!shown.contains("x-private"), "{shown}");
}

#[tokio::test]
async fn one_process_alone_gives_ids_as_the_server_makes_them() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let polling = Polling::open(&[address]).await;
    assert!(polling.sid().len() == 16 && !polling.sid().contains('.'), "{}", polling.sid());
    let url = format!("http://{address}/socket.io/?EIO=4&transport=polling&sid=0.{}", polling.sid());
    let (status, body) = send(Request::get(url)).await;
    assert!(status == 400 && body.contains("Session ID unknown"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and the packages of e2e/clients; e2e/contract.sh runs it"]
async fn the_stock_client_needs_no_sticky_balancer() {
    // Two servers over one store, as replicas have it.
    let platform = Platform::new();
    let (zero, one, peers) = listeners().await;
    let replicas = [zero.local_addr().unwrap(), one.local_addr().unwrap()].map(|address| format!("http://{address}"));
    platform.serve_as(Replica::new(0, &peers).unwrap(), zero);
    platform.serve_as(Replica::new(1, &peers).unwrap(), one);
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let chat = platform.chat(&ann, &bob).await;
    let status = tokio::process::Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/clients/js/replicas.mjs"))
        .envs([("SENTINEL_REPLICAS", replicas.join(",")), ("SENTINEL_TOKEN", ann.token), ("SENTINEL_CHAT", chat)])
        .kill_on_drop(true)
        .status();
    assert!(timeout(Duration::from_mins(1), status).await.expect("an end in time").unwrap().success());
}
