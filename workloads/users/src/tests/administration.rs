//! What admins can do, and others can't.

use serde_json::{Value, json};

use super::app::{App, Client, PASSWORD};

const NOBODY: &str = "0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10";

async fn post(app: &App, client: &Client, path: &str, body: Value) -> (u16, String) {
    let answer = app.call("POST", path, Some(&client.access), Some(body)).await;
    (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn only_admins_get_in() {
    let app = App::new();
    let (root, ann) = (app.admin("root").await, app.register("ann").await);
    let routes = [
        ("GET", "/admin/users".to_owned()),
        ("GET", format!("/admin/users/{}", ann.id)),
        ("POST", format!("/admin/users/{}/disable", ann.id)),
        ("POST", format!("/admin/users/{}/enable", ann.id)),
        ("DELETE", format!("/admin/users/{}/sessions", ann.id)),
        ("GET", "/admin/stats".to_owned()),
        ("GET", "/admin/audit".to_owned()),
        ("GET", "/admin/reports".to_owned()),
        ("POST", format!("/admin/reports/{NOBODY}/resolve")),
    ];
    for (method, path) in routes {
        let body = (method == "POST").then(|| json!({}));
        let refused = app.call(method, &path, Some(&ann.access), body.clone()).await;
        assert_eq!(refused.code(), (403, "forbidden"), "{method} {path}");
        assert_eq!(app.call(method, &path, None, body).await.code(), (401, "missing_token"), "{method} {path}");
    }
    let stats = app.get("/admin/stats", &root).await.body;
    assert_eq!(stats, json!({ "users": 2, "disabled_users": 0, "admins": 1, "sessions": 2, "open_reports": 0 }));
}

#[tokio::test]
async fn the_scope_outlives_a_refresh_and_ends_with_the_right() {
    let app = App::new();
    let root = app.admin("root").await;
    let refreshed = app.post("/token/refresh", json!({ "refresh_token": root.refresh })).await.client();
    assert_eq!(app.get("/admin/stats", &refreshed).await.status, 200);
    let ordinary = app.register("ann").await;
    let refreshed = app.post("/token/refresh", json!({ "refresh_token": ordinary.refresh })).await.client();
    assert_eq!(app.get("/admin/stats", &refreshed).await.status, 403);
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_back_when_enabled() {
    let app = App::new();
    let (root, ann) = (app.admin("root").await, app.register("ann").await);
    let disable = format!("/admin/users/{}/disable", ann.id);
    assert_eq!(post(&app, &root, &disable, json!({ "reason": "spam" })).await.0, 204);
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    let refresh = app.post("/token/refresh", json!({ "refresh_token": ann.refresh })).await;
    assert_eq!(refresh.code(), (401, "invalid_refresh_token"));
    let right = app.post("/login", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!(right.code(), (403, "account_disabled"));
    // Only who knows the password learns of it.
    let wrong = app.post("/login", json!({ "username": "ann", "password": "not the one" })).await;
    assert_eq!(wrong.code(), (401, "invalid_credentials"));

    let shown = app.get(&format!("/admin/users/{}", ann.id), &root).await.body;
    assert_eq!((&shown["username"], &shown["sessions"]), (&json!("ann"), &json!(0)));
    assert!(shown["disabled_at"].as_str().unwrap().ends_with('Z'), "{shown}");
    let enable = format!("/admin/users/{}/enable", ann.id);
    assert_eq!(app.call("POST", &enable, Some(&root.access), None).await.status, 204);
    app.login("ann").await;

    let log = app.get(&format!("/admin/audit?user_id={}", ann.id), &root).await.body;
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["user_enabled", "disabled_login", "user_disabled"]);
    let first = &log["entries"][2];
    let told = (&first["actor"], &first["note"], &first["address"]);
    assert_eq!(told, (&json!(root.id), &json!("spam"), &json!("192.0.2.1")));
    assert_eq!(log["entries"][1]["actor"], Value::Null);
}

#[tokio::test]
async fn an_admin_cannot_be_disabled_and_what_is_not_there_is_not_found() {
    let app = App::new();
    let (root, other) = (app.admin("root").await, app.admin("other").await);
    for id in [&root.id, &other.id] {
        let answer = post(&app, &root, &format!("/admin/users/{id}/disable"), json!({})).await;
        assert_eq!(answer, (409, "is_admin".to_owned()));
    }
    for path in ["disable", "enable"] {
        let answer = post(&app, &root, &format!("/admin/users/{NOBODY}/{path}"), json!({})).await;
        assert_eq!(answer, (404, "not_found".to_owned()), "{path}");
    }
    let long = json!({ "reason": "x".repeat(1001) });
    let answer = post(&app, &root, &format!("/admin/users/{NOBODY}/disable"), long).await;
    assert_eq!(answer, (422, "invalid_note".to_owned()));
}

#[tokio::test]
async fn disabling_needs_no_reason() {
    let app = App::new();
    let (root, ann) = (app.admin("root").await, app.register("ann").await);
    let disable = format!("/admin/users/{}/disable", ann.id);
    assert_eq!(app.call("POST", &disable, Some(&root.access), None).await.status, 204);
    let login = app.post("/login", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!(login.code(), (403, "account_disabled"));
}

#[tokio::test]
async fn an_admin_ends_somebodys_sessions() {
    let app = App::new();
    let (root, ann) = (app.admin("root").await, app.register("ann").await);
    let path = format!("/admin/users/{}/sessions", ann.id);
    assert_eq!(app.call("DELETE", &path, Some(&root.access), None).await.status, 204);
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    app.login("ann").await;
}

#[tokio::test]
async fn accounts_are_searched_and_paged() {
    let app = App::new();
    let root = app.admin("root").await;
    for name in ["ann", "anna", "bob"] {
        app.register(name).await;
    }
    let names = |body: &Value| -> Vec<String> {
        let users = body["users"].as_array().unwrap();
        users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    let page = app.get("/admin/users?limit=2", &root).await.body;
    assert_eq!(names(&page), ["ann", "anna"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = app.get(&format!("/admin/users?limit=2&cursor={cursor}"), &root).await.body;
    assert_eq!((names(&next), &next["next_cursor"]), (vec!["bob".to_owned(), "root".to_owned()], &Value::Null));
    assert_eq!(names(&app.get("/admin/users?prefix=An", &root).await.body), ["ann", "anna"]);
    assert_eq!(names(&app.get("/admin/users?which=admins", &root).await.body), ["root"]);
    assert!(names(&app.get("/admin/users?which=disabled", &root).await.body).is_empty());
    assert!(names(&app.get("/admin/users?prefix=%25", &root).await.body).is_empty());
    for forged in
        ["cursor=AAAA".to_owned(), format!("which=admins&cursor={cursor}"), format!("prefix=a&cursor={cursor}")]
    {
        let forged = app.get(&format!("/admin/users?{forged}"), &root).await;
        assert_eq!(forged.code(), (400, "invalid_cursor"));
    }
}
