//! How often callers may do what has a limit of its own.

use serde_json::json;

use super::app::{Answer, App};

/// Calls until this limit is met, which so many calls at once stay below.
async fn until_refused(limit: &str, burst: usize, call: impl AsyncFn(usize) -> Answer) {
    let mut taken = 0;
    // Counted, for on a slow machine some more come in meanwhile.
    let refused = loop {
        let answer = call(taken).await;
        if answer.body["limit"] == limit {
            break answer;
        }
        taken += 1;
        assert!(taken < 4 * burst, "no limit {limit}: {}", answer.text);
    };
    assert!(taken >= burst, "{limit} was met after {taken}");
    assert_eq!(refused.code(), (429, "rate_limited"));
}

#[tokio::test]
async fn what_comes_from_an_address_is_limited_and_others_go_on() {
    let (app, mailing) = (App::with(&json!({}), &json!({ "loginsPerMinute": 1 })), App::mailing(1));
    let register = json!({ "username": "a b", "password": "short", "email": "nowhere" });
    // Under one name most are refused before by its own limit, and count all the same.
    let login = json!({ "username": "nobody", "password": "wrong password" });
    let reset = json!({ "token": "AAAA", "new_password": "battery staple" });
    for (number, (app, limit, burst, path, body)) in [
        (&app, "register", 6, "/register", register),
        (&app, "login_address", 10, "/login", login),
        (&app, "refresh", 6, "/token/refresh", json!({ "refresh_token": "none" })),
        (&app, "use_link", 30, "/email/verify", json!({ "token": "AAAA" })),
        (&app, "use_link", 30, "/password/reset", reset),
        (&mailing, "mail_address", 20, "/password/forgot", json!({ "email": "nowhere" })),
    ]
    .into_iter()
    .enumerate()
    {
        let call = async |peer: String| app.call_from(&peer, "POST", path, None, Some(body.clone())).await;
        until_refused(limit, burst, async |_| call(format!("192.0.2.{number}:1")).await).await;
        let other = call(format!("198.51.100.{number}:1")).await;
        assert_ne!(other.status, 429, "{path}: {}", other.text);
    }
}

#[tokio::test]
async fn refreshes_of_a_session_are_limited_wherever_they_come_from() {
    let app = App::with(&json!({}), &json!({ "loginsPerMinute": 1 }));
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let refresh = async |peer: usize, token: &str| {
        let (peer, body) = (format!("192.0.2.{peer}:1"), json!({ "refresh_token": token }));
        app.call_from(&peer, "POST", "/token/refresh", None, Some(body)).await
    };
    until_refused("refresh", 6, async |number| refresh(number, &ann.refresh).await).await;
    assert_eq!(refresh(0, &bob.refresh).await.status, 200);
}
