//! The connections of clients: how many there may be at a time, how long one may take to ask for something, and how long it
//! may leave what it was sent. Each holds an open file, and a process without any can neither accept nor reach its stores.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    serve::{Listener as _, ListenerExt as _},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tower::ServiceExt as _;

/// Longest wait for the whole head of a request, on a new connection as on one that is kept alive: the rest between two
/// requests is a part of it. NGINX keeps its connections to the platform for 60 seconds, and has to be the one that ends them:
/// were they ended here, it would lose what it sends at that moment.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time in which a client takes nothing of what waits for it. One that reads slowly takes something now and then; of
/// one that never reads, answers and events would be kept for as long as it likes.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How often it is said that connections were refused.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// How connections are served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connections {
    most: usize,
    head_timeout: Duration,
    stalled_after: Duration,
}

impl Connections {
    /// Serves so many connections at a time.
    pub(crate) fn at_most(most: usize) -> Self {
        Self { most: most.min(Semaphore::MAX_PERMITS), head_timeout: HEAD_TIMEOUT, stalled_after: STALLED_AFTER }
    }

    /// Serves until it is told to stop; then no connection is accepted, those that rest are closed, and it ends when the
    /// requests in flight are answered. What became a socket is not waited for.
    pub(crate) async fn serve(self, listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let room = Arc::new(Semaphore::new(self.most));
        let mut refused = Refused::default();
        let (stopping, _) = watch::channel(());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.head_timeout);
        // Puts the routes together here and not for each request.
        let router: Router = router.with_state(());
        let stalled_after = u32::try_from(self.stalled_after.as_millis()).unwrap_or(u32::MAX);
        let mut listener = listener.tap_io(move |stream: &mut TcpStream| {
            // An acknowledgement must not wait for more bytes to share its packet.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delays");
            }
            // The kernel knows when its buffer last moved, also when that left no room for another write, and it knows of what
            // is in no write any more. It ends the connection whoever has it then, this task or that of a socket.
            if let Err(error) = set_tcp_user_timeout(&*stream, stalled_after) {
                tracing::debug!(%error, "a connection may stall");
            }
        });
        loop {
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            // One that waited for room would hold up its client and say nothing; one that is closed can try another pod.
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                refused.one_more(self.most);
                continue;
            };
            let router = router.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo::<SocketAddr>(address));
                router.clone().oneshot(request)
            });
            let stream = TokioIo::new(Placed { stream, _place: place });
            // Boxed, so that the task has it once: a future that pins what it was given has room for it twice.
            let mut connection = Box::pin(http.serve_connection(stream, service).with_upgrades());
            let mut told = stopping.subscribe();
            tokio::spawn(async move {
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    _ = told.changed() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
            });
        }
        drop(listener);
        // Fails when there is no connection.
        let _ = stopping.send(());
        stopping.closed().await;
    }
}

/// A connection with its place. It takes it along when it becomes a socket, which outlives the task that served it.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Connections that were refused.
#[derive(Debug, Default)]
struct Refused {
    /// How many nobody was told of.
    untold: u64,
    told_at: Option<Instant>,
}

impl Refused {
    fn one_more(&mut self, most: usize) {
        metrics::counter!("sentinel_connections_refused_total").increment(1);
        if let Some(refused) = self.count(Instant::now()) {
            tracing::warn!(
                refused,
                most,
                "closed new connections: there are as many as this listener has room for. Clients have room for three quarters of \
                 the limit of open files: find out who holds them, raise that limit (ulimit -n), or run more replicas"
            );
        }
    }

    /// Counts one, and gives the number of those to tell if it is time to.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told_at.is_some_and(|at| now.duration_since(at) < TOLD_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests;
