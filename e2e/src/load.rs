//! Load generator for a server on this machine: throughput, latency, order and memory.
//!
//! It speaks Engine.IO 4 and Socket.IO 5 over WebSocket with as little work per message as it can, so that the server
//! on one core is the limit and not the generator on the other. All clients share one thread: run it on a
//! current-thread runtime. [`cluster`] puts it on a chat on a cluster, and measures what else there is to measure there.

mod accounts;
mod api;
mod client;
pub mod cluster;
mod consumers;
mod figures;
mod idle;
mod latency;
mod packet;
mod presence;
mod process;
mod search;
mod target;
mod throughput;
mod thumbnails;
mod wire;

use std::{fmt::Display, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::task::LocalSet;

use self::{client::Pace, process::Server, target::Target, throughput::Settings};

/// Longest measurement.
const LONGEST: u64 = 600;
/// Changes of presence per second of all users together, unless another rate is asked for.
const CHANGES_PER_SECOND: f64 = 20.0;

/// Puts load on a server on this machine and prints figures.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Base URL; loopback addresses only.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Connected clients, in pairs that write to each other.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Seconds of measurement (at most 600).
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds before the measurement under the same load.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Closed loop: messages that each client has in flight.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Open loop: messages (with --presence, changes) per second of all clients together.
    #[arg(long, conflicts_with = "window")]
    rate: Option<f64>,
    /// Only hold the connections, and measure the server's memory.
    #[arg(long, conflicts_with_all = ["rate", "window"], requires = "server_pid")]
    idle: bool,
    /// Write so many messages, then measure search over them.
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["rate", "window", "idle"])]
    search: Option<u64>,
    /// Each client watches so many others, and the way of a change of presence to those who watch is measured.
    #[arg(long, value_name = "USERS", conflicts_with_all = ["window", "idle", "search"])]
    presence: Option<usize>,
    /// Upload so many photos, and measure how long it takes until their thumbnails are served.
    #[arg(long, value_name = "PHOTOS", conflicts_with_all = ["rate", "window", "idle", "search", "presence"])]
    thumbnails: Option<u64>,
    /// Follow so many messages from their acknowledgement into search and to their recipient's notification.
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["rate", "window", "idle", "search", "presence", "thumbnails"])]
    consumers: Option<u64>,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// The server's process, to read its CPU time and memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// File that keeps the accounts for the next run against the same data.
    #[arg(long)]
    accounts: Option<PathBuf>,
    /// Print one line of JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs the generator; must be awaited on a current-thread runtime.
pub async fn run(args: LoadArgs) -> Result<()> {
    if args.clients == 0 || !args.clients.is_multiple_of(2) {
        bail!("--clients must be an even number: clients write to each other in pairs");
    }
    if args.seconds == 0 || args.seconds > LONGEST {
        bail!("--seconds must be between 1 and {LONGEST}");
    }
    if args.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        bail!("--rate must be above 0");
    }
    LocalSet::new().run_until(measure(&args)).await
}

async fn measure(args: &LoadArgs) -> Result<()> {
    let target = Target::parse(&args.url)?;
    process::raise_open_files(args.clients)?;
    let server = args.server_pid.map(Server::of);
    let accounts = accounts::prepare(target, args.clients, args.accounts.as_deref()).await?;
    if let Some(messages) = args.search {
        return print(args, &search::measure(target, &accounts, messages.max(1)).await?);
    }
    if let Some(photos) = args.thumbnails {
        return print(args, &thumbnails::measure(target, &accounts, photos.max(1)).await?);
    }
    if let Some(messages) = args.consumers {
        return print(args, &consumers::measure(target, &accounts, messages.max(1)).await?);
    }
    if let Some(watched) = args.presence {
        let rate = args.rate.unwrap_or(CHANGES_PER_SECOND);
        let report = presence::measure(target, &accounts, watched, rate, args.seconds).await?;
        print(args, &report)?;
        return report.verdict();
    }
    let report = if args.idle {
        let server = server.context("--idle needs --server-pid")?;
        let memory_before = server.resident_kib()?;
        let sockets = client::connect_all(target, &accounts).await?;
        idle::hold(sockets, server, memory_before, args.seconds).await?
    } else {
        let settings = Settings {
            pace: pace(args),
            warmup: Duration::from_secs(args.warmup),
            seconds: args.seconds,
            bytes: args.bytes,
        };
        throughput::measure(target, &accounts, settings, server).await?
    };
    print(args, &report)?;
    report.verdict()
}

fn pace(args: &LoadArgs) -> Pace {
    match args.rate {
        Some(rate) => Pace::Open { messages_per_second: rate },
        None => Pace::Closed { window: args.window.max(1) },
    }
}

fn print(args: &LoadArgs, report: &(impl Serialize + Display)) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
