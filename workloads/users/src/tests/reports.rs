//! Reports of abuse.

use sentinel_domain::{
    ids::{ChatId, MessageId},
    message::{Chat, Message, MessageKind},
    time::Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::app::{Answer, App, Client, PASSWORD};

const TEXT: &str = "buy my watches";

/// A chat of two with one message by the second.
fn message_to(app: &App, reader: &Client, author: &Client) -> (ChatId, MessageId) {
    let (reader, author) = (reader.id.parse().unwrap(), author.id.parse().unwrap());
    let (chat, id) = (ChatId::of_pair(reader, author), MessageId(Uuid::now_v7()));
    let message = Message {
        id,
        chat_id: chat,
        sender_id: author,
        kind: MessageKind::Text,
        text: TEXT.into(),
        attachments: vec![],
        reply_to: None,
        client_message_id: None,
        edited_at: None,
        deleted: false,
    };
    let chat = Chat {
        id: chat,
        members: [reader.min(author), reader.max(author)],
        created_at: Timestamp::now(),
        watermarks: Default::default(),
        shown: Default::default(),
    };
    app.memory.data().chats.push((chat, vec![message]));
    (chat_id(app), id)
}

fn chat_id(app: &App) -> ChatId {
    app.memory.data().chats.last().unwrap().0.id
}

async fn report(app: &App, client: &Client, body: Value) -> Answer {
    app.call("POST", "/reports", Some(&client.access), Some(body)).await
}

#[tokio::test]
async fn the_text_of_a_message_is_shown_only_if_the_reporter_says_so() {
    let app = App::new();
    let (root, ann, eve) = (app.admin("root").await, app.register("ann").await, app.register("eve").await);
    let (chat, message) = message_to(&app, &ann, &eve);
    let about = json!({ "chat_id": chat, "message_id": message, "reason": "spam", "comment": " twice now " });
    assert_eq!(report(&app, &ann, about.clone()).await.status, 201);
    let mut with_text = about.clone();
    with_text["include_message"] = json!(true);
    assert_eq!(report(&app, &ann, with_text).await.status, 201);

    let page = app.get("/admin/reports", &root).await;
    let reports = page.body["reports"].as_array().unwrap();
    assert_eq!((&reports[0]["message"], &reports[1]["message"]), (&json!(TEXT), &Value::Null));
    for one in reports {
        assert_eq!((&one["reporter_id"], &one["user_id"]), (&json!(ann.id), &json!(eve.id)));
        assert_eq!((&one["reason"], &one["comment"]), (&json!("spam"), &json!("twice now")));
        assert_eq!((&one["message_id"], &one["resolved"]), (&json!(message), &Value::Null));
    }
    let stored = format!("{:?}", app.memory.data().reports);
    assert!(!stored.contains(TEXT), "evidence is not stored in the clear");
}

#[tokio::test]
async fn the_same_again_is_the_same_report_until_it_is_resolved() {
    let app = App::new();
    let (root, ann, eve) = (app.admin("root").await, app.register("ann").await, app.register("eve").await);
    let (chat, message) = message_to(&app, &ann, &eve);
    let spam = json!({ "chat_id": chat, "message_id": message, "reason": "spam", "include_message": true });
    let first = report(&app, &ann, spam.clone()).await;
    assert_eq!(first.body["id"], first.body["report_id"]);
    let without_text = json!({ "chat_id": chat, "message_id": message, "reason": "spam" });
    for again in [spam.clone(), without_text] {
        let again = report(&app, &ann, again).await;
        assert_eq!((again.status, again.body), (first.status, first.body.clone()));
    }
    let listed = async || app.get("/admin/reports", &root).await.body["reports"].as_array().unwrap().clone();
    assert_eq!(listed().await.len(), 1);
    assert_eq!(listed().await[0]["report_id"], first.body["report_id"]);
    // What says more is not lost.
    let more = json!({ "chat_id": chat, "message_id": message, "reason": "spam", "comment": "and a threat" });
    assert_ne!(report(&app, &ann, more).await.body, first.body);
    let resolve = format!("/admin/reports/{}/resolve", first.body["id"].as_str().unwrap());
    let resolved = app.call("POST", &resolve, Some(&root.access), Some(json!({ "resolution": "warned" }))).await;
    assert_eq!(resolved.status, 204);
    assert_ne!(report(&app, &ann, spam).await.body, first.body);
}

#[tokio::test]
async fn what_the_author_makes_of_a_message_after_a_report_is_reported_anew() {
    let app = App::new();
    let (root, ann, eve) = (app.admin("root").await, app.register("ann").await, app.register("eve").await);
    let (chat, message) = message_to(&app, &ann, &eve);
    let spam = json!({ "chat_id": chat, "message_id": message, "reason": "spam", "include_message": true });
    let first = report(&app, &ann, spam.clone()).await;
    let threat = "buy them, or else";
    {
        let mut data = app.memory.data();
        let message = &mut data.chats.last_mut().unwrap().1[0];
        (message.text, message.edited_at) = (threat.into(), Some(Timestamp::now()));
    }
    assert_ne!(report(&app, &ann, spam).await.body, first.body);
    let reports = app.get("/admin/reports", &root).await.body["reports"].clone();
    assert_eq!((&reports[0]["message"], &reports[1]["message"]), (&json!(threat), &json!(TEXT)));
}

#[tokio::test]
async fn a_report_is_resolved_once_and_the_log_tells() {
    let app = App::new();
    let (root, ann, eve) = (app.admin("root").await, app.register("ann").await, app.register("eve").await);
    let made = report(&app, &ann, json!({ "user_id": eve.id, "reason": "impersonation" })).await;
    let id = made.body["report_id"].as_str().unwrap().to_owned();
    let path = format!("/admin/reports/{id}/resolve");
    let resolve = |text: &str| app.call("POST", &path, Some(&root.access), Some(json!({ "resolution": text })));
    assert_eq!(resolve("  ").await.code(), (422, "missing_resolution"));
    assert_eq!(resolve("warned").await.status, 204);
    assert_eq!(resolve("warned").await.code(), (409, "already_resolved"));
    assert_eq!(app.get("/admin/reports", &root).await.body["reports"], json!([]));
    let resolved = app.get("/admin/reports?state=resolved", &root).await.body;
    assert_eq!(resolved["reports"][0]["resolved"]["resolution"], "warned");
    assert_eq!(resolved["reports"][0]["resolved"]["by"], json!(root.id));
    let log = app.get("/admin/audit", &root).await.body;
    let newest = &log["entries"][0];
    assert_eq!((&newest["action"], &newest["note"]), (&json!("report_resolved"), &json!(id)));
}

#[tokio::test]
async fn nobody_gets_out_of_a_report_by_deleting_the_account() {
    let app = App::new();
    let (root, ann, eve) = (app.admin("root").await, app.register("ann").await, app.register("eve").await);
    let name = json!({ "display_name": "Sentinel Support" });
    assert_eq!(app.call("PATCH", "/me", Some(&eve.access), Some(name)).await.status, 200);
    let (chat, message) = message_to(&app, &ann, &eve);
    let about = json!({ "chat_id": chat, "message_id": message, "reason": "spam", "include_message": true });
    let made = report(&app, &ann, about).await;
    let later = json!({ "display_name": "Eve" });
    assert_eq!(app.call("PATCH", "/me", Some(&eve.access), Some(later)).await.status, 200);
    let shown = async || app.get("/admin/reports", &root).await.body["reports"][0].clone();
    let before = shown().await;
    assert_eq!((&before["username"], &before["display_name"]), (&json!("eve"), &json!("Sentinel Support")));
    assert_eq!((&before["account_deleted"], &before["reporter_id"]), (&json!(false), &json!(ann.id)));

    let password = json!({ "password": PASSWORD });
    let delete = async |client: &Client| app.call("DELETE", "/me", Some(&client.access), Some(password.clone())).await;
    assert_eq!(delete(&eve).await.status, 204);
    let mut expected = before;
    expected["account_deleted"] = json!(true);
    assert_eq!(shown().await, expected);
    assert_eq!(expected["message"], TEXT);
    // The reporter goes: what was reported stays, without who did.
    assert_eq!(delete(&ann).await.status, 204);
    expected["reporter_id"] = Value::Null;
    assert_eq!(shown().await, expected);

    let act = async |path: String, body: Value| app.call("POST", &path, Some(&root.access), Some(body)).await;
    assert_eq!(act(format!("/admin/users/{}/disable", eve.id), json!({})).await.code(), (404, "not_found"));
    let resolve = format!("/admin/reports/{}/resolve", made.body["report_id"].as_str().unwrap());
    assert_eq!(act(resolve, json!({ "resolution": "told the police" })).await.status, 204);
    let anew = app.register("bob").await;
    let again = report(&app, &anew, json!({ "user_id": eve.id, "reason": "spam" })).await;
    assert_eq!(again.code(), (404, "not_found"));
}

#[tokio::test]
async fn a_report_names_what_the_reporter_may_see() {
    let app = App::new();
    let (ann, eve, bob) = (app.register("ann").await, app.register("eve").await, app.register("bob").await);
    let (chat, message) = message_to(&app, &ann, &eve);
    let cases = [
        (json!({ "reason": "spam" }), (422, "missing")),
        (json!({ "reason": "spam", "chat_id": chat, "user_id": eve.id }), (422, "incomplete")),
        (json!({ "reason": "spam", "user_id": ann.id }), (422, "cannot_report_self")),
        (
            json!({ "reason": "spam", "chat_id": chat, "message_id": message, "user_id": bob.id }),
            (422, "not_the_author"),
        ),
        (json!({ "reason": "dislike", "user_id": eve.id }), (422, "invalid_request")),
        (json!({ "reason": "spam", "user_id": Uuid::nil() }), (404, "not_found")),
    ];
    for (body, expected) in cases {
        let answer = report(&app, &ann, body.clone()).await;
        assert_eq!(answer.code(), expected, "{body}");
    }
    let foreign = json!({ "reason": "spam", "chat_id": chat, "message_id": message });
    assert_eq!(report(&app, &bob, foreign).await.code(), (404, "not_found"));
    assert!(app.memory.data().reports.is_empty());
}

#[tokio::test]
async fn reports_are_limited() {
    let app = App::new();
    let (ann, eve) = (app.register("ann").await, app.register("eve").await);
    for _ in 0..20 {
        assert_eq!(report(&app, &ann, json!({ "user_id": eve.id, "reason": "other" })).await.status, 201);
    }
    assert_eq!(report(&app, &ann, json!({ "user_id": eve.id, "reason": "other" })).await.code(), (429, "rate_limited"));
    assert_eq!(report(&app, &eve, json!({ "user_id": ann.id, "reason": "other" })).await.status, 201);
}
