//! The operator, installed by Helm from the repository's charts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::Kubectl;
use crate::host::hash::Key;
use crate::host::{command, folders};
use crate::images::Built;
use crate::report::{Outcome, Report};

/// Where the operator runs.
pub const NAMESPACE: &str = "sentinel-system";

/// Stores that the operator can run; their images are there in profile Distributed.
const STORES: [&str; 6] = ["postgres", "cassandra", "redis", "kafka", "elasticsearch", "s3"];

/// Installs the resource definitions and the operator.
pub fn install(report: &Report, helm: &Path, kubectl: &Kubectl, built: &Built) -> Result<()> {
    let release = |name, values| Release { name, values, helm, kubectl };
    report.check("Helm release sentinel-crds", || release("sentinel-crds", Vec::new()).ensure())?;
    let values = operator_values(built)?;
    report.check("Helm release sentinel-operator", || release("sentinel-operator", values).ensure())?;
    Ok(())
}

fn operator_values(built: &Built) -> Result<Vec<String>> {
    let operator = built.reference("sentinel-operator")?;
    let (repository, tag) = operator.rsplit_once(':').context("an image reference without tag")?;
    let mut values = vec![
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        "image.pullPolicy=IfNotPresent".to_owned(),
        format!("workloads.sentinelImage={}", built.reference("sentinel")?),
        format!("workloads.gatewayImage={}", built.reference("nginx")?),
    ];
    let stores = STORES.iter().filter_map(|store| built.references.get_key_value(*store));
    values.extend(stores.map(|(store, image)| format!("workloads.{store}Image={image}")));
    Ok(values)
}

struct Release<'a> {
    name: &'static str,
    values: Vec<String>,
    helm: &'a Path,
    kubectl: &'a Kubectl,
}

impl Release<'_> {
    /// Installs or upgrades, unless the same chart with the same values is deployed. What was installed is written into
    /// the release's description, since an upgrade to the same would still make a new revision.
    fn ensure(&self) -> Result<Outcome> {
        let chart = folders::repository()?.join("charts").join(self.name);
        if !chart.join("Chart.yaml").is_file() {
            bail!("there is no chart at {}", chart.display());
        }
        let content = Key::default().with_folder(&chart)?.with("values", self.values.join("\n")).short();
        let description = format!("content {content}");
        let status = self.deployed();
        if status
            .as_ref()
            .is_some_and(|info| info["description"] == description.as_str() && info["status"] == "deployed")
        {
            return Ok(Outcome::Unchanged);
        }
        if status.is_some_and(|info| info["status"].as_str().is_some_and(|status| status.starts_with("pending"))) {
            // An interrupted run: Helm refuses to work on a release that it believes to be worked on.
            self.forget_pending()?;
        }
        let mut upgrade = self.helm(&["upgrade", "--install", self.name]);
        upgrade.arg(&chart).args(["--create-namespace", "--wait", "--timeout=120s", "--description", &description]);
        for value in &self.values {
            upgrade.args(["--set-string", value]);
        }
        command::output(&mut upgrade).with_context(|| self.advice())?;
        Ok(Outcome::Done)
    }

    fn deployed(&self) -> Option<Value> {
        let mut history = self.helm(&["history", self.name, "--max=1", "--output=json"]);
        let list: Value = serde_json::from_str(&command::output(&mut history).ok()?).ok()?;
        list.as_array()?.last().cloned()
    }

    fn forget_pending(&self) -> Result<()> {
        let selector =
            format!("owner=helm,name={},status in (pending-install,pending-upgrade,pending-rollback)", self.name);
        self.kubectl.run(&["-n", NAMESPACE, "delete", "secret", "-l", &selector]).map(drop)
    }

    fn helm(&self, arguments: &[&str]) -> Command {
        let mut helm = Command::new(self.helm);
        helm.args(arguments).args(["--namespace", NAMESPACE]).env("KUBECONFIG", self.kubectl.kubeconfig());
        helm
    }

    /// What an operator that does not become ready says.
    fn advice(&self) -> String {
        let look = |arguments: &[&str]| self.kubectl.run(arguments).unwrap_or_default();
        let pods = look(&["-n", NAMESPACE, "get", "pods"]);
        let said = look(&["-n", NAMESPACE, "logs", "deploy/sentinel-operator", "--tail=15"]);
        let events = look(&["-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"]);
        let recent: Vec<&str> = events.lines().rev().take(5).collect();
        format!(
            "{} was not installed\npods:\n{pods}\nlast events:\n{}\nlast log lines:\n{said}\n\
             look further with: kubectl --kubeconfig {} -n {NAMESPACE} describe pods\n",
            self.name,
            recent.join("\n"),
            self.kubectl.kubeconfig().display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn images_become_values() {
        let names = ["sentinel", "sentinel-operator", "nginx"];
        let references = names.map(|name| (name.to_owned(), format!("localhost/{name}:abc"))).into();
        let values = operator_values(&Built { archive: "x".into(), references }).unwrap();
        assert!(values.contains(&"image.repository=localhost/sentinel-operator".to_owned()));
        assert!(values.contains(&"image.tag=abc".to_owned()));
        assert!(values.contains(&"workloads.gatewayImage=localhost/nginx:abc".to_owned()));
        assert!(!values.iter().any(|value| value.contains("kafkaImage")), "the operator's own default stays");
        let empty = Built { archive: "x".into(), references: BTreeMap::new() };
        assert!(operator_values(&empty).is_err());
    }
}
