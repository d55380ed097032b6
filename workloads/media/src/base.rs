//! How the client reaches the platform, so that links lead the same way.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use sentinel_http::problem::{Code, Problem};

/// Scheme and host as the client uses them: `https://chat.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl(pub String);

impl<S: Send + Sync> FromRequestParts<S> for BaseUrl {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        base(&parts.headers, authority.as_deref()).map(Self).ok_or_else(|| {
            let detail = "the Host header must name the host that you call, with its port if it is not the usual one";
            Problem::new(StatusCode::BAD_REQUEST, Code::InvalidHost, detail)
        })
    }
}

/// What a proxy says the client used, or what this process sees. Whoever lies gets links that lead nowhere.
fn base(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        // Of several proxies the first one met the client.
        value.split(',').next().map(str::trim)
    };
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = text("x-forwarded-host").or_else(|| text(header::HOST.as_str())).or(authority)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(fits)).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<String> {
        base(&pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(), None)
    }

    #[test]
    fn links_lead_where_the_client_came_from() {
        assert_eq!(of(&[("host", "127.0.0.1:8080")]).unwrap(), "http://127.0.0.1:8080");
        let gateway = [("host", "sentinel"), ("x-forwarded-host", "chat.example.com"), ("x-forwarded-proto", "https")];
        assert_eq!(of(&gateway).unwrap(), "https://chat.example.com");
        assert_eq!(of(&[("host", "[::1]:80"), ("x-forwarded-proto", "gopher")]).unwrap(), "http://[::1]:80");
        for bad in ["", "a/b", "a b", "a@b", "a?b", "a\"b"] {
            assert_eq!(of(&[("host", bad)]), None, "{bad}");
        }
        assert_eq!(of(&[]), None);
    }
}
