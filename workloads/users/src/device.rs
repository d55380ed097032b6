//! What a session's device is called.

use axum::http::{HeaderMap, header};

/// Longest name that is kept, in characters.
const CHARACTERS: usize = 120;

/// The client's own name for itself: its `User-Agent`, bounded.
pub(crate) fn name(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name: String = agent.trim().chars().take(CHARACTERS).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_and_bounded() {
        let mut headers = HeaderMap::new();
        assert_eq!(name(&headers), "unknown");
        headers.insert(header::USER_AGENT, "x".repeat(500).parse().unwrap());
        assert_eq!(name(&headers).len(), CHARACTERS);
    }
}
