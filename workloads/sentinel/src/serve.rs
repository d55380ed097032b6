//! Listens, serves until the process is told to stop, then drains.
//!
//! Draining: readiness goes off so that no new client is sent here; sockets are closed, spread over the configured
//! window so that clients do not all come back at once; requests in flight are answered; the store is closed last.

use std::{
    future::pending,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use sentinel_domain::config::PlatformConfig;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};

use crate::{
    admin::{self, Admin},
    arguments::Role,
    connections::Connections,
    open_files,
    platform::Platform,
    stop,
};

/// Time for requests in flight once all sockets are closed.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// Connections to the admin listener at a time: probes, scrapers and the operator need a few, of what clients leave.
const ADMIN_CONNECTIONS: usize = 64;

/// Serves roles in one process. `ready` is called with the client-facing address once it accepts.
pub async fn until_stopped(
    config: PlatformConfig,
    roles: &[Role],
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let mut told_to_stop = pin!(stop::told()?);
    let metrics = sentinel_metrics::install(sentinel_metrics::PLATFORM).context("installing the metrics recorder")?;
    let (listen, admin_listen) = (config.listen, config.admin_listen);
    let drain = Duration::from_secs(config.drain_seconds.into());
    // Opening waits for stores, and for another process to leave the folder.
    let opened = tokio::select! {
        opened = Box::pin(Platform::open(config, roles)) => opened?,
        () = &mut told_to_stop => {
            tracing::info!("stopped before everything was open");
            return Ok(());
        }
    };
    let Platform { router, messages, stores } = opened;
    let stores = Arc::new(stores);

    let listener = bind(listen).await?;
    let admin_listener = bind(admin_listen).await?;
    let address = listener.local_addr()?;
    let accepting = Arc::new(AtomicBool::new(true));
    let (serving, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let admin = admin::router(Admin { accepting: accepting.clone(), stores: Arc::downgrade(&stores), metrics });
    let admin = Connections::at_most(ADMIN_CONNECTIONS).serve(admin_listener, admin, pending());
    let clients = Connections::at_most(open_files::for_clients()).serve(listener, router, stopped);
    let mut server = tokio::spawn(clients);
    let admin = tokio::spawn(admin);
    tracing::info!(%address, "ready");
    ready(address);

    tokio::select! {
        () = &mut told_to_stop => {}
        ended = &mut server => ended.context("the listener's task")?,
    }
    tracing::info!(seconds = drain.as_secs(), "draining");
    accepting.store(false, Ordering::Relaxed);
    if let Some(messages) = &messages {
        messages.drain(drain).await;
    }
    drop(serving);
    if timeout(LAST_REQUESTS, server).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    admin.abort();
    let _ = admin.await;
    // Connections to the admin listener may outlive it, and hold them only while they answer.
    if let Some(stores) = Arc::into_inner(stores) {
        stores.close().await;
        tracing::info!("the stores are closed");
    } else {
        tracing::warn!("the stores are in use and are not closed: what was under way is done again elsewhere");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}: is another process using it?"))
}
