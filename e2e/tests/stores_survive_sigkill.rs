//! Stores of profile Distributed are killed together while two stock clients write: no goodbye, no file closed, as when the
//! node that carries them loses its power. Each starts again by itself on what it wrote, and afterwards every acknowledged
//! message is in history and in sync, once, in one order, for both.
//!
//! A pod that is deleted is asked to stop first, and a process can't kill the first one of its container. So another pod on
//! the node does it, which sees the node's processes.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test panics

mod account;
mod deployed;
mod oracle;
mod writer;

use std::time::Duration;

use deployed::{Deployed, eventually};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use oracle::Conversation;
use serde_json::json;
use uuid::Uuid;

/// Messages that each writer must get acknowledged before, during and after.
const MESSAGES: usize = 30;
/// How long that may take while stores are away, or start beside each other.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it may take until all is well again.
const RECOVERY: Duration = Duration::from_mins(4);
/// Stores of which the first node is killed. Cassandra has others, which are a quorum.
const STORES: [&str; 6] = ["postgres", "cassandra", "redis", "kafka", "elasticsearch", "s3"];
/// Where the pod that kills runs: the chat's namespace lets none see the node's processes.
const ELSEWHERE: &str = "default";
/// Kills all processes of the containers with these ids, and fails where one has none.
const KILL: &str = r#"for id; do
  [ "${#id}" -eq 64 ] || exit 1
  processes=$(grep -l "$id" /proc/[0-9]*/cgroup 2>/dev/null | sed 's|^/proc/||; s|/cgroup$||')
  [ -n "$processes" ] || exit 1
  kill -KILL $processes || true # the end of the first one takes the others with it
done"#;

#[tokio::test]
async fn stores_that_are_killed_together_come_back_with_all_that_was_acknowledged() {
    let deployed = Deployed::ready().await;
    let mut conversation = Conversation::begin(&Deployed::url()).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    let mut before = Vec::new();
    for store in STORES {
        let pod = format!("{}-{store}-0", deployed.name);
        before.push((container(&deployed, &pod).await.expect("a node of the store"), pod));
    }
    println!("killing {}", STORES.join(", "));
    kill(&deployed, before.iter().map(|(container, _)| container)).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    for (before, pod) in &before {
        eventually("the store starts again and is ready", RECOVERY, async || {
            let now = container(&deployed, pod).await?;
            if now.restart_count > before.restart_count && now.ready { Ok(()) } else { Err(format!("{pod}: {now:?}")) }
        })
        .await;
    }
    deployed.wait_ready(RECOVERY).await;
    conversation.acknowledged(MESSAGES, PATIENCE).await;
    eventually("both can log in again", RECOVERY, async || conversation.log_in_again().await).await;
    conversation.check_with_consumers(0, RECOVERY).await;
}

/// What is told of a store's container; its pod has one.
async fn container(deployed: &Deployed, pod: &str) -> Result<ContainerStatus, String> {
    let pod = deployed.pods().get(pod).await.map_err(|error| error.to_string())?;
    let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    statuses.into_iter().next().ok_or_else(|| "no container yet".to_owned())
}

/// Kills the processes of containers from a pod on the same node, and waits until that is done.
async fn kill(deployed: &Deployed, containers: impl Iterator<Item = &ContainerStatus>) {
    let ids: Vec<_> = containers
        .map(|container| container.container_id.as_deref().and_then(|id| id.split("//").nth(1)).expect("it runs"))
        .collect();
    // A part of an id would be in other containers' too.
    assert!(ids.iter().all(|id| id.len() == 64), "{ids:?}");
    let command: Vec<_> = ["sh", "-c", KILL, "kill"].into_iter().chain(ids.iter().copied()).collect();
    let postgres = deployed.pods().get(&format!("{}-postgres-0", deployed.name)).await.expect("a pod of Postgres");
    // An image with a shell that is on the node.
    let image = postgres.spec.and_then(|spec| spec.containers.into_iter().next()).and_then(|one| one.image);
    let name = format!("kill-{}", &Uuid::new_v4().simple().to_string()[..12]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "hostPID": true,
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "kill", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": command,
                "securityContext": { "runAsUser": 0 },
            }],
        },
    });
    let pods = Api::<Pod>::namespaced(deployed.client.clone(), ELSEWHERE);
    let pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&PostParams::default(), &pod).await.expect("the pod can be made");
    let phase = eventually("the pod has done it", PATIENCE, async || {
        let status = pods.get(&name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        match status.phase.as_deref() {
            Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
            _ => Err(format!("{status:?}")),
        }
    })
    .await;
    pods.delete(&name, &DeleteParams::default()).await.expect("the pod can be deleted");
    assert_eq!(phase, "Succeeded", "a process of each of {ids:?} was to be killed");
}
