//! Presence over sockets: who is told what, and when.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fleet;
mod platform;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fleet::Fleet;
use platform::{
    Foundation, Platform,
    client::{Client, SILENCE},
};
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    account::{Profile, Username},
    clock::HybridClock,
    config::LimitsConfig,
    event::Nobody,
    ids::UserId,
    ports::{AccountReader, AccountStore, StoreError},
};
use sentinel_message::Hub;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the next so many `presence` events say.
async fn statuses(client: &mut Client, count: usize) -> Vec<String> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.event("presence").await["status"].as_str().unwrap().to_owned());
    }
    statuses
}

/// Subscribes. A real store on a busy machine may need longer than a call waits. A client then does what it is told.
async fn subscribe(client: &mut Client, ids: &Value) -> Value {
    let mut answer = client.ask("presence_subscribe", json!({"user_ids": ids})).await;
    for _ in 0..3 {
        if answer["code"] == "unavailable" {
            tokio::time::sleep(Duration::from_secs(answer["retry_after"].as_u64().unwrap())).await;
            answer = client.ask("presence_subscribe", json!({"user_ids": ids})).await;
        }
    }
    answer
}

async fn watch(client: &mut Client, users: &[&platform::User]) -> Vec<Value> {
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let answer = subscribe(client, &json!(ids)).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    answer["presence"].as_array().unwrap().clone()
}

/// Watches a user who is connected. The store hears of a device somewhat later than it connects: until then the watcher sees
/// nobody, and is told afterwards.
async fn watch_online(client: &mut Client, user: &platform::User) {
    if watch(client, &[user]).await[0]["status"] != "online" {
        assert_eq!(statuses(client, 1).await, ["online"]);
    }
}

#[tokio::test]
async fn a_watcher_is_told_of_changes_of_the_aggregate_and_of_nothing_else() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut watcher = Client::of(address, &ann).await;
    let first = watch(&mut watcher, &[&bob, &bob]).await;
    assert_eq!(first, [json!({"user_id": bob.id, "status": "offline", "last_active": null})]);

    let mut phone = Client::of(address, &bob).await;
    let told = watcher.event("presence").await;
    assert_eq!((&told["user_id"], &told["status"]), (&json!(bob.id), &json!("online")));
    assert!(told["last_active"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    // The most present device counts.
    let mut desk = Client::of(address, &bob).await;
    assert_eq!(desk.ask("heartbeat", json!({"active": false})).await["status"], "ok");
    assert!(watcher.no_event("presence").await, "a second device changes nothing");
    assert_eq!(phone.ask("heartbeat", json!({"active": false})).await["status"], "ok");
    assert_eq!(statuses(&mut watcher, 1).await, ["away"]);
    // Somebody who writes is there.
    let chat = platform.chat(&ann, &bob).await;
    assert_eq!(phone.ask("send_message", json!({"chat_id": chat, "message": "hi"})).await["status"], "ok");
    assert_eq!(statuses(&mut watcher, 1).await, ["online"]);

    let unsubscribed = watcher.ask("presence_unsubscribe", json!({"user_ids": [bob.id]})).await;
    assert_eq!(unsubscribed, json!({"status": "ok", "presence": []}));
    phone.ask("heartbeat", json!({"active": false})).await;
    tokio::time::sleep(SILENCE * 3).await;
    assert!(watcher.no_event("presence").await);
}

#[tokio::test]
async fn a_client_that_comes_back_at_once_was_never_gone_and_one_that_stays_away_is() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut watcher = Client::of(address, &ann).await;
    let phone = Client::of(address, &bob).await;
    let desk = Client::of(address, &bob).await;
    watch_online(&mut watcher, &bob).await;
    drop(phone);
    tokio::time::sleep(Duration::from_millis(6500)).await;
    assert!(watcher.no_event("presence").await, "the other device is still there");
    drop(desk);
    let back = Client::of(address, &bob).await;
    tokio::time::sleep(Duration::from_millis(6500)).await;
    assert!(watcher.no_event("presence").await, "it was back in time");
    let left = Instant::now();
    drop(back);
    while watcher.no_event("presence").await {
        assert!(left.elapsed() < Duration::from_secs(20), "the grace period has to end");
    }
    let after = left.elapsed();
    let told = watcher.event("presence").await;
    assert_eq!(told["status"], "offline");
    assert!(told["last_active"].is_string(), "{told}");
    assert!(after > Duration::from_millis(4500), "{after:?}");
}

#[tokio::test]
async fn a_block_hides_at_once_on_live_subscriptions_both_ways() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut anns = Client::of(address, &ann).await;
    let mut bobs = Client::of(address, &bob).await;
    watch_online(&mut anns, &bob).await;
    watch_online(&mut bobs, &ann).await;
    platform.store.block(bob.id, ann.id, platform::now()).await.unwrap();
    for (client, other) in [(&mut anns, &bob), (&mut bobs, &ann)] {
        let told = client.event("presence").await;
        assert_eq!(told, json!({"user_id": other.id, "status": "offline", "last_active": null}));
    }
    bobs.ask("heartbeat", json!({"active": false})).await;
    assert!(anns.no_event("presence").await, "changes behind a block are not told");
    let mut late = Client::of(address, &ann).await;
    let hidden = json!({"user_id": bob.id, "status": "offline", "last_active": null});
    assert_eq!(watch(&mut late, &[&bob]).await, [hidden]);
    platform.store.unblock(bob.id, ann.id).await.unwrap();
    assert_eq!(statuses(&mut anns, 1).await, ["away"]);
    assert_eq!(statuses(&mut bobs, 1).await, ["online"]);
}

/// Accounts whose first answer about blocks is late.
struct Late {
    store: Sqlite,
    asked: AtomicBool,
    released: Notify,
}

#[async_trait]
impl AccountReader for Late {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        self.store.profile_by_username(username).await
    }
    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.store.profiles(ids).await
    }
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        let blocked = self.store.blocked_between(a, b).await;
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.released.notified().await;
        }
        blocked
    }
}

#[tokio::test]
async fn a_block_that_comes_while_a_subscription_is_read_hides_too() {
    let (foundation, hub) = (Foundation::new(LimitsConfig::default()), Arc::new(Hub::new()));
    let store = foundation.store(Arc::new(HybridClock::new()), hub.clone());
    let late = Arc::new(Late { store: store.clone(), asked: AtomicBool::new(false), released: Notify::new() });
    let platform = foundation.process(store.clone(), late.clone(), Arc::new(store), hub, None);
    let address = platform.listen().await;
    let (ann, bob) = (platform.user("ann").await, platform.user("bob").await);
    let mut anns = Client::of(address, &ann).await;
    let mut phone = Client::of(address, &bob).await;
    // Of oneself nobody asks about blocks.
    watch_online(&mut phone, &bob).await;
    let asked = anns.emit(json!(["presence_subscribe", {"user_ids": [bob.id]}])).await;
    let limit = Instant::now() + Duration::from_secs(5);
    while !late.asked.load(Ordering::SeqCst) {
        assert!(Instant::now() < limit, "nobody asks about blocks");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    platform.store.block(bob.id, ann.id, platform::now()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    late.released.notify_one();
    assert_eq!(anns.ack(asked).await["presence"][0]["status"], "online", "that was so when it was read");
    assert_eq!(anns.event("presence").await, json!({"user_id": bob.id, "status": "offline", "last_active": null}));
}

#[tokio::test]
async fn a_socket_watches_two_hundred_users_and_is_told_when_that_is_too_few() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let ann = platform.user("ann").await;
    let mut client = Client::of(address, &ann).await;
    let ids: Vec<String> = (0..201).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let many = client.ask("presence_subscribe", json!({"user_ids": ids})).await;
    assert_eq!((&many["status"], &many["code"]), (&json!("error"), &json!("too_many_subscriptions")));
    let fits = subscribe(&mut client, &json!(ids[..200])).await;
    assert_eq!(fits["presence"].as_array().unwrap().len(), 200);
    let one_more = client.ask("presence_subscribe", json!({"user_ids": [ids[200]]})).await;
    assert_eq!(one_more["code"], "too_many_subscriptions");
    client.ask("presence_unsubscribe", json!({"user_ids": [ids[0]]})).await;
    let fits = subscribe(&mut client, &json!([ids[200]])).await;
    assert_eq!(fits["presence"][0], json!({"user_id": ids[200], "status": "offline", "last_active": null}));
}

#[tokio::test]
async fn whoever_asks_for_one_presence_after_the_other_is_told_to_wait() {
    let platform = Platform::new();
    let address = platform.listen().await;
    let mut client = Client::of(address, &platform.user("ann").await).await;
    let (began, mut asked, mut refused) = (Instant::now(), 0_u32, Value::Null);
    while refused.is_null() && asked < 20_000 {
        let ids: Vec<String> = (0..200).map(|_| uuid::Uuid::new_v4().to_string()).collect();
        let answer = client.ask("presence_subscribe", json!({"user_ids": ids})).await;
        // What a busy store has not answered was asked for all the same.
        if answer["status"] == "ok" || answer["code"] == "unavailable" {
            asked += 200;
            client.ask("presence_unsubscribe", json!({"user_ids": ids})).await;
        } else {
            refused = answer;
        }
    }
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("rate_limited"), &json!("presence")));
    assert!(refused["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{refused}");
    // 2,000 at once, and 50 a second.
    let most = 2_000.0 + 50.0 * began.elapsed().as_secs_f64();
    assert!(asked >= 2_000 && f64::from(asked) <= most, "{asked} of {most}");
    // What was refused is not watched: nothing of it takes room.
    let one = uuid::Uuid::new_v4().to_string();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(subscribe(&mut client, &json!([one])).await["status"], "ok");
}

#[tokio::test]
async fn devices_on_another_node_count_and_a_block_made_there_hides_here() {
    let fleet = Fleet::new().await;
    let (ann, bob) = (fleet.nodes[0].user("ann").await, fleet.nodes[0].user("bob").await);
    let mut watcher = Client::of(fleet.addresses[0], &ann).await;
    assert_eq!(watch(&mut watcher, &[&bob]).await[0]["status"], "offline");
    let mut phone = Client::of(fleet.addresses[1], &bob).await;
    assert_eq!(statuses(&mut watcher, 1).await, ["online"]);
    phone.ask("heartbeat", json!({"active": false})).await;
    assert_eq!(statuses(&mut watcher, 1).await, ["away"]);
    let _desk = Client::of(fleet.addresses[0], &bob).await;
    assert_eq!(statuses(&mut watcher, 1).await, ["online"]);
    // From here on the store knows of both.
    phone.ask("heartbeat", json!({"active": true})).await;
    phone.ask("heartbeat", json!({"active": false})).await;
    assert!(watcher.no_event("presence").await, "the device here is in use");
    fleet.act(1);
    fleet.nodes[1].store.block(bob.id, ann.id, platform::now()).await.unwrap();
    assert_eq!(statuses(&mut watcher, 1).await, ["offline"]);
}

/// A process over stores that others use too.
async fn start(foundation: Arc<Foundation>, store: Sqlite) -> (Platform, SocketAddr) {
    let accounts = Arc::new(store.clone());
    let platform = foundation.process(store, accounts.clone(), accounts, Arc::new(Hub::new()), None);
    let address = platform.listen().await;
    (platform, address)
}

#[tokio::test]
async fn users_of_a_killed_process_are_soon_offline_unless_they_are_elsewhere_too() {
    if std::env::var_os("SENTINEL_TEST_REDIS").is_none() {
        println!(
            "skipped: there are several processes in profile Distributed only, and SENTINEL_TEST_REDIS is not set"
        );
        return;
    }
    let foundation = Arc::new(Foundation::new(LimitsConfig::default()));
    let store = foundation.store(Arc::new(HybridClock::new()), Arc::new(Nobody));
    let (living, address) = start(foundation.clone(), store.clone()).await;
    // With its runtime, all of a process stops at once, and says nothing.
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_, other_address) = dying.spawn(start(foundation.clone(), store.clone())).await.unwrap();
    let (ann, bob, eve) = (living.user("ann").await, living.user("bob").await, living.user("eve").await);
    let _phones = [Client::of(other_address, &bob).await, Client::of(other_address, &eve).await];
    let _desk = Client::of(address, &eve).await;
    let mut watcher = Client::of(address, &ann).await;
    let limit = Instant::now() + Duration::from_secs(20);
    while watch(&mut watcher, &[&bob, &eve]).await.iter().any(|seen| seen["status"] != "online") {
        assert!(Instant::now() < limit, "not all got online");
        tokio::time::sleep(SILENCE).await;
    }
    while !watcher.no_event("presence").await {
        watcher.event("presence").await;
    }

    dying.shutdown_background();
    let killed = Instant::now();
    while watcher.no_event("presence").await {
        assert!(killed.elapsed() < Duration::from_secs(30), "a lease has to end for that");
    }
    println!("told after {:?}", killed.elapsed());
    let told = watcher.event("presence").await;
    assert_eq!((&told["user_id"], &told["status"]), (&json!(bob.id), &json!("offline")));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(watcher.no_event("presence").await, "eve has another device");
    assert_eq!(watch(&mut watcher, &[&eve]).await[0]["status"], "online");
}
