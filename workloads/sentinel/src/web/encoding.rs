//! Which of the compressed forms of a file a client takes.

/// Compressions that files are stored in, the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Encoding {
    /// All of them, in the order of preference.
    pub(super) const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What a file's name ends in when it is the compressed form of another.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Whether a client that sends this `Accept-Encoding` takes it.
    pub(super) fn is_accepted(self, accept: &str) -> bool {
        accept.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(self.name()));
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f32>);
            named && weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_and_not_weighed_to_nothing_is_accepted() {
        for (accept, brotli, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("GZIP;q=0.5", false, true),
            ("br;q=0, gzip ; q=1.0", false, true),
            ("identity", false, false),
            ("", false, false),
            ("brotli;q=x, xgzip", false, false),
        ] {
            assert_eq!(Encoding::Brotli.is_accepted(accept), brotli, "{accept}");
            assert_eq!(Encoding::Gzip.is_accepted(accept), gzip, "{accept}");
        }
    }
}
