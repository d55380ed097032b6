//! The parts of a local cluster: command line and configuration of each.

use std::path::Path;

use anyhow::{Context, Result};

use super::config;
use crate::cluster::State;
use crate::host::{command, folders};

/// `f_type` of an overlay file system, on which no second overlay can stand.
const OVERLAYFS: i64 = 0x794c_7630;

/// One part.
#[derive(Debug)]
pub struct Part {
    /// Its name in status, logs and records.
    pub name: &'static str,
    /// Its command line.
    pub argv: Vec<String>,
    /// What its configuration files hold: a part is started anew when this changes.
    pub config: String,
}

/// Writes the configuration files and returns all parts.
pub fn all(state: &State, node: &Path) -> Result<Vec<Part>> {
    let folder = state.folder();
    let global = state.global_name();
    let write = |file: &str, text: String| -> Result<String> {
        folders::write_changed(&folder.join(file), &text)?;
        Ok(text)
    };
    for made in ["containerd", "kubelet", "volumes", "pods"] {
        folders::make(&folder.join(made))?;
    }
    let network = write("cni/conf/10-net.conflist", config::pod_network(folder, &global))?;
    let containerd = write("containerd.toml", config::containerd(folder, snapshotter(folder)?))?;
    let kubelet = write("kubelet.yaml", config::kubelet(folder, &global))?;
    let proxy = write("proxy.yaml", config::proxy(folder))?;
    let names = write("Corefile", config::dns(folder))?;
    let resolver = write("resolv.conf", format!("nameserver {}\n", config::DNS_ADDRESS))?;
    let containerd_program = command::find("containerd").context("containerd is not installed")?;

    let dir = folder.display().to_string();
    let node = node.display().to_string();
    let part = |name, config: String, argv: &[&str]| Part {
        name,
        argv: argv.iter().map(|argument| expanded(argument, &dir)).collect(),
        config,
    };
    let none = String::new;
    Ok(vec![
        part(
            "etcd",
            none(),
            &[
                &node,
                "etcd",
                "--data-dir=$D/etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                // A test cluster need not survive a power failure.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        ),
        part("apiserver", none(), &api_server(&node)),
        part(
            "containerd",
            containerd + &network,
            &[&containerd_program.to_string_lossy(), "--config=$D/containerd.toml"],
        ),
        part("controller-manager", none(), &controller_manager(&node)),
        part(
            "scheduler",
            none(),
            &[
                &node,
                "scheduler",
                "--kubeconfig=$D/scheduler.conf",
                "--authentication-kubeconfig=$D/scheduler.conf",
                "--authorization-kubeconfig=$D/scheduler.conf",
                "--leader-elect=false",
            ],
        ),
        part(
            "kubelet",
            kubelet + &resolver,
            &[
                &node,
                "kubelet",
                "--config=$D/kubelet.yaml",
                "--kubeconfig=$D/node.conf",
                &format!("--hostname-override={}", config::NODE_NAME),
                &format!("--node-ip={}", config::NODE_ADDRESS),
                "--root-dir=$D/kubelet",
                "--v=1",
            ],
        ),
        part("proxy", proxy, &[&node, "proxy", "--config=$D/proxy.yaml"]),
        part("dns", names, &[&node, "dns", "-conf", "$D/Corefile"]),
        part(
            "provisioner",
            none(),
            &[
                &node,
                "provisioner",
                "-kubeconfig=$D/admin.conf",
                "-dir=$D/volumes",
                &format!("-node={}", config::NODE_NAME),
            ],
        ),
    ])
}

/// A command line argument with addresses and the state folder in it.
fn expanded(argument: &str, folder: &str) -> String {
    argument
        .replace("$NODE", config::NODE_ADDRESS)
        .replace("$API_PORT", &config::API_PORT.to_string())
        .replace("$SERVICES", config::SERVICE_RANGE)
        .replace("$PODS", config::POD_RANGE)
        .replace("$D", folder)
}

fn api_server(node: &str) -> Vec<&str> {
    vec![
        node,
        "apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        "--advertise-address=$NODE",
        "--bind-address=0.0.0.0",
        "--secure-port=$API_PORT",
        "--service-cluster-ip-range=$SERVICES",
        "--client-ca-file=$D/pki/ca.crt",
        "--tls-cert-file=$D/pki/apiserver.crt",
        "--tls-private-key-file=$D/pki/apiserver.key",
        "--kubelet-client-certificate=$D/pki/kubelet-client.crt",
        "--kubelet-client-key=$D/pki/kubelet-client.key",
        "--kubelet-certificate-authority=$D/pki/ca.crt",
        // The node's name resolves nowhere.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-key-file=$D/pki/sa.pub",
        "--service-account-signing-key-file=$D/pki/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--requestheader-client-ca-file=$D/pki/front-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file=$D/pki/front.crt",
        "--proxy-client-key-file=$D/pki/front.key",
        "--enable-aggregator-routing",
    ]
}

fn controller_manager(node: &str) -> Vec<&str> {
    vec![
        node,
        "controller-manager",
        "--kubeconfig=$D/controller-manager.conf",
        "--authentication-kubeconfig=$D/controller-manager.conf",
        "--authorization-kubeconfig=$D/controller-manager.conf",
        "--service-account-private-key-file=$D/pki/sa.key",
        "--root-ca-file=$D/pki/ca.crt",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--cluster-cidr=$PODS",
        "--allocate-node-cidrs",
        "--cluster-signing-cert-file=$D/pki/ca.crt",
        "--cluster-signing-key-file=$D/pki/ca.key",
    ]
}

/// Overlay where the state folder can hold one; copies where it is itself on an overlay (inside a container).
fn snapshotter(folder: &Path) -> Result<&'static str> {
    let system = rustix::fs::statfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    Ok(if system.f_type == OVERLAYFS { "native" } else { "overlayfs" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_expanded_whole() {
        for argument in api_server("node").into_iter().chain(controller_manager("node")) {
            let text = expanded(argument, "/state/dev");
            assert!(!text.contains('$'), "{text}");
        }
        assert_eq!(expanded("--cluster-cidr=$PODS", ""), "--cluster-cidr=10.244.0.0/16");
        assert_eq!(expanded("--data-dir=$D/etcd", "/state/dev"), "--data-dir=/state/dev/etcd");
    }
}
