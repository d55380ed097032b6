//! Presence in Redis.

use std::time::Duration;

use sentinel_adapters::redis::{Redis, RedisPresence};
use sentinel_domain::{
    event::Origin,
    ids::UserId,
    nodes::NodeId,
    ports::{PresenceListener, PresenceStore},
    presence::PresenceStatus,
    time::Timestamp,
};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::timeout,
};

use crate::{PATIENCE, connect, user};

/// What one process sees.
fn of_node(redis: &Redis, node: &NodeId) -> RedisPresence {
    RedisPresence::new(redis.clone(), node.clone())
}

async fn presence(node: &str) -> RedisPresence {
    of_node(&connect().await, &NodeId::started(node))
}

async fn status(presence: &RedisPresence, user: UserId) -> PresenceStatus {
    presence.presence(&[user]).await.unwrap()[0].status
}

struct Watcher(UnboundedSender<UserId>);

impl PresenceListener for Watcher {
    fn changed(&self, user: UserId) -> bool {
        self.0.send(user).is_ok()
    }

    fn interrupted(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told() {
    let redis = presence("a").await;
    let (told, mut changes) = unbounded_channel();
    redis.watch(Box::new(Watcher(told))).await;
    let (ann, bob) = (user(), user());
    let (phone, desk) = (Origin(1), Origin(u64::MAX));
    let status = async |user| status(&redis, user).await;
    let last_active = async |user| redis.presence(&[user]).await.unwrap()[0].last_active;
    assert_eq!((status(ann).await, last_active(ann).await), (PresenceStatus::Offline, None));

    redis.touch(ann, phone, false, Timestamp(1_000)).await.unwrap();
    assert_eq!((status(ann).await, last_active(ann).await), (PresenceStatus::Away, None));
    redis.touch(ann, desk, true, Timestamp(2_000)).await.unwrap();
    redis.touch(ann, desk, true, Timestamp(3_000)).await.unwrap();
    redis.drop(ann, phone).await.unwrap();
    redis.renew(&[(ann, desk, true)]).await.unwrap();
    assert_eq!((status(ann).await, last_active(ann).await), (PresenceStatus::Online, Some(Timestamp(3_000))));
    redis.touch(ann, desk, false, Timestamp(4_000)).await.unwrap();
    redis.drop(ann, desk).await.unwrap();
    redis.drop(ann, desk).await.unwrap();
    assert_eq!((status(ann).await, last_active(ann).await), (PresenceStatus::Offline, Some(Timestamp(3_000))));
    redis.set_last_active(bob, Timestamp(5_000)).await.unwrap();
    let both = redis.presence(&[bob, ann]).await.unwrap();
    assert_eq!((both[0].user_id, both[0].last_active), (bob, Some(Timestamp(5_000))));
    assert_eq!((both[1].user_id, both[1].last_active), (ann, Some(Timestamp(3_000))));
    redis.forget(bob).await.unwrap();
    assert_eq!(last_active(bob).await, None);

    // Away, online, away, offline; then what was forgotten.
    for expected in [ann, ann, ann, ann, bob] {
        assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), expected);
    }
    assert!(changes.is_empty());
    redis.forget(ann).await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_lost_goes_offline_by_itself() {
    let redis = presence("a").await;
    let ann = user();
    redis.touch(ann, Origin(1), true, Timestamp(1_000)).await.unwrap();
    let lease = u64::from(PresenceStore::lease_seconds(&redis));
    tokio::time::sleep(Duration::from_secs(lease - 5)).await;
    let presence = redis.presence(&[ann]).await.unwrap()[0];
    assert_eq!(presence.status, PresenceStatus::Online);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let presence = redis.presence(&[ann]).await.unwrap()[0];
    assert_eq!((presence.status, presence.last_active), (PresenceStatus::Offline, Some(Timestamp(1_000))));
    redis.forget(ann).await.unwrap();
}

#[tokio::test]
async fn devices_of_a_process_that_is_gone_do_not_count_until_it_is_back() {
    let redis = connect().await;
    let (one, two) = (NodeId::started("one"), NodeId::started("two"));
    let (first, second) = (of_node(&redis, &one), of_node(&redis, &two));
    let (told, mut changes) = unbounded_channel();
    second.watch(Box::new(Watcher(told))).await;
    let roll = first.beat().await.unwrap().unwrap();
    assert!(!roll.was_known && roll.beats.is_empty() && roll.gone.is_empty(), "{roll:?}");
    let before = second.beat().await.unwrap().unwrap();
    assert_eq!(before.beats[0].0, one);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(first.beat().await.unwrap().unwrap().was_known);
    let after = second.beat().await.unwrap().unwrap();
    assert!(after.was_known && after.beats[0].0 == one && after.beats != before.beats, "{before:?} {after:?}");

    // Ann is at a phone on the first and has a desk that is idle on the second; Bob is on the first alone.
    let (ann, bob) = (user(), user());
    first.touch(ann, Origin(1), true, Timestamp(1_000)).await.unwrap();
    second.touch(ann, Origin(2), false, Timestamp(1_000)).await.unwrap();
    first.touch(bob, Origin(3), true, Timestamp(1_000)).await.unwrap();
    second.mark_gone(std::slice::from_ref(&one)).await.unwrap();
    for process in [&first, &second] {
        assert_eq!(status(process, ann).await, PresenceStatus::Away);
        assert_eq!(status(process, bob).await, PresenceStatus::Offline);
    }
    let roll = second.beat().await.unwrap().unwrap();
    assert_eq!((roll.beats, roll.gone), (vec![], vec![one.clone()]));

    // Bob connects again, elsewhere: though his old lease stands, that is a change, and so is it when he goes.
    for told in [ann, bob] {
        assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), told);
    }
    second.touch(bob, Origin(4), true, Timestamp(2_000)).await.unwrap();
    assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), bob);
    second.drop(bob, Origin(4)).await.unwrap();
    assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), bob);
    assert_eq!(status(&second, bob).await, PresenceStatus::Offline);

    // It was not gone after all.
    let roll = first.beat().await.unwrap().unwrap();
    assert!(!roll.was_known && roll.gone.is_empty(), "{roll:?}");
    assert_eq!(status(&second, ann).await, PresenceStatus::Online);
    for user in [ann, bob] {
        first.forget(user).await.unwrap();
    }
}
