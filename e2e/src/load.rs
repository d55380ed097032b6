//! Load generator for a server on this machine: throughput, latency, order and memory.
//!
//! It speaks Engine.IO 4 and Socket.IO 5 over WebSocket with as little work per message as it can, so that the server
//! on one core is the limit and not the generator on the other. All clients share one thread: run it on a
//! current-thread runtime.

mod accounts;
mod client;
mod figures;
mod idle;
mod packet;
mod process;
mod search;
mod target;
mod wire;

use std::{
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::task::{JoinSet, LocalSet};

use self::{
    accounts::Account,
    client::{Pace, Pair, Plan},
    figures::{Figures, Report},
    process::Server,
    target::Target,
};

/// Clients that may connect at the same time.
const CONNECTING: usize = 32;
/// Longest measurement.
const LONGEST: u64 = 600;

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
    /// Open loop: messages per second of all clients together.
    #[arg(long, conflicts_with = "window")]
    rate: Option<f64>,
    /// Only hold the connections, and measure the server's memory.
    #[arg(long, conflicts_with_all = ["rate", "window"], requires = "server_pid")]
    idle: bool,
    /// Write so many messages, then measure search over them.
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["rate", "window", "idle"])]
    search: Option<u64>,
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
    let target = Target::parse(&args.url)?;
    process::raise_open_files(args.clients)?;
    let server = args.server_pid.map(Server::of);
    let accounts = accounts::prepare(target, args.clients, args.accounts.as_deref()).await?;
    if let Some(messages) = args.search {
        let report = search::measure(target, &accounts, messages.max(1)).await?;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        return Ok(());
    }
    let report = LocalSet::new().run_until(measure(&args, target, server, accounts)).await?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    report.verdict()
}

async fn measure(args: &LoadArgs, target: Target, server: Option<Server>, accounts: Vec<Account>) -> Result<Report> {
    let memory_before = server.map(Server::resident_kib).transpose()?;
    let sockets = connect_all(target, &accounts).await?;
    if args.idle {
        let server = server.context("--idle needs --server-pid")?;
        return idle::hold(sockets, server, memory_before.unwrap_or(0), args.seconds).await;
    }

    let warm = Duration::from_secs(args.warmup);
    let start = Instant::now() + Duration::from_millis(200);
    let plan = Rc::new(Plan {
        epoch: Instant::now(),
        start,
        measure_from: start + warm,
        measure_until: start + warm + Duration::from_secs(args.seconds),
        pace: pace(args),
        clients: args.clients,
        text: "x".repeat(args.bytes),
        // A repeat of an earlier run's client message ids would be answered without a write.
        run: uuid::Uuid::new_v4().simple().to_string(),
    });
    let figures = Rc::new(Figures::new()?);
    let mut tasks = JoinSet::new();
    let mut sockets = sockets.into_iter().zip(accounts).enumerate();
    while let (Some((at, one)), Some((_, other))) = (sockets.next(), sockets.next()) {
        let pair = Rc::new(Pair::default());
        for (side, (socket, account)) in [one, other].into_iter().enumerate() {
            let (plan, figures, pair) = (plan.clone(), figures.clone(), pair.clone());
            tasks.spawn_local(client::drive(socket, account, at + side, side, plan, figures, pair));
        }
    }

    tokio::time::sleep_until(plan.measure_from.into()).await;
    let cpu_before = server.map(Server::cpu_seconds).transpose()?;
    tokio::time::sleep_until(plan.measure_until.into()).await;
    let cpu_after = server.map(Server::cpu_seconds).transpose()?;
    let memory = server.map(Server::resident_kib).transpose()?;
    while let Some(done) = tasks.join_next().await {
        done.context("a client panicked")??;
    }
    Ok(figures.report(args.clients, args.seconds, cpu_before.zip(cpu_after).map(|(from, to)| to - from), memory))
}

fn pace(args: &LoadArgs) -> Pace {
    match args.rate {
        Some(rate) => Pace::Open { messages_per_second: rate },
        None => Pace::Closed { window: args.window.max(1) },
    }
}

/// Connects all clients, some at a time, in the order of their accounts.
async fn connect_all(target: Target, accounts: &[Account]) -> Result<Vec<wire::Socket>> {
    use futures::stream::{self, StreamExt as _, TryStreamExt as _};
    stream::iter(accounts.iter().map(|account| client::connect(target, &account.token)))
        .buffered(CONNECTING)
        .try_collect()
        .await
        .context("connecting the clients")
}
