//! Who calls, from where, how often, and for how long.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sentinel_domain::time::Timestamp;

use super::{REQUEST_TIMEOUT, UPLOAD_TIMEOUT};
use crate::{
    auth::{Verified, bearer_token},
    client::TrustedProxies,
    problem::Problem,
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
    let mut response = next.run(request).await;
    for (name, value) in allowance.headers() {
        // A handler's own, narrower limit comes first.
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

/// Gives up on a handler that takes too long. Bodies that stream out, and sockets, are not cut.
pub(super) async fn limit_time(request: Request, next: Next) -> Response {
    let uploads = request.method() == Method::PUT && request.uri().path().starts_with(UPLOADS);
    let patience = if uploads { UPLOAD_TIMEOUT } else { REQUEST_TIMEOUT };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the service took too long; try again shortly")
                .into_response()
        }
    }
}
