//! Sessions and the password.

use serde_json::{Value, json};

use super::app::{App, Client, PASSWORD};

async fn sessions(app: &App, client: &Client) -> Vec<Value> {
    app.get("/sessions", client).await.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn sessions_are_listed_and_the_asking_one_is_marked() {
    let app = App::new();
    let first = app.register("ann").await;
    let second = app.login("ann").await;
    app.register("bob").await;
    let list = sessions(&app, &first).await;
    assert_eq!(list.len(), 2);
    assert_eq!(list.iter().filter(|session| session["current"] == true).count(), 1);
    assert_eq!(list[0]["device"], "tests/1");
    assert!(list[0]["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(list[0]["refreshed_at"].is_string());
    assert!(list.iter().all(|session| session["session_id"] == session["id"]), "it has both names");
    let current = |list: &[Value]| list.iter().find(|it| it["current"] == true).unwrap()["id"].clone();
    assert_ne!(current(&list), current(&sessions(&app, &second).await));
}

#[tokio::test]
async fn sessions_come_in_pages() {
    let app = App::new();
    let ann = app.register("ann").await;
    let bob = app.register("bob").await;
    app.login("ann").await;
    let all = sessions(&app, &ann).await;
    let first = app.get("/sessions?limit=1", &ann).await.body;
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/sessions?limit=1&cursor={cursor}");
    let second = app.get(&next, &ann).await.body;
    assert_eq!((&first["sessions"], &second["sessions"]), (&json!([all[0]]), &json!([all[1]])));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(app.get(&next, &bob).await.code(), (400, "invalid_cursor"));
    assert_eq!(app.get("/sessions?limit=0", &ann).await.code(), (422, "out_of_range"));
}

#[tokio::test]
async fn a_session_can_be_ended_from_another_but_not_from_another_account() {
    let app = App::new();
    let (first, bob) = (app.register("ann").await, app.register("bob").await);
    let second = app.login("ann").await;
    let id = sessions(&app, &second).await.iter().find(|it| it["current"] == true).unwrap()["id"].clone();
    let path = format!("/sessions/{}", id.as_str().unwrap());
    let foreign = app.call("DELETE", &path, Some(&bob.access), None).await;
    let unknown = app.call("DELETE", "/sessions/0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10", Some(&bob.access), None).await;
    assert_eq!((foreign.code(), foreign.anonymous()), ((404, "not_found"), unknown.anonymous()));
    assert_eq!(app.call("DELETE", &path, Some(&first.access), None).await.status, 204);
    let refused = app.get("/me", &second).await;
    assert_eq!(refused.code(), (401, "session_ended"));
    assert!(refused.headers.contains_key("www-authenticate"));
    assert_eq!(app.get("/me", &first).await.status, 200);
    assert_eq!(app.call("DELETE", "/sessions/7", Some(&first.access), None).await.status, 422);
}

#[tokio::test]
async fn logging_out_ends_the_session_and_its_refresh_token() {
    let app = App::new();
    let ann = app.register("ann").await;
    assert_eq!(app.call("POST", "/logout", Some(&ann.access), None).await.status, 204);
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    let answer = app.post("/token/refresh", json!({ "refresh_token": ann.refresh })).await;
    assert_eq!(answer.code(), (401, "invalid_refresh_token"));
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let app = App::new();
    let first = app.register("ann").await;
    let second = app.login("ann").await;
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        app.call("POST", "/password", Some(&second.access), Some(body))
    };
    assert_eq!(change("wrong password", "battery staple").await.code(), (403, "invalid_credentials"));
    let weak = change(PASSWORD, "short").await;
    assert_eq!((weak.code(), &weak.body["errors"][0]["field"]), ((422, "invalid_password"), &json!("new_password")));
    assert_eq!(app.get("/me", &first).await.status, 200);
    assert_eq!(change(PASSWORD, "battery staple").await.status, 204);
    assert_eq!(app.get("/me", &first).await.code(), (401, "session_ended"));
    assert_eq!(app.get("/me", &second).await.status, 200);
    let login = |password: &str| app.post("/login", json!({ "username": "ann", "password": password }));
    assert_eq!(login(PASSWORD).await.status, 401);
    assert_eq!(login("battery staple").await.status, 200);
    let actions: Vec<_> = app.memory.data().audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["password_changed"]);
}

#[tokio::test]
async fn a_change_that_was_confirmed_with_an_older_password_does_not_undo_a_newer_one() {
    let app = App::new();
    let thief = app.register("ann").await;
    let body = json!({ "username": "bob", "password": "battery staple", "email": "bob@example.com" });
    assert_eq!(app.post("/register", body).await.status, 201);
    // While the old password is being checked, its owner chooses a new one by a mailed link.
    let reset = async { app.memory.set_password_of("ann", "bob") };
    let body = json!({ "current_password": PASSWORD, "new_password": "thieves' password" });
    let (answer, ()) = tokio::join!(app.call("POST", "/password", Some(&thief.access), Some(body)), reset);
    assert_eq!(answer.code(), (403, "invalid_credentials"));
    let login = |password: &str| app.post("/login", json!({ "username": "ann", "password": password }));
    assert_eq!(login("thieves' password").await.status, 401);
    assert_eq!(login("battery staple").await.status, 200);
    assert!(app.memory.data().audit.is_empty());
}

#[tokio::test]
async fn a_log_in_with_the_old_password_does_not_outlive_its_change() {
    let app = App::new();
    let ann = app.register("ann").await;
    let body = json!({ "username": "bob", "password": "battery staple", "email": "bob@example.com" });
    assert_eq!(app.post("/register", body).await.status, 201);
    // While the old password is being checked, the change is made and has ended the sessions that there were.
    let change = async {
        app.memory.set_password_of("ann", "bob");
        app.memory.data().sessions.retain(|_, session| session.user_id.to_string() != ann.id);
    };
    let (answer, ()) = tokio::join!(app.post("/login", json!({ "username": "ann", "password": PASSWORD })), change);
    assert_eq!(answer.code(), (401, "invalid_credentials"));
    assert!(app.memory.data().sessions.values().all(|session| session.user_id.to_string() != ann.id));
}

#[tokio::test]
async fn guessing_the_current_password_is_throttled() {
    let app = App::with(&json!({}), &json!({ "loginsPerMinute": 1 }));
    let ann = app.register("ann").await;
    let guess = || {
        let body = json!({ "current_password": "wrong password", "new_password": "battery staple" });
        app.call("POST", "/password", Some(&ann.access), Some(body))
    };
    assert_eq!(guess().await.status, 403);
    assert_eq!(guess().await.code(), (429, "rate_limited"));
}
