//! What every route has in common when things are wrong.

use std::sync::atomic::Ordering;

use axum::{body::Body, http::Request};
use serde_json::json;

use super::app::{App, PASSWORD};

const GUARDED: [(&str, &str); 15] = [
    ("POST", "/logout"),
    ("GET", "/sessions"),
    ("DELETE", "/sessions/0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10"),
    ("POST", "/password"),
    ("GET", "/users/show?username=ann"),
    ("GET", "/users/username/ann"),
    ("GET", "/users/user_id/0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10"),
    ("GET", "/users/search?prefix=an"),
    ("GET", "/me"),
    ("PATCH", "/me"),
    ("DELETE", "/me"),
    ("GET", "/me/export"),
    ("GET", "/protected"),
    ("PUT", "/users/0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10/block"),
    ("GET", "/blocks"),
];

#[tokio::test]
async fn every_guarded_route_is_401_without_a_good_token() {
    let app = App::new();
    let ann = app.register("ann").await;
    let other = {
        let (head, _) = ann.access.rsplit_once('.').unwrap();
        format!("{head}.{}", "A".repeat(86))
    };
    for (method, path) in GUARDED {
        for (token, code) in
            [(None, "missing_token"), (Some("a.b.c"), "invalid_token"), (Some(other.as_str()), "invalid_token")]
        {
            let answer = app.call(method, path, token, None).await;
            assert_eq!(answer.code(), (401, code), "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_token_is_asked_for_before_the_body_is_read() {
    let app = App::new();
    let answer = app.call("PATCH", "/me", None, Some(json!({ "display_name": 7 }))).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn bodies_that_are_no_json_no_object_too_large_or_of_another_type_are_refused() {
    let app = App::new();
    let send = async |content_type: &str, body: String| {
        let request = Request::post("/login").header("content-type", content_type).body(Body::from(body)).unwrap();
        let answer = app.send(request).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let json = "application/json";
    let refused = |status, code: &str| (status, code.to_owned());
    assert_eq!(send(json, "{".into()).await, refused(400, "malformed_json"));
    assert_eq!(send(json, "[]".into()).await, refused(422, "invalid_request"));
    assert_eq!(send(json, r#"{"username":["ann"],"password":"x"}"#.into()).await, refused(422, "invalid_request"));
    assert_eq!(send("text/plain", "{}".into()).await, refused(415, "unsupported_media_type"));
    let large = json!({ "username": "ann", "password": "x".repeat(200_000) }).to_string();
    assert_eq!(send(json, large).await, refused(413, "body_too_large"));
}

#[tokio::test]
async fn an_outage_is_503_and_says_nothing_about_the_store() {
    let app = App::new();
    let ann = app.register("ann").await;
    app.memory.down.store(true, Ordering::Relaxed);
    let answers = [
        app.get("/me", &ann).await,
        app.get("/sessions", &ann).await,
        app.get("/users/show?username=bob", &ann).await,
        app.call("POST", "/logout", Some(&ann.access), None).await,
        app.post("/login", json!({ "username": "ann", "password": PASSWORD })).await,
        app.post("/token/refresh", json!({ "refresh_token": ann.refresh })).await,
    ];
    for answer in answers {
        assert_eq!(answer.code(), (503, "unavailable"));
        assert!(answer.headers.contains_key("retry-after"));
        assert!(!answer.text.contains("driver"), "{}", answer.text);
    }
    app.memory.down.store(false, Ordering::Relaxed);
    // A log-out or refresh that failed has not thrown the session away.
    assert_eq!(app.get("/me", &ann).await.status, 200);
    assert_eq!(app.post("/token/refresh", json!({ "refresh_token": ann.refresh })).await.status, 200);
}

#[tokio::test]
async fn wrong_methods_are_405_with_the_right_ones() {
    let app = App::new();
    let answer = app.call("GET", "/login", None, None).await;
    assert_eq!((answer.code(), &answer.headers["allow"]), ((405, "method_not_allowed"), &"POST".parse().unwrap()));
}

#[tokio::test]
async fn tokens_of_another_audience_are_refused() {
    let app = App::new();
    let ann = app.register("ann").await;
    let elsewhere = App::with(&json!({ "audience": "others" }), &json!({}));
    assert_eq!(elsewhere.get("/me", &ann).await.code(), (401, "invalid_token"));
}

#[tokio::test]
async fn browsers_may_call_from_configured_origins() {
    let app = App::with(&json!({ "corsOrigins": ["https://chat.example.com"] }), &json!({}));
    let preflight = async |origin: &str| {
        let request =
            Request::options("/login").header("origin", origin).header("access-control-request-method", "POST");
        app.send(request.body(Body::empty()).unwrap()).await.headers.get("access-control-allow-origin").cloned()
    };
    assert_eq!(preflight("https://chat.example.com").await.unwrap(), "https://chat.example.com");
    assert_eq!(preflight("https://evil.example.com").await, None);
}
