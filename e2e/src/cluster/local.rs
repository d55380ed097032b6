//! The `local` provider: every part of Kubernetes as a process of this machine, inside one network namespace.
//!
//! Pods, Services and the node exist only inside the namespace. Two forwarders reach in from 127.0.0.1: one to the API
//! server, so that the kubeconfig works from a normal shell, and one for each forwarded Service.

mod cgroup;
mod config;
mod containers;
pub mod launcher;
mod metrics;
mod network;
mod parts;
mod pki;
mod teardown;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::process::{self, Spec};
use super::provider::{Provider, Service};
use super::{Kubectl, State, forwarder};
use crate::host::packages::{Needed, needed};
use crate::host::{command, folders, gotools, log, packages};
use crate::report::{Outcome, Report};
use parts::Part;

/// Programs from Debian. Their versions are those of the release the machine runs.
const PROGRAMS: &[Needed] = &[
    needed("containerd", "containerd"),
    needed("ctr", "containerd"),
    needed("runc", "runc"),
    needed("/usr/lib/cni/bridge", "containernetworking-plugins"),
    needed("iptables", "iptables"),
    needed("conntrack", "conntrack"),
    needed("ethtool", "ethtool"),
    needed("socat", "socat"),
    needed("ip", "iproute2"),
    needed("nsenter", "util-linux"),
    needed("sysctl", "procps"),
    needed("kubectl", "kubernetes-client"),
];

/// How a user becomes root for `up`. sudo's own `PATH` has neither cargo nor Go where they are installed for one user.
pub const AS_ROOT: &str = r#"sudo -E env "PATH=$PATH" make up"#;

/// How long a part may take to become ready. A busy machine is slow; a dead part is noticed at once.
const PATIENCE: Duration = Duration::from_mins(2);

/// Unix socket paths may not be longer than this; containerd appends to its own.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// A cluster of processes in a network namespace.
#[derive(Debug)]
pub struct Local {
    state: State,
}

impl Local {
    /// The local cluster with this state.
    pub fn new(state: State) -> Self {
        Self { state }
    }

    fn network(&self) -> PathBuf {
        network::path(&self.state)
    }

    /// Starts a part if need be, and tells whether it did.
    fn ensure(&self, part: &Part) -> Result<bool> {
        let network = Some(self.network());
        let spec = Spec {
            name: part.name.to_owned(),
            argv: part.argv.clone(),
            config: part.config.clone(),
            network,
            env: Vec::new(),
        };
        process::ensure(&self.state, &spec)
    }

    /// Waits until `ready`; gives up early, with its log, when one of the parts dies.
    fn wait(&self, what: &str, parts: &[&str], ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            for part in parts {
                if process::read(&self.state, part).is_none_or(|record| !record.alive()) {
                    bail!("{part} ended while {what} was starting; {}\n{}", self.advice(), self.quoted(part));
                }
            }
            if Instant::now() > deadline {
                let part = parts.last().copied().unwrap_or("apiserver");
                bail!("{what} not ready after {PATIENCE:?}; {}\n{}", self.advice(), self.quoted(part));
            }
            std::thread::sleep(Duration::from_millis(150));
        }
        Ok(())
    }

    fn quoted(&self, part: &str) -> String {
        log::quoted(&self.state.log(part))
    }

    fn advice(&self) -> String {
        format!("repeat the command, or begin afresh with: sentinel-e2e cluster down --name {}", self.state.name())
    }

    fn socket(&self) -> PathBuf {
        self.state.path("containerd.sock")
    }

    /// A forwarder from 127.0.0.1 to an address inside the namespace.
    fn forward_to(&self, name: &str, target: &str, preferred: Option<u16>) -> Result<u16> {
        let spec = |port: u16| Spec {
            name: name.to_owned(),
            argv: forwarder::argv(Path::new(process::OURSELVES), port, Some(&self.network()), target),
            config: String::new(),
            // It enters the namespace itself, after it has bound its port outside.
            network: None,
            env: Vec::new(),
        };
        let running = process::read(&self.state, name).is_some_and(|record| record.alive());
        let port = match self.state.port(name) {
            Some(port) if running => port,
            _ => self.state.choose_port(name, preferred)?,
        };
        process::ensure(&self.state, &spec(port))?;
        self.wait(name, &[name], || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(port)
    }
}

impl Provider for Local {
    fn label(&self) -> &'static str {
        "local"
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn build(&self, report: &Report) -> Result<()> {
        gotools::NODE.ensure(report).map(drop)
    }

    fn prepare(&self, report: &Report) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            bail!("the local provider needs root; start a container engine and use kind, or repeat as root: {AS_ROOT}");
        }
        let folder = self.state.folder().as_os_str().len();
        if folder > LONGEST_SOCKET_FOLDER {
            bail!(
                "the state folder's path is too long for sockets ({folder} bytes); set XDG_STATE_HOME to a shorter one"
            );
        }
        report.check("programs installed", || packages::ensure(PROGRAMS))?;
        self.build(report)
    }

    fn start(&self, report: &Report) -> Result<()> {
        folders::make(self.state.folder())?;
        self.state.set_provider(self.label())?;
        let node = gotools::NODE.ensure(report)?;

        report.check("network namespace and control groups", || {
            let network = network::ensure(&self.state)?;
            let groups = cgroup::ensure(&self.state)?;
            Ok(if network || groups { Outcome::Done } else { Outcome::Unchanged })
        })?;
        report.check("certificates", || pki::ensure(&self.state))?;
        let parts = parts::all(&self.state, &node)?;

        let began = |names: &[&str]| -> Result<Outcome> {
            let mut outcome = Outcome::Unchanged;
            for part in parts.iter().filter(|part| names.contains(&part.name)) {
                if self.ensure(part)? {
                    outcome = Outcome::Done;
                }
            }
            Ok(outcome)
        };
        report.check("API server ready", || {
            let outcome = began(&["etcd", "apiserver", "containerd"])?;
            let port = self.forward_to("api", &format!("{}:{}", config::NODE_ADDRESS, config::API_PORT), None)?;
            pki::write_outer_kubeconfig(&self.state, port)?;
            let kubectl = self.kubectl();
            self.wait("the API server", &["etcd", "api", "apiserver"], || kubectl.api_ready())?;
            Ok(outcome)
        })?;
        report.check("containerd ready", || {
            containers::wait(self)?;
            Ok(Outcome::Unchanged)
        })?;
        report.check("node ready", || {
            let others = began(&["controller-manager", "scheduler", "proxy", "dns", "provisioner"])?;
            let since = Timestamp::now();
            let kubelet = began(&["kubelet"])?;
            let kubectl = self.kubectl();
            let parts = ["apiserver", "controller-manager", "scheduler", "proxy", "dns", "provisioner", "kubelet"];
            // One that ran all the time says that it is ready every few minutes only.
            let since = (kubelet == Outcome::Done).then_some(since);
            self.wait("the node", &parts, || kubectl.nodes_ready(since))?;
            Ok(if kubelet == Outcome::Done { kubelet } else { others })
        })?;
        report.step("default storage class and account", || {
            self.kubectl().apply(config::STORAGE_CLASS).map(drop)?;
            // Pods are refused until their namespace has its default account.
            let kubectl = self.kubectl();
            self.wait("the default account", &["controller-manager"], || {
                command::succeeds(&mut kubectl.command(&["get", "serviceaccount", "default"]))
            })
        })
    }

    fn metrics(&self, report: &Report) -> Result<()> {
        metrics::ensure(self, report)
    }

    fn load(&self, archive: &Path, references: &[String]) -> Result<Outcome> {
        containers::load(&self.socket(), archive, references)
    }

    fn forward(&self, service: &Service, preferred: u16) -> Result<u16> {
        let target = self.kubectl().service_address(&service.namespace, &service.name, service.port)?;
        self.forward_to(&service.forward_name(), &target, Some(preferred))
    }

    fn exec(&self, argv: &[String]) -> Result<Command> {
        if argv.is_empty() {
            bail!("say what to run, for example: -- curl http://10.96.0.1");
        }
        // Not `ip netns exec`: that hides the control groups from what it runs.
        let mut run = Command::new("nsenter");
        run.arg(format!("--net={}", self.network().display())).arg("--").args(argv);
        run.env("KUBECONFIG", self.state.kubeconfig()).env("CONTAINERD_ADDRESS", self.socket());
        run.env("CONTAINERD_NAMESPACE", "k8s.io");
        Ok(run)
    }

    fn describe(&self) -> Result<Vec<String>> {
        let mut lines = vec![format!("network namespace {}", self.state.global_name())];
        lines.extend(process::described(&self.state));
        Ok(lines)
    }

    fn stop(&self, report: &Report) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            bail!("the local provider needs root; repeat the command with: sudo -E env \"PATH=$PATH\" …");
        }
        teardown::run(&self.state, report)
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.state.kubeconfig())
    }
}
