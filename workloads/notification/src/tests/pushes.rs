//! What reaches devices and open sockets.

use sentinel_domain::{
    notification::{Kind, Notification},
    ports::SessionStore,
    push::{Device, DeviceId},
};

use super::{read_only::ReadOnly, *};

impl World {
    pub(super) async fn device(&self, user_id: UserId, token: &str) {
        let device = Device {
            user_id,
            device_id: DeviceId::parse(token).unwrap(),
            session_id: self.sessions[&user_id],
            address: PushAddress::Fcm { token: token.into() },
            registered_at: Timestamp::now(),
        };
        self.service.devices.register(device).await.unwrap();
    }

    async fn devices(&self, user: UserId) -> usize {
        self.service.devices.devices(user).await.unwrap().len()
    }

    fn pushed_to(&self) -> Vec<String> {
        self.recorder.pushed().into_iter().map(|(token, _)| token).collect()
    }

    async fn read(&self, message: &Message) {
        let now = Timestamp::now();
        self.store.advance(self.bob, self.chat.id, Progress::Read, message.id, now).await.unwrap();
        self.tell(Change::Read { message_id: message.id, user_id: self.bob, before: None }).await;
    }
}

#[tokio::test]
async fn every_device_of_the_recipient_is_told_once_however_often_the_event_comes() {
    let world = World::new().await;
    for (user, token) in [(world.bob, "phone"), (world.bob, "tablet"), (world.ann, "own")] {
        world.device(user, token).await;
    }
    let message = world.send(world.ann, "secret").await;
    world.written(&message).await;
    let pushed = world.recorder.pushed();
    assert_eq!(pushed.iter().map(|(token, _)| token.as_str()).collect::<Vec<_>>(), ["phone", "tablet"]);
    let push = &pushed[0].1;
    assert_eq!((push.message_id, push.chat_id, push.badge), (message.id, Some(world.chat.id), 1));
    let alert = push.alert.as_ref().unwrap();
    assert_eq!((alert.header.as_str(), alert.body.as_str()), ("New message", "You have a new message"));
    world.written(&message).await;
    assert_eq!(world.pushed_to(), [""; 0]);
    world.written(&world.send(world.ann, "next").await).await;
    assert_eq!(world.recorder.pushed()[0].1.badge, 2);
}

#[tokio::test]
async fn content_needs_the_users_wish_and_the_deployments_leave() {
    for (leave, wish, expected) in
        [(false, true, "New message"), (true, false, "New message"), (true, true, "ann"), (false, false, "New message")]
    {
        let world = World::with(&json!({"showContent": leave})).await;
        world.device(world.bob, "phone").await;
        world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": wish}))).await;
        world.written(&world.send(world.ann, "the text").await).await;
        let alert = world.recorder.pushed().remove(0).1.alert.unwrap();
        assert_eq!(alert.header, expected);
        assert_eq!(alert.body == "the text", leave && wish);
    }
}

#[tokio::test]
async fn who_has_read_or_wants_no_push_gets_none() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let read = world.send(world.ann, "read within the delay").await;
    world.store.advance(world.bob, world.chat.id, Progress::Read, read.id, Timestamp::now()).await.unwrap();
    world.written(&read).await;
    assert_eq!(world.pushed_to(), [""; 0]);

    let night = json!({"quiet_hours": {"from_minute": 0, "to_minute": 1439, "utc_offset_minutes": 0}});
    let early = json!({"quiet_hours": {"from_minute": 1439, "to_minute": 1438}});
    let now = Timestamp::now().seconds().rem_euclid(86_400) / 60;
    let quiet = if now == 1439 { early } else { night };
    assert_eq!(world.call(world.bob, "PUT", "/notifications/preferences", Some(quiet)).await.0, 200);
    let late = world.send(world.ann, "at night").await;
    world.written(&late).await;
    assert_eq!(world.pushed_to(), [""; 0]);
    assert_eq!(world.kept(world.bob).await, [(late.id, false)], "the list has it all the same");

    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({}))).await;
    world.service.accounts.block(world.bob, world.ann, Timestamp::now()).await.unwrap();
    world.written(&late).await;
    assert_eq!(world.pushed_to(), [""; 0]);
}

#[tokio::test]
async fn quiet_hours_are_those_of_the_users_time_zone() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    // An hour around now, in a zone that is ahead of UTC by fourteen hours.
    let there = Timestamp::now().seconds() / 60 + 14 * 60;
    let [from, to] = [there - 30, there + 30].map(|minute| minute.rem_euclid(24 * 60));
    for (zone, pushed) in [(json!("Etc/GMT-14"), vec![]), (Value::Null, vec!["phone"])] {
        let hours = json!({"from_minute": from, "to_minute": to, "utc_offset_minutes": 0, "time_zone": zone});
        let wanted = json!({"quiet_hours": hours});
        assert_eq!(world.call(world.bob, "PUT", "/notifications/preferences", Some(wanted)).await.0, 200);
        let message = world.send(world.ann, "what time is it there?").await;
        world.written(&message).await;
        assert_eq!(world.pushed_to(), pushed);
    }
}

#[tokio::test]
async fn many_messages_at_once_make_one_push_of_the_newest() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let mut events = Vec::new();
    for number in 0..5 {
        events.push(world.event(&world.send(world.ann, &number.to_string()).await));
    }
    world.notifier.handle(&events).await.unwrap();
    world.pusher.handle(&events).await.unwrap();
    let pushed = world.recorder.pushed();
    assert_eq!((pushed.len(), pushed[0].1.badge), (1, 5));
    assert_eq!(EventId::from(pushed[0].1.message_id), events[4].event_id);
}

#[tokio::test]
async fn when_the_newest_message_is_deleted_the_one_before_it_is_pushed() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let mut sent = Vec::new();
    for number in 0..4 {
        sent.push(world.send(world.ann, &number.to_string()).await);
    }
    let events: Vec<_> = sent.iter().map(|message| world.event(message)).collect();
    for deleted in [&sent[2], &sent[3]] {
        world.store.delete(world.ann, world.chat.id, deleted.id, Timestamp::now()).await.unwrap();
    }
    world.pusher.handle(&events).await.unwrap();
    let pushed = world.recorder.pushed();
    assert_eq!(pushed.iter().map(|(_, push)| push.message_id).collect::<Vec<_>>(), [sent[1].id]);
    for deleted in &sent[..2] {
        world.store.delete(world.ann, world.chat.id, deleted.id, Timestamp::now()).await.unwrap();
    }
    world.pusher.handle(&events).await.unwrap();
    assert_eq!(world.pushed_to(), [""; 0], "nothing is left to tell of");
}

#[tokio::test]
async fn devices_are_told_once_while_nothing_can_be_written() {
    for failing in [1, usize::MAX] {
        let world = World::new().await;
        for token in ["phone", "gone"] {
            world.device(world.bob, token).await;
        }
        let mut service = world.service_over(world.store.clone());
        service.devices = Arc::new(ReadOnly::new(world.store.clone(), failing));
        let event = world.event(&world.send(world.ann, "1").await);
        Pusher(Arc::new(service)).handle(std::slice::from_ref(&event)).await.unwrap();
        assert_eq!(world.pushed_to(), ["gone", "phone"], "once, and the event is not given back");
        if failing == 1 {
            world.pusher.handle(&[event]).await.unwrap();
            assert_eq!(world.pushed_to(), [""; 0], "it was remembered by a later try");
        }
    }
}

/// Others' pushes do not wait for one whose devices can't be read; while a store is away nothing is passed over.
#[tokio::test]
async fn a_recipient_who_can_not_be_read_gets_no_push_and_holds_up_nobody() {
    let world = World::new().await;
    for (user, token) in [(world.bob, "bobs"), (world.ann, "anns")] {
        world.device(user, token).await;
    }
    let events = [world.event(&world.send(world.ann, "1").await), world.event(&world.send(world.bob, "2").await)];
    let pusher = |error| {
        let mut service = world.service_over(world.store.clone());
        service.devices = Arc::new(ReadOnly::failing_for(world.store.clone(), world.bob, error));
        Pusher(Arc::new(service))
    };
    let away = pusher(|| StoreError::unavailable("away")).handle(&events).await;
    assert!(matches!(away, Err(HandlerError::Unavailable(_))), "{away:?}");
    assert_eq!(world.pushed_to(), ["anns"]);
    pusher(|| StoreError::unreadable("tombstones")).handle(&events).await.unwrap();
    assert_eq!(world.pushed_to(), [""; 0], "Ann's was done before");
    world.pusher.handle(&events).await.unwrap();
    assert_eq!(world.pushed_to(), ["bobs"]);
}

#[tokio::test]
async fn a_push_goes_out_also_when_nobody_knows_what_is_unread() {
    for error in
        [|| StoreError::unavailable("away"), || StoreError::unreadable("tombstones")] as [fn() -> StoreError; 2]
    {
        let world = World::new().await;
        world.device(world.bob, "phone").await;
        let messages = [world.send(world.ann, "1").await, world.send(world.ann, "2").await];
        world.notifier.handle(&messages.each_ref().map(|message| world.event(message))).await.unwrap();
        *world.memory.unlisted.lock().unwrap() = Some((world.bob, error));
        world.pusher.handle(&[world.event(&messages[1])]).await.unwrap();
        let pushed = world.recorder.pushed();
        assert_eq!((pushed.len(), pushed[0].1.badge), (1, 1));
    }
}

#[tokio::test]
async fn badges_go_down_when_what_was_pushed_is_read() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let (first, second) = (world.send(world.ann, "1").await, world.send(world.ann, "2").await);
    world.written(&first).await;
    world.written(&second).await;
    world.recorder.pushed();
    world.read(&first).await;
    assert_eq!(world.pushed_to(), [""; 0], "there is more to read");
    world.read(&second).await;
    let pushed = world.recorder.pushed();
    assert_eq!((pushed.len(), pushed[0].1.badge, pushed[0].1.alert.clone()), (1, 0, None));
    let third = world.send(world.ann, "3").await;
    world.read(&third).await;
    assert_eq!(world.pushed_to(), [""; 0], "of that nobody was told");
}

#[tokio::test]
async fn a_badge_counts_what_is_unread_behind_much_that_was_read() {
    /// Notifications from the oldest on: how many in a row, whether they were read, and what is unread after all.
    const CASES: [&[(u64, bool)]; 7] = [
        &[],
        &[(7, false), (100, true)],
        &[(7, false), (993, true)],
        &[(7, false), (996, true)],
        &[(7, false), (1000, true)],
        &[(90, false), (150, true), (9, false)],
        &[(90, false), (150, true), (11, false)],
    ];
    let world = World::new().await;
    for (case, expected) in CASES.iter().zip([0, 7, 7, 4, 0, 99, 100]) {
        world.memory.kept.lock().unwrap().clear();
        let welcome = Notification::welcome(world.bob, MessageId(Instant { millis: 1, counter: 0 }.id(0)));
        world.service.notifications.add(welcome).await.unwrap();
        let mut millis = 1;
        for (count, read) in *case {
            for _ in 0..*count {
                millis += 1;
                let message_id = MessageId(Instant { millis, counter: 0 }.id(0));
                let (user_id, chat_id, sender_id) = (world.bob, world.chat.id, world.ann);
                let one = Notification { user_id, chat_id, message_id, sender_id, read: *read, notice: None };
                world.service.notifications.add(one).await.unwrap();
            }
        }
        assert_eq!(world.service.unread(world.bob).await.unwrap(), expected, "{case:?}");
    }
}

#[tokio::test]
async fn a_device_goes_with_its_session_and_with_its_token() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    world.device(world.bob, "gone").await;
    world.written(&world.send(world.ann, "1").await).await;
    assert_eq!(world.pushed_to(), ["gone", "phone"]);
    assert_eq!(world.devices(world.bob).await, 1, "the push service said that it is none");
    world.store.end_session(world.bob, world.sessions[&world.bob]).await.unwrap();
    world.written(&world.send(world.ann, "2").await).await;
    assert_eq!((world.pushed_to(), world.devices(world.bob).await), (vec![], 0));
}

#[tokio::test]
async fn open_sockets_of_the_recipient_are_told() {
    let world = World::new().await;
    let message = world.send(world.ann, "the text").await;
    world.written(&message).await;
    let shown = world.recorder.shown();
    let [(user, shown)] = &shown[..] else { panic!("one notification") };
    assert_eq!((*user, shown.kind, shown.header.as_str()), (world.bob, Kind::NewMessage, "New message"));
    assert_eq!((shown.message_id, shown.chat_id), (Some(message.id), Some(world.chat.id)));
    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": true}))).await;
    world.written(&world.send(world.ann, "the text").await).await;
    let shown = world.recorder.shown().remove(0).1;
    assert_eq!((shown.header.as_str(), shown.body.as_str()), ("ann", "the text"));
}

#[tokio::test]
async fn badges_go_down_when_a_notification_is_read_by_itself() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let mut sent = Vec::new();
    for number in 0..3 {
        let message = world.send(world.ann, &number.to_string()).await;
        world.written(&message).await;
        sent.push(message.id);
    }
    world.recorder.pushed();
    assert_eq!(world.call(world.bob, "POST", &format!("/notifications/{}/read", sent[1]), None).await.0, 204);
    let pushed = async {
        loop {
            let pushed = world.recorder.pushed();
            if !pushed.is_empty() {
                return pushed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let pushed = tokio::time::timeout(std::time::Duration::from_mins(1), pushed).await.unwrap();
    let [(token, push)] = &pushed[..] else { panic!("{pushed:?}") };
    assert_eq!((token.as_str(), push.message_id, push.badge, push.kind()), ("phone", sent[1], 2, "badge"));
}
