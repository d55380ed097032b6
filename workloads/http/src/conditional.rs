//! Requests that go by the version a client knows (RFC 9110): `If-Match`, `If-None-Match` and `If-Range`. Versions are
//! strong entity tags without commas, as `ETag` has them, quotes included.

use axum::http::{HeaderMap, HeaderName, header};

/// Whether the version that a client knows is this one, so that it need not be sent again (304).
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    named(headers, header::IF_NONE_MATCH).is_some_and(|tags| tags.contains(&"*") || tags.contains(&tag))
}

/// The versions that a change may replace; `None` when any will do.
pub fn replaceable(headers: &HeaderMap) -> Option<Vec<&str>> {
    named(headers, header::IF_MATCH).filter(|tags| !tags.contains(&"*"))
}

/// Whether a part may be answered: the client has other parts of this very version, or says of none. Of a version that it
/// knows by a date alone nobody knows whether it is this one.
pub fn takes_part_of(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes())
}

/// The tags that a header lists; `None` when it is not there.
fn named(headers: &HeaderMap, name: HeaderName) -> Option<Vec<&str>> {
    let lists = headers.get_all(name).iter().map(|list| list.to_str().unwrap_or_default());
    // A proxy that compresses answers makes their tags weak.
    let tags: Vec<&str> =
        lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/")).collect();
    (!tags.is_empty()).then_some(tags)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TAG: &str = "\"a\"";

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_version_is_known_when_it_is_listed() {
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_known(&with(header::IF_NONE_MATCH, known), TAG), "{known}");
        }
        for other in ["\"b\"", "a", ""] {
            assert!(!is_known(&with(header::IF_NONE_MATCH, other), TAG), "{other}");
        }
        assert!(!is_known(&HeaderMap::new(), TAG));
    }

    #[test]
    fn parts_are_of_the_very_version() {
        assert!(takes_part_of(&HeaderMap::new(), TAG));
        assert!(takes_part_of(&with(header::IF_RANGE, "\"a\""), TAG));
        for other in ["\"b\"", "W/\"a\"", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
            assert!(!takes_part_of(&with(header::IF_RANGE, other), TAG), "{other}");
        }
    }
}
