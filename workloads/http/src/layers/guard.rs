//! Who calls, from where, how often, and for how long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use sentinel_domain::time::Timestamp;

use super::{REQUEST_TIMEOUT, UPLOAD_TIMEOUT, bodies::Bodies};
use crate::{
    auth::{Verified, bearer_token},
    client::TrustedProxies,
    problem::{Code, Problem},
    rate::{Action, RateLimits},
    tokens::Tokens,
};

/// Where the bytes of files come in.
const UPLOADS: &str = "/media/files/";
/// Where sockets poll. Their tokens come in packets, not in headers.
const SOCKETS: &str = "/socket.io";

pub(super) struct Guard {
    pub tokens: Arc<Tokens>,
    pub limits: Arc<RateLimits>,
    pub proxies: TrustedProxies,
    pub bodies: Arc<Bodies>,
}

/// Notes the client's address and token for the extractors, and counts the request: by user when the token is good,
/// so that people who share an address don't starve each other, and by address otherwise.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let address = guard.proxies.client_of(request.extensions(), request.headers());
    let verified = bearer_token(request.headers()).map(|token| guard.tokens.verify(token, Timestamp::now()));
    let key = match &verified {
        Some(Ok(claims)) => claims.user_id.to_string(),
        _ => address.rate_key(),
    };
    request.extensions_mut().insert(address);
    if let Some(verified) = verified {
        request.extensions_mut().insert(Verified(verified));
    }
    let action = if is_of_open_socket(&request) { Action::SocketRequest } else { Action::Request };
    let allowance = match guard.limits.take(action, &key) {
        Ok(allowance) => allowance,
        Err(problem) => return problem.into_response(),
    };
    // Files are written as they come.
    let mut response =
        if is_upload(&request) { next.run(request).await } else { guard.bodies.admit(key, request, next).await };
    for (name, value) in allowance.headers() {
        // A handler's own comes first: a narrower limit, or what is left once it has taken more.
        if let (false, Ok(value)) = (response.headers().contains_key(&name), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether a request says that it belongs to a socket that is open: a poll, or an upgrade to a WebSocket.
fn is_of_open_socket(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path().starts_with(SOCKETS) && query.split('&').any(|pair| pair.starts_with("sid="))
}

/// Whether a request brings the bytes of a file.
fn is_upload(request: &Request) -> bool {
    request.method() == Method::PUT && request.uri().path().starts_with(UPLOADS)
}

/// Gives up on a handler that takes too long. Bodies that stream out, and sockets, are not cut.
pub(super) async fn limit_time(request: Request, next: Next) -> Response {
    let patience = if is_upload(&request) { UPLOAD_TIMEOUT } else { REQUEST_TIMEOUT };
    within(patience, request, next).await
}

async fn within(patience: Duration, request: Request, next: Next) -> Response {
    // Whether the handler waits for bytes of the client.
    let waits = Arc::new(AtomicBool::new(false));
    let request = if request.body().is_end_stream() { request } else { watched(request, Arc::clone(&waits)) };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) if waits.load(Ordering::Relaxed) => {
            let detail = "the body did not come in time; send the request again";
            Problem::new(StatusCode::REQUEST_TIMEOUT, Code::Timeout, detail).into_response()
        }
        Err(_) => Problem::timeout().into_response(),
    }
}

fn watched(request: Request, waits: Arc<AtomicBool>) -> Request {
    request.map(|body| {
        let mut body = body.into_data_stream();
        Body::from_stream(stream::poll_fn(move |context| {
            let polled = body.poll_next_unpin(context);
            waits.store(polled.is_pending(), Ordering::Relaxed);
            polled
        }))
    })
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Bytes, middleware, routing};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_the_clients_fault_and_a_slow_handler_is_not() {
        let limit = |request, next| within(Duration::from_millis(50), request, next);
        let router = Router::new()
            .route("/read", routing::post(|_: Bytes| async {}))
            .route("/slow", routing::post(|_: Bytes| std::future::pending::<()>()))
            .layer(middleware::from_fn(limit));
        let never = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        for (path, body, status) in [
            ("/read", never(), 408),
            ("/slow", never(), 408),
            ("/slow", Body::from("{}"), 503),
            ("/slow", Body::empty(), 503),
            ("/read", Body::from("{}"), 200),
        ] {
            let answer = router.clone().oneshot(Request::post(path).body(body).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503, "{path}");
        }
    }
}
