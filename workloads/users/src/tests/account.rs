//! One's own account.

use sentinel_domain::{ids::UserId, ports::AccountStore as _};
use serde_json::{Value, json};

use super::app::{App, Client, PASSWORD};

#[tokio::test]
async fn the_account_is_shown_under_both_names() {
    let app = App::new();
    let ann = app.register("ann").await;
    let me = app.get("/me", &ann).await;
    assert_eq!(me.status, 200);
    assert_eq!((&me.body["logged_in_as"], &me.body["user_id"]), (&json!("ann"), &json!(ann.id)));
    assert_eq!((&me.body["email"], &me.body["avatar_url"]), (&json!("ann@example.com"), &Value::Null));
    assert_eq!(app.get("/protected", &ann).await.body, me.body);
    assert!(!me.text.contains("argon2"));
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    let app = App::new();
    let ann = app.register("ann").await;
    let patch = |body: Value| app.call("PATCH", "/me", Some(&ann.access), Some(body));
    let picture = "https://example.com/ann.png";
    let answer = patch(json!({ "display_name": "Ann É", "avatar_url": picture })).await;
    assert_eq!((answer.status, &answer.body["display_name"]), (200, &json!("Ann É")));
    assert_eq!(patch(json!({})).await.body["avatar_url"], picture);
    let answer = patch(json!({ "avatar_url": null })).await;
    assert_eq!((&answer.body["avatar_url"], &answer.body["display_name"]), (&Value::Null, &json!("Ann É")));
    assert_eq!(patch(json!({ "avatar_url": "javascript:alert(1)" })).await.code(), (422, "invalid_avatar_url"));
    let answer = patch(json!({ "display_name": null })).await;
    assert_eq!((answer.status, &answer.body["display_name"]), (200, &answer.body["username"]), "as at registration");
    assert_eq!(patch(json!({ "display_name": "a\u{202e}b" })).await.code(), (422, "invalid_display_name"));
    assert_eq!(patch(json!({ "display_name": 7 })).await.code(), (422, "invalid_request"));
    assert_eq!(patch(json!({ "avatar_url": 7 })).await.body["errors"][0]["field"], "avatar_url");
}

async fn delete(app: &App, client: &Client, body: Value) -> (u16, String) {
    let answer = app.call("DELETE", "/me", Some(&client.access), Some(body)).await;
    (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_account_is_deleted_with_its_password_only() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    assert_eq!(delete(&app, &ann, json!({ "password": "wrong password" })).await, (403, "invalid_credentials".into()));
    assert_eq!(delete(&app, &ann, json!({})).await.0, 422);
    assert_eq!(app.call("DELETE", "/me", Some(&ann.access), None).await.status, 415);
    assert_eq!(app.get("/me", &ann).await.status, 200);
    assert_eq!(delete(&app, &ann, json!({ "password": PASSWORD })).await.0, 204);
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    assert_eq!(app.get("/users/username/ann", &bob).await.status, 404);
    let login = app.post("/login", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!(login.code(), (401, "invalid_credentials"));
    let actions: Vec<_> = app.memory.data().audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["account_deleted"]);
    app.register("ann").await;
}

#[tokio::test]
async fn a_log_in_to_an_account_that_goes_meanwhile_is_refused_like_any_other() {
    let app = App::new();
    let ann: UserId = app.register("ann").await.id.parse().unwrap();
    let login = app.post("/login", json!({ "username": "ann", "password": PASSWORD }));
    // While its password is checked.
    let (answer, gone) = tokio::join!(login, app.memory.delete_account(ann));
    gone.unwrap();
    assert_eq!(answer.code(), (401, "invalid_credentials"));
}

#[tokio::test]
async fn an_account_is_not_deleted_with_a_password_that_was_changed_meanwhile() {
    let app = App::new();
    let thief = app.register("ann").await;
    let body = json!({ "username": "bob", "password": "battery staple", "email": "bob@example.com" });
    assert_eq!(app.post("/register", body).await.status, 201);
    let reset = async { app.memory.set_password_of("ann", "bob") };
    let (answer, ()) = tokio::join!(delete(&app, &thief, json!({ "password": PASSWORD })), reset);
    assert_eq!(answer, (403, "invalid_credentials".into()));
    assert_eq!(app.post("/login", json!({ "username": "ann", "password": "battery staple" })).await.status, 200);
}

#[tokio::test]
async fn the_token_of_an_account_deleted_elsewhere_is_no_longer_good() {
    let app = App::new();
    let ann = app.register("ann").await;
    app.memory.data().accounts.clear();
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    assert_eq!(app.get("/me/export", &ann).await.code(), (401, "session_ended"));
    let renamed = app.call("PATCH", "/me", Some(&ann.access), Some(json!({ "display_name": "Ann" }))).await;
    assert_eq!(renamed.code(), (401, "session_ended"));
    assert!(renamed.headers.contains_key("www-authenticate"));
    assert_eq!(delete(&app, &ann, json!({ "password": PASSWORD })).await, (401, "session_ended".into()));
}

#[tokio::test]
async fn an_account_that_goes_while_it_is_being_deleted_was_deleted_elsewhere() {
    let app = App::new();
    let ann = app.register("ann").await;
    // While the password is checked.
    let elsewhere = app.memory.delete_account(ann.id.parse().unwrap());
    let (answer, gone) = tokio::join!(delete(&app, &ann, json!({ "password": PASSWORD })), elsewhere);
    gone.unwrap();
    assert_eq!(answer, (401, "session_ended".into()));
}
