//! The outermost layer: request id, log line, metrics, security headers, bodies for bare errors.

use std::time::Instant;

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use crate::{
    problem::Problem,
    request::{self, REQUEST_ID_HEADER},
};

/// The status of a request whose client went away before there was an answer. Nobody is sent it.
const GIVEN_UP: u16 = 499;

/// A request whose end is told when this is dropped: at its answer, or when its client goes away.
struct Observed {
    begun: Instant,
    method: &'static str,
    route: String,
    status: u16,
}

impl Drop for Observed {
    fn drop(&mut self) {
        let (method, route, status) = (self.method, std::mem::take(&mut self.route), self.status);
        let elapsed = self.begun.elapsed();
        let what = if status == GIVEN_UP { "given up by the client" } else { "answered" };
        tracing::info!(status, latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), "{what}");
        metrics::counter!("sentinel_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
            .increment(1);
        metrics::histogram!("sentinel_http_request_duration_seconds", "method" => method, "route" => route)
            .record(elapsed.as_secs_f64());
    }
}

/// Serves a request in its context.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request::id_of(request.headers());
    let method = method_name(request.method());
    // The pattern, not the path: paths have ids in them, which neither logs nor metrics should be spread over.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", method, route, request_id = %id);
    let mut response = request::scope(id.clone(), async move {
        let mut observed = Observed { begun, method, route, status: GIVEN_UP };
        let response = explain(next.run(request).await);
        observed.status = response.status().as_u16();
        response
    })
    .instrument(span)
    .await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    // What one caller sees must not be kept for another, unless a route says so.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Gives an error without a body its problem document, keeping headers such as `Allow`.
fn explain(response: Response) -> Response {
    let status = response.status();
    let bare = (status.is_client_error() || status.is_server_error())
        && !response.headers().contains_key(header::CONTENT_TYPE)
        && response.body().size_hint().exact() == Some(0);
    if !bare {
        return response;
    }
    let (parts, _) = response.into_parts();
    let mut explained = Problem::of_status(status).into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_LENGTH {
            explained.headers_mut().append(name, value.clone());
        }
    }
    explained
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
