//! `sentinel-e2e stores …`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::set::Set;
use super::{Store, chosen, lifecycle};
use crate::cluster::{State, process};
use crate::report::{Report, seconds};
use crate::say;

/// The set that is meant where none is named.
pub const DEFAULT_NAME: &str = "dev";

/// Which set.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// The set's name; sets of different names run side by side.
    #[arg(long, default_value = DEFAULT_NAME, env = "SENTINEL_STORES")]
    name: String,
}

/// Commands of `stores`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoresCommand {
    /// Starts the stores that do not run: those named, else all but opensearch.
    Up {
        #[command(flatten)]
        which: Which,
        /// All of them, opensearch too.
        #[arg(long, conflicts_with = "stores")]
        all: bool,
        /// The stores.
        stores: Vec<Store>,
    },
    /// Ends all stores of a set and removes their data.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// What runs, and where.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Prints shell commands that tell tests where the stores are: eval "$(sentinel-e2e stores env)".
    Env {
        #[command(flatten)]
        which: Which,
    },
    /// Starts stores that were stopped, at the same address and with their data.
    Start {
        #[command(flatten)]
        which: Which,
        /// The stores.
        #[arg(required = true)]
        stores: Vec<Store>,
    },
    /// Stops stores; data and addresses stay.
    Stop {
        #[command(flatten)]
        which: Which,
        /// As if their machine had failed, without a chance to end in good order.
        #[arg(long)]
        kill: bool,
        /// The stores.
        #[arg(required = true)]
        stores: Vec<Store>,
    },
}

impl StoresCommand {
    /// Does what was asked.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Up { which, all, stores } => up(&which, &chosen(&stores, all)),
            Self::Down { which } => down(&which),
            Self::Status { which } => status(&which),
            Self::Env { which } => {
                say!("{}", Set::existing(&which.name)?.exports()?);
                Ok(())
            }
            Self::Start { which, stores } => {
                let set = Set::existing(&which.name)?;
                let _lock = set.state().lock()?;
                lifecycle::up(&set, &chosen(&stores, false), &Report::default())
            }
            Self::Stop { which, kill, stores } => {
                let set = Set::existing(&which.name)?;
                let _lock = set.state().lock()?;
                lifecycle::stop(&set, &chosen(&stores, false), kill, &Report::default())
            }
        }
    }
}

fn up(which: &Which, stores: &[Store]) -> Result<()> {
    let _lock = State::of_stores(&which.name)?.lock()?;
    let set = Set::of(&which.name)?;
    let report = Report::default();
    lifecycle::up(&set, stores, &report)?;
    say!("\nup in {}; for tests: . {}\n", seconds(report.elapsed()), set.exports_file().display());
    Ok(())
}

fn down(which: &Which) -> Result<()> {
    let state = State::of_stores(&which.name)?;
    if !state.exists() {
        say!("there are no stores {}\n", which.name);
        return Ok(());
    }
    let lock = state.lock()?;
    lifecycle::down(&Set::of(&which.name)?, &Report::default())?;
    lock.remove();
    say!("stores {} are gone, with all their data; caches are kept\n", which.name);
    Ok(())
}

fn status(which: &Which) -> Result<()> {
    let set = Set::existing(&which.name)?;
    say!("stores {}\nstate  {}\n\n", which.name, set.state().folder().display());
    let known = set.known();
    if known.is_empty() {
        bail!("no store was started; start some with: sentinel-e2e stores up --name {}", which.name);
    }
    for store in known {
        let record = process::read(set.state(), store.name()).filter(process::Record::alive);
        let health = match record.and_then(|record| Some((record.pid, record.resident_mib()?))) {
            Some((pid, memory)) => format!("running  pid {pid:<8} {memory:>5} MiB"),
            None => "NOT RUNNING (`stores up` starts it)".to_owned(),
        };
        say!("{:<14} {health}  {}\n", store.name(), set.address(store)?);
    }
    say!("\nlogs: {}/*.log\n", set.state().path("log").display());
    Ok(())
}
