//! The export.

use std::sync::atomic::Ordering;

use axum::{body::Body, http::Request};
use futures::StreamExt;
use sentinel_domain::{
    account::{Account, Username},
    audit::{AuditAction, AuditEntry},
    clock::Instant,
    ids::{ChatId, EventId, MediaId, MessageId, SessionId, UserId},
    keyring::WrappedKey,
    media::{ContentType, Media, MediaState, Picture, Shown},
    message::{Chat, Message, MessageKind},
    notice::Notice,
    notification::{MutedChat, Notification, Preferences},
    push::{Device, DeviceId, PushAddress},
    quiet_hours::{QuietHours, ZoneName},
    report::{Report, ReportReason, Reported, Resolution},
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

/// The last line. Each account has at least the notification that it is welcome.
fn end(notifications: u32, reports: u32, media: u32, chats: u32, messages: u32) -> Value {
    json!({
        "record": "end", "notifications": notifications, "reports": reports, "audit": 0, "media": media,
        "chats": chats, "messages": messages,
    })
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
    assert_eq!(of("account")[0]["email_verified"], false);
    assert_eq!(of("block")[0]["username"], "cat");
    let messages = of("message");
    assert_eq!(messages.len(), 350);
    assert_eq!(
        messages.iter().map(|it| (&it["chat_id"], &it["message_id"])).collect::<std::collections::HashSet<_>>().len(),
        350
    );
    assert_eq!(messages[0]["type"], "text");
    assert!(messages[0]["message"].as_str().unwrap().contains("second line"));
    assert_eq!(lines.last().unwrap(), &end(1, 0, 0, 2, 350));
    assert!(!answer.text.contains("argon2"));
}

#[tokio::test]
async fn a_chat_that_moves_up_while_the_export_runs_is_in_it_once() {
    let app = App::new();
    let ann = app.register("ann").await;
    let id: UserId = ann.id.parse().unwrap();
    let chats: Vec<_> = (1..=250).map(|n| chat([id, UserId(Uuid::from_u128(n))], 1)).collect();
    let at = |millis: i64| EventId(Instant { millis: millis.unsigned_abs(), counter: 0 }.id(0));
    let now = Timestamp::now().0;
    {
        let mut data = app.memory.data();
        // One that is far down is written to while the first is exported.
        data.moves = Some((chats[3].0.id, at(now + 10)));
        data.activity = (0_i64..).zip(&chats).map(|(n, (chat, _))| (chat.id, at(now - 86_400_000 + n))).collect();
        data.chats = chats;
    }
    let answer = app.get("/me/export", &ann).await;
    let lines = lines(&answer.text);
    for kind in ["chat", "message"] {
        let of_kind = lines.iter().filter(|line| line["record"] == kind);
        let chats: Vec<String> = of_kind.map(|line| line["chat_id"].to_string()).collect();
        let distinct: std::collections::HashSet<&String> = chats.iter().collect();
        assert_eq!((chats.len(), distinct.len()), (250, 250), "{kind}");
    }
    assert_eq!(lines.last().unwrap(), &end(1, 0, 0, 250, 250));
}

#[tokio::test]
async fn files_devices_and_preferences_are_exported_without_secrets() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let id = |client: &super::app::Client| client.id.parse::<UserId>().unwrap();
    let media = |owner, n: usize| {
        let at = Instant { millis: 1_750_000_000_000 + n as u64, counter: 0 };
        let picture = Some(Picture { width: 40, height: 30 });
        Media {
            id: MediaId(at.id(0)),
            owner,
            filename: format!("file {n}.png"),
            content_type: ContentType::parse("image/png").unwrap(),
            size: 1000,
            sha256: Some([7; 32]),
            state: if n == 0 { MediaState::Ready } else { MediaState::Pending },
            shown: (n == 0).then_some(Shown { size: 900, picture }),
        }
    };
    let device = |user_id, token: &str| Device {
        user_id,
        device_id: DeviceId::parse("phone").unwrap(),
        session_id: SessionId(Uuid::from_u128(9)),
        address: PushAddress::Fcm { token: token.into() },
        registered_at: Timestamp(1_750_000_000_000),
    };
    let chat_id = ChatId::of_pair(id(&ann), id(&bob));
    {
        let mut data = app.memory.data();
        // No message shows the last one any more.
        let others = [media(id(&bob), 250), media(id(&ann), 251)];
        data.media = (0..250).map(|n| media(id(&ann), n)).chain(others).collect();
        data.shown_media = data.media[..251].iter().map(|media| media.id).collect();
        data.devices = vec![device(id(&ann), "secret-token"), device(id(&bob), "another")];
        let preferences = Preferences {
            show_content: true,
            quiet_hours: Some(QuietHours {
                from_minute: 1320,
                to_minute: 420,
                utc_offset_minutes: 60,
                time_zone: ZoneName::parse("Europe/Berlin"),
            }),
            muted: vec![MutedChat { chat_id, until: 1_750_000_000_007 }],
        };
        data.preferences.insert(id(&ann), preferences);
    }
    let answer = app.get("/me/export", &ann).await;
    let lines = lines(&answer.text);
    let of = |kind: &str| lines.iter().filter(|line| line["record"] == kind).cloned().collect::<Vec<_>>();
    let files = of("media");
    assert_eq!(files.len(), 250);
    let at = "2025-06-15T15:06:40.000Z";
    assert_eq!(
        files[0],
        json!({
            "record": "media", "media_id": media(id(&ann), 0).id, "filename": "file 0.png", "content_type": "image/png",
            "size": 1000, "width": 40, "height": 30, "complete": true, "created_at": at,
        })
    );
    assert_eq!((&files[1]["complete"], files[1].get("width")), (&json!(false), None));
    let session_id = Uuid::from_u128(9);
    let phone = json!({ "record": "push_device", "device_id": "phone", "platform": "fcm", "session_id": session_id,
        "registered_at": at });
    assert_eq!(of("push_device"), [phone]);
    let preferences = json!({
        "record": "notification_preferences", "show_content": true,
        "quiet_hours": { "from_minute": 1320, "to_minute": 420, "utc_offset_minutes": 60, "time_zone": "Europe/Berlin" },
        "muted": [{ "chat_id": chat_id, "until": "2025-06-15T15:06:40.007Z" }],
    });
    assert_eq!(of("notification_preferences"), [preferences]);
    assert_eq!(of("end")[0]["media"], 250);
    assert!(!answer.text.contains("secret-token"));
}

#[tokio::test]
async fn notifications_and_reports_are_exported_with_nobody_elses() {
    let app = App::new();
    let (ann, bob) = (app.register("ann").await, app.register("bob").await);
    let id = |client: &super::app::Client| client.id.parse::<UserId>().unwrap();
    let (chat_id, at) = (ChatId::of_pair(id(&ann), id(&bob)), 1_750_000_000_000);
    let message = |n: u64| MessageId(Instant { millis: at + n, counter: 0 }.id(0));
    let told = |user_id, n: u64| {
        let (sender_id, read) = (id(&bob), n == 0);
        Notification { user_id, chat_id, message_id: message(n), sender_id, read, notice: None }
    };
    {
        let mut data = app.memory.data();
        data.notifications.clear();
        data.notifications.extend((0..250).map(|n| told(id(&ann), n)));
        let notice = Notice::new("Maintenance", "Tonight,\nfrom ten.").unwrap();
        data.notifications.push(Notification::of_notice(id(&ann), message(250), notice));
        data.notifications.push(told(id(&bob), 251));
        let report = |n: u64, reporter, reported: UserId| Report {
            id: message(n).0,
            reporter: Some(reporter),
            reported: Reported { id: reported, username: "bob".into(), display_name: "Bob".into(), deleted: true },
            message: Some((chat_id, message(n))),
            reason: ReportReason::Spam,
            comment: Some("again".into()),
            evidence: None,
            created_at: Timestamp(at.cast_signed()),
            resolution: None,
        };
        data.reports = (0..249).map(|n| report(n, id(&ann), id(&bob))).collect();
        let evidence = Some(WrappedKey { kek: "kek-0001".into(), bytes: vec![1] });
        let resolution =
            Some(Resolution { by: id(&bob), at: Timestamp(at.cast_signed() + 7), note: "for admins".into() });
        data.reports.push(Report { evidence, resolution, ..report(249, id(&ann), id(&bob)) });
        data.reports.push(report(250, id(&bob), id(&ann)));
    }
    let answer = app.get("/me/export", &ann).await;
    let lines = lines(&answer.text);
    let of = |kind: &str| lines.iter().filter(|line| line["record"] == kind).cloned().collect::<Vec<_>>();
    let notifications = of("notification");
    assert_eq!(notifications.len(), 251);
    let notice = json!({
        "record": "notification", "notification_id": message(250), "kind": "notice", "header": "Maintenance",
        "body": "Tonight,\nfrom ten.", "created_at": "2025-06-15T15:06:40.250Z", "read": false,
    });
    let oldest = json!({
        "record": "notification", "notification_id": message(0), "kind": "new_message", "header": "New message",
        "body": "You have a new message", "chat_id": chat_id, "message_id": message(0),
        "created_at": "2025-06-15T15:06:40.000Z", "read": true,
    });
    assert_eq!((&notifications[0], &notifications[250]), (&notice, &oldest));
    let reports = of("report");
    assert_eq!(reports.len(), 250);
    let newest = json!({
        "record": "report", "report_id": message(249), "user_id": bob.id, "username": "bob", "chat_id": chat_id,
        "message_id": message(249), "reason": "spam", "comment": "again", "include_message": true,
        "created_at": "2025-06-15T15:06:40.000Z", "resolved_at": "2025-06-15T15:06:40.007Z",
    });
    assert_eq!(reports[0], newest);
    let oldest = &reports[249];
    assert_eq!((&oldest["include_message"], &oldest["resolved_at"]), (&json!(false), &Value::Null));
    assert_eq!(lines.last().unwrap(), &end(251, 250, 0, 0, 0));
    assert!(!answer.text.contains("for admins"));
}

#[tokio::test]
async fn what_the_audit_log_has_about_the_caller_is_exported_without_what_is_an_admins() {
    let app = App::new();
    let (ann, root) = (app.register("ann").await, app.register("root").await);
    let (ann_id, root_id): (UserId, UserId) = (ann.id.parse().unwrap(), root.id.parse().unwrap());
    let entry = |n: u128, actor, action, subject, address: &str| AuditEntry {
        id: Uuid::from_u128(n),
        at: Timestamp(1_750_000_000_000),
        actor,
        action,
        subject: Some(subject),
        address: Some(address.into()),
        note: Some("for admins".into()),
    };
    let (own, admins) = ("192.0.2.7", "198.51.100.1");
    let changed = |n| entry(n, Some(ann_id), AuditAction::PasswordChanged, ann_id, own);
    let others = [
        entry(248, None, AuditAction::LoginsThrottled, ann_id, "203.0.113.5"),
        entry(249, Some(root_id), AuditAction::SessionsEnded, ann_id, admins),
        entry(250, Some(root_id), AuditAction::PasswordChanged, root_id, admins),
    ];
    app.memory.data().audit = (0..248).map(changed).chain(others).collect();
    let answer = app.get("/me/export", &ann).await;
    let lines = lines(&answer.text);
    let audit: Vec<_> = lines.iter().filter(|line| line["record"] == "audit").collect();
    assert_eq!(audit.len(), 250);
    let at = "2025-06-15T15:06:40.000Z";
    let expected = |action: &str, address: Option<&str>| {
        let record = "audit";
        json!({ "record": record, "at": at, "action": action, "address": address })
    };
    assert_eq!(*audit[0], expected("sessions_ended", None), "where an admin was is nobody else's");
    assert_eq!(*audit[1], expected("logins_throttled", Some("203.0.113.5")));
    assert_eq!(*audit[2], expected("password_changed", Some(own)));
    assert_eq!(lines.last().unwrap()["audit"], 250);
    for anothers in [admins, "for admins", root.id.as_str()] {
        assert!(!answer.text.contains(anothers), "{anothers}");
    }
}

#[tokio::test]
async fn blocks_are_exported_page_by_page() {
    let app = App::new();
    let ann = app.register("ann").await;
    let id: UserId = ann.id.parse().unwrap();
    {
        let mut data = app.memory.data();
        let (own, hash) = data.accounts[&id].clone();
        for n in 0..250_u8 {
            let other = UserId(Uuid::from_u128(n.into()));
            let username = Username::parse(&format!("peer{n}")).unwrap();
            data.accounts.insert(other, (Account { id: other, username, ..own.clone() }, hash.clone()));
            data.blocks.push((id, other, Timestamp(n.into())));
        }
    }
    let request = Request::get("/me/export").header("authorization", format!("Bearer {}", ann.access));
    let response = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let chunks: Vec<_> = response.into_body().into_data_stream().collect().await;
    let blocks = |chunk: &[u8]| {
        let lines = lines(std::str::from_utf8(chunk).unwrap());
        lines.iter().filter(|line| line["record"] == "block").count()
    };
    let blocks: Vec<_> =
        chunks.iter().map(|chunk| blocks(chunk.as_ref().unwrap())).filter(|count| *count > 0).collect();
    assert_eq!(blocks, [100, 100, 50], "no more of them is in memory at a time");
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
