//! Addresses and configuration files of the parts, rendered from the state folder's path alone.

use std::path::Path;

/// The node's address inside the namespace.
pub const NODE_ADDRESS: &str = "10.90.0.2";
/// The node's name.
pub const NODE_NAME: &str = "node0";
/// The API server's port inside the namespace.
pub const API_PORT: u16 = 6443;
/// The Service address of the API server.
pub const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// Addresses of Services.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// Addresses of pods.
pub const POD_RANGE: &str = "10.244.0.0/16";
/// The DNS server, in the part of the Service range that Kubernetes keeps for fixed addresses.
pub const DNS_ADDRESS: &str = "10.96.0.10";
/// The image of each pod's first container; see `e2e/images`.
pub const PAUSE_IMAGE: &str = "localhost/pause:1";

/// The default storage class, served by the node binary's provisioner.
pub const STORAGE_CLASS: &str = r#"apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations:
    storageclass.kubernetes.io/is-default-class: "true"
provisioner: sentinel.dev/local
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
"#;

/// containerd.
pub fn containerd(state: &Path, snapshotter: &str) -> String {
    let state = state.display();
    format!(
        r#"version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a negative score is refused, and runc dies with an error that does not say so.
  restrict_oom_score_adj = true
  # Otherwise the namespaces of pods would be mounted in the machine's /run/netns.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"#
    )
}

/// The pod network; `name` tells clusters apart in the plugins' own cache.
pub fn pod_network(state: &Path, name: &str) -> String {
    let state = state.display();
    format!(
        r#"{{"cniVersion":"1.0.0","name":"{name}","plugins":[
{{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"hairpinMode":true,"promiscMode":false,"ipam":{{"type":"host-local","dataDir":"{state}/cni/ipam","ranges":[[{{"subnet":"10.244.0.0/24"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}},
{{"type":"portmap","capabilities":{{"portMappings":true}}}}]}}
"#
    )
}

/// kubelet.
pub fn kubelet(state: &Path, cgroup_root: &str) -> String {
    let state = state.display();
    format!(
        r"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {state}/pki/ca.crt}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
# One root for each cluster: two kubelets under one root remove each other's pods.
cgroupRoot: /{cgroup_root}
clusterDNS: [{DNS_ADDRESS}]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://{state}/containerd.sock
failSwapOn: false
tlsCertFile: {state}/pki/node.crt
tlsPrivateKeyFile: {state}/pki/node.key
resolvConf: {state}/resolv.conf
podLogsDir: {state}/pods
# The disk is the developer's, who may keep it as full as they like: a share of a large one would be gigabytes.
evictionHard: {{memory.available: 100Mi, nodefs.available: 200Mi, nodefs.inodesFree: 1%, imagefs.available: 200Mi}}
# Images are loaded from an archive, never pulled: one that kubelet removed would not come back.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 200
"
    )
}

/// kube-proxy.
pub fn proxy(state: &Path) -> String {
    let state = state.display();
    format!(
        r"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: {POD_RANGE}
hostnameOverride: {NODE_NAME}
clientConnection: {{kubeconfig: {state}/proxy.conf}}
# Zero leaves the machine's own limits alone; they may not be writable.
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"
    )
}

/// The DNS server.
pub fn dns(state: &Path) -> String {
    let state = state.display();
    format!(
        r".:53 {{
  bind {DNS_ADDRESS}
  errors
  health 127.0.0.1:8181
  ready 127.0.0.1:8182
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {state}/admin.conf
    pods insecure
    ttl 5
  }}
  cache 5
}}
"
    )
}

/// A kubeconfig with certificates in it. The three contents are base64 of PEM.
pub fn kubeconfig(context: &str, server: &str, authority: &str, certificate: &str, key: &str) -> String {
    format!(
        r"apiVersion: v1
kind: Config
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {context}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {context}
current-context: {context}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const STATE: &str = "/state/dev";

    #[test]
    fn yaml_files_parse_and_hold_no_foreign_path() {
        let state = Path::new(STATE);
        for text in [kubelet(state, "sentinel-dev"), proxy(state), STORAGE_CLASS.to_owned()] {
            let parsed: Value = serde_yaml_ng::from_str(&text).unwrap();
            assert!(parsed["kind"].is_string(), "{text}");
        }
        let parsed: Value = serde_yaml_ng::from_str(&kubelet(state, "sentinel-dev")).unwrap();
        assert_eq!(parsed["cgroupRoot"], "/sentinel-dev");
        assert_eq!(parsed["podLogsDir"], "/state/dev/pods");
    }

    #[test]
    fn everything_writable_of_containerd_is_in_the_state_folder() {
        let text = containerd(Path::new(STATE), "overlayfs");
        for line in ["root = \"/state/dev/", "state = \"/state/dev/", "address = \"/state/dev/"] {
            assert!(text.contains(line), "{line}");
        }
    }

    #[test]
    fn the_pod_network_is_json() {
        let parsed: Value = serde_json::from_str(&pod_network(Path::new(STATE), "sentinel-dev")).unwrap();
        assert_eq!(parsed["name"], "sentinel-dev");
        assert_eq!(parsed["plugins"][1]["type"], "portmap");
    }

    #[test]
    fn kubeconfigs_name_one_context() {
        let text = kubeconfig("sentinel-dev", "https://127.0.0.1:4000", "Y2E=", "Y3J0", "a2V5");
        let parsed: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(parsed["current-context"], parsed["contexts"][0]["name"]);
        assert_eq!(parsed["clusters"][0]["cluster"]["server"], "https://127.0.0.1:4000");
        assert_eq!(parsed["users"][0]["user"]["client-key-data"], "a2V5");
    }
}
