//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::cluster::local::launcher;
use crate::cluster::{Choice, Provider, Service, State, forwarder};
use crate::host::{cargotools, gotools, log};
use crate::images::binaries::BuildOptions;
use crate::images::{self, Selection};
use crate::load::{self, LoadArgs, cluster::ClusterArgs};
use crate::report::Report;
use crate::say;
use crate::stores::cli::StoresCommand;
use crate::up::{self, Options};
use crate::web;

/// Lines of a log shown without `--lines`.
const LOG_LINES: usize = 60;

/// Clusters, images and everything of `make up`.
#[derive(Debug, Parser)]
#[command(name = "sentinel-e2e", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which cluster.
#[derive(Debug, Clone, Args)]
struct Which {
    /// The cluster's name; clusters of different names run side by side.
    #[arg(long, default_value = "sentinel", env = "SENTINEL_CLUSTER")]
    name: String,
    /// What the cluster is made of.
    #[arg(long, value_enum, default_value = "auto", env = "SENTINEL_PROVIDER")]
    provider: Choice,
}

impl Which {
    fn provider(&self) -> Result<Box<dyn Provider>> {
        self.provider.resolve(&self.name)
    }

    /// The provider of a cluster that must have been brought up.
    fn running(&self) -> Result<Box<dyn Provider>> {
        if State::of(&self.name)?.provider().is_none() {
            bail!("there is no cluster {0}; make one with: sentinel-e2e cluster up --name {0}", self.name);
        }
        self.provider()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A cluster with Sentinel on it, ready to chat.
    Up {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        options: Options,
    },
    /// Takes the cluster down, with all its data.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// What runs, and where.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// The cluster alone, without Sentinel.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Container images.
    Images {
        #[command(subcommand)]
        command: ImagesCommand,
    },
    /// The real stores as processes on 127.0.0.1, for tests.
    Stores {
        #[command(subcommand)]
        command: StoresCommand,
    },
    /// The web client.
    Web {
        #[command(subcommand)]
        command: WebCommand,
    },
    /// Puts load on a server on this machine and prints figures.
    Bench(LoadArgs),
    /// Measures the chat of profile Distributed on a cluster, from being applied to what its clients see.
    BenchCluster {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        args: ClusterArgs,
    },
    /// Runs a part of a local cluster (used by this program itself).
    #[command(hide = true)]
    InternalLaunch {
        #[arg(long)]
        network: Option<PathBuf>,
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Carries connections into a cluster (used by this program itself).
    #[command(hide = true)]
    InternalForward {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        network: Option<PathBuf>,
        #[arg(long)]
        to: String,
    },
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Brings a bare cluster up, with the images that are not Sentinel's.
    Up {
        #[command(flatten)]
        which: Which,
        /// With the metrics server, for `kubectl top` and autoscaling.
        #[arg(long)]
        metrics: bool,
    },
    /// Builds what a cluster and its stores take from source, their images, and no cluster. Kept in the cache.
    Build {
        #[command(flatten)]
        which: Which,
    },
    /// Takes the cluster down, with all its data.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// What runs, and where.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Builds all images and loads them; or loads the archive given.
    Load {
        #[command(flatten)]
        which: Which,
        /// Only the images of the stores that the Distributed profile can run on.
        #[arg(long, conflicts_with_all = ["release", "kafka_tls", "archive"])]
        stores: bool,
        #[command(flatten)]
        how: BuildOptions,
        /// An OCI archive to load instead.
        #[arg(long)]
        archive: Option<PathBuf>,
    },
    /// Runs a command where the cluster's addresses can be reached, with KUBECONFIG set.
    Exec {
        #[command(flatten)]
        which: Which,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// The log of a part; without one, which parts have a log.
    Logs {
        #[command(flatten)]
        which: Which,
        /// The part, for example `kubelet`.
        part: Option<String>,
        /// How many lines.
        #[arg(long, default_value_t = LOG_LINES)]
        lines: usize,
        /// Go on as the log grows.
        #[arg(long, short)]
        follow: bool,
    },
    /// Makes a Service reachable on 127.0.0.1 until the cluster goes down; prints the address.
    Forward {
        #[command(flatten)]
        which: Which,
        /// The Service's namespace.
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// The Service's name.
        service: String,
        /// The Service's port.
        port: u16,
        /// The port to use here if it is free, else the next free one.
        #[arg(long)]
        local_port: Option<u16>,
    },
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// Builds all images into one OCI archive; prints its path and the references.
    Build {
        #[command(flatten)]
        how: BuildOptions,
        /// Only the images of the stores that the Distributed profile can run on.
        #[arg(long, conflicts_with_all = ["release", "kafka_tls"])]
        stores: bool,
    },
}

#[derive(Debug, Subcommand)]
enum WebCommand {
    /// Builds it; prints the folder, which `sentinel standalone --web` takes.
    Build,
    /// Checks its types and runs its unit tests.
    Test,
    /// Installs Chromium if there is no browser for tests; prints the browser's path.
    Browser,
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Up { which, options } => up::run(&*which.provider()?, &options),
            Command::Cluster { command } => return command.run(),
            Command::Images { command: ImagesCommand::Build { how, stores } } => build(selection(how, stores)),
            Command::Down { which } => down(&which),
            Command::Status { which } => status(&which),
            Command::Stores { command } => command.run(),
            Command::Web { command } => command.run(),
            Command::Bench(args) => bench(args),
            Command::BenchCluster { which, args } => load::cluster::run(&*which.running()?, &args),
            Command::InternalLaunch { network, argv } => match launcher::launch(network.as_deref(), &argv)? {},
            Command::InternalForward { port, network, to } => forwarder::run(port, network.as_deref(), &to),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

impl ClusterCommand {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Up { which, metrics } => bare(&*which.provider()?, metrics),
            Self::Build { which } => {
                let report = Report::default();
                // First what tests without a cluster take, too.
                cargotools::S3S_FS.ensure(&report)?;
                which.provider()?.build(&report)?;
                gotools::HELM.ensure(&report)?;
                images::ahead(&report)
            }
            Self::Down { which } => down(&which),
            Self::Status { which } => status(&which),
            Self::Load { which, stores, how, archive } => load(&*which.running()?, selection(how, stores), archive),
            Self::Exec { which, argv } => {
                let mut command = which.running()?.exec(&argv)?;
                let status = command.status().with_context(|| format!("cannot start {}", argv[0]))?;
                return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            Self::Logs { which, part, lines, follow } => logs(&which, part.as_deref(), lines, follow),
            Self::Forward { which, namespace, service, port, local_port } => {
                let provider = which.running()?;
                let _lock = provider.state().lock()?;
                let service = Service { namespace, name: service, port };
                let here = provider.forward(&service, local_port.unwrap_or(port.max(1024)))?;
                say!("127.0.0.1:{here}\n");
                Ok(())
            }
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

impl WebCommand {
    fn run(self) -> Result<()> {
        let report = Report::default();
        match self {
            Self::Build => say!("{}\n", web::build(&report)?.display()),
            Self::Test => web::test(&report)?,
            Self::Browser => say!("{}\n", web::browser()?.display()),
        }
        Ok(())
    }
}

fn selection(how: BuildOptions, stores: bool) -> Selection {
    if stores { Selection::Stores } else { Selection::Embedded(how) }
}

fn bare(provider: &dyn Provider, metrics: bool) -> Result<()> {
    let _lock = provider.state().lock()?;
    let report = Report::default();
    up::bring_up(provider, &report)?;
    if metrics {
        provider.metrics(&report)?;
    }
    let built = images::build(&report, Selection::ThirdParty)?;
    report.check("images loaded", || provider.load(&built.archive, &built.all()))?;
    say!("\nexport KUBECONFIG={}\n", provider.state().kubeconfig().display());
    Ok(())
}

fn down(which: &Which) -> Result<()> {
    let state = State::of(&which.name)?;
    // Nothing is recorded, yet a run may have been interrupted before it recorded anything.
    if which.provider == Choice::Auto && state.provider().is_none() && !state.exists() {
        say!("there is no cluster {}\n", which.name);
        return Ok(());
    }
    let lock = state.lock()?;
    which.provider()?.stop(&Report::default())?;
    lock.remove();
    say!("cluster {} is gone, with all its data; caches are kept\n", which.name);
    Ok(())
}

fn status(which: &Which) -> Result<()> {
    let provider = which.running()?;
    let state = provider.state();
    say!("cluster {} ({})\n", state.name(), provider.label());
    say!("state   {}\n", state.folder().display());
    say!("export KUBECONFIG={}\n\n", state.kubeconfig().display());
    for line in provider.describe()? {
        say!("{line}\n");
    }
    say!("\n");
    let kubectl = provider.kubectl();
    if !kubectl.api_ready() {
        say!("the API server does not answer; a repeated `up` starts what is not running\n");
        return Ok(());
    }
    say!("{}", kubectl.run(&["get", "nodes"])?);
    // Without the resource's definition there is nothing to show yet.
    say!("{}", kubectl.run(&["get", "sentinelchats", "--all-namespaces"]).unwrap_or_default());
    say!("{}", kubectl.run(&["get", "pods", "--all-namespaces"])?);
    Ok(())
}

fn load(provider: &dyn Provider, selection: Selection, archive: Option<PathBuf>) -> Result<()> {
    let _lock = provider.state().lock()?;
    let report = Report::default();
    if let Some(archive) = archive {
        // Which images are in it only its reader knows: load it in any case.
        let unknown = [String::new()];
        return report.check("archive loaded", || provider.load(&archive, &unknown)).map(drop);
    }
    let built = images::build(&report, selection)?;
    up::remember_images(provider.state(), &built)?;
    report.check("images loaded", || provider.load(&built.archive, &built.all()))?;
    for reference in built.all() {
        say!("  {reference}\n");
    }
    Ok(())
}

fn build(selection: Selection) -> Result<()> {
    let built = images::build(&Report::default(), selection)?;
    say!("{}\n", built.archive.display());
    for reference in built.all() {
        say!("  {reference}\n");
    }
    Ok(())
}

/// One thread only, so that the generator stays on the core that it is pinned to and its clients share their counts.
fn bench(args: LoadArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load::run(args))
}

fn logs(which: &Which, part: Option<&str>, lines: usize, follow: bool) -> Result<()> {
    let provider = which.running()?;
    let state = provider.state();
    let known = state.logged_parts();
    let Some(part) = part else {
        say!("{}\n", known.join("\n"));
        return Ok(());
    };
    if !known.iter().any(|name| name == part) {
        bail!("no log of {part}; there are: {}", known.join(", "));
    }
    if follow {
        let count = lines.to_string();
        let mut tail = std::process::Command::new("tail");
        tail.args(["-F", "-n", &count]).arg(state.log(part)).status().context("cannot start tail")?;
        return Ok(());
    }
    say!("{}\n", log::tail(&state.log(part), lines));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn commands_and_options_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn images_of_stores_alone_have_no_build_of_sentinel() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("sentinel-e2e images build --release --kafka-tls").is_ok());
        assert!(parse("sentinel-e2e up --kafka-tls").is_ok());
        assert!(parse("sentinel-e2e images build --stores --kafka-tls").is_err());
        assert!(parse("sentinel-e2e cluster load --stores --release").is_err());
    }
}
