//! `kubectl` against one cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use crate::host::command;

/// Runs `kubectl` with one kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// For the cluster of this kubeconfig.
    pub fn new(kubeconfig: impl Into<PathBuf>) -> Self {
        Self { kubeconfig: kubeconfig.into() }
    }

    /// The kubeconfig in use.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        kubectl
    }

    /// Runs and returns standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        command::output(&mut self.command(arguments))
    }

    /// Runs with `-o json` and parses the answer.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut kubectl = self.command(arguments);
        let text = command::output(kubectl.args(["-o", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {} gave no JSON", arguments.join(" ")))
    }

    /// Server-side apply of a manifest; returns one line for each object that changed.
    pub fn apply(&self, manifest: &str) -> Result<Vec<String>> {
        let arguments = ["apply", "--server-side", "--field-manager=sentinel-e2e", "--force-conflicts", "-f", "-"];
        let said = command::output_with_input(&mut self.command(&arguments), manifest)?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Whether the API server answers that it is ready.
    pub fn api_ready(&self) -> bool {
        command::succeeds(&mut self.command(&["--request-timeout=3s", "get", "--raw", "/readyz"]))
    }

    /// Whether every node is ready (and there is one), as it said after `since`: what one said before it died stays
    /// written for a while.
    pub fn nodes_ready(&self, since: Option<Timestamp>) -> bool {
        let nodes = self.json(&["--request-timeout=3s", "get", "nodes"]).ok();
        let items = nodes.as_ref().and_then(|list| list["items"].as_array());
        items.is_some_and(|nodes| !nodes.is_empty() && nodes.iter().all(|node| node_ready(node, since)))
    }

    /// The cluster address and port of a Service.
    pub fn service_address(&self, namespace: &str, name: &str, port: u16) -> Result<String> {
        let service = self.json(&["-n", namespace, "get", "service", name])?;
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        if address.is_empty() || address == "None" {
            bail!("service {namespace}/{name} has no cluster address; forward to one that has");
        }
        Ok(format!("{address}:{port}"))
    }
}

/// The status of one of an object's conditions.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str()
}

fn node_ready(node: &Value, since: Option<Timestamp>) -> bool {
    let said = |condition: &Value| condition["lastHeartbeatTime"].as_str()?.parse::<Timestamp>().ok();
    // Nodes tell whole seconds.
    let in_time = |condition: &Value| match since {
        Some(since) => said(condition).is_some_and(|said| said.as_second() >= since.as_second()),
        None => true,
    };
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ready.any(in_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_found_by_type() {
        let node = serde_json::json!({"status": {"conditions": [
            {"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(condition(&node, "Ready"), Some("True"));
        assert_eq!(condition(&node, "Other"), None);
        assert_eq!(condition(&serde_json::json!({}), "Ready"), None);
    }

    #[test]
    fn what_a_node_said_before_it_was_started_again_does_not_count() {
        let node = |status: &str| {
            serde_json::json!({"status": {"conditions": [
                {"type": "Ready", "status": status, "lastHeartbeatTime": "2026-01-01T10:00:05Z"}]}})
        };
        let at = |text: &str| Some(text.parse().unwrap());
        assert!(node_ready(&node("True"), None));
        assert!(node_ready(&node("True"), at("2026-01-01T10:00:05.9Z")));
        assert!(!node_ready(&node("True"), at("2026-01-01T10:00:06Z")));
        assert!(!node_ready(&node("False"), None));
        assert!(!node_ready(&serde_json::json!({}), None));
    }
}
