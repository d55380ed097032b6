//! Stores and pods of profile Distributed fail one at a time while two stock clients write. Sends go on throughout, and
//! afterwards every acknowledged message is in history and in sync, once, in one order, for both.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::{Deployed, eventually};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use oracle::Conversation;
use serde_json::json;

/// How long a store is away.
const AWAY: Duration = Duration::from_secs(30);
/// Messages that each writer must get acknowledged before, during and after.
const MESSAGES: usize = 30;
/// How long that may take while a store is away.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take until all is well again.
const RECOVERY: Duration = Duration::from_mins(4);

#[tokio::test]
async fn a_killed_message_pod_loses_nothing() {
    let deployed = Deployed::ready().await;
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    for ordinal in 0..3 {
        conversation.acknowledged(MESSAGES, PATIENCE).await;
        let name = format!("{}-message-{ordinal}", deployed.name);
        let before = deployed.pods().get(&name).await.expect("a message pod").uid().expect("a uid");
        println!("killing {name}");
        let at_once = DeleteParams::default().grace_period(0);
        deployed.pods().delete(&name, &at_once).await.expect("the pod can be deleted");
        conversation.acknowledged(MESSAGES, PATIENCE).await;
        eventually("the pod is replaced", RECOVERY, async || {
            let pods = deployed.ready_pods("message").await;
            let new = pods.iter().find(|pod| pod.name_any() == name).and_then(|pod| pod.uid());
            if new.as_ref().is_some_and(|uid| *uid != before) { Ok(()) } else { Err(format!("{name}: {new:?}")) }
        })
        .await;
    }
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}

#[tokio::test]
async fn without_redis_sends_go_on() {
    goes_on_without("redis", 0).await;
}

#[tokio::test]
async fn without_kafka_sends_go_on() {
    goes_on_without("kafka", 0).await;
}

#[tokio::test]
async fn without_elasticsearch_sends_go_on() {
    goes_on_without("elasticsearch", 0).await;
}

#[tokio::test]
async fn without_s3_sends_go_on() {
    goes_on_without("s3", 0).await;
}

#[tokio::test]
async fn without_postgres_existing_sessions_go_on() {
    goes_on_without("postgres", 0).await;
}

#[tokio::test]
async fn without_one_cassandra_node_sends_go_on() {
    goes_on_without("cassandra", 2).await;
}

/// Takes a store down to `left` nodes for a while. The operator would put it right at once, so it is told to pause.
async fn goes_on_without(store: &str, left: i32) {
    let deployed = Deployed::ready().await;
    let sets = deployed.stateful_sets();
    let name = format!("{}-{store}", deployed.name);
    let nodes = sets.get(&name).await.expect("the store's stateful set").spec.replicas;
    let nodes = nodes.expect("replicas");
    if nodes <= left {
        println!("{store} has {nodes} node(s) here: nothing to take away");
        return;
    }
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;

    println!("{store}: {left} of {nodes} nodes for {AWAY:?}");
    deployed.change(json!({"spec": {"paused": true}})).await;
    let scale = json!({"spec": {"replicas": left}});
    sets.patch(&name, &PatchParams::default(), &Patch::Merge(scale)).await.expect("the store can be scaled");
    eventually("the nodes are gone", RECOVERY, async || {
        let ready = deployed.ready_pods(store).await.len();
        if i32::try_from(ready) == Ok(left) { Ok(()) } else { Err(ready) }
    })
    .await;
    let back = tokio::time::Instant::now() + AWAY;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    tokio::time::sleep_until(back).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;

    deployed.change(json!({"spec": {"paused": false}})).await;
    eventually("the nodes are back", RECOVERY, async || {
        let ready = deployed.ready_pods(store).await.len();
        if i32::try_from(ready) == Ok(nodes) { Ok(()) } else { Err(ready) }
    })
    .await;
    deployed.wait_ready(RECOVERY).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}
