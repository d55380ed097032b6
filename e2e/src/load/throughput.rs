//! Messages: how many are acknowledged, how long that and their way to the receiver take, and whether all come in order.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::{
    accounts::Account,
    client::{self, Pace, Pair, Plan},
    figures::{Figures, Report},
    process::Server,
    target::Target,
};

/// What is sent, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How fast.
    pub pace: Pace,
    /// Before the measurement, under the same load.
    pub warmup: Duration,
    /// Seconds of measurement.
    pub seconds: u64,
    /// Bytes of text in a message.
    pub bytes: usize,
}

/// Connects a client for each account and lets pairs of them write to each other; must run in a `LocalSet`.
pub async fn measure(
    target: Target,
    accounts: &[Account],
    settings: Settings,
    server: Option<Server>,
) -> Result<Report> {
    let sockets = client::connect_all(target, accounts).await?;
    let start = Instant::now() + Duration::from_millis(200);
    let measure_from = start + settings.warmup;
    let plan = Rc::new(Plan {
        epoch: Instant::now(),
        start,
        measure_from,
        measure_until: measure_from + Duration::from_secs(settings.seconds),
        pace: settings.pace,
        clients: accounts.len(),
        text: "x".repeat(settings.bytes),
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
            tasks.spawn_local(client::drive(socket, account.clone(), at + side, side, plan, figures, pair));
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
    let cpu = cpu_before.zip(cpu_after).map(|(from, to)| to - from);
    Ok(figures.report(accounts.len(), settings.seconds, cpu, memory))
}
