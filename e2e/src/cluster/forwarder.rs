//! `internal-forward`: carries connections from a port of 127.0.0.1 to another address, which may be one in a network
//! namespace.
//!
//! A socket belongs to the namespace it was made in. So the port is bound outside first, then the process enters the
//! namespace and connects from there.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::local::launcher;

/// The command line of a forwarder.
pub fn argv(ourselves: &Path, port: u16, network: Option<&Path>, target: &str) -> Vec<String> {
    let ourselves = ourselves.to_string_lossy();
    let port = port.to_string();
    let mut parts = vec![&*ourselves, "internal-forward", "--port", &port];
    let network = network.map(Path::to_string_lossy);
    if let Some(network) = &network {
        parts.extend(["--network", network]);
    }
    parts.extend(["--to", target]);
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// Forwards until the process is ended.
pub fn run(port: u16, network: Option<&Path>, target: &str) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}; is it in use?"))?;
    listener.set_nonblocking(true).context("cannot use the listening socket")?;
    if let Some(network) = network {
        launcher::enter(network)?;
    }
    // One thread: only this one has entered the namespace.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(accept(listener, target))
}

async fn accept(listener: TcpListener, target: &str) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the listening socket")?;
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                let target = target.to_owned();
                tokio::spawn(async move {
                    if let Err(error) = carry(connection, &target).await {
                        eprintln!("{target}: {error}");
                    }
                });
            }
            // Out of file descriptors, most likely: wait for connections to end.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn carry(mut outside: TcpStream, target: &str) -> std::io::Result<()> {
    let mut inside = TcpStream::connect(target).await?;
    // Chat messages are small and must not wait for company.
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    match tokio::io::copy_bidirectional(&mut outside, &mut inside).await {
        // Clients that just go are no error.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        other => other.map(drop),
    }
}
