//! Which volumes are full, as the platform's own pods tell while they run: a store that refuses to write because of that
//! is ready all the same, and says so to those only that write to it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use sentinel_domain::findings::{Findings, Trouble, TroubleKind};

use super::status::pods;
use crate::{
    answer::describe,
    build::{ADMIN_PORT, services},
    names::{Component, component_of},
};

/// How long a pod has for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// By the store's name, or by that of the volume of profile Embedded: why nothing can be written.
pub type FullVolumes = BTreeMap<String, Trouble>;

/// Asks all pods of the platform that are ready, at once. One that does not answer, or is of a version that does not
/// know the question, tells nothing.
pub async fn ask(pods: &[Pod]) -> FullVolumes {
    let addresses: Vec<SocketAddr> = pods.iter().filter_map(address).collect();
    if addresses.is_empty() {
        return FullVolumes::new();
    }
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(error = describe(&error), "pods cannot be asked for full volumes");
            return FullVolumes::new();
        }
    };
    let told = join_all(addresses.into_iter().map(|address| one(&client, address))).await;
    full(told.into_iter().flatten())
}

/// Made for each look, as nothing of it is worth keeping. Pods have no TLS here, and an image may have no authorities.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()
}

/// Where a pod that writes to stores is asked.
fn address(pod: &Pod) -> Option<SocketAddr> {
    let part = component_of(&pod.metadata)?;
    let is_asked =
        part == Component::Sentinel.as_str() || services::SERVICES.iter().any(|one| part == one.component.as_str());
    let ip = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    (is_asked && pods::is_ready(pod)).then(|| SocketAddr::new(ip, ADMIN_PORT))
}

async fn one(client: &reqwest::Client, address: SocketAddr) -> Option<Findings> {
    let answer =
        async { client.get(format!("http://{address}/findings")).send().await?.error_for_status()?.text().await };
    match answer.await {
        Ok(text) => Findings::read(&text),
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

    fn pod(component: &str, ready: bool, ip: &str) -> Pod {
        let status = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": { "name": "p", "labels": { COMPONENT: component } },
            "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": status }] },
        }))
        .unwrap()
    }

    #[test]
    fn ready_pods_of_the_platform_are_asked_and_no_others() {
        let of = |component, ready, ip| address(&pod(component, ready, ip)).map(|address| address.to_string());
        assert_eq!(of("sentinel", true, "10.0.0.7").as_deref(), Some("10.0.0.7:9090"));
        assert_eq!(of("users", true, "fd00::7").as_deref(), Some("[fd00::7]:9090"));
        assert_eq!(of("users", false, "10.0.0.7"), None);
        for other in ["gateway", "postgres", "migration"] {
            assert_eq!(of(other, true, "10.0.0.7"), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_pod_that_does_not_know_the_question_or_is_away_tells_nothing() {
        let client = client().unwrap();
        let full = r#"{"stores":{"volume":{"trouble":{"kind":"full","detail":"full"}}}}"#;
        for (status, body, tells) in [("200 OK", full, true), ("404 Not Found", full, false), ("200 OK", "ok", false)] {
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
