//! The export.

use std::sync::atomic::Ordering;

use axum::{body::Body, http::Request};
use futures::StreamExt;
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    message::{Chat, Message, MessageKind},
    time::Timestamp,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use super::app::App;

fn chat(members: [UserId; 2], messages: u128) -> (Chat, Vec<Message>) {
    let id = ChatId::of_pair(members[0], members[1]);
    let message = |n: u128| Message {
        id: MessageId(Uuid::from_u128(n)),
        chat_id: id,
        sender_id: members[0],
        kind: MessageKind::Text,
        text: format!("message {n}\nwith a second line"),
        attachments: Vec::new(),
        reply_to: None,
        client_message_id: None,
        edited_at: None,
        deleted: false,
    };
    let chat =
        Chat { id, members, created_at: Timestamp(0), watermarks: Default::default(), shown: Default::default() };
    (chat, (1..=messages).map(message).collect())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn everything_about_the_caller_and_nothing_else_is_exported() {
    let app = App::new();
    let (ann, bob, cat) = (app.register("ann").await, app.register("bob").await, app.register("cat").await);
    let id = |client: &super::app::Client| client.id.parse::<UserId>().unwrap();
    app.memory.data().chats =
        vec![chat([id(&ann), id(&bob)], 250), chat([id(&ann), id(&ann)], 100), chat([id(&bob), id(&cat)], 5)];
    app.call("PUT", &format!("/users/{}/block", cat.id), Some(&ann.access), None).await;
    let answer = app.get("/me/export", &ann).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/x-ndjson".parse().unwrap()));
    assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let lines = lines(&answer.text);
    let of = |kind: &str| lines.iter().filter(|line| line["record"] == kind).cloned().collect::<Vec<_>>();
    assert_eq!((of("account").len(), of("session").len(), of("block").len(), of("chat").len()), (1, 1, 1, 2));
    assert_eq!(of("account")[0]["email"], "ann@example.com");
    assert_eq!(of("block")[0]["username"], "cat");
    let messages = of("message");
    assert_eq!(messages.len(), 350);
    assert_eq!(
        messages.iter().map(|it| (&it["chat_id"], &it["message_id"])).collect::<std::collections::HashSet<_>>().len(),
        350
    );
    assert_eq!(messages[0]["type"], "text");
    assert!(messages[0]["message"].as_str().unwrap().contains("second line"));
    assert_eq!(lines.last().unwrap(), &json!({ "record": "end", "chats": 2, "messages": 350 }));
    assert!(!answer.text.contains("argon2"));
}

#[tokio::test]
async fn an_export_that_breaks_off_breaks_the_connection() {
    let app = App::new();
    let ann = app.register("ann").await;
    let id = ann.id.parse().unwrap();
    app.memory.data().chats = vec![chat([id, id], 1000)];
    let request = Request::get("/me/export").header("authorization", format!("Bearer {}", ann.access));
    let response = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    app.memory.down.store(true, Ordering::Relaxed);
    let rest: Vec<_> = body.collect().await;
    assert!(rest.last().unwrap().is_err());
    assert!(rest.len() < 6, "a slow client makes the export wait, not the memory grow: {}", rest.len());
}

#[tokio::test]
async fn exports_are_few() {
    let app = App::new();
    let ann = app.register("ann").await;
    for _ in 0..4 {
        assert_eq!(app.get("/me/export", &ann).await.status, 200);
    }
    assert_eq!(app.get("/me/export", &ann).await.code(), (429, "rate_limited"));
}
