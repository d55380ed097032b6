//! What every kind of cluster can do, and which kind this machine gets.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Kubectl, State, kind, local};
use crate::report::{Outcome, Report};

/// A Service to reach from 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Service's port.
    pub port: u16,
}

impl Service {
    /// A name for the forward to this Service: of its record, its log and its remembered port.
    pub fn forward_name(&self) -> String {
        format!("forward-{}-{}-{}", self.namespace, self.name, self.port)
    }
}

/// A cluster that can be brought up, used and taken down.
pub trait Provider {
    /// `kind` or `local`.
    fn label(&self) -> &'static str;

    /// The cluster's state.
    fn state(&self) -> &State;

    /// Builds what it takes from source. Kept in the cache.
    fn build(&self, report: &Report) -> Result<()>;

    /// Installs and builds what the machine lacks. Repeatable.
    fn prepare(&self, report: &Report) -> Result<()>;

    /// Brings the cluster up until its node is ready; starts again what died, leaves alone what runs.
    fn start(&self, report: &Report) -> Result<()>;

    /// Adds the metrics server, for `kubectl top` and autoscaling.
    fn metrics(&self, _report: &Report) -> Result<()> {
        bail!("the {} provider has no metrics server of its own; install one from its manifest", self.label())
    }

    /// Loads an OCI archive; `references` are the images in it, so that a loaded one is not loaded again.
    fn load(&self, archive: &Path, references: &[String]) -> Result<Outcome>;

    /// Makes a Service reachable on 127.0.0.1 until the cluster goes down; returns the port.
    fn forward(&self, service: &Service, preferred: u16) -> Result<u16>;

    /// A command that runs where the cluster's own addresses can be reached (as far as the provider can), with
    /// `KUBECONFIG` set.
    fn exec(&self, argv: &[String]) -> Result<Command>;

    /// Lines that describe the provider's own parts.
    fn describe(&self) -> Result<Vec<String>>;

    /// Takes everything down. Repeatable; nothing of the cluster is left.
    fn stop(&self, report: &Report) -> Result<()>;

    /// `kubectl` against this cluster.
    fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.state().kubeconfig())
    }
}

/// The provider asked for on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The one that made the cluster; for a new one kind where a container engine answers, else local.
    Auto,
    /// kind, in a container engine.
    Kind,
    /// Processes in a network namespace of this machine (needs root).
    Local,
}

impl Choice {
    /// The provider for the cluster of this name.
    pub fn resolve(self, name: &str) -> Result<Box<dyn Provider>> {
        let state = State::of(name)?;
        let chosen = match (self, state.provider().as_deref()) {
            (Self::Auto, None) => Self::detect()?,
            (asked, None) => asked,
            (Self::Auto | Self::Kind, Some("kind")) => Self::Kind,
            (Self::Auto | Self::Local, Some("local")) => Self::Local,
            (_, Some(recorded)) => bail!(
                "cluster {name} was made by provider {recorded}; take it down first (cluster down --name {name}) or \
                 choose another --name"
            ),
        };
        Ok(match chosen {
            Self::Kind => Box::new(kind::Kind::new(state)),
            Self::Auto | Self::Local => Box::new(local::Local::new(state)),
        })
    }

    fn detect() -> Result<Self> {
        if kind::engine().is_some() {
            return Ok(Self::Kind);
        }
        if cfg!(target_os = "linux") && rustix::process::geteuid().is_root() {
            return Ok(Self::Local);
        }
        bail!(
            "no container engine answers and this is not root. Either start Docker or Podman (`docker info` must work) \
             for a kind cluster, or repeat as root on Debian or Ubuntu for a local one: {}",
            local::AS_ROOT
        )
    }
}
