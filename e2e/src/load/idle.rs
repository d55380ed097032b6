//! Memory of connections that only stay open.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinSet;

use super::{
    figures::Report,
    packet::{self, Packet},
    process::Server,
    wire::Socket,
};

/// Holds the connections, answering pings, and measures how much more memory the server has at the end.
pub async fn hold(sockets: Vec<Socket>, server: Server, before_kib: u64, seconds: u64) -> Result<Report> {
    let connections = sockets.len();
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn_local(answer_pings(socket));
    }
    let over = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(over);
    tokio::select! {
        () = &mut over => {}
        Some(ended) = tasks.join_next() => {
            ended.context("a client panicked")??;
            bail!("a connection ended by itself");
        }
    }
    let after_kib = server.resident_kib()?;
    tasks.abort_all();
    Ok(Report::idle(connections, seconds, before_kib, after_kib))
}

async fn answer_pings(mut socket: Socket) -> Result<()> {
    loop {
        while let Some(range) = socket.next_text()? {
            if packet::read(socket.bytes(range)) == Packet::Ping {
                socket.queue(&[b"3"]);
            }
        }
        socket.flush().await?;
        socket.fill().await?;
    }
}
