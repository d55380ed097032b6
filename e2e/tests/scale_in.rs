//! A node of Cassandra comes and goes again while clients write: nothing is lost, and nothing of it is left behind. One
//! that would have to give up copies stays.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::{Deployed, eventually};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use oracle::Conversation;
use sentinel_operator::api::DependencyStatus;
use serde_json::json;
use writer::Transport;

/// Messages that each writer must get acknowledged at each size.
const MESSAGES: usize = 25;
const PATIENCE: Duration = Duration::from_mins(2);
/// A node copies its part before it serves, and gives it away before it goes.
const MOVED: Duration = Duration::from_mins(8);

#[tokio::test]
async fn a_node_of_cassandra_comes_and_goes_without_loss_and_those_with_copies_stay() {
    let deployed = Deployed::ready().await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
    let last = format!("{}-cassandra-3", deployed.name);
    let url = Deployed::url();
    let mut conversation = Conversation::begin_by(&url, [Transport::WebSocketOnly, Transport::PollingFirst], &[]).await;
    for replicas in [4, 3] {
        conversation.acknowledged(MESSAGES, PATIENCE).await;
        ask_for(&deployed, replicas).await;
        eventually("cassandra has its nodes", MOVED, async || {
            let ready = deployed.ready_pods("cassandra").await.len();
            let gone = claims.get_opt(&format!("data-{last}")).await.map_err(|error| error.to_string())?.is_none();
            let store = told(&deployed).await?;
            let settled = store.message.is_none() && store.ready == replicas;
            if ready == usize::try_from(replicas).unwrap() && settled && gone == (replicas == 3) {
                Ok(())
            } else {
                Err(format!("{ready} ready, claim gone: {gone}, {store:?}"))
            }
        })
        .await;
    }
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    conversation.check(0).await;

    ask_for(&deployed, 2).await;
    eventually("two nodes are refused", PATIENCE, async || {
        let store = told(&deployed).await?;
        let refused = store.message.as_ref().is_some_and(|message| message.ends_with("write 3 or more"));
        if refused && store.desired == 3 { Ok(()) } else { Err(format!("{store:?}")) }
    })
    .await;
    assert_eq!(deployed.ready_pods("cassandra").await.len(), 3, "no node goes");
    ask_for(&deployed, 3).await;
    deployed.wait_ready(PATIENCE).await;
}

/// Changes how many nodes are wanted.
async fn ask_for(deployed: &Deployed, replicas: i32) {
    println!("cassandra: {replicas} nodes");
    let nodes = json!({ "managed": { "replicas": replicas } });
    deployed.change(json!({ "spec": { "dependencies": { "cassandra": nodes } } })).await;
}

/// What the status tells of Cassandra.
async fn told(deployed: &Deployed) -> Result<DependencyStatus, String> {
    let status = deployed.chats().get(&deployed.name).await.map_err(|error| error.to_string())?.status;
    let mut stores = status.unwrap_or_default().dependencies.into_iter();
    stores.find(|one| one.name == "cassandra").ok_or_else(|| "no status yet".to_owned())
}
