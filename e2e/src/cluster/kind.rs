//! The `kind` provider: Kubernetes in containers, where a container engine answers.

mod ports;

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::process::{self, Spec};
use super::provider::{Provider, Service};
use super::{Kubectl, State, forwarder};
use crate::host::packages::{Needed, needed};
use crate::host::{command, folders, gotools, log, packages};
use crate::report::{Outcome, Report};

/// How long a forwarder may take to listen.
const FORWARD_PATIENCE: Duration = Duration::from_secs(20);

/// How long the node may take to be ready once it runs: made just now, or started again with the machine.
const NODE_PATIENCE: Duration = Duration::from_mins(3);

/// Names a node image, for machines that cannot pull the one that kind's release pins.
const IMAGE: &str = "SENTINEL_KIND_IMAGE";

const PROGRAMS: &[Needed] = &[needed("kubectl", "kubernetes-client")];

/// The engine that answers: `docker` or `podman`.
pub fn engine() -> Option<&'static str> {
    // Podman can be installed under Docker's name too, which kind cannot use as Docker.
    let is_itself = |engine: &str| {
        let version = command::output(Command::new(engine).arg("--version"));
        version.is_ok_and(|version| is_engine(engine, &version))
    };
    let answers = |engine: &str| command::succeeds(Command::new(engine).arg("info"));
    ["docker", "podman"].into_iter().find(|engine| is_itself(engine) && answers(engine))
}

/// Whether a program that says this of itself is the engine of this name.
fn is_engine(name: &str, version: &str) -> bool {
    version.to_lowercase().starts_with(&format!("{name} version"))
}

fn engine_or_advice() -> Result<&'static str> {
    engine().context("no container engine answers; start Docker or Podman (`docker info` must work), then repeat")
}

/// What there is of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Left by a run that was interrupted. kind cannot go on from there, and there is no data in it yet.
    HalfMade,
    /// All of it; the container does not run.
    Stopped,
    Running,
}

impl Found {
    /// From the container's state, as the engine calls it, and whether kind had come to its end.
    fn of(container: Option<&str>, whole: bool) -> Self {
        match (container, whole) {
            (None, _) => Self::Nothing,
            (Some(_), false) => Self::HalfMade,
            (Some("running"), true) => Self::Running,
            (Some(_), true) => Self::Stopped,
        }
    }
}

/// A kind cluster.
#[derive(Debug)]
pub struct Kind {
    state: State,
}

impl Kind {
    /// The kind cluster with this state.
    pub fn new(state: State) -> Self {
        Self { state }
    }

    fn kind(&self, report: &Report, arguments: &[&str]) -> Result<String> {
        let engine = engine_or_advice()?;
        let mut kind = Command::new(gotools::KIND.ensure(report)?);
        kind.env("KIND_EXPERIMENTAL_PROVIDER", engine).args(arguments).args(["--name", &self.state.global_name()]);
        command::output(&mut kind)
    }

    /// As [`Kind::kind`], for what reads or writes our kubeconfig.
    fn kind_with_config(&self, report: &Report, arguments: &[&str]) -> Result<String> {
        // kind locks it by a file beside it. Nobody else is at work on this cluster, so one that is there was left over.
        folders::remove_if_there(&self.state.path("kubeconfig.lock"))?;
        let kubeconfig = self.state.kubeconfig();
        self.kind(report, &[arguments, &["--kubeconfig", &kubeconfig.to_string_lossy()]].concat())
    }

    fn engine(arguments: &[&str]) -> Result<String> {
        command::output(Command::new(engine_or_advice()?).args(arguments))
    }

    fn node(&self) -> String {
        format!("{}-control-plane", self.state.global_name())
    }

    fn find(&self, report: &Report) -> Result<Found> {
        let node = self.node();
        if !self.kind(report, &["get", "nodes"])?.lines().any(|line| line == node) {
            return Ok(Found::Nothing);
        }
        let container = Self::engine(&["inspect", "--format", "{{.State.Status}}", &node])?;
        Ok(Found::of(Some(container.trim()), self.is_whole(report)?))
    }

    /// Whether kind had come to its end: it writes the kubeconfig last.
    fn is_whole(&self, report: &Report) -> Result<bool> {
        if self.state.kubeconfig().is_file() {
            return Ok(true);
        }
        // Unless it was only the state folder that got lost. The class of volumes is the last thing made inside.
        let exported = self.kind_with_config(report, &["export", "kubeconfig"]).is_ok();
        let classes = || self.kubectl().json(&["--request-timeout=10s", "get", "storageclasses"]).ok();
        let whole =
            exported && classes().is_some_and(|list| list["items"].as_array().is_some_and(|items| !items.is_empty()));
        if !whole {
            // It would tell the next run that kind had come to its end.
            folders::remove_if_there(&self.state.kubeconfig())?;
        }
        Ok(whole)
    }

    fn make(&self, report: &Report) -> Result<()> {
        // From now on until kind writes it again, the cluster counts as half made.
        folders::remove_if_there(&self.state.kubeconfig())?;
        let config = self.state.path("kind.yaml");
        folders::write_changed(&config, ports::config())?;
        let config = config.to_string_lossy();
        let mut arguments = vec!["create", "cluster", "--wait", "180s", "--config", &config];
        // Otherwise the one that kind's release pins by digest.
        let image = std::env::var(IMAGE).ok().filter(|image| !image.is_empty());
        if let Some(image) = &image {
            arguments.extend(["--image", image]);
        } else {
            report.note("kind makes the cluster; the first time it pulls its node image, which takes some minutes");
        }
        self.kind_with_config(report, &arguments).map(drop).with_context(|| {
            format!("if the node image cannot be pulled here, name one that can in {IMAGE} (docs/cluster.md)")
        })
    }

    fn delete(&self, report: &Report) -> Result<()> {
        self.kind_with_config(report, &["delete", "cluster"]).map(drop)
    }

    fn wait_ready(&self, since: Option<Timestamp>) -> Result<()> {
        let kubectl = self.kubectl();
        let deadline = Instant::now() + NODE_PATIENCE;
        while !kubectl.nodes_ready(since) {
            if Instant::now() > deadline {
                let (engine, node, name) = (engine_or_advice()?, self.node(), self.state.name());
                bail!(
                    "the node is not ready after {NODE_PATIENCE:?}; look with: {engine} exec {node} journalctl -u kubelet\n\
                     repeat the command, or begin afresh, without its data, after: sentinel-e2e cluster down --name {name}"
                );
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Those of the images that the node lacks.
    fn lacks<'a>(&self, references: &'a [String]) -> Result<Vec<&'a str>> {
        let present = Self::engine(&["exec", &self.node(), "ctr", "-n", "k8s.io", "images", "ls", "-q"])?;
        let is_there = |reference: &str| present.lines().any(|line| line == reference);
        Ok(references.iter().map(String::as_str).filter(|reference| !is_there(reference)).collect())
    }
}

impl Provider for Kind {
    fn label(&self) -> &'static str {
        "kind"
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn build(&self, report: &Report) -> Result<()> {
        gotools::KIND.ensure(report).map(drop)
    }

    fn prepare(&self, report: &Report) -> Result<()> {
        engine_or_advice()?;
        report.check("programs installed", || packages::ensure(PROGRAMS))?;
        self.build(report)
    }

    fn start(&self, report: &Report) -> Result<()> {
        folders::make(self.state.folder())?;
        self.state.set_provider(self.label())?;
        report.check("kind cluster ready", || {
            let mut since = None;
            match self.find(report)? {
                Found::Nothing => self.make(report)?,
                Found::HalfMade => {
                    self.delete(report)?;
                    self.make(report)?;
                }
                Found::Stopped => {
                    since = Some(Timestamp::now());
                    Self::engine(&["start", &self.node()])?;
                }
                Found::Running if self.kubectl().nodes_ready(None) => return Ok(Outcome::Unchanged),
                Found::Running => {}
            }
            self.wait_ready(since)?;
            Ok(Outcome::Done)
        })?;
        Ok(())
    }

    fn load(&self, archive: &Path, references: &[String]) -> Result<Outcome> {
        if self.lacks(references)?.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        self.kind(&Report::default(), &["load", "image-archive", &archive.to_string_lossy()])?;
        Ok(Outcome::Done)
    }

    fn forward(&self, service: &Service, preferred: u16) -> Result<u16> {
        let kubectl = self.kubectl();
        let object = kubectl.json(&["-n", &service.namespace, "get", "service", &service.name])?;
        let all = kubectl.json(&["get", "services", "--all-namespaces"])?;
        let (made, node_port) = ports::service(service, &object, &all)?;
        kubectl.apply(&made.to_string())?;
        let published = Self::engine(&["port", &self.node(), &format!("{node_port}/tcp")])?;
        let published = ports::published(&published)
            .with_context(|| format!("the engine does not publish port {node_port} of {}", self.node()))?;

        let name = service.forward_name();
        let running = process::read(&self.state, &name).is_some_and(|record| record.alive());
        let port = match self.state.port(&name) {
            Some(port) if running => port,
            _ => self.state.choose_port(&name, Some(preferred))?,
        };
        let argv = forwarder::argv(Path::new(process::OURSELVES), port, None, &format!("127.0.0.1:{published}"));
        let spec = Spec { name: name.clone(), argv, config: String::new(), network: None, env: Vec::new() };
        process::ensure(&self.state, &spec)?;
        let deadline = Instant::now() + FORWARD_PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("the forward does not listen; {}", log::quoted(&self.state.log(&name)));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(port)
    }

    fn exec(&self, argv: &[String]) -> Result<Command> {
        let (program, arguments) = argv.split_first().context("say what to run, for example: -- kubectl get pods")?;
        let mut run = Command::new(program);
        run.args(arguments).env("KUBECONFIG", self.state.kubeconfig());
        Ok(run)
    }

    fn describe(&self) -> Result<Vec<String>> {
        let engine = engine_or_advice()?;
        let mut lines = vec![format!("container {0} (log: {engine} logs {0})", self.node())];
        lines.extend(process::described(&self.state));
        Ok(lines)
    }

    fn stop(&self, report: &Report) -> Result<()> {
        report.step("stopped forwards", || {
            process::records(&self.state).values().for_each(process::stop);
            Ok(())
        })?;
        report.step("deleted kind cluster", || {
            self.delete(report)?;
            if self.state.exists() {
                let folder = self.state.folder();
                std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            Ok(())
        })
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.state.kubeconfig())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cluster_that_was_never_whole_is_made_anew() {
        assert_eq!(Found::of(None, false), Found::Nothing);
        assert_eq!(Found::of(None, true), Found::Nothing, "somebody else deleted it");
        assert_eq!(Found::of(Some("running"), false), Found::HalfMade);
        assert_eq!(Found::of(Some("running"), true), Found::Running);
        for state in ["exited", "created", "paused"] {
            assert_eq!(Found::of(Some(state), true), Found::Stopped, "its data is kept: {state}");
        }
    }

    #[test]
    fn an_engine_under_another_ones_name_does_not_count() {
        assert!(is_engine("docker", "Docker version 20.10.24, build 297e128\n"));
        assert!(is_engine("podman", "podman version 4.3.1\n"));
        assert!(!is_engine("docker", "podman version 4.3.1\n"));
    }
}
