//! Confirmation of addresses and forgotten passwords, through a relay on loopback.

use std::{sync::atomic::Ordering, time::Duration};

use sentinel_domain::{
    config::MailConfig,
    keyring::{KEY_BYTES, Keyring},
    mail::QueuedMail,
    time::Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    app::{App, Client, PASSWORD},
    relay::{SmtpServer, Taken},
};
use crate::mail::{Mail, send_queued};

/// An app whose mail is sent, and the relay.
async fn mailing() -> (App, SmtpServer) {
    let server = SmtpServer::start().await;
    let app = App::mailing(server.port);
    tokio::spawn(send_queued(app.service.clone(), std::future::pending()));
    (app, server)
}

/// The token behind `#place=` of a mail's link, which is on a line of its own.
fn token(mail: &Taken, place: &str) -> String {
    let link = format!("https://chat.example.com/#{place}=");
    let found = mail.text.lines().find_map(|line| line.strip_prefix(&link));
    found.unwrap_or_else(|| panic!("no link: {}", mail.text)).trim_end().to_owned()
}

async fn verified(app: &App, client: &Client) -> Value {
    app.get("/me", client).await.body["email_verified"].clone()
}

#[tokio::test]
async fn an_address_is_confirmed_by_its_link_once() {
    let (app, server) = mailing().await;
    let ann = app.register("ann").await;
    assert_eq!(verified(&app, &ann).await, false);
    let mails = server.mails(1).await;
    assert_eq!(mails[0].to, "ann@example.com");
    let first = token(&mails[0], "verify-email");
    assert!(!format!("{:?}", app.memory.data().links).contains(&first), "tokens are not stored");

    let again = app.call("POST", "/email/verification", Some(&ann.access), None).await;
    assert_eq!(again.status, 202);
    let second = token(&server.mails(2).await[1], "verify-email");
    let verify = |token: &str| app.post("/email/verify", json!({ "token": token }));
    assert_eq!(verify(&first).await.code(), (400, "invalid_link"), "replaced by the newer one");
    assert_eq!(verify(&second).await.status, 204);
    assert_eq!(verify(&second).await.code(), (400, "invalid_link"), "used");
    for wrong in ["", "AAAA", "not a token"] {
        assert_eq!(verify(wrong).await.code(), (400, "invalid_link"));
    }
    assert_eq!(verified(&app, &ann).await, true);
    let third = app.call("POST", "/email/verification", Some(&ann.access), None).await;
    assert_eq!(third.code(), (409, "already_verified"));
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_and_ends_all_sessions() {
    let (app, server) = mailing().await;
    let ann = app.register("ann").await;
    server.mails(1).await;
    let forgot = app.post("/password/forgot", json!({ "email": "Ann@Example.com" })).await;
    assert_eq!(forgot.status, 202);
    let link = token(&server.mails(2).await[1], "reset-password");
    let reset =
        |token: &str, password: &str| app.post("/password/reset", json!({ "token": token, "new_password": password }));
    assert_eq!(reset(&link, "short").await.code(), (422, "invalid_password"), "and the link is still good");
    assert_eq!(app.post("/email/verify", json!({ "token": link })).await.code(), (400, "invalid_link"));
    assert_eq!(reset(&link, "a new horse").await.status, 204);
    assert_eq!(reset(&link, "another horse").await.code(), (400, "invalid_link"));
    assert_eq!(app.get("/me", &ann).await.code(), (401, "session_ended"));
    let old = app.post("/login", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!(old.code(), (401, "invalid_credentials"));
    let new = app.post("/login", json!({ "username": "ann", "password": "a new horse" })).await;
    assert_eq!(new.status, 200);
    // Whoever has the mail has the address.
    assert_eq!(verified(&app, &new.client()).await, true);
    let actions: Vec<_> = app.memory.data().audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["password_reset"]);
}

#[tokio::test]
async fn a_strangers_address_gets_the_same_answer_and_no_mail() {
    let (app, server) = mailing().await;
    app.register("ann").await;
    server.mails(1).await;
    let known = app.post("/password/forgot", json!({ "email": "ann@example.com" })).await;
    let unknown = app.post("/password/forgot", json!({ "email": "nobody@example.com" })).await;
    assert_eq!((known.status, known.anonymous()), (unknown.status, unknown.anonymous()));
    let mails = server.mails(2).await;
    assert_eq!(mails[1].to, "ann@example.com");
    let malformed = app.post("/password/forgot", json!({ "email": "nowhere" })).await;
    assert_eq!(malformed.code(), (422, "invalid_email"));
}

#[tokio::test]
async fn mail_that_the_relay_does_not_take_is_sent_later() {
    let (app, server) = mailing().await;
    server.refuse(true);
    app.register("ann").await;
    let delayed =
        async {
            while !app.memory.data().mail.iter().any(|(mail, due)| {
                mail.attempts == 1 && *due > Timestamp(0) && *due < Timestamp::now().plus_seconds(60)
            }) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
    tokio::time::timeout(Duration::from_mins(1), delayed).await.expect("the attempt fails");
    server.refuse(false);
    // As if the time had come.
    app.memory.data().mail[0].1 = Timestamp(0);
    app.service.mail_waits.notify_one();
    token(&server.mails(1).await[0], "verify-email");
    let gone = async {
        while !app.memory.data().mail.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.expect("what was sent leaves the queue");
}

#[tokio::test]
async fn mail_that_a_process_with_a_newer_key_queued_waits_for_the_key() {
    let (app, _server) = mailing().await;
    let keys = [("kek-0001".to_owned(), [7; KEY_BYTES]), ("kek-0002".to_owned(), [8; KEY_BYTES])];
    let id = Uuid::now_v7();
    let sealed = Keyring::new(keys.into()).unwrap().seal("mail", id.as_bytes(), b"{}").unwrap();
    let mail = QueuedMail { id, sealed, expires_at: Timestamp::now().plus_seconds(3600), attempts: 0 };
    app.memory.data().mail.push((mail, Timestamp(0)));
    app.service.mail_waits.notify_one();
    let postponed = async {
        loop {
            let (mail, due) = app.memory.data().mail.first().cloned().expect("it is not given up");
            if mail.attempts == 1 && due > Timestamp(0) && due < Timestamp::now().plus_seconds(60) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), postponed).await.expect("it is tried again soon");
}

/// What the rule of `spec.mail.from` lets through has to be what mail can be sent from: anything else ends the process.
#[test]
fn senders_that_a_resource_may_name_can_be_used() {
    let from = |from: &str| {
        let config =
            json!({ "host": "smtp.example.com", "port": 465, "from": from, "baseUrl": "https://chat.example.com" });
        let config: MailConfig = serde_json::from_value(config).unwrap();
        Mail::new(&config, None, None)
    };
    for good in [
        "chat@example.com",
        " chat@example.com ",
        "<chat@example.com>",
        "Chat <chat@example.com>",
        "Chat<chat@example.com>",
        "Dr. Chat & Co. <no-reply+1@mail.example.com>",
        "O'Neil's Grüße <a.b@münchen.example>",
        "\"Chat, Inc. (EU)\" <chat@example.com>",
        "The \"Chat\" <chat@localhost>",
    ] {
        assert!(from(good).is_ok(), "{good}");
    }
    for wrong in
        ["Chat chat@example.com", "Chat <chat@example.com", "a@b@c", "a@b, c@d", ".a@example.com", "Chat: x <a@b>"]
    {
        assert!(from(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_outage_of_the_store_is_survived_by_the_worker() {
    let (app, server) = mailing().await;
    app.memory.down.store(true, Ordering::Relaxed);
    app.service.mail_waits.notify_one();
    tokio::time::sleep(Duration::from_millis(50)).await;
    app.memory.down.store(false, Ordering::Relaxed);
    app.register("ann").await;
    server.mails(1).await;
}

#[tokio::test]
async fn without_mail_its_routes_say_so_and_registration_works() {
    let app = App::new();
    let ann = app.register("ann").await;
    let asked = app.call("POST", "/email/verification", Some(&ann.access), None).await;
    assert_eq!(asked.code(), (403, "mail_disabled"));
    let forgot = app.post("/password/forgot", json!({ "email": "ann@example.com" })).await;
    assert_eq!(forgot.code(), (403, "mail_disabled"));
    let token = "A".repeat(43);
    let reset = app.post("/password/reset", json!({ "token": token, "new_password": "a new horse" })).await;
    assert_eq!(reset.code(), (400, "invalid_link"));
}

#[tokio::test]
async fn clients_know_beforehand_whether_mail_can_be_asked_for() {
    let (mailing, _server) = mailing().await;
    for (app, sends) in [(App::new(), false), (mailing, true)] {
        let ann = app.register("ann").await;
        for path in ["/me", "/protected"] {
            assert_eq!(app.get(path, &ann).await.body["mail_enabled"], sends, "{path}");
        }
        let renamed = app.call("PATCH", "/me", Some(&ann.access), Some(json!({ "display_name": "Ann" }))).await;
        assert_eq!(renamed.body["mail_enabled"], sends);
        let asked = app.call("POST", "/email/verification", Some(&ann.access), None).await;
        assert_eq!(asked.status == 202, sends, "it is as it was said: {}", asked.text);
    }
}

#[tokio::test]
async fn mails_are_limited_per_receiver() {
    let (app, _server) = mailing().await;
    // The mail of the registration is one of five, and whoever asks for whatever of the others, they are for one address.
    let ann = app.register("ann").await;
    let forgot = |email: &'static str| app.post("/password/forgot", json!({ "email": email }));
    let verification = || app.call("POST", "/email/verification", Some(&ann.access), None);
    for _ in 0..2 {
        assert_eq!(forgot("ann@example.com").await.status, 202);
        assert_eq!(verification().await.status, 202);
    }
    assert_eq!(forgot("ann@example.com").await.code(), (429, "rate_limited"));
    assert_eq!(verification().await.code(), (429, "rate_limited"));
    assert_eq!(forgot("bob@example.com").await.status, 202);
}

#[tokio::test]
async fn accounts_that_come_and_go_with_a_strangers_address_do_not_fill_its_mailbox() {
    let (app, server) = mailing().await;
    for number in 0..8 {
        let body = json!({ "username": format!("eve{number}"), "password": PASSWORD, "email": "ann@example.com" });
        let eve = app.post("/register", body).await;
        assert_eq!(eve.status, 201, "{}", eve.text);
        server.mails((number + 1).min(5)).await;
        let password = Some(json!({ "password": PASSWORD }));
        assert_eq!(app.call("DELETE", "/me", Some(&eve.client().access), password).await.status, 204);
    }
    app.register("bob").await;
    let receivers: Vec<_> = server.mails(6).await.into_iter().map(|mail| mail.to).collect();
    assert_eq!((receivers.len(), receivers.last().map(String::as_str)), (6, Some("bob@example.com")));
}

#[tokio::test]
async fn registrations_that_are_refused_use_up_no_mail_to_the_address() {
    let (app, server) = mailing().await;
    app.register("ann").await;
    server.mails(1).await;
    for _ in 0..5 {
        let body = json!({ "username": "ann", "password": PASSWORD, "email": "bob@example.com" });
        assert_eq!(app.post("/register", body).await.code(), (409, "username_taken"));
        let body = json!({ "username": "bob", "password": PASSWORD, "email": "ann@example.com" });
        assert_eq!(app.post("/register", body).await.code(), (409, "email_taken"));
    }
    app.register("bob").await;
    let mails = server.mails(2).await;
    assert_eq!(mails[1].to, "bob@example.com");
    token(&mails[1], "verify-email");
    let forgot = app.post("/password/forgot", json!({ "email": "ann@example.com" })).await;
    assert_eq!(forgot.status, 202, "her mailbox's budget is as it was");
}

#[tokio::test]
async fn a_strangers_words_are_in_no_mail() {
    let (app, server) = mailing().await;
    let name = "win.prize.com";
    let body = json!({ "username": name, "password": PASSWORD, "email": "ann@example.com" });
    let eve = app.post("/register", body).await.client();
    server.mails(1).await;
    assert_eq!(app.call("POST", "/email/verification", Some(&eve.access), None).await.status, 202);
    server.mails(2).await;
    let forgot = || app.post("/password/forgot", json!({ "email": "ann@example.com" }));
    assert_eq!(forgot().await.status, 202);
    let mails = server.mails(3).await;
    for mail in &mails {
        assert!(mail.text.contains("Hello,") && !mail.text.contains(name), "{}", mail.text);
    }
    // Whoever has confirmed the address knows the name.
    let link = token(&mails[1], "verify-email");
    assert_eq!(app.post("/email/verify", json!({ "token": link })).await.status, 204);
    assert_eq!(forgot().await.status, 202);
    let text = &server.mails(4).await[3].text;
    assert!(text.contains("Hello win.prize.com,"), "{text}");
}

#[tokio::test]
async fn a_mailed_link_to_choose_a_password_ends_when_the_password_is_chosen_otherwise_or_the_account_disabled() {
    let (app, server) = mailing().await;
    let admin = app.admin("root").await;
    let ann = app.register("ann").await;
    server.mails(2).await;
    let mut sent = 2;
    let mut link = async || {
        assert_eq!(app.post("/password/forgot", json!({ "email": "ann@example.com" })).await.status, 202);
        sent += 1;
        token(&server.mails(sent).await[sent - 1], "reset-password")
    };
    let reset = |token: String| app.post("/password/reset", json!({ "token": token, "new_password": "thief's own" }));
    let before = link().await;
    let change = json!({ "current_password": PASSWORD, "new_password": "battery staple" });
    assert_eq!(app.call("POST", "/password", Some(&ann.access), Some(change)).await.status, 204);
    assert_eq!(reset(before).await.code(), (400, "invalid_link"));
    let before = link().await;
    let disable = format!("/admin/users/{}/disable", ann.id);
    assert_eq!(app.call("POST", &disable, Some(&admin.access), Some(json!({}))).await.status, 204);
    assert_eq!(reset(before).await.code(), (400, "invalid_link"));
}

/// Waits for something that comes.
async fn comes(what: &str, there: impl Fn() -> bool) {
    let coming = async {
        while !there() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), coming).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn an_outage_of_the_queue_delays_no_other_mail_and_sends_none_twice() {
    let (app, server) = mailing().await;
    server.hold(true);
    for name in ["ann", "bob"] {
        app.register(name).await;
    }
    server.mails(1).await;
    app.memory.down.store(true, Ordering::Relaxed);
    server.hold(false);
    comes("the queue does not hear that it was sent", || app.memory.refused.load(Ordering::Relaxed) > 0).await;
    app.memory.down.store(false, Ordering::Relaxed);
    server.mails(2).await;
    comes("what was sent leaves the queue", || app.memory.data().mail.is_empty()).await;
    let receivers: Vec<_> = server.mails(2).await.into_iter().map(|mail| mail.to).collect();
    assert_eq!(receivers, ["ann@example.com", "bob@example.com"]);
}

#[tokio::test]
async fn a_process_that_stops_sends_the_mail_that_it_is_at_or_gives_it_back() {
    for answers in [true, false] {
        let server = SmtpServer::start().await;
        let app = App::mailing(server.port);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(send_queued(app.service.clone(), async { drop(stopped.await) }));
        server.hold(true);
        app.register("ann").await;
        server.mails(1).await;
        drop(stop);
        server.hold(!answers);
        tokio::time::timeout(Duration::from_mins(1), worker).await.expect("it stops").unwrap();
        let left = app.memory.data().mail.clone();
        // What was not sent is another process's to take at once.
        assert!(left.iter().all(|(_, due)| *due <= Timestamp::now()), "{left:?}");
        assert!(answers || left.len() == 1, "{left:?}");
    }
}
