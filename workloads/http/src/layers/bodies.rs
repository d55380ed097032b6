//! How much of bodies that have not come whole is held for one caller.
//!
//! The gateway passes a body on as it comes, so what a slow one has brought so far waits here. Rate limits count requests
//! when they begin, and so many as they allow, each left just before its end, would fill the memory of a pod.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody as _},
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt as _};

use crate::problem::{Code, Problem};

/// What every caller has room for, also people who share an address: theirs are small, and come soon.
const LEAST: usize = 4 * 1024 * 1024;
/// For so many of the largest bodies there is room in any case.
const LARGEST: usize = 4;
/// What each piece of a body takes beside its bytes, which may be as few as one.
const PIECE: usize = 128;
/// Pieces that are shorter are copied: each keeps the whole buffer into which it was read.
const COPIED: usize = 4096;
/// What clients are told that they met.
const LIMIT: &str = "body";
/// Seconds after which a refused client is to try again.
const RETRY_AFTER: &str = "2";

/// The bytes of each caller's bodies that have not come whole.
#[derive(Debug)]
pub(super) struct Bodies {
    most: usize,
    held: Mutex<HashMap<String, usize>>,
}

impl Bodies {
    /// Room for bodies that may be so large.
    pub fn new(body_bytes: usize) -> Self {
        Self { most: LEAST.max(body_bytes.saturating_mul(LARGEST)), held: Mutex::default() }
    }

    /// Serves a request whose body counts as its caller's while it comes.
    pub async fn admit(self: &Arc<Self>, key: String, request: Request, next: Next) -> Response {
        if request.body().is_end_stream() {
            return next.run(request).await;
        }
        let crowded = Arc::new(AtomicBool::new(false));
        let share = Share { bodies: Arc::clone(self), key, bytes: 0 };
        let request = request.map(|body| {
            let counted = Counted { body: body.into_data_stream(), share: Some(share), crowded: Arc::clone(&crowded) };
            Body::from_stream(counted)
        });
        let response = next.run(request).await;
        // The handler saw no more than a body that broke off.
        if crowded.load(Ordering::Relaxed) { refused().into_response() } else { response }
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<String, usize>) -> T) -> T {
        // Counts are whole after each change, so one that panicked spoils nothing.
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn refused() -> Problem {
    metrics::counter!("sentinel_rate_limited_total", "action" => LIMIT).increment(1);
    let detail = "too many bytes of bodies that have not come whole; wait until some have";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail)
        .with_limit(LIMIT)
        .with_header(header::RETRY_AFTER, RETRY_AFTER)
}

/// What one body takes of its caller's room, until it is dropped.
#[derive(Debug)]
struct Share {
    bodies: Arc<Bodies>,
    key: String,
    bytes: usize,
}

impl Share {
    /// Takes more; false where there is no room for it.
    fn take(&mut self, bytes: usize) -> bool {
        let most = self.bodies.most;
        let taken = self.bodies.change(|held| {
            let sum = held.get(&self.key).copied().unwrap_or(0).saturating_add(bytes);
            let fits = sum <= most;
            if fits {
                held.insert(self.key.clone(), sum);
            }
            fits
        });
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.change(|held| {
            let left = held.get(&self.key).copied().unwrap_or(0).saturating_sub(self.bytes);
            if left == 0 {
                held.remove(&self.key);
            } else {
                held.insert(std::mem::take(&mut self.key), left);
            }
        });
    }
}

/// A body whose bytes count until it has come whole.
struct Counted {
    body: BodyDataStream,
    share: Option<Share>,
    crowded: Arc<AtomicBool>,
}

impl Stream for Counted {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = ready!(self.body.poll_next_unpin(context));
        let Some(Ok(piece)) = polled else {
            self.share = None;
            return Poll::Ready(polled);
        };
        if self.share.as_mut().is_some_and(|share| !share.take(piece.len() + PIECE)) {
            self.share = None;
            self.crowded.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::other("no room for more of the body")))));
        }
        let piece = if piece.len() < COPIED { Bytes::copy_from_slice(&piece) } else { piece };
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::to_bytes, extract::State, middleware, routing};
    use futures::{channel::mpsc, stream};
    use tokio::time::{sleep, timeout};
    use tower::ServiceExt as _;

    use super::*;

    type Chunk = Result<Bytes, io::Error>;

    async fn admit(State(bodies): State<Arc<Bodies>>, request: Request, next: Next) -> Response {
        let caller = request.headers()["caller"].to_str().unwrap().to_owned();
        bodies.admit(caller, request, next).await
    }

    /// Counts by the header `caller`, with room for a thousand bytes each.
    fn app() -> (Router, Arc<Bodies>) {
        let bodies = Arc::new(Bodies { most: 1000, held: Mutex::default() });
        let router = Router::new()
            .route("/", routing::post(|body: Bytes| async move { body.len().to_string() }))
            .layer(middleware::from_fn_with_state(Arc::clone(&bodies), admit));
        (router, bodies)
    }

    fn post(caller: &str, body: Body) -> Request {
        Request::post("/").header("caller", caller).body(body).unwrap()
    }

    #[allow(clippy::unnecessary_wraps)] // a stream of bodies is made of results
    fn bytes(length: usize) -> Chunk {
        Ok(Bytes::from(vec![b'x'; length]))
    }

    /// Waits until a caller's bodies hold so much.
    async fn holds(bodies: &Bodies, caller: &str, bytes: usize) {
        let reached = async {
            while bodies.change(|held| held.get(caller).copied().unwrap_or(0)) != bytes {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.expect("it holds so much");
    }

    #[tokio::test]
    async fn who_leaves_bodies_unfinished_has_room_for_some_and_takes_none_of_others() {
        let (router, bodies) = app();
        let (sender, unfinished) = mpsc::unbounded::<Chunk>();
        sender.unbounded_send(bytes(600)).unwrap();
        let slow = tokio::spawn(router.clone().oneshot(post("ann", Body::from_stream(unfinished))));
        holds(&bodies, "ann", 600 + PIECE).await;

        let refused = router.clone().oneshot(post("ann", Body::from(vec![b'x'; 300]))).await.unwrap();
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"2".parse().unwrap()));
        let problem = to_bytes(refused.into_body(), 10_000).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
        assert_eq!((&problem["code"], &problem["limit"]), (&"rate_limited".into(), &"body".into()));
        for (caller, length) in [("ann", 100), ("ben", 800)] {
            let answer = router.clone().oneshot(post(caller, Body::from(vec![b'x'; length]))).await.unwrap();
            assert_eq!(answer.status(), 200, "{caller}");
        }

        sender.unbounded_send(bytes(100)).unwrap();
        drop(sender);
        let answer = slow.await.unwrap().unwrap();
        assert_eq!(to_bytes(answer.into_body(), 10).await.unwrap(), "700");
        assert!(bodies.change(|held| held.is_empty()), "what has come counts no more");
    }

    #[tokio::test]
    async fn a_body_of_many_short_pieces_counts_for_more_than_its_bytes() {
        let (router, _) = app();
        let drops = |count| Body::from_stream(stream::iter((0..count).map(|_| bytes(1))));
        for (count, status) in [(5, 200), (50, 429)] {
            let answer = router.clone().oneshot(post("ann", drops(count))).await.unwrap();
            assert_eq!(answer.status(), status, "{count} bytes");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_is_given_up_counts_no_more() {
        let (router, bodies) = app();
        let broken = stream::iter([bytes(600), Err(io::ErrorKind::BrokenPipe.into())]);
        let answer = router.clone().oneshot(post("ann", Body::from_stream(broken))).await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(bodies.change(|held| held.is_empty()));

        let silent = stream::iter([bytes(600)]).chain(stream::pending());
        let given_up = tokio::spawn(router.oneshot(post("ann", Body::from_stream(silent))));
        holds(&bodies, "ann", 600 + PIECE).await;
        given_up.abort();
        holds(&bodies, "ann", 0).await;
    }

    #[test]
    fn there_is_room_for_some_of_the_largest_bodies_and_the_guide_tells() {
        assert_eq!(Bodies::new(128 * 1024).most, 4 * 1024 * 1024);
        assert_eq!(Bodies::new(16 * 1024 * 1024).most, 64 * 1024 * 1024);
        let guide = include_str!("../../../../docs/clients.md");
        assert!(guide.contains("| 4 MiB, or four of the largest bodies | `body` |"));
    }
}
