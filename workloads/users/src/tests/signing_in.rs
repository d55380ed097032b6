//! Registration, log-in and refresh.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures::future::join_all;
use sentinel_domain::account::Email;
use serde_json::json;

use super::app::{App, PASSWORD};

#[tokio::test]
async fn registering_logs_in_and_gives_the_contracts_shape() {
    let app = App::new();
    let body = json!({ "username": "Ann", "password": PASSWORD, "email": "Ann@Example.com", "unknown": 1 });
    let answer = app.post("/register", body).await;
    assert_eq!(answer.status, 201);
    let mut names: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "token_type", "user_id", "username"]);
    assert_eq!((&answer.body["username"], &answer.body["token_type"]), (&json!("ann"), &json!("Bearer")));
    assert_eq!(answer.body["expires_in"], 900);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(app.get("/me", &answer.client()).await.body["email"], "ann@example.com");
}

#[tokio::test]
async fn a_name_or_address_is_given_once_even_under_a_race() {
    let app = App::new();
    let register = |n: usize| {
        app.post("/register", json!({
        "username": if n.is_multiple_of(2) { "ann" } else { "ANN" }, "password": PASSWORD, "email": format!("a{n}@example.com"),
    }))
    };
    let answers = join_all((0..8).map(register)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == (409, "username_taken")).count(), 7);
    app.register("bob").await;
    let body = json!({ "username": "bobby", "password": PASSWORD, "email": "BOB@example.com" });
    let answer = app.post("/register", body).await;
    assert_eq!(answer.code(), (409, "email_taken"));
    assert_eq!(answer.body["errors"][0]["field"], "email");
}

#[tokio::test]
async fn wrong_registrations_are_422_and_name_the_fields() {
    let app = App::new();
    let answer = app.post("/register", json!({ "username": "a b", "password": "short", "email": "nowhere" })).await;
    assert_eq!(answer.code(), (422, "invalid_request"));
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 3);
    let answer = app.post("/register", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (422, &json!("email")));
    assert!(!answer.text.contains(PASSWORD));
}

#[tokio::test]
async fn closed_registration_is_403() {
    let app = App::with(&json!({ "registration": "Closed" }), &json!({}));
    let body = json!({ "username": "ann", "password": PASSWORD, "email": "ann@example.com" });
    assert_eq!(app.post("/register", body).await.code(), (403, "registration_closed"));
}

#[tokio::test]
async fn people_log_in_by_name_or_address() {
    let app = App::new();
    let ann = app.register("ann").await;
    for login in ["ann", "ANN", "ann@example.com", "Ann@Example.com"] {
        assert_eq!(app.login(login).await.id, ann.id);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same_and_take_as_long() {
    let app = App::new();
    app.register("ann").await;
    let attempt = async |name: &str| {
        let begun = Instant::now();
        let answer = app.post("/login", json!({ "username": name, "password": "wrong password" })).await;
        assert_eq!(answer.code(), (401, "invalid_credentials"));
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        (answer.anonymous(), begun.elapsed())
    };
    let mut fastest = [Duration::MAX; 3];
    let mut bodies = Vec::new();
    for _ in 0..5 {
        for (name, fastest) in ["ann", "nobody", "not a name!"].iter().zip(&mut fastest) {
            let (body, elapsed) = attempt(name).await;
            bodies.push(body);
            *fastest = elapsed.min(*fastest);
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    // Without the dummy hash an unknown name would take less than a hundredth.
    let [known, unknown, impossible] = fastest;
    assert!(unknown * 2 > known && impossible * 2 > known, "{fastest:?}");
}

#[tokio::test]
async fn log_ins_are_throttled_per_account_and_address_before_hashing() {
    let app = App::with(&json!({}), &json!({ "loginsPerMinute": 2 }));
    app.register("ann").await;
    let attempt = |peer: &'static str, login: &'static str| {
        app.call_from(peer, "POST", "/login", None, Some(json!({ "username": login, "password": "wrong password" })))
    };
    assert_eq!(attempt("192.0.2.1:1", "ann").await.status, 401);
    assert_eq!(attempt("192.0.2.1:2", " Ann").await.status, 401);
    let refused = attempt("192.0.2.1:3", "ann").await;
    assert_eq!(refused.code(), (429, "rate_limited"));
    assert_eq!(refused.body["limit"], "login");
    assert!(refused.body["detail"].as_str().unwrap().starts_with("too many log-ins"), "{}", refused.body);
    for header in ["retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
        assert!(refused.headers.contains_key(header), "{header}");
    }
    assert_eq!(refused.headers["ratelimit-limit"], "2");
    // Others at that address, and the same account from elsewhere, go on.
    assert_eq!(attempt("192.0.2.1:4", "bob").await.status, 401);
    assert_eq!(attempt("192.0.2.2:1", "ann").await.status, 401);
}

#[tokio::test]
async fn throttling_does_not_tell_whether_a_name_and_an_address_are_one_account() {
    let app = App::with(&json!({}), &json!({ "loginsPerMinute": 1 }));
    app.register("ann").await;
    let attempt = async |peer: String, login: &'static str| {
        let body = json!({ "username": login, "password": "wrong password" });
        let answer = app.call_from(&peer, "POST", "/login", None, Some(body)).await;
        (answer.status, answer.anonymous())
    };
    // The name is used up, from everywhere.
    for peer in 1..=5 {
        assert_eq!(attempt(format!("192.0.2.{peer}:1"), "ann").await.0, 401);
    }
    assert_eq!(attempt("192.0.2.6:1".into(), "ann").await.0, 429);
    for peer in ["192.0.2.1:1", "192.0.2.6:1", "192.0.2.7:1"] {
        let its = attempt(peer.into(), "ann@example.com").await;
        assert_eq!(its, attempt(peer.into(), "nobody@example.com").await, "{peer}");
        assert_eq!(its.0, 401);
    }
}

#[tokio::test]
async fn a_password_hashed_with_older_parameters_is_hashed_anew() {
    let app = App::new();
    let ann = app.register("ann").await;
    let id = ann.id.parse().unwrap();
    // argon2id, m=8 MiB, t=1, made with the reference implementation's defaults otherwise.
    let older = {
        use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8192, 1, 1, None).unwrap());
        argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[1; 16]).unwrap().to_string()
    };
    app.memory.data().accounts.get_mut(&id).unwrap().1 = older;
    app.login("ann").await;
    let stored = app.memory.data().accounts[&id].1.clone();
    assert!(stored.contains("m=19456,t=2,p=1"), "{stored}");
    app.login("ann").await;
}

#[tokio::test]
async fn refreshing_rotates_and_repeats_within_the_grace() {
    let app = App::new();
    let ann = app.register("ann").await;
    let refresh = |token: String| app.post("/token/refresh", json!({ "refresh_token": token }));
    let second = refresh(ann.refresh.clone()).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.body["username"], "ann");
    let second = second.client();
    assert_ne!(second.refresh, ann.refresh);
    assert_eq!(app.get("/me", &second).await.status, 200);
    // Another tab was a moment later.
    let again = refresh(ann.refresh.clone()).await;
    assert_eq!((again.status, again.client().refresh), (200, second.refresh.clone()));
    let third = refresh(second.refresh.clone()).await.client();
    assert_eq!(app.get("/me", &third).await.status, 200);
    // Tabs that are later still get what is current by now.
    for late in [ann.refresh, second.refresh] {
        let answer = refresh(late).await;
        assert_eq!((answer.status, answer.client().refresh), (200, third.refresh.clone()));
    }
    assert_eq!(refresh(third.refresh).await.status, 200);
}

#[tokio::test]
async fn a_mailbox_has_one_account_and_is_found_by_each_of_its_spellings() {
    let app = App::new();
    let register = |name: &'static str, email: &'static str| {
        app.post("/register", json!({ "username": name, "password": PASSWORD, "email": email }))
    };
    let ann = register("ann", "zoë@bücher.example").await.client();
    for spelling in ["zoë@xn--bcher-kva.example", "Zoe\u{308}@BÜCHER.example"] {
        assert_eq!(register("bob", spelling).await.code(), (409, "email_taken"), "{spelling}");
        assert_eq!(app.login(spelling).await.id, ann.id, "{spelling}");
    }
    let refused = register("bob", "\"a b\"@example.com").await;
    assert_eq!(refused.code(), (422, "invalid_email"), "no mail gets there");
}

#[tokio::test]
async fn an_account_from_before_is_found_by_the_spelling_that_it_was_made_with() {
    let app = App::new();
    let ann = app.register("ann").await;
    for older in ["ann@bücher.example", "\"a b\"@example.com"] {
        app.memory.data().accounts.get_mut(&ann.id.parse().unwrap()).unwrap().0.email = Email::kept(older.to_owned());
        assert_eq!(app.login(older).await.id, ann.id);
        assert_eq!(app.get("/me", &ann).await.body["email"], older);
    }
    app.memory.data().accounts.get_mut(&ann.id.parse().unwrap()).unwrap().0.email =
        Email::kept("ann@bücher.example".to_owned());
    let body = json!({ "username": "bob", "password": PASSWORD, "email": "Ann@Bücher.example" });
    assert_eq!(app.post("/register", body).await.code(), (409, "email_taken"));

    // The other spelling of it is another one there: who has it is not taken for her.
    let body = json!({ "username": "eve", "password": PASSWORD, "email": "ann@xn--bcher-kva.example" });
    let eve = app.post("/register", body).await.client();
    assert_eq!(app.login("Ann@Bücher.example").await.id, ann.id);
    assert_eq!(app.login("ann@xn--bcher-kva.example").await.id, eve.id);
}

#[tokio::test]
async fn a_refresh_token_used_again_later_ends_the_session() {
    let app = App::new();
    let ann = app.register("ann").await;
    let refresh = |token: String| app.post("/token/refresh", json!({ "refresh_token": token }));
    let second = refresh(ann.refresh.clone()).await.client();
    for session in app.memory.data().sessions.values_mut() {
        session.refreshed_at = session.refreshed_at.plus_seconds(-31);
    }
    assert_eq!(refresh(ann.refresh.clone()).await.code(), (401, "refresh_reused"));
    assert_eq!(refresh(second.refresh.clone()).await.code(), (401, "invalid_refresh_token"));
    assert_eq!(app.get("/me", &second).await.code(), (401, "session_ended"));
}

#[tokio::test]
async fn a_refresh_that_fails_halfway_does_not_use_its_token_up() {
    let app = App::new();
    let ann = app.register("ann").await;
    let refresh = || app.post("/token/refresh", json!({ "refresh_token": ann.refresh }));
    app.memory.accounts_down.store(true, Ordering::Relaxed);
    assert_eq!(refresh().await.code(), (503, "unavailable"));
    app.memory.accounts_down.store(false, Ordering::Relaxed);
    // The outage was longer than a token that was used stays good.
    for session in app.memory.data().sessions.values_mut() {
        session.refreshed_at = session.refreshed_at.plus_seconds(-31);
    }
    let answer = refresh().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(app.get("/me", &answer.client()).await.status, 200);
}

#[tokio::test]
async fn a_session_that_was_not_used_for_too_long_has_expired() {
    let app = App::with(&json!({ "refreshTokenSeconds": 60 }), &json!({}));
    let ann = app.register("ann").await;
    for session in app.memory.data().sessions.values_mut() {
        session.refreshed_at = session.refreshed_at.plus_seconds(-61);
    }
    let answer = app.post("/token/refresh", json!({ "refresh_token": ann.refresh })).await;
    assert_eq!(answer.code(), (401, "refresh_expired"));
}

#[tokio::test]
async fn foreign_refresh_tokens_are_refused() {
    let app = App::new();
    let ann = app.register("ann").await;
    for token in ["", "nonsense", &ann.access, &ann.refresh[1..]] {
        let answer = app.post("/token/refresh", json!({ "refresh_token": token })).await;
        assert_eq!(answer.code(), (401, "invalid_refresh_token"), "{token}");
    }
    assert_eq!(app.post("/token/refresh", json!({ "refresh_token": 5 })).await.status, 422);
}
