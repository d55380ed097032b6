//! Presence in Redis.

use std::time::Duration;

use sentinel_adapters::redis::{Redis, RedisPresence};
use sentinel_domain::{
    event::Origin, ids::UserId, nodes::NodeId, ports::PresenceStore, presence::PresenceStatus, time::Timestamp,
};

use crate::{connect, presence_contract, user};

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

#[tokio::test]
async fn a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told() {
    let (redis, ann) = (presence("a").await, user());
    presence_contract::a_user_is_as_present_as_the_most_present_device_and_only_changes_are_told(&redis, ann).await;
    redis.forget(ann).await.unwrap();
}

#[tokio::test]
async fn a_heartbeat_makes_a_user_online_and_outlives_the_process() {
    let redis = connect().await;
    let process = |name| of_node(&redis, &NodeId::started(name));
    presence_contract::a_heartbeat_makes_a_user_online_and_outlives_the_process(
        &process("first"),
        &process("second"),
        [user(), user()],
    )
    .await;
}

#[tokio::test]
async fn a_session_that_ended_is_no_device_whichever_process_it_told() {
    let redis = connect().await;
    let process = |name| of_node(&redis, &NodeId::started(name));
    let (first, second, ended_by) = (process("first"), process("second"), process("users"));
    let (ann, session, other) = (user(), Origin(7), Origin(8));
    for (process, device) in [(&first, session), (&second, session), (&second, other)] {
        process.heartbeat(ann, device, Timestamp(1_000)).await.unwrap();
    }
    let status = async || ended_by.presence(&[ann]).await.unwrap()[0].status;
    ended_by.forget_device(ann, session).await.unwrap();
    assert_eq!(status().await, PresenceStatus::Online, "another session is in use");
    ended_by.forget_device(ann, other).await.unwrap();
    assert_eq!(status().await, PresenceStatus::Offline);
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
    let mut changes = presence_contract::watch(&second).await;
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
        assert_eq!(presence_contract::next(&mut changes).await, told);
    }
    second.touch(bob, Origin(4), true, Timestamp(2_000)).await.unwrap();
    assert_eq!(presence_contract::next(&mut changes).await, bob);
    second.drop(bob, Origin(4)).await.unwrap();
    assert_eq!(presence_contract::next(&mut changes).await, bob);
    assert_eq!(status(&second, bob).await, PresenceStatus::Offline);

    // It was not gone after all.
    let roll = first.beat().await.unwrap().unwrap();
    assert!(!roll.was_known && roll.gone.is_empty(), "{roll:?}");
    assert_eq!(status(&second, ann).await, PresenceStatus::Online);
    for user in [ann, bob] {
        first.forget(user).await.unwrap();
    }
}
