//! Ports of the node that the engine publishes on 127.0.0.1, and Services that listen on them.
//!
//! `kubectl port-forward` will not do: it ends, with all that it carries, when a pod ends and when a pod resets one
//! connection.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cluster::Service;

/// Ports for Services of type `NodePort`. The engine publishes only what is named when the node is made.
const NODE_PORTS: RangeInclusive<u64> = 30080..=30087;

/// kind's configuration: one node, and a free port of 127.0.0.1, which kind chooses, for each of the node's.
pub fn config() -> String {
    let published: Vec<String> =
        NODE_PORTS.map(|port| format!("  - {{containerPort: {port}, listenAddress: 127.0.0.1}}\n")).collect();
    format!(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n  extraPortMappings:\n{}",
        published.concat()
    )
}

/// The Service that leads from a port of the node to the pods of `forwarded`, and that port. `object` is the forwarded
/// one, `all` the list of all Services.
pub fn service(forwarded: &Service, object: &Value, all: &Value) -> Result<(Value, u64)> {
    let Service { namespace, name, port } = forwarded;
    let ports = object["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = ports.iter().find(|entry| entry["port"] == *port);
    let wanted = wanted.with_context(|| format!("service {namespace}/{name} has no port {port}"))?;
    let selector = &object["spec"]["selector"];
    if !selector.is_object() {
        bail!("service {namespace}/{name} selects no pods; forward to one that does");
    }
    let metadata = json!({
        "namespace": namespace, "name": format!("{name}-{port}-forward"),
        "labels": {"app.kubernetes.io/managed-by": "sentinel-e2e"},
    });
    let node_port = node_port(&metadata, all)?;
    let target = if wanted["targetPort"].is_null() { &wanted["port"] } else { &wanted["targetPort"] };
    let entry = json!({"port": port, "targetPort": target, "nodePort": node_port});
    let spec = json!({"type": "NodePort", "selector": selector, "ports": [entry]});
    Ok((json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}), node_port))
}

/// The port that the Service has, or else one that none has.
fn node_port(metadata: &Value, all: &Value) -> Result<u64> {
    let services = all["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let taken = |service: &Value| service["spec"]["ports"][0]["nodePort"].as_u64();
    let same = |service: &&Value| ["namespace", "name"].iter().all(|key| service["metadata"][key] == metadata[key]);
    if let Some(port) = services.iter().find(same).and_then(taken) {
        return Ok(port);
    }
    let free = NODE_PORTS.into_iter().find(|port| !services.iter().any(|service| taken(service) == Some(*port)));
    free.context("all ports that kind publishes are in use; delete one of the Services whose names end in -forward")
}

/// The port of this machine in what the engine says of a published port: lines of address and port.
pub fn published(said: &str) -> Option<u16> {
    said.lines().find_map(|line| line.trim().rsplit_once(':')?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> Service {
        Service { namespace: "chat".to_owned(), name: "chat-gateway".to_owned(), port: 80 }
    }

    fn object() -> Value {
        json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 443}, {"port": 80, "targetPort": "http"}]}})
    }

    fn list(services: &[(&str, u64)]) -> Value {
        let item = |(name, port): &(&str, u64)| json!({"metadata": {"namespace": "chat", "name": name}, "spec": {"ports": [{"nodePort": port}]}});
        json!({"items": services.iter().map(item).collect::<Vec<_>>()})
    }

    #[test]
    fn a_service_gets_a_port_that_is_published_and_free_and_keeps_it() {
        let (made, port) = service(&gateway(), &object(), &list(&[("other", 30080)])).unwrap();
        assert_eq!(port, 30081);
        assert!(config().contains("containerPort: 30081,"));
        assert_eq!(made["metadata"]["name"], "chat-gateway-80-forward");
        assert_eq!(made["spec"]["selector"], json!({"a": "b"}));
        assert_eq!(made["spec"]["ports"], json!([{"port": 80, "targetPort": "http", "nodePort": 30081}]));
        let there = list(&[("other", 30080), ("chat-gateway-80-forward", 30085)]);
        assert_eq!(service(&gateway(), &object(), &there).unwrap().1, 30085);
    }

    #[test]
    fn what_cannot_be_forwarded_is_told() {
        let none = list(&[]);
        let wrong = Service { port: 81, ..gateway() };
        assert!(service(&wrong, &object(), &none).unwrap_err().to_string().contains("no port 81"));
        let external = json!({"spec": {"ports": [{"port": 80}]}});
        assert!(service(&gateway(), &external, &none).unwrap_err().to_string().contains("selects no pods"));
        let full: Vec<_> = NODE_PORTS.map(|port| ("other", port)).collect();
        assert!(service(&gateway(), &object(), &list(&full)).is_err());
    }

    #[test]
    fn the_published_port_is_read() {
        assert_eq!(published("127.0.0.1:49153\n"), Some(49153));
        assert_eq!(published("0.0.0.0:49153\n[::]:49153\n"), Some(49153));
        assert_eq!(published(""), None);
    }
}
