//! The `SentinelChat` that `up` applies, and the wait until it is ready.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{guide, release};
use crate::cluster::kubectl::condition;
use crate::cluster::{Kubectl, Service};
use crate::images::Built;
use crate::report::Outcome;

/// One resource.
#[derive(Debug)]
pub struct Sample {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub text: String,
}

impl Sample {
    /// Reads a manifest that holds one `SentinelChat`.
    pub fn read(path: &Path, default_namespace: &str) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the sample {}", path.display()))?;
        Self::parse(text, default_namespace).with_context(|| format!("in the sample {}", path.display()))
    }

    fn parse(text: String, default_namespace: &str) -> Result<Self> {
        let object: Value = serde_yaml_ng::from_str(&text).context("not one YAML document")?;
        if object["kind"] != "SentinelChat" {
            bail!("expected a SentinelChat, found {}", object["kind"]);
        }
        let field = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
        Ok(Self {
            name: field("name").context("metadata.name is missing")?,
            namespace: field("namespace").unwrap_or_else(|| default_namespace.to_owned()),
            text,
        })
    }

    /// `namespace/name`.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Fails where the cluster has this chat with another profile, which no chat can change.
    pub fn check_profile(&self, kubectl: &Kubectl, cluster: &str) -> Result<()> {
        let wanted: Value = serde_yaml_ng::from_str(&self.text).context("not one YAML document")?;
        match self.get(kubectl).and_then(|present| other_profile(&present, &wanted).map(str::to_owned)) {
            Some(present) => bail!(
                "the chat {} on cluster {cluster} has profile {present}, and a chat keeps its profile: take a cluster of \
                 another name (make up NAME=…), or take this one down, with its data (make down{})",
                self.shown(),
                guide::name_option(cluster)
            ),
            None => Ok(()),
        }
    }

    /// Applies the namespace, with the strictest pod security level, and the resource.
    pub fn apply(&self, kubectl: &Kubectl) -> Result<Outcome> {
        let before = self.get(kubectl).map(|object| object["metadata"]["generation"].clone());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels},
        });
        kubectl.apply(&namespace.to_string())?;
        let mut object: Value = serde_yaml_ng::from_str(&self.text).context("not one YAML document")?;
        object["metadata"]["namespace"] = json!(self.namespace);
        kubectl.apply(&object.to_string()).context("the API server refused the sample")?;
        let after = self.get(kubectl).map(|object| object["metadata"]["generation"].clone());
        Ok(if before.is_some() && before == after { Outcome::Unchanged } else { Outcome::Done })
    }

    /// Waits for the condition `Ready`, as of the newest generation and the images just loaded.
    pub fn wait_ready(&self, kubectl: &Kubectl, built: &Built, patience: Duration) -> Result<()> {
        let (sentinel, gateway) = (built.reference("sentinel")?, built.reference("nginx")?);
        let deadline = Instant::now() + patience;
        loop {
            if self.get(kubectl).is_some_and(|object| is_ready(&object) && runs(&object, sentinel, gateway)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not ready after {patience:?}\n{}", self.symptoms(kubectl));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The gateway's Service: the one the operator labelled as such.
    pub fn gateway(&self, kubectl: &Kubectl) -> Result<Service> {
        let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/component=gateway", self.name);
        let list = kubectl.json(&["-n", &self.namespace, "get", "services", "-l", &selector])?;
        let services = list["items"].as_array().cloned().unwrap_or_default();
        let reachable = services.iter().find(|service| service["spec"]["clusterIP"] != "None");
        let service = reachable.with_context(|| format!("no gateway Service labelled {selector}"))?;
        let port = service["spec"]["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Ok(Service {
            namespace: self.namespace.clone(),
            name: service["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            port: port.context("the gateway's Service has no port")?,
        })
    }

    fn get(&self, kubectl: &Kubectl) -> Option<Value> {
        kubectl.json(&["-n", &self.namespace, "get", "sentinelchats", &self.name]).ok()
    }

    /// What the resource, its pods and the operator say.
    fn symptoms(&self, kubectl: &Kubectl) -> String {
        let look = |arguments: &[&str]| kubectl.run(arguments).unwrap_or_default();
        let conditions = self.get(kubectl).map(|object| conditions(&object)).unwrap_or_default();
        let pods = look(&["-n", &self.namespace, "get", "pods"]);
        let said = look(&["-n", release::NAMESPACE, "logs", "deploy/sentinel-operator", "--tail=6"]);
        let config = kubectl.kubeconfig().display();
        format!(
            "conditions:\n{conditions}\npods:\n{pods}\nlast lines of the operator:\n{said}\n\
             look further with: kubectl --kubeconfig {config} -n {} describe pods; then repeat the command",
            self.namespace
        )
    }
}

/// The profile of a chat, where that is not the one of the other.
fn other_profile<'a>(present: &'a Value, wanted: &'a Value) -> Option<&'a str> {
    // As the resource's definition has it.
    let profile = |object: &'a Value| object["spec"]["profile"].as_str().unwrap_or("Embedded");
    Some(profile(present)).filter(|present| *present != profile(wanted))
}

fn is_ready(object: &Value) -> bool {
    let generation = &object["metadata"]["generation"];
    let observed =
        object["status"]["observedGeneration"].is_null() || &object["status"]["observedGeneration"] == generation;
    observed && condition(object, "Ready") == Some("True")
}

/// Whether these images serve. Only asked of a resource that follows the operator's images: a new operator takes a moment
/// to roll it, and until then its status is still that of the old one.
fn runs(object: &Value, sentinel: &str, gateway: &str) -> bool {
    let own = |image: &Value| image.as_object().is_some_and(|fields| fields.keys().any(|key| key != "pullPolicy"));
    if object["spec"]["upgrades"] != "Automatic"
        || own(&object["spec"]["image"])
        || own(&object["spec"]["gateway"]["image"])
    {
        return true;
    }
    let status = &object["status"];
    let serves = status["version"].as_str().is_some_and(|version| sentinel.ends_with(&format!(":{version}")));
    serves
        && status["sentinelImage"] == sentinel
        && status["gatewayImage"] == gateway
        && condition(object, "Progressing") != Some("True")
}

fn conditions(object: &Value) -> String {
    let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let lines = list.iter().map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        format!("  {}={} {}: {}", text("type"), text("status"), text("reason"), text("message"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_without_namespace_gets_the_default() {
        let text = "apiVersion: chat.sentinel.dev/v1alpha1\nkind: SentinelChat\nmetadata: {name: demo}\n";
        let sample = Sample::parse(text.to_owned(), "chat").unwrap();
        assert_eq!(sample.shown(), "chat/demo");
        assert!(Sample::parse("kind: Pod".to_owned(), "chat").is_err());
    }

    #[test]
    fn a_chat_of_another_profile_is_told() {
        let chat = |profile: &str| json!({"spec": {"profile": profile}});
        let default = json!({"spec": {"upgrades": "Automatic"}});
        assert_eq!(other_profile(&chat("Embedded"), &chat("Distributed")), Some("Embedded"));
        assert_eq!(other_profile(&chat("Distributed"), &default), Some("Distributed"));
        assert_eq!(other_profile(&chat("Embedded"), &default), None);
        assert_eq!(other_profile(&default, &default), None);
    }

    #[test]
    fn readiness_of_an_older_generation_does_not_count() {
        let object = |observed: u64| {
            json!({"metadata": {"generation": 2},
                   "status": {"observedGeneration": observed, "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        assert!(is_ready(&object(2)));
        assert!(!is_ready(&object(1)));
        assert!(!is_ready(&json!({})));
    }

    #[test]
    fn an_automatic_upgrade_is_waited_for() {
        let object = |upgrades: &str, version: &str| {
            json!({"spec": {"upgrades": upgrades, "image": {"pullPolicy": "IfNotPresent"}}, "status": {
                "version": version, "sentinelImage": "localhost/sentinel:2", "gatewayImage": "localhost/nginx:1"}})
        };
        let runs = |object: &Value| runs(object, "localhost/sentinel:2", "localhost/nginx:1");
        assert!(runs(&object("Automatic", "2")));
        assert!(!runs(&object("Automatic", "1")));
        assert!(runs(&object("Manual", "1")));
    }

    #[test]
    fn conditions_are_shown_with_their_reason() {
        let object = json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "Waiting", "message": "for pods"}]}});
        assert_eq!(conditions(&object), "  Ready=False Waiting: for pods");
    }
}
