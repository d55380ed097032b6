//! Two stock clients write to one chat while its pod is killed under them, twice by force and once as a node drain
//! does. Afterwards every acknowledged message is there exactly once, in one order, for both.

mod deployed;
mod writer;

use std::{collections::HashMap, time::Duration};

use deployed::{Deployed, account::Account};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::Value;
use writer::{Log, Writer};

/// Messages that each writer must get acknowledged between two kills.
const BETWEEN_KILLS: usize = 40;
/// How long the platform may be away: the pod, its volume and its readiness.
const RECOVERY: Duration = Duration::from_secs(120);

/// How a pod is taken away.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// Without any time to finish.
    Force,
    /// With SIGTERM and its grace period.
    Graceful,
}

#[tokio::test]
async fn every_acknowledged_message_survives_exactly_once_and_in_one_order() {
    let deployed = Deployed::ready().await;
    deployed::install_clients();
    let (ann, bob) = (Account::register("ann").await, Account::register("bob").await);
    let chat = ann.start_chat(&bob).await;
    let (ann_token, bob_token) = (ann.sync_token().await, bob.sync_token().await);

    let mut javascript = Writer::javascript(&ann, &chat).await;
    let mut python = Writer::python(&bob, &chat).await;
    for kill in [Kill::Force, Kill::Graceful, Kill::Force] {
        javascript.acknowledged(BETWEEN_KILLS, RECOVERY).await;
        python.acknowledged(BETWEEN_KILLS, RECOVERY).await;
        take_away(&deployed, kill).await;
    }
    javascript.acknowledged(BETWEEN_KILLS, RECOVERY).await;
    python.acknowledged(BETWEEN_KILLS, RECOVERY).await;
    let (javascript, python) = (javascript.stop().await, python.stop().await);

    for log in [&javascript, &python] {
        assert!(log.connected.len() >= 4, "{}: a killed pod must break the connection: {:?}", log.name, log.connected);
        assert!(log.complete, "{}: gave up on a message", log.name);
    }
    assert_eq!(javascript.connected[0], "polling", "the stock client begins with polling");
    assert!(javascript.upgraded > 0, "the stock client upgrades to WebSocket");

    let history = ann.history_backwards(&chat).await;
    let ids = ids_of(&history);
    println!("{} messages, {} and {} acknowledged", ids.len(), javascript.acked.len(), python.acked.len());
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(ids, sorted, "history is not in the order of its ids, or repeats one");
    for (account, who) in [(&ann, "ann"), (&bob, "bob")] {
        assert_eq!(ids_of(&account.history_backwards(&chat).await), ids, "{who}, backwards");
        assert_eq!(ids_of(&account.history_forwards(&chat).await), ids, "{who}, forwards");
    }
    assert_eq!(ids_of(&ann.sync_from(Some(&ann_token)).await.0), ids, "ann's sync differs from history");
    assert_eq!(ids_of(&bob.sync_from(Some(&bob_token)).await.0), ids, "bob's sync differs from history");

    let stored = by_client_id(&history);
    for log in [&javascript, &python] {
        check_writer(log, &history, &stored);
    }
}

/// Deletes the pod and waits until another one is ready.
async fn take_away(deployed: &Deployed, kill: Kill) {
    let pods = deployed.pods();
    let before = pods.get(&deployed.pod_name()).await.expect("the data pod").uid().expect("a uid");
    let how = match kill {
        Kill::Force => DeleteParams::default().grace_period(0),
        Kill::Graceful => DeleteParams::default(),
    };
    println!("{kill:?}: deleting {}", deployed.pod_name());
    pods.delete(&deployed.pod_name(), &how).await.expect("the pod can be deleted");
    deployed.wait_replaced(&before, RECOVERY).await;
}

fn ids_of(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["message_id"].as_str().expect("message_id").to_owned()).collect()
}

/// Message ids by client message id; a client message id that is there twice fails.
fn by_client_id(history: &[Value]) -> HashMap<String, String> {
    let mut stored = HashMap::new();
    for message in history {
        let text = |field: &str| message[field].as_str().expect("a text").to_owned();
        let twice = stored.insert(text("client_message_id"), text("message_id"));
        assert_eq!(twice, None, "{} was stored twice", text("client_message_id"));
    }
    stored
}

/// What one writer was told agrees with what is stored.
fn check_writer(log: &Log, history: &[Value], stored: &HashMap<String, String>) {
    for (client_id, message_id) in &log.acked {
        assert_eq!(stored.get(client_id), Some(message_id), "{client_id} was acknowledged as {message_id}");
    }
    // One message in flight at a time: the order of sending is the order in history.
    let mine: Vec<_> = history
        .iter()
        .filter_map(|message| message["client_message_id"].as_str())
        .filter(|id| id.starts_with(&log.name))
        .collect();
    let sent: Vec<_> = log.acked.iter().map(|(client_id, _)| client_id.as_str()).collect();
    assert_eq!(mine, sent, "{}: history differs from what was sent", log.name);

    let mut received = log.received.clone();
    received.sort();
    received.dedup();
    assert_eq!(received.len(), log.received.len(), "{}: a message was delivered live twice", log.name);
    assert!(!received.is_empty(), "{}: nothing was delivered live", log.name);
    for id in &received {
        assert!(stored.values().any(|stored| stored == id), "{}: {id} was delivered but is not stored", log.name);
    }
}
