//! What is known of a request before its handler runs.
//!
//! It is kept in a task-local, because problem documents are made in places that never see the request: extractors,
//! conversions of errors, the panic handler.

use std::future::Future;

use axum::http::HeaderMap;
use uuid::Uuid;

/// The header that carries the id of a request, both ways.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task serves.
pub fn current_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Runs `future` as part of the request with this id.
pub async fn scope<F: Future>(id: String, future: F) -> F::Output {
    REQUEST_ID.scope(id, future).await
}

/// The id that the caller or a proxy gave the request, if it is harmless to log, and a new one otherwise.
pub fn id_of(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

fn is_sane(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID_HEADER, id.parse().unwrap());
        id_of(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        assert_eq!(given("01J2-abc_DEF"), "01J2-abc_DEF");
        for bad in ["with space in it", "quote\"quote", &"x".repeat(65), ""] {
            let id = given(bad);
            assert_ne!(id, bad);
            assert!(Uuid::try_parse(&id).is_ok());
        }
        assert_ne!(id_of(&HeaderMap::new()), id_of(&HeaderMap::new()));
    }
}
