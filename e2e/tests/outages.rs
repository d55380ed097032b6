//! Stores and pods of profile Distributed fail while two stock clients write. Sends go on throughout, and
//! afterwards every acknowledged message is in history and in sync, once, in one order, for both. Only without a quorum
//! of Cassandra are they refused, and then repeats under the same client ids make one message each.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::{Deployed, eventually};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use oracle::Conversation;
use serde_json::json;
use writer::Patience;

/// Stores that a send does not wait for.
const OTHERS: [&str; 5] = ["postgres", "redis", "kafka", "elasticsearch", "s3"];
/// How long stores are away.
const AWAY: Duration = Duration::from_secs(30);
/// Messages that each writer must get acknowledged before, during and after.
const MESSAGES: usize = 30;
/// How long that may take while stores are away.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it may take until all is well again.
const RECOVERY: Duration = Duration::from_mins(4);
/// Sends of each writer that are refused in a row before the quorum comes back.
const REFUSALS: usize = 3;
/// Writers that outlast the loss of the quorum. A send waits for no store longer than that.
const LASTING: Patience = Patience { answer: Duration::from_secs(15), message: RECOVERY };
/// A client message id that no writer uses.
const ASKED: &str = "asked-000000";

#[tokio::test]
async fn a_killed_message_pod_loses_nothing() {
    let deployed = Deployed::ready().await;
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    // Whatever a client is connected to is killed in one round or the other.
    for ordinals in [&[0][..], &[1, 2]] {
        conversation.acknowledged(MESSAGES, PATIENCE).await;
        let names: Vec<String> = ordinals.iter().map(|one| format!("{}-message-{one}", deployed.name)).collect();
        let uids = async || -> Vec<Option<String>> {
            let pods = deployed.ready_pods("message").await;
            let uid = |name: &String| pods.iter().find(|pod| pod.name_any() == *name).and_then(ResourceExt::uid);
            names.iter().map(uid).collect()
        };
        let before = uids().await;
        assert!(before.iter().all(Option::is_some), "{names:?} are not ready");
        println!("killing {}", names.join(", "));
        for name in &names {
            let at_once = DeleteParams::default().grace_period(0);
            deployed.pods().delete(name, &at_once).await.expect("the pod can be deleted");
        }
        conversation.acknowledged(MESSAGES, PATIENCE).await;
        eventually("the pods are replaced", RECOVERY, async || {
            let now = uids().await;
            let is_new = |(now, before): (&Option<String>, &Option<String>)| now.is_some() && now != before;
            if now.iter().zip(&before).all(is_new) { Ok(()) } else { Err(format!("{names:?}: {now:?}")) }
        })
        .await;
    }
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}

#[tokio::test]
async fn with_no_other_store_than_cassandra_sends_of_existing_sessions_go_on() {
    let deployed = Deployed::ready().await;
    let mut before = Vec::new();
    for store in OTHERS {
        let nodes = nodes(&deployed, store).await;
        assert!(nodes > 0, "{store} has no node here: nothing to take away");
        before.push((store, nodes));
    }
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    leave(&deployed, &OTHERS, 0).await;
    stays_away(&mut conversation).await;
    come_back(&deployed, &before).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}

#[tokio::test]
async fn without_one_cassandra_node_sends_go_on_and_without_two_they_are_refused_and_repeated() {
    let deployed = Deployed::ready().await;
    let nodes = nodes(&deployed, "cassandra").await;
    assert!(nodes >= 3, "cassandra has {nodes} node(s) here: it has no quorum to lose");
    let mut conversation = Conversation::begin_patient(&Deployed::url(), LASTING).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    leave(&deployed, &["cassandra"], 2).await;
    stays_away(&mut conversation).await;

    leave(&deployed, &["cassandra"], 1).await;
    // One that is still stopping may answer.
    eventually("one node is left", RECOVERY, async || {
        let pods = deployed.pods_of("cassandra").await.len();
        if pods == 1 { Ok(()) } else { Err(pods) }
    })
    .await;
    conversation.refused("unavailable", REFUSALS, PATIENCE).await;
    let refused = conversation.send(ASKED).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "unavailable", "{refused:?}");
    assert!(refused.retry_after.is_some(), "it is not told when to try again: {refused:?}");

    come_back(&deployed, &[("cassandra", nodes)]).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    // Whether the refused one was written after all, nobody knows: so it may be a repeat already.
    let sent = eventually("the refused message is taken", PATIENCE, async || {
        let answer = conversation.send(ASKED).await;
        if matches!(answer.status, 200 | 201) { Ok(answer) } else { Err(answer) }
    })
    .await;
    let again = conversation.send(ASKED).await;
    assert_eq!((again.status, &again.body["message_id"]), (200, &sent.body["message_id"]), "{again:?}");
    let id = sent.body["message_id"].as_str().expect("message_id");
    assert_eq!(conversation.stored(ASKED).await, [id], "one message comes of one client id");
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}

/// How many nodes a store has.
async fn nodes(deployed: &Deployed, store: &str) -> i32 {
    let name = format!("{}-{store}", deployed.name);
    let set = deployed.stateful_sets().get(&name).await.expect("the store's stateful set");
    set.spec.replicas.expect("replicas")
}

/// Takes nodes of stores away but for `left` of each. The operator would put it right at once, so it is told to pause.
async fn leave(deployed: &Deployed, stores: &[&str], left: i32) {
    println!("{}: {left} node(s) are left", stores.join(", "));
    deployed.change(json!({"spec": {"paused": true}})).await;
    let scale = Patch::Merge(json!({"spec": {"replicas": left}}));
    for store in stores {
        let name = format!("{}-{store}", deployed.name);
        deployed.stateful_sets().patch(&name, &PatchParams::default(), &scale).await.expect("the store can be scaled");
    }
    for store in stores {
        has(deployed, store, left).await;
    }
}

/// Waits until a store has as many nodes that are ready.
async fn has(deployed: &Deployed, store: &str, nodes: i32) {
    eventually("the store has its nodes", RECOVERY, async || {
        let ready = deployed.ready_pods(store).await.len();
        if i32::try_from(ready) == Ok(nodes) { Ok(()) } else { Err(format!("{store}: {ready} of {nodes}")) }
    })
    .await;
}

/// Sends go on for as long as nodes of stores stay away.
async fn stays_away(conversation: &mut Conversation) {
    let back = tokio::time::Instant::now() + AWAY;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    tokio::time::sleep_until(back).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
}

/// Lets the operator bring back the nodes of stores.
async fn come_back(deployed: &Deployed, stores: &[(&str, i32)]) {
    println!("again: {stores:?}");
    deployed.change(json!({"spec": {"paused": false}})).await;
    for (store, nodes) in stores {
        has(deployed, store, *nodes).await;
    }
    deployed.wait_ready(RECOVERY).await;
}
