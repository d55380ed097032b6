//! Being told to stop: by SIGTERM, as Kubernetes does, or by SIGINT, as people do.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Listens from now on; what is returned ends when the process is told to stop. The kernel does not end the first process
/// of a container by signals: without a listener they would be lost.
pub fn told() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Does `work`, unless the process is told to stop before it is done.
pub async fn unless_told<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let told = told()?;
    tokio::select! {
        done = work => done,
        () = told => anyhow::bail!("told to stop before it was done; run it again"),
    }
}
