//! The routes over the embedded stores.

use std::sync::Arc;

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use sentinel_adapters::sqlite::{LocalPresence, Sqlite};
use sentinel_domain::{
    account::Username,
    clock::HybridClock,
    event::{Nobody, Origin},
    ids::{SessionId, UserId},
    key_generation::signing_key,
    keyring::Keyring,
    ports::{AccountStore, PresenceStore},
    time::Timestamp,
};
use sentinel_http::{layers, rate::RateLimits, tokens::Tokens};
use sentinel_testing::{account, config};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{PresenceService, router};

/// Ann and Bob, and the service.
struct World {
    store: Sqlite,
    presence: Arc<LocalPresence>,
    tokens: Arc<Tokens>,
    router: Router,
    ann: UserId,
    bob: UserId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwt-0001.pem"), signing_key().unwrap()).unwrap();
        let keyring = Arc::new(Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap());
        let clock = Arc::new(HybridClock::new());
        let store = Sqlite::open(&folder.path().join("db"), keyring, clock, Arc::new(Nobody)).unwrap();
        let mut users = Vec::new();
        for name in ["ann", "bob"] {
            users.push(store.create_account(account(name)).await.unwrap().id);
        }
        let config = Arc::new(config(folder.path()));
        let tokens = Arc::new(Tokens::load(folder.path(), &config.auth).unwrap());
        let limits = Arc::new(RateLimits::new(&config.limits));
        let presence = Arc::new(LocalPresence::new(store.clone()));
        let service = PresenceService {
            accounts: Arc::new(store.clone()),
            presence: presence.clone(),
            tokens: tokens.clone(),
            limits: limits.clone(),
        };
        let (routes, _) = router(Arc::new(service)).split_for_parts();
        let router = layers::apply(routes, &config, tokens.clone(), limits);
        Self { store, presence, tokens, router, ann: users[0], bob: users[1], _folder: folder }
    }

    async fn call(&self, user: UserId, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let name = Username::parse("someone").unwrap();
        let session = SessionId(Uuid::new_v4());
        let token = self.tokens.issue(user, session, &name, Timestamp::now()).unwrap().token;
        let address: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .extension(ConnectInfo(address))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn get(&self, user: UserId, path: &str) -> (u16, Value) {
        self.call(user, "GET", path, None).await
    }
}

fn activity(status: &str, at: Option<i64>) -> Value {
    json!({"username": "bob", "active": status == "online", "status": status, "last_active_timestamp": at})
}

#[tokio::test]
async fn a_user_is_seen_as_the_most_present_device_under_each_path() {
    let world = World::new().await;
    let (ann, bob) = (world.ann, world.bob);
    let paths = ["/users/user_activity?username=bob", "/user/user_activity?username=Bob"];
    let seen = async |expected: Value| {
        for path in paths {
            assert_eq!(world.get(ann, path).await, (200, expected.clone()));
        }
    };
    seen(activity("offline", None)).await;
    world.presence.touch(bob, Origin(1), true, Timestamp(1_000)).await.unwrap();
    world.presence.touch(bob, Origin(2), false, Timestamp(2_000)).await.unwrap();
    seen(activity("online", Some(1_000))).await;
    PresenceStore::drop(world.presence.as_ref(), bob, Origin(1)).await.unwrap();
    seen(activity("away", Some(1_000))).await;
    PresenceStore::drop(world.presence.as_ref(), bob, Origin(2)).await.unwrap();
    seen(activity("offline", Some(1_000))).await;
    for path in [format!("/users/last_active?user_id={bob}"), format!("/user/last_active?user_id={bob}")] {
        assert_eq!(world.get(ann, &path).await, (200, json!({"user_id": bob, "last_active_timestamp": 1_000})));
    }
}

#[tokio::test]
async fn one_tells_of_oneself_only() {
    let world = World::new().await;
    let (ann, bob) = (world.ann, world.bob);
    let by_query = |user: UserId| format!("/users/update-last-active?user_id={user}");
    let body = |user: UserId| Some(json!({"userId": user}));
    let mut last = 0;
    for (method, path, body) in [
        ("GET", by_query(ann), None),
        ("POST", by_query(ann), None),
        ("POST", "/update-last-active".to_owned(), body(ann)),
        ("POST", "/update-last-active".to_owned(), Some(json!({"user_id": ann}))),
        ("POST", "/update-last-active".to_owned(), Some(json!({"userId": ann, "user_id": ann}))),
    ] {
        let (status, answer) = world.call(ann, method, &path, body).await;
        assert_eq!((status, &answer["user_id"]), (200, &json!(ann)), "{answer}");
        let at = answer["last_active_timestamp"].as_i64().unwrap();
        assert!(at >= last && (Timestamp::now().0 - at).abs() < 60_000, "{answer}");
        last = at;
    }
    let (_, seen) = world.get(bob, &format!("/users/last_active?user_id={ann}")).await;
    assert_eq!(seen["last_active_timestamp"], last);
    let (_, seen) = world.get(bob, "/users/user_activity?username=ann").await;
    assert_eq!((&seen["active"], &seen["status"]), (&json!(true), &json!("online")), "until the lease ends");
    let restarted = LocalPresence::new(world.store.clone()).presence(&[ann]).await.unwrap();
    assert_eq!(restarted[0].last_active, Some(Timestamp(last)), "what was answered outlives the process");
    for (method, path, body) in [
        ("GET", by_query(bob), None),
        ("POST", by_query(bob), None),
        ("POST", "/update-last-active".to_owned(), body(bob)),
        ("POST", "/update-last-active".to_owned(), Some(json!({"userId": ann, "user_id": bob}))),
        ("POST", "/update-last-active".to_owned(), Some(json!({"userId": bob, "user_id": ann}))),
    ] {
        let (status, problem) = world.call(ann, method, &path, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{problem}");
    }
    let (_, seen) = world.get(ann, &format!("/users/last_active?user_id={bob}")).await;
    assert_eq!(seen["last_active_timestamp"], Value::Null);
}

#[tokio::test]
async fn a_block_hides_both_ways_and_the_unknown_is_not_found() {
    let world = World::new().await;
    let (ann, bob) = (world.ann, world.bob);
    for user in [ann, bob] {
        world.presence.touch(user, Origin(1), true, Timestamp(1_000)).await.unwrap();
    }
    world.store.block(bob, ann, Timestamp::now()).await.unwrap();
    let (_, bobs) = world.get(ann, "/users/user_activity?username=bob").await;
    assert_eq!(bobs, activity("offline", None));
    let (_, anns) = world.get(bob, "/users/user_activity?username=ann").await;
    assert_eq!((&anns["status"], &anns["last_active_timestamp"]), (&json!("offline"), &Value::Null));
    let (_, last) = world.get(ann, &format!("/user/last_active?user_id={bob}")).await;
    assert_eq!(last["last_active_timestamp"], Value::Null);
    let (_, own) = world.get(bob, "/users/user_activity?username=bob").await;
    assert_eq!(own, activity("online", Some(1_000)), "oneself is never hidden");
    world.store.unblock(bob, ann).await.unwrap();
    let (_, bobs) = world.get(ann, "/users/user_activity?username=bob").await;
    assert_eq!(bobs, activity("online", Some(1_000)));

    let nobody = Uuid::new_v4();
    for path in [
        "/users/user_activity?username=nobody".to_owned(),
        "/users/user_activity?username=no%20name".to_owned(),
        format!("/users/last_active?user_id={nobody}"),
    ] {
        let (status, problem) = world.get(ann, &path).await;
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")), "{path}");
    }
    for path in ["/users/user_activity", "/users/last_active?user_id=x", "/users/update-last-active"] {
        let (status, problem) = world.get(ann, path).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_request")), "{path}");
    }
}
