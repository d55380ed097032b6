//! Notices of whoever runs the deployment.

use sentinel_domain::{
    audit::AuditAction,
    notice::{NOTICE_RECIPIENTS, Notice},
    notification::Kind,
    ports::AdministrationStore,
    push::{Device, DeviceId, Push},
};

use super::*;
use crate::notices::tell_in_order;

const SEND: &str = "/send_notification";

impl World {
    async fn admin(&self, body: Value) -> (u16, Value) {
        let name = Username::parse("ann").unwrap();
        let issued = self.service.tokens.issue_admin(self.ann, self.sessions[&self.ann], &name, Timestamp::now());
        self.request(&issued.unwrap().token, "POST", SEND, Some(body)).await
    }

    async fn listed(&self, user: UserId) -> Vec<Value> {
        let (status, page) = self.call(user, "GET", "/notifications", None).await;
        assert_eq!(status, 200, "{page}");
        page["notifications"].as_array().unwrap().clone()
    }

    async fn phone(&self, user_id: UserId, token: &str) {
        let device = Device {
            user_id,
            device_id: DeviceId::parse(token).unwrap(),
            session_id: self.sessions[&user_id],
            address: PushAddress::Fcm { token: token.into() },
            registered_at: Timestamp::now(),
        };
        self.service.devices.register(device).await.unwrap();
    }

    /// The pushes of a notice, which are out when it is answered.
    fn pushes(&self, count: usize) -> Vec<(String, Push)> {
        let pushed = self.recorder.pushed();
        assert_eq!(pushed.len(), count);
        pushed
    }

    async fn log(&self) -> Vec<(AuditAction, Option<UserId>, Option<UserId>, Option<String>)> {
        let log = self.store.audit_log(None, None, 100).await.unwrap();
        log.into_iter().map(|entry| (entry.action, entry.actor, entry.subject, entry.note)).collect()
    }
}

#[tokio::test]
async fn one_user_is_told_in_the_list_on_sockets_and_on_devices() {
    let world = World::with(&json!({"showContent": true})).await;
    world.phone(world.bob, "phone").await;
    world.phone(world.ann, "other").await;
    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": true}))).await;
    let notice = json!({"header": " Quota ", "body": "Your files\nare too many.", "user_id": world.bob});
    let (status, answer) = world.admin(notice).await;
    assert_eq!((status, &answer["recipients"], &answer["next_cursor"]), (200, &json!(1), &Value::Null), "{answer}");
    let id = &answer["notification_id"];

    let listed = world.listed(world.bob).await;
    let [one] = &listed[..] else { panic!("{listed:?}") };
    let created_at = &one["created_at"];
    let expected = json!({
        "notification_id": id, "kind": "notice", "header": "Quota", "body": "Your files\nare too many.",
        "created_at": created_at, "read": false,
    });
    assert_eq!(*one, expected);
    assert!(world.listed(world.ann).await.is_empty(), "it is for one user");

    let shown = world.recorder.shown();
    let [(user, shown)] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!((*user, shown.kind, shown.header.as_str()), (world.bob, Kind::Notice, "Quota"));
    let (token, push) = world.pushes(1).remove(0);
    let alert = push.alert.unwrap();
    assert_eq!((token.as_str(), push.chat_id, push.badge), ("phone", None, 1));
    assert_eq!((alert.header.as_str(), alert.body.as_str()), ("Quota", "Your files are too many."));

    let note = Some(id.as_str().unwrap().to_owned());
    assert_eq!(world.log().await, [(AuditAction::NoticeSent, Some(world.ann), Some(world.bob), note)]);
    let read = format!("/notifications/{}/read", id.as_str().unwrap());
    assert_eq!(world.call(world.bob, "POST", &read, None).await.0, 204);
    assert_eq!(world.listed(world.bob).await[0]["read"], true);
}

#[tokio::test]
async fn pushes_show_no_text_unless_it_is_wanted_and_keep_quiet_hours() {
    let world = World::new().await;
    world.phone(world.bob, "phone").await;
    let notice = json!({"header": "Quota", "body": "the text", "user_id": world.bob});
    world.admin(notice.clone()).await;
    let alert = world.pushes(1).remove(0).1.alert.unwrap();
    assert_eq!((alert.header.as_str(), alert.body.as_str()), ("New notice", "There is a notice for you"));
    assert_eq!(world.listed(world.bob).await[0]["body"], "the text", "the list has it all the same");

    let minute = Timestamp::now().seconds().rem_euclid(86_400) / 60;
    // All of the day but a minute that is hours away.
    let apart = (minute + 720) % 1440;
    let quiet = json!({"quiet_hours": {"from_minute": (apart + 1) % 1440, "to_minute": apart}});
    assert_eq!(world.call(world.bob, "PUT", "/notifications/preferences", Some(quiet)).await.0, 200);
    world.phone(world.ann, "other").await;
    world.admin(json!({"header": "Quota", "body": "at night"})).await;
    assert_eq!(world.pushes(1).remove(0).0, "other");
    assert_eq!(world.listed(world.bob).await.len(), 2);
}

#[tokio::test]
async fn all_are_told_in_steps_and_nobody_twice() {
    let world = World::new().await;
    let mut everybody = vec![world.ann, world.bob];
    for number in 0..NOTICE_RECIPIENTS {
        everybody.push(world.store.create_account(account(&format!("user{number:04}"))).await.unwrap().id);
    }
    let with = |cursor: &Value, body: &str| json!({"header": "Maintenance", "body": body, "cursor": cursor});
    let (mut cursors, mut ids, mut told) = (vec![Value::Null], std::collections::HashSet::new(), 0);
    loop {
        let (status, answer) = world.admin(with(cursors.last().unwrap(), "Tonight")).await;
        let recipients = answer["recipients"].as_u64().unwrap();
        assert!(status == 200 && recipients > 0 && recipients <= NOTICE_RECIPIENTS as u64, "{answer}");
        told += recipients;
        ids.insert(answer["notification_id"].as_str().unwrap().to_owned());
        if answer["next_cursor"].is_null() {
            break;
        }
        cursors.push(answer["next_cursor"].clone());
    }
    assert_eq!((told, ids.len()), (everybody.len() as u64, 1));
    // The second answer got lost on the way.
    let (_, second) = world.admin(with(&cursors[1], "Tonight")).await;
    assert!(ids.contains(second["notification_id"].as_str().unwrap()), "{second}");
    for user in &everybody {
        assert_eq!(world.kept(*user).await.len(), 1);
    }
    let shown: std::collections::HashSet<UserId> = world.recorder.shown().into_iter().map(|(user, _)| user).collect();
    assert_eq!(shown, everybody.iter().copied().collect());
    assert_eq!(world.log().await.len(), cursors.len() + 1, "each request is in the log");

    for wrong in [with(&cursors[1], "Tomorrow"), with(&json!("x"), "Tonight")] {
        let (status, problem) = world.admin(wrong).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_cursor")), "{problem}");
    }
}

#[tokio::test]
async fn what_breaks_off_is_told_up_to_there_and_goes_on_with_the_next_request() {
    let world = World::new().await;
    for (user, token) in [(world.ann, "anns"), (world.bob, "bobs")] {
        world.phone(user, token).await;
    }
    let body = |cursor: &Value| json!({"header": "Maintenance", "body": "Tonight", "cursor": cursor});
    *world.memory.away.lock().unwrap() = Some(world.bob);
    let (status, first) = world.admin(body(&Value::Null)).await;
    assert_eq!((status, &first["recipients"]), (200, &json!(1)), "{first}");
    assert_eq!(world.pushes(1)[0].0, "anns");
    let (status, failed) = world.admin(body(&first["next_cursor"])).await;
    assert_eq!((status, &failed["code"]), (503, &json!("unavailable")), "{failed}");
    world.pushes(0);
    *world.memory.away.lock().unwrap() = None;
    // The answer got lost on the way: the push comes again, the notification does not.
    for _ in 0..2 {
        let (_, second) = world.admin(body(&first["next_cursor"])).await;
        let expected = (&json!(1), &Value::Null, &first["notification_id"]);
        assert_eq!((&second["recipients"], &second["next_cursor"], &second["notification_id"]), expected);
        assert_eq!(world.pushes(1)[0].0, "bobs");
    }
    for user in [world.ann, world.bob] {
        assert_eq!(world.kept(user).await.len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_takes_long_tells_fewer() {
    let world = World::new().await;
    let users: Vec<_> = (0..40).map(|number| (UserId(Uuid::from_u128(number)), format!("user{number}"))).collect();
    let notice = Notice::new("Maintenance", "Tonight").unwrap();
    let id = MessageId(Uuid::now_v7());
    let told = tell_in_order(&world.service, &users, id, &notice, Duration::ZERO).await.unwrap();
    assert!((1..40).contains(&told), "{told}");
    for (place, (user, _)) in users.iter().enumerate() {
        assert_eq!(world.kept(*user).await.len(), usize::from(place < told), "{place} of {told}");
    }
    let all = tell_in_order(&world.service, &users[told..], id, &notice, Duration::from_mins(10)).await.unwrap();
    assert_eq!(told + all, 40);
}

#[tokio::test]
async fn one_whose_preferences_can_not_be_read_keeps_nobody_from_being_told() {
    let world = World::new().await;
    world.phone(world.ann, "anns").await;
    world.phone(world.bob, "bobs").await;
    *world.memory.unreadable.lock().unwrap() = Some(world.ann);
    let (status, answer) = world.admin(json!({"header": "Maintenance", "body": "Tonight"})).await;
    assert_eq!((status, &answer["recipients"], &answer["next_cursor"]), (200, &json!(2), &Value::Null), "{answer}");
    assert_eq!(world.pushes(1)[0].0, "bobs");
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_field_and_tells_nobody() {
    let world = World::new().await;
    let notice = json!({"header": "h", "body": "b"});
    let (status, problem) = world.call(world.ann, "POST", SEND, Some(notice.clone())).await;
    assert_eq!((status, &problem["code"]), (403, &json!("forbidden")));
    for (body, field) in [
        (json!({"header": "", "body": "b"}), "header"),
        (json!({"header": "two\nlines", "body": "b"}), "header"),
        (json!({"header": "h", "body": "x".repeat(1001)}), "body"),
        (json!({"header": "h", "body": "b", "user_id": "x"}), "user_id"),
        (json!({"header": "h", "body": "b", "user_id": world.bob, "cursor": "x"}), "cursor"),
        (json!({"body": "b"}), "header"),
    ] {
        let (status, problem) = world.admin(body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let nobody = json!({"header": "h", "body": "b", "user_id": Uuid::new_v4()});
    assert_eq!(world.admin(nobody).await.0, 404);
    assert!(world.log().await.is_empty() && world.recorder.shown().is_empty());
    assert!(world.listed(world.bob).await.is_empty());
}
