//! The consumer and the routes over a real chat store, with notifications in memory.

mod damaged;
mod devices;
mod memory;
mod notices;
mod preferences;
mod pushes;
mod read_only;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request},
};
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    account::Username,
    clock::{HybridClock, Instant},
    event::Nobody,
    ids::{ChatId, EventId, MessageId, SessionId, UserId},
    key_generation::signing_key,
    keyring::Keyring,
    message::{Chat, Draft, Message, MessageKind},
    outbox::{Change, PlatformEvent},
    ports::{AccountStore, ChatReader, ChatStore, EventHandler, HandlerError, SessionStore, StoreError},
    push::PushAddress,
    time::Timestamp,
    watermark::Progress,
};
use sentinel_http::{layers, rate::RateLimits, tokens::Tokens};
use sentinel_testing::{account, chats::FlawedChats, config, draft, session};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use self::memory::{Failing, Memory, Recorder};
use crate::{Badges, NotificationService, Notifier, Pusher, router};

/// The routes of a service, as a server has them.
fn routes(service: &Arc<NotificationService>) -> Router {
    let (routes, _) = router(service.clone()).split_for_parts();
    let limits = Arc::new(RateLimits::new(&service.config.limits));
    layers::apply(routes, &service.config, service.tokens.clone(), limits)
}

/// Ann and Bob, their chat, and the service.
struct World {
    service: Arc<NotificationService>,
    notifier: Notifier,
    pusher: Pusher,
    recorder: Arc<Recorder>,
    memory: Arc<Memory>,
    store: Arc<Sqlite>,
    sessions: HashMap<UserId, SessionId>,
    router: Router,
    chat: Chat,
    ann: UserId,
    bob: UserId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with(&json!({})).await
    }

    /// With settings of pushes other than their defaults, apart from delays.
    async fn with(push: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwt-0001.pem"), signing_key().unwrap()).unwrap();
        let keyring = Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap());
        let clock = Arc::new(HybridClock::new());
        let store = Sqlite::open(&folder.path().join("db"), keyring.clone(), clock, Arc::new(Nobody)).unwrap();
        let store = Arc::new(store);
        let mut members = Vec::new();
        for name in ["ann", "bob"] {
            members.push(store.create_account(account(name)).await.unwrap().id);
        }
        let (ann, bob) = (members[0], members[1]);
        let (chat, _) = store.start_chat(ann, bob, Timestamp::now()).await.unwrap();
        let mut config = config(folder.path());
        config.push = serde_json::from_value(push.clone()).unwrap();
        (config.push.delay_millis, config.push.notify_delay_millis) = (0, 0);
        let config = Arc::new(config);
        let tokens = Arc::new(Tokens::load(folder.path(), &config.auth).unwrap());
        let (recorder, memory) = (Arc::new(Recorder::default()), Arc::new(Memory::default()));
        let mut sessions = HashMap::new();
        for &user_id in &members {
            let session = session(user_id);
            sessions.insert(user_id, session.id);
            store.create_session(session).await.unwrap();
        }
        let service = Arc::new(NotificationService {
            accounts: store.clone(),
            sessions: store.clone(),
            chats: store.clone(),
            notifications: memory.clone(),
            devices: store.clone(),
            pushes: recorder.clone(),
            administration: store.clone(),
            fanout: recorder.clone(),
            badges: Badges::default(),
            limits: Arc::new(RateLimits::new(&config.limits)),
            tokens: tokens.clone(),
            keyring,
            config: config.clone(),
        });
        let router = routes(&service);
        let (notifier, pusher) = (Notifier(service.clone()), Pusher(service.clone()));
        Self { service, notifier, pusher, recorder, memory, store, sessions, router, chat, ann, bob, _folder: folder }
    }

    /// The same service over another view of the chats.
    fn service_over(&self, chats: Arc<dyn ChatReader>) -> NotificationService {
        let NotificationService { accounts, sessions, notifications, devices, pushes, .. } = &*self.service;
        let NotificationService { administration, fanout, tokens, keyring, config, .. } = &*self.service;
        NotificationService {
            accounts: accounts.clone(),
            sessions: sessions.clone(),
            chats,
            notifications: notifications.clone(),
            devices: devices.clone(),
            pushes: pushes.clone(),
            administration: administration.clone(),
            fanout: fanout.clone(),
            badges: Badges::default(),
            limits: self.service.limits.clone(),
            tokens: tokens.clone(),
            keyring: keyring.clone(),
            config: config.clone(),
        }
    }

    async fn send(&self, sender_id: UserId, text: &str) -> Message {
        self.store.append(draft(self.chat.id, sender_id, text), None, Timestamp::now()).await.unwrap().message
    }

    async fn tell(&self, change: Change) {
        let event = PlatformEvent {
            event_id: EventId(Uuid::now_v7()),
            chat_id: self.chat.id,
            members: self.chat.members,
            change,
        };
        self.notifier.handle(std::slice::from_ref(&event)).await.unwrap();
        self.pusher.handle(&[event]).await.unwrap();
    }

    /// That a message was written.
    fn event(&self, message: &Message) -> PlatformEvent {
        PlatformEvent {
            event_id: EventId(message.id.0),
            chat_id: self.chat.id,
            members: self.chat.members,
            change: Change::Written { message_id: message.id, sender_id: message.sender_id },
        }
    }

    async fn written(&self, message: &Message) {
        self.tell(Change::Written { message_id: message.id, sender_id: message.sender_id }).await;
    }

    async fn kept(&self, user: UserId) -> Vec<(MessageId, bool)> {
        let list = self.service.notifications.list(user, None, 100).await.unwrap();
        list.into_iter().map(|one| (one.message_id, one.read)).collect()
    }

    fn token(&self, user: UserId) -> String {
        let name = Username::parse("someone").unwrap();
        self.service.tokens.issue(user, self.sessions[&user], &name, Timestamp::now()).unwrap().token
    }

    async fn call(&self, user: UserId, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.request(&self.token(user), method, path, body).await
    }

    async fn request(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, _, body) = self.request_with(token, method, path, &[], body).await;
        (status, body)
    }

    /// A request with further headers; gives those of the answer as well.
    async fn request_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, HeaderMap, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 9))));
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = axum::body::to_bytes(answer.into_body(), 1_000_000).await.unwrap();
        (status, headers, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

#[tokio::test]
async fn the_recipient_is_told_once_however_often_the_event_comes() {
    let world = World::new().await;
    let message = world.send(world.ann, "hi").await;
    for _ in 0..3 {
        world.written(&message).await;
    }
    assert_eq!(world.kept(world.bob).await, [(message.id, false)]);
    assert_eq!(world.kept(world.ann).await, [], "nobody is told of the own message");
    world.service.notifications.mark_read(world.bob, message.id).await.unwrap();
    world.written(&message).await;
    assert_eq!(world.kept(world.bob).await, [(message.id, true)], "what was read stays read");
}

#[tokio::test]
async fn what_was_read_deleted_muted_or_blocked_is_not_told() {
    let world = World::new().await;
    let (ann, bob, now) = (world.ann, world.bob, Timestamp::now());
    let chats = &world.store;

    let read = world.send(ann, "read before the event came").await;
    chats.advance(bob, world.chat.id, Progress::Read, read.id, now).await.unwrap();
    world.written(&read).await;
    let deleted = world.send(ann, "deleted").await;
    chats.delete(ann, world.chat.id, deleted.id, now).await.unwrap();
    world.written(&deleted).await;
    assert_eq!(world.kept(bob).await, []);

    let until = Timestamp(now.0 + 60_000).to_string();
    let muted = json!({"muted": [{"chat_id": world.chat.id, "until": until}]});
    assert_eq!(world.call(bob, "PUT", "/notifications/preferences", Some(muted)).await.0, 200);
    let unheard = world.send(ann, "muted").await;
    world.written(&unheard).await;
    assert_eq!(world.kept(bob).await, []);
    world.call(bob, "PUT", "/notifications/preferences", Some(json!({}))).await;

    let last = world.send(ann, "before the block").await;
    world.service.accounts.block(bob, ann, now).await.unwrap();
    world.written(&last).await;
    assert_eq!(world.kept(bob).await, []);
}

#[tokio::test]
async fn later_events_read_and_withdraw() {
    let world = World::new().await;
    let (first, second, third) =
        (world.send(world.ann, "1").await, world.send(world.ann, "2").await, world.send(world.ann, "3").await);
    for message in [&first, &second, &third] {
        world.written(message).await;
    }
    world.tell(Change::Read { message_id: second.id, user_id: world.bob, before: None }).await;
    assert_eq!(world.kept(world.bob).await, [(third.id, false), (second.id, true), (first.id, true)]);
    world.tell(Change::Deleted { message_id: third.id, sender_id: world.ann }).await;
    assert_eq!(world.kept(world.bob).await, [(second.id, true), (first.id, true)]);
    world.tell(Change::ChatDeleted).await;
    assert_eq!(world.kept(world.bob).await, []);
    let never_seen = MessageId(Instant { millis: 1_750_000_000_000, counter: 0 }.id(0));
    world.tell(Change::Written { message_id: never_seen, sender_id: world.ann }).await;
    world.store.delete_account(world.ann).await.unwrap();
    world.tell(Change::Written { message_id: MessageId(Uuid::now_v7()), sender_id: world.ann }).await;
    assert_eq!(world.kept(world.bob).await, [], "an event of a message that is gone is no fault");
}

/// Stores look through a part of a user's list for the notifications of a chat.
#[tokio::test]
async fn who_reads_on_and_on_has_the_list_looked_through_once() {
    let world = World::new().await;
    let (ann, bob) = (world.ann, world.bob);
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let message = world.send(ann, &format!("number {number}")).await;
        let written = world.event(&message);
        let read = |user_id| {
            let before = sent.last().copied().filter(|_| user_id == bob);
            let change = Change::Read { message_id: message.id, user_id, before };
            PlatformEvent { event_id: EventId(Uuid::now_v7()), change, ..written.clone() }
        };
        events.extend([written.clone(), read(bob)]);
        if number == 1 {
            events.push(read(ann));
        }
        sent.push(message.id);
    }
    world.notifier.handle(&events).await.unwrap();
    assert_eq!(world.kept(bob).await, [(sent[2], true), (sent[1], true), (sent[0], true)]);
    assert_eq!(*world.memory.chats_read.lock().unwrap(), [(ann, sent[1]), (bob, sent[2])]);
}

#[tokio::test]
async fn a_message_that_becomes_visible_after_its_event_is_told_and_pushed_all_the_same() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    let message = world.send(world.ann, "hi").await;
    let event = world.event(&message);
    let late = || {
        let mut chats = FlawedChats::of(world.store.clone());
        chats.hidden = 2.into();
        Arc::new(world.service_over(Arc::new(chats)))
    };
    Notifier(late()).handle(std::slice::from_ref(&event)).await.unwrap();
    assert_eq!(world.kept(world.bob).await, [(message.id, false)]);
    let pusher = Pusher(late());
    for _ in 0..2 {
        let not_yet = pusher.handle(std::slice::from_ref(&event)).await;
        assert!(matches!(not_yet, Err(HandlerError::Unavailable(_))), "{not_yet:?}");
    }
    pusher.handle(&[event]).await.unwrap();
    assert_eq!(world.recorder.pushed().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_rejected_and_holds_up_nobody() {
    let world = World::new().await;
    world.device(world.bob, "phone").await;
    *world.memory.unreadable.lock().unwrap() = Some(world.bob);
    let event = world.event(&world.send(world.ann, "hi").await);
    for handler in [&world.notifier as &dyn EventHandler, &world.pusher] {
        let began = std::time::Instant::now();
        let rejected = handler.handle(std::slice::from_ref(&event)).await;
        assert!(matches!(rejected, Err(HandlerError::Rejected(_))), "{rejected:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "it is not tried again and again");
    }
    *world.memory.unreadable.lock().unwrap() = None;
    world.notifier.handle(&[event]).await.unwrap();
    assert_eq!(world.kept(world.bob).await.len(), 1);
}

#[tokio::test]
async fn content_is_shown_to_those_who_want_it_and_pages_do_not_repeat() {
    let world = World::new().await;
    for number in 0..5 {
        let message = world.send(world.ann, &format!("number {number}")).await;
        world.written(&message).await;
    }
    let (status, page) = world.call(world.bob, "GET", "/notifications?limit=2", None).await;
    assert_eq!(status, 200);
    assert_eq!(page["notifications"][0]["header"], "New message");
    assert!(!page.to_string().contains("number"), "no content by default: {page}");
    let mut ids: Vec<Value> = Vec::new();
    let mut path = "/notifications?limit=2".to_owned();
    loop {
        let (_, page) = world.call(world.bob, "GET", &path, None).await;
        ids.extend(page["notifications"].as_array().unwrap().iter().map(|one| one["notification_id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/notifications?limit=2&cursor={cursor}");
        let (status, problem) = world.call(world.ann, "GET", &path, None).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_cursor")), "another's cursor");
    }
    assert_eq!(ids.len(), 5);
    ids.dedup();
    assert_eq!(ids.len(), 5);

    world.call(world.bob, "PUT", "/notifications/preferences", Some(json!({"show_content": true}))).await;
    let (_, page) = world.call(world.bob, "GET", "/notifications", None).await;
    assert_eq!(
        (&page["notifications"][0]["header"], &page["notifications"][0]["body"]),
        (&json!("ann"), &json!("number 4"))
    );
    let read = format!("/notifications/{}/read", ids[0].as_str().unwrap());
    assert_eq!(world.call(world.ann, "POST", &read, None).await.0, 404, "another's notification");
    assert_eq!(world.call(world.bob, "POST", &read, None).await.0, 204);
    let (_, page) = world.call(world.bob, "GET", "/notifications", None).await;
    assert_eq!((&page["notifications"][0]["read"], &page["notifications"][1]["read"]), (&json!(true), &json!(false)));
    let told: Vec<_> = world.recorder.read().iter().map(|(user, id)| (*user, json!(id))).collect();
    assert_eq!(told, [(world.bob, ids[0].clone())], "the other devices of the reader hear of it");

    for (kind, says) in [(MessageKind::Image, "A picture"), (MessageKind::File, "A file")] {
        let silent = Draft { kind, ..draft(world.chat.id, world.ann, "") };
        let silent = world.store.append(silent, None, Timestamp::now()).await.unwrap().message;
        world.written(&silent).await;
        let (_, page) = world.call(world.bob, "GET", "/notifications?limit=1", None).await;
        assert_eq!(page["notifications"][0]["body"], says);
    }
}

#[tokio::test]
async fn wrong_preferences_are_refused_by_field_and_change_nothing() {
    let world = World::new().await;
    let chat = world.chat.id;
    let wrong = [
        (json!({"quiet_hours": {"from_minute": 1440, "to_minute": 1}}), "quiet_hours.from_minute"),
        (json!({"quiet_hours": {"from_minute": 0, "to_minute": 1441}}), "quiet_hours.to_minute"),
        (json!({"quiet_hours": {"from_minute": 1, "to_minute": 2, "time_zone": "Atlantis"}}), "quiet_hours.time_zone"),
        (json!({"quiet_hours": {"from_minute": 1, "to_minute": 2, "time_zone": 60}}), "quiet_hours.time_zone"),
        (json!({"muted": [{"chat_id": chat, "until": "tomorrow"}]}), "muted[0].until"),
        (json!({"muted": vec![json!({"chat_id": chat, "until": "2026-01-31T08:00:00Z"}); 1001]}), "muted"),
        (json!({"show_content": "yes"}), "show_content"),
        // An array is no object, though it has the fields in their order.
        (json!({"quiet_hours": [60, 120, 0]}), "quiet_hours"),
        (json!({"muted": [[chat, "2026-01-31T08:00:00Z"]]}), "muted[0]"),
    ];
    for (body, field) in wrong {
        let (status, problem) = world.call(world.bob, "PUT", "/notifications/preferences", Some(body)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let (_, preferences) = world.call(world.bob, "GET", "/notifications/preferences", None).await;
    assert_eq!(preferences, json!({"show_content": false, "quiet_hours": null, "muted": []}));
}
