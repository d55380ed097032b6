//! What a refused request still sends. A handler that refuses by the head alone leaves the body unread, and an HTTP/1
//! connection with an unread body can't serve the next request: it would close without having said so, and a client that
//! has sent its next request meanwhile would lose it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, Version, header},
    middleware::Next,
    response::Response,
};
use futures::{Stream, StreamExt};
use tokio::sync::oneshot;

/// What is read of a body that nobody wanted, and for how long.
const BYTES: usize = 256 * 1024;
const TIME: Duration = Duration::from_secs(1);

/// Reads what a handler left of a short body, so that the connection serves the next request, and says `Connection: close`
/// where there is more.
pub(super) async fn read_rest(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Such a client has not begun to send, and does not when it is refused.
    let waits = request.headers().contains_key(header::EXPECT);
    let (given_back, mut left) = oneshot::channel();
    let request = request
        .map(|body| Body::from_stream(Watched { body: Some(body.into_data_stream()), given_back: Some(given_back) }));
    let mut response = next.run(request).await;
    if let Ok(rest) = left.try_recv()
        && (waits || !ends_soon(rest).await)
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn ends_soon(mut rest: BodyDataStream) -> bool {
    let read = async {
        let mut bytes = 0;
        while let Some(chunk) = rest.next().await {
            bytes += chunk.as_ref().map_or(BYTES, Bytes::len);
            if bytes >= BYTES {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(TIME, read).await.unwrap_or(false)
}

/// A body that is given back when it is dropped before its end.
struct Watched {
    body: Option<BodyDataStream>,
    given_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(body), Some(given_back)) = (self.body.take(), self.given_back.take()) {
            // Whoever waited for it is gone when the connection is.
            let _ = given_back.send(body);
        }
    }
}
