//! Addresses of stores as users write them: `host:port`, or a URL with scheme.

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `[address]:port`, or `http://` or `https://` with a host and, if it is not the scheme's own,
    /// a port. None for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, default) = if let Some(rest) = text.strip_prefix("https://") {
            (rest, Some(443))
        } else if let Some(rest) = text.strip_prefix("http://") {
            (rest, Some(80))
        } else {
            (text, None)
        };
        let (host, port) = match rest.rsplit_once(':') {
            // A colon inside of brackets belongs to the address.
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (rest, default?),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty() && !host.contains('/')).then(|| Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        for (text, expected) in [
            ("db.example.com:5432", Some(("db.example.com", 5432))),
            ("[fd00::1]:9042", Some(("fd00::1", 9042))),
            ("https://search.example.com", Some(("search.example.com", 443))),
            ("http://10.0.0.1:9200", Some(("10.0.0.1", 9200))),
            ("http://[fd00::1]", Some(("fd00::1", 80))),
            ("db.example.com", None),
            ("db.example.com:lots", None),
            (":5432", None),
            ("http://a/b", None),
        ] {
            let found = Endpoint::parse(text);
            assert_eq!(found.as_ref().map(|e| (e.host.as_str(), e.port)), expected, "{text}");
        }
    }
}
