//! What an answer of a browser's push service means (RFC 8030, section 5, and RFC 8292, section 4.2).

use super::verdict::{TOO_MANY, Verdict, retry_after};

/// Reads an answer, whose body is for people only.
pub(super) fn read(status: u16, retry: Option<&str>) -> Verdict {
    match status {
        200..300 => Verdict::Accepted,
        // The subscription is over: these are all that a push service says about it.
        404 | 410 => Verdict::AddressGone,
        400 => Verdict::Refused("invalid_request"),
        401 | 403 => Verdict::Refused("vapid_refused"),
        413 => Verdict::Refused("too_large"),
        429 => Verdict::Later(retry_after(retry), TOO_MANY),
        500..600 => Verdict::Later(retry_after(retry), "unavailable"),
        _ => Verdict::Refused("unexpected_answer"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_documented_answer_has_its_meaning() {
        for status in [200, 201, 202, 204] {
            assert_eq!(read(status, None), Verdict::Accepted);
        }
        for status in [404, 410] {
            assert_eq!(read(status, None), Verdict::AddressGone);
        }
        for status in [301, 307, 400, 401, 403, 405, 413] {
            assert!(matches!(read(status, None), Verdict::Refused(_)), "{status}");
        }
        assert_eq!(read(429, Some("3")), Verdict::Later(Some(Duration::from_secs(3)), "too_many"));
        for status in [500, 502, 503] {
            assert_eq!(read(status, None), Verdict::Later(None, "unavailable"));
        }
    }
}
