//! What the pages may load and do: the content security policy.

/// No script at all; the one style is in the page.
pub(super) const OF_START_PAGE: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Everything from the page's own origin (`'self'` stands for its `WebSocket`s too), pictures also from memory, and files
/// of messages from the origins where they are stored, if those are others.
pub(super) fn of_client(media: &[String]) -> String {
    let media: String =
        media.iter().filter(|origin| is_origin(origin)).flat_map(|origin| [" ", origin.as_str()]).collect();
    format!(
        "default-src 'self'; connect-src 'self'{media}; img-src 'self' blob: data:{media}; \
         media-src 'self' blob:{media}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Whether it can stand in the policy without ending or widening it.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    host.is_some_and(|host| !host.is_empty() && host.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inline_and_nothing_from_elsewhere() {
        let policy = of_client(&[]);
        assert!(policy.starts_with("default-src 'self'; connect-src 'self';"), "{policy}");
        for never in ["unsafe", "*", "http"] {
            assert!(!policy.contains(never), "{policy}");
        }
    }

    #[test]
    fn other_origins_are_for_files_of_messages_only() {
        let media = ["https://s3.example.com:9000", "https://x; script-src *", "example.com", "https://"];
        let policy = of_client(&media.map(str::to_owned));
        let with: Vec<&str> = policy.split("; ").filter(|part| part.contains("s3.example.com")).collect();
        assert_eq!(with.len(), 3, "{policy}");
        assert!(with.iter().all(|part| part.ends_with(" https://s3.example.com:9000")), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
    }
}
