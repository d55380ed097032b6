//! Stock clients of every transport on the replicas of the message service, without sticky sessions, while it scales.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::{Deployed, eventually};
use futures::future::join_all;
use oracle::Conversation;
use serde_json::json;
use writer::Transport;

/// Messages that each writer must get acknowledged at each size.
const MESSAGES: usize = 25;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn clients_of_every_transport_chat_while_the_message_service_scales() {
    let deployed = Deployed::ready().await;
    let (polling, websocket) = (Transport::PollingOnly, Transport::WebSocketOnly);
    let url = Deployed::url();
    let mut conversations = [
        Conversation::begin_by(&url, [Transport::PollingFirst, polling], &[polling, websocket]).await,
        Conversation::begin_by(&url, [websocket, Transport::PollingFirst], &[Transport::PollingFirst, polling]).await,
        Conversation::begin_by(&url, [polling, websocket], &[]).await,
    ];
    for replicas in [5, 3] {
        acknowledged(&mut conversations).await;
        println!("message: {replicas} replicas");
        deployed.change(json!({"spec": {"services": {"message": {"replicas": replicas}}}})).await;
        eventually("the message service has its replicas", PATIENCE, async || {
            let ready = deployed.ready_pods("message").await.len();
            if ready == replicas { Ok(()) } else { Err(ready) }
        })
        .await;
    }
    acknowledged(&mut conversations).await;
    join_all(conversations.map(|conversation| conversation.check(0))).await;
    deployed.wait_ready(PATIENCE).await;
}

/// Waits until each writer of each conversation has so many more messages acknowledged.
async fn acknowledged(conversations: &mut [Conversation]) {
    join_all(conversations.iter_mut().map(|conversation| conversation.acknowledged(MESSAGES, PATIENCE))).await;
}
