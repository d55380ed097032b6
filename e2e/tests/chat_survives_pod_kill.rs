//! Two stock clients write to one chat while its pod is killed under them, twice by force and once as a node drain
//! does. Afterwards every acknowledged message is there exactly once, in one order, for both.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::Deployed;
use kube::{ResourceExt as _, api::DeleteParams};
use oracle::Conversation;

/// Messages that each writer must get acknowledged between two kills.
const BETWEEN_KILLS: usize = 40;
/// How long the platform may be away: the pod, its volume and its readiness.
const RECOVERY: Duration = Duration::from_mins(2);

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
    let kills = [Kill::Force, Kill::Graceful, Kill::Force];
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    for kill in kills {
        conversation.acknowledged(BETWEEN_KILLS, RECOVERY).await;
        take_away(&deployed, kill).await;
    }
    conversation.acknowledged(BETWEEN_KILLS, RECOVERY).await;
    conversation.check(kills.len()).await;
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
