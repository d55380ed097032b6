//! The layers around every service's routes.

mod bodies;
mod context;
mod guard;
mod unread;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    response::{IntoResponse, Response},
};
use sentinel_domain::config::PlatformConfig;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

use self::{bodies::Bodies, guard::Guard};
use crate::{client::TrustedProxies, problem::Problem, rate::RateLimits, request::REQUEST_ID_HEADER, tokens::Tokens};

/// Longest time to the head of an answer; above the ping interval of the socket edge, whose polls wait that long.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest time for the bytes of a file to come in: 25 MiB over the slowest line that the media service puts up with.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_hours(1);
/// How long browsers may remember a preflight's answer.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// Wraps routes, from the outside in: bodies that nobody reads; request id, log and metrics; security headers; CORS; who
/// calls, from where, how often, and how much of unfinished bodies is held for them; a time limit; panics; the size of
/// bodies. Whatever answers an error without a body (no such path, wrong method) gets a problem document.
pub fn apply(router: Router, config: &Arc<PlatformConfig>, tokens: Arc<Tokens>, limits: Arc<RateLimits>) -> Router {
    let body_bytes = usize::try_from(config.limits.body_bytes).unwrap_or(usize::MAX);
    let proxies = TrustedProxies::new(&config.trusted_proxies);
    let guard = Arc::new(Guard { tokens, limits, proxies, bodies: Arc::new(Bodies::new(body_bytes)) });
    router
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(guard::limit_time))
        .layer(middleware::from_fn_with_state(guard, guard::admit))
        .layer(cors(&config.auth.cors_origins))
        .layer(middleware::from_fn(context::observe))
        .layer(middleware::from_fn(unread::read_rest))
}

/// Lets browsers call from the configured origins, exactly as written. Tokens travel in a header, so no credentials.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter(|origin| origin.as_str() != "*").filter_map(|origin| {
        let value = HeaderValue::from_str(origin.trim_end_matches('/'));
        if value.is_err() {
            tracing::error!(?origin, "not an origin; ignored");
        }
        value.ok()
    });
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
            HeaderName::from_static(REQUEST_ID_HEADER),
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("ratelimit-limit"),
            HeaderName::from_static("ratelimit-remaining"),
            HeaderName::from_static("ratelimit-reset"),
            HeaderName::from_static(REQUEST_ID_HEADER),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}

// `CatchPanicLayer` hands the payload over by value.
#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests;
