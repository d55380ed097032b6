//! The `kind` provider: Kubernetes in containers, where a container engine answers.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::{self, Spec};
use super::provider::{Provider, Service};
use super::{Kubectl, State};
use crate::host::packages::{Needed, needed};
use crate::host::{command, folders, gotools, log, packages};
use crate::report::{Outcome, Report};

/// How long `kubectl port-forward` may take to listen.
const FORWARD_PATIENCE: Duration = Duration::from_secs(20);

const PROGRAMS: &[Needed] = &[needed("kubectl", "kubernetes-client")];

/// The engine that answers: `docker` or `podman`.
pub fn engine() -> Option<&'static str> {
    ["docker", "podman"].into_iter().find(|engine| command::succeeds(Command::new(engine).arg("info")))
}

fn engine_or_advice() -> Result<&'static str> {
    engine().context("no container engine answers; start Docker or Podman (`docker info` must work), then repeat")
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

    fn kind(&self, report: &Report, arguments: &[&str]) -> Result<Command> {
        let engine = engine_or_advice()?;
        let mut kind = Command::new(gotools::KIND.ensure(report)?);
        kind.env("KIND_EXPERIMENTAL_PROVIDER", engine).args(arguments).args(["--name", &self.state.global_name()]);
        Ok(kind)
    }

    fn exists(&self, report: &Report) -> Result<bool> {
        let mut kind = self.kind(report, &["get", "nodes"])?;
        Ok(command::output(&mut kind)?.lines().any(|line| line.starts_with(&self.state.global_name())))
    }

    fn node(&self) -> String {
        format!("{}-control-plane", self.state.global_name())
    }

    fn engine_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut engine = Command::new(engine_or_advice()?);
        engine.arg("exec").arg(self.node()).args(arguments);
        Ok(engine)
    }
}

impl Provider for Kind {
    fn label(&self) -> &'static str {
        "kind"
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn prepare(&self, report: &Report) -> Result<()> {
        engine_or_advice()?;
        report.check("programs installed", || packages::ensure(PROGRAMS))?;
        gotools::KIND.ensure(report).map(drop)
    }

    fn start(&self, report: &Report) -> Result<()> {
        folders::make(self.state.folder())?;
        self.state.set_provider(self.label())?;
        report.check("kind cluster ready", || {
            let kubeconfig = self.state.kubeconfig();
            let kubeconfig = kubeconfig.to_string_lossy();
            if self.exists(report)? {
                if !self.state.kubeconfig().is_file() {
                    command::output(&mut self.kind(report, &["export", "kubeconfig", "--kubeconfig", &kubeconfig])?)?;
                }
                if Kubectl::new(self.state.kubeconfig()).nodes_ready() {
                    return Ok(Outcome::Unchanged);
                }
                // Half made by an interrupted run: kind cannot go on from there.
                command::output(&mut self.kind(report, &["delete", "cluster", "--kubeconfig", &kubeconfig])?)?;
            }
            // Its release pins the node image by digest.
            let arguments = ["create", "cluster", "--wait", "180s", "--kubeconfig", &kubeconfig];
            command::output(&mut self.kind(report, &arguments)?)?;
            Ok(Outcome::Done)
        })?;
        Ok(())
    }

    fn load(&self, archive: &Path, references: &[String]) -> Result<Outcome> {
        let present = command::output(&mut self.engine_command(&["ctr", "-n", "k8s.io", "images", "ls", "-q"])?)?;
        if references.iter().all(|reference| present.lines().any(|line| line == reference)) {
            return Ok(Outcome::Unchanged);
        }
        let archive = archive.to_string_lossy();
        command::output(&mut self.kind(&Report::default(), &["load", "image-archive", &archive])?)?;
        Ok(Outcome::Done)
    }

    fn forward(&self, service: &Service, preferred: u16) -> Result<u16> {
        let name = service.forward_name();
        if let (Some(record), Some(port)) = (process::read(&self.state, &name), self.state.port(&name))
            && record.alive()
        {
            return Ok(port);
        }
        let port = self.state.choose_port(&name, Some(preferred))?;
        let kubectl = command::find("kubectl").context("kubectl is not installed")?;
        let argv = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            // It forwards to one pod and ends when that one does.
            r#"while :; do "$@"; sleep 0.3; done"#.to_owned(),
            "forward".to_owned(),
            kubectl.to_string_lossy().into_owned(),
            format!("--kubeconfig={}", self.state.kubeconfig().display()),
            format!("--namespace={}", service.namespace),
            "port-forward".to_owned(),
            "--address=127.0.0.1".to_owned(),
            format!("service/{}", service.name),
            format!("{port}:{}", service.port),
        ];
        let spec = Spec { name: name.clone(), argv, config: String::new(), network: None, env: Vec::new() };
        process::ensure(&self.state, &spec)?;
        let deadline = Instant::now() + FORWARD_PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
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
        Ok(vec![format!("container {} (logs: docker logs, or kind export logs)", self.node())])
    }

    fn stop(&self, report: &Report) -> Result<()> {
        report.step("stopped forwards", || {
            process::records(&self.state).values().for_each(process::stop);
            Ok(())
        })?;
        report.step("deleted kind cluster", || {
            let kubeconfig = self.state.kubeconfig();
            let kubeconfig = kubeconfig.to_string_lossy();
            command::output(&mut self.kind(report, &["delete", "cluster", "--kubeconfig", &kubeconfig])?)?;
            if self.state.exists() {
                let folder = self.state.folder();
                std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            Ok(())
        })
    }
}
