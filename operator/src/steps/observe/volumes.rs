//! Which volumes are full, as the platform's own pods tell while they run: a store that refuses to write because of that
//! is ready all the same, and says so to those only that write to it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use sentinel_domain::findings::{Findings, Trouble, TroubleKind};

use super::{Observed, asking, probe};
use crate::{
    answer::describe,
    build::{ADMIN_PORT, Kind, services},
    names::{Component, Names, component_of},
    steps::status::pods,
};

/// How long a pod has for its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer: some words about each of six stores.
const LONGEST: usize = 64 << 10;

/// By the store's name, or by that of the volume of profile Embedded: why nothing can be written.
pub type FullVolumes = BTreeMap<String, Trouble>;

/// Asks all pods of the platform that are ready, at once. One that does not answer, or is of a version that does not
/// know the question, tells nothing.
pub async fn ask(names: &Names, observed: &Observed) -> FullVolumes {
    let addresses: Vec<SocketAddr> = observed.pods.iter().filter_map(|pod| address(names, observed, pod)).collect();
    if addresses.is_empty() {
        return FullVolumes::new();
    }
    let client = match asking::client(PATIENCE) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(error = describe(&error), "pods cannot be asked for full volumes");
            return FullVolumes::new();
        }
    };
    let told = join_all(addresses.into_iter().map(|address| one(&client, address))).await;
    full(told.into_iter().flatten())
}

/// Where a pod that writes to stores is asked. Whoever may make pods may give one our labels: only those that a workload of
/// this resource made are asked.
fn address(names: &Names, observed: &Observed, pod: &Pod) -> Option<SocketAddr> {
    let part = component_of(&pod.metadata)?;
    let (kind, component) = if part == Component::Sentinel.as_str() {
        (Kind::StatefulSet, Component::Sentinel)
    } else {
        let service = services::SERVICES.iter().find(|service| service.component.as_str() == part)?;
        (service.kind(), service.component)
    };
    let name = names.workload(component);
    let workload = observed.get(kind, &name)?;
    let ip = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let is_asked = pods::is_ready(pod) && pods::is_made_by(pod, kind, &name, workload) && !probe::is_own(ip);
    is_asked.then(|| SocketAddr::new(ip, ADMIN_PORT))
}

async fn one(client: &reqwest::Client, address: SocketAddr) -> Option<Findings> {
    match asking::ask(client.get(format!("http://{address}/findings")), LONGEST).await {
        Ok((status, text)) if status.is_success() => Findings::read(&text),
        Ok((status, _)) => {
            tracing::debug!(%address, %status, "a pod does not tell of full volumes");
            None
        }
        Err(error) => {
            tracing::debug!(%address, error = describe(&error), "a pod does not tell of full volumes");
            None
        }
    }
}

fn full(told: impl Iterator<Item = Findings>) -> FullVolumes {
    told.flat_map(|findings| findings.stores)
        .filter_map(|(store, finding)| Some((store, finding.trouble?)))
        .filter(|(_, trouble)| trouble.kind == TroubleKind::Full)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::names::COMPONENT;

    /// A pod that `owner` of that kind and uid made, as its controller labels it.
    fn pod(component: &str, ready: bool, ip: &str, (kind, owner, uid): (&str, &str, &str)) -> Pod {
        let status = if ready { "True" } else { "False" };
        let owner = json!({ "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": uid, "controller": true });
        serde_json::from_value(json!({
            "metadata": { "name": "p", "labels": { COMPONENT: component, "pod-template-hash": "5d8f" },
                "ownerReferences": [owner] },
            "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": status }] },
        }))
        .unwrap()
    }

    fn asked(pod: &Pod) -> Option<String> {
        let mut observed = Observed::default();
        let workload = |uid: &str| json!({ "metadata": { "uid": uid } });
        observed.put(Kind::StatefulSet, "chat", workload("set"));
        observed.put(Kind::StatefulSet, "chat-message", workload("message"));
        for name in ["chat-users", "chat-gateway"] {
            observed.put(Kind::Deployment, name, workload("deployment"));
        }
        address(&Names::new("chat"), &observed, pod).map(|address| address.to_string())
    }

    const SET: (&str, &str, &str) = ("StatefulSet", "chat", "set");
    const USERS: (&str, &str, &str) = ("ReplicaSet", "chat-users-5d8f", "any");

    #[test]
    fn ready_pods_of_the_platform_are_asked_and_no_others() {
        assert_eq!(asked(&pod("sentinel", true, "10.0.0.7", SET)).as_deref(), Some("10.0.0.7:9090"));
        assert_eq!(asked(&pod("users", true, "fd00::7", USERS)).as_deref(), Some("[fd00::7]:9090"));
        assert_eq!(asked(&pod("users", false, "10.0.0.7", USERS)), None);
        for other in ["gateway", "postgres", "migration"] {
            let owner = ("ReplicaSet", &*format!("chat-{other}-5d8f"), "any");
            assert_eq!(asked(&pod(other, true, "10.0.0.7", owner)), None, "{other}");
        }
    }

    #[test]
    fn a_pod_with_our_labels_that_no_workload_of_ours_made_is_not_asked() {
        for (component, owner) in [
            ("sentinel", ("StatefulSet", "chat", "that of another one")),
            ("sentinel", ("StatefulSet", "theirs", "set")),
            ("sentinel", USERS),
            ("users", ("ReplicaSet", "theirs-5d8f", "any")),
            ("users", ("ReplicaSet", "chat-users-more-5d8f", "any")),
            ("users", ("Job", "chat-users-5d8f", "any")),
            ("message", ("StatefulSet", "chat", "set")),
        ] {
            assert_eq!(asked(&pod(component, true, "10.0.0.7", owner)), None, "{component} {owner:?}");
        }
        let mut alone = pod("users", true, "10.0.0.7", USERS);
        alone.metadata.owner_references = None;
        assert_eq!(asked(&alone), None);
        assert_eq!(asked(&pod("users", true, "127.0.0.1", USERS)), None, "that is the operator itself");
    }

    #[tokio::test]
    async fn a_pod_that_does_not_know_the_question_or_is_away_tells_nothing() {
        let client = asking::client(PATIENCE).unwrap();
        let full = r#"{"stores":{"volume":{"trouble":{"kind":"full","detail":"full"}}}}"#;
        for (status, body, tells) in [
            ("200 OK", full, true),
            ("404 Not Found", full, false),
            ("200 OK", "ok", false),
            ("307 Temporary Redirect", full, false),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            assert_eq!(one(&client, address).await.is_some(), tells, "{status} {body}");
            assert!(server.await.unwrap().starts_with("GET /findings HTTP/1.1"));
            assert_eq!(one(&client, address).await, None, "nobody listens any more");
        }
    }

    #[test]
    fn what_one_pod_tells_is_enough_and_only_full_volumes_count() {
        let read = |text: &str| Findings::read(text).unwrap();
        let told = [
            read(r#"{"stores":{}}"#),
            read(r#"{"stores":{"postgres":{"trouble":{"kind":"full","detail":"full"}}}}"#),
            read(r#"{"stores":{"redis":{"trouble":{"kind":"other","detail":"odd"}},"kafka":{}}}"#),
        ];
        let found = full(told.into_iter());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["postgres"]);
    }
}
