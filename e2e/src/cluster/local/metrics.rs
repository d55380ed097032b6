//! The metrics server: figures for `kubectl top` and for autoscaling. Started on request.

use std::path::Path;

use anyhow::Result;

use super::Local;
use super::config::NODE_ADDRESS;
use super::parts::Part;
use crate::cluster::kubectl::condition;
use crate::cluster::{Provider, State};
use crate::host::gotools;
use crate::report::{Outcome, Report};

/// Where it listens, inside the namespace.
const PORT: u16 = 4443;

/// Starts it and waits for its first figures.
pub fn ensure(local: &Local, report: &Report) -> Result<()> {
    let binary = gotools::METRICS_SERVER.ensure(report)?;
    report.check("metrics server ready", || {
        let part = part(local.state(), &binary);
        let began = local.ensure(&part)?;
        let kubectl = local.kubectl();
        kubectl.apply(&manifest())?;
        local.wait("the metrics server", &[part.name], || {
            let service = kubectl.json(&["get", "apiservice", "v1beta1.metrics.k8s.io"]);
            service.is_ok_and(|service| condition(&service, "Available") == Some("True"))
                && kubectl
                    .run(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"])
                    .is_ok_and(|list| list.contains("usage"))
        })?;
        Ok(if began { Outcome::Done } else { Outcome::Unchanged })
    })?;
    Ok(())
}

fn part(state: &State, binary: &Path) -> Part {
    let admin = state.path("admin.conf").display().to_string();
    let argv = vec![
        binary.display().to_string(),
        format!("--kubeconfig={admin}"),
        format!("--authentication-kubeconfig={admin}"),
        format!("--authorization-kubeconfig={admin}"),
        format!("--secure-port={PORT}"),
        format!("--cert-dir={}", state.path("metrics-server").display()),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--kubelet-certificate-authority={}", state.path("pki/ca.crt").display()),
        "--metric-resolution=15s".to_owned(),
    ];
    Part { name: "metrics-server", argv, config: String::new() }
}

/// It is a process, not a pod: a Service without selector leads to it.
fn manifest() -> String {
    format!(
        r#"apiVersion: v1
kind: Service
metadata:
  name: metrics-server
  namespace: kube-system
spec:
  ports:
  - name: https
    port: 443
    targetPort: {PORT}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: metrics-server
  namespace: kube-system
  labels:
    kubernetes.io/service-name: metrics-server
addressType: IPv4
ports:
- name: https
  port: {PORT}
  protocol: TCP
endpoints:
- addresses: ["{NODE_ADDRESS}"]
  conditions:
    ready: true
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1beta1.metrics.k8s.io
spec:
  group: metrics.k8s.io
  version: v1beta1
  service:
    name: metrics-server
    namespace: kube-system
  # Its certificate is of its own making; the way to it never leaves the namespace.
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::Value;

    #[test]
    fn the_service_leads_to_the_process() {
        let text = manifest();
        let objects: Vec<Value> =
            serde_yaml_ng::Deserializer::from_str(&text).map(|part| Value::deserialize(part).unwrap()).collect();
        let [service, slice, api] = objects.as_slice() else { panic!("three objects") };
        assert_eq!(service["spec"]["ports"][0]["targetPort"], slice["ports"][0]["port"]);
        assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], service["metadata"]["name"]);
        assert_eq!(api["spec"]["service"]["name"], service["metadata"]["name"]);
    }
}
