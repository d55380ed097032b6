//! Content types: which there are, which may be shown in place, and which bytes fit them.

use std::fmt;

/// Longest content type in bytes.
const LONGEST: usize = 100;

/// Pictures that are shown in place, have a thumbnail, and whose metadata is taken out.
const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/// What else browsers may show in place: none of it can run.
const PLAYABLE: [&str; 10] = [
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/mp4",
    "video/ogg",
    "video/webm",
];

/// What is handed over under its own name, beside what is shown in place: no browser runs any of it, or styles a page with it,
/// in the name of whoever serves it. All that browsers do run has too many names to be listed.
const HARMLESS: [&str; 22] = [
    "application/gzip",
    "application/pdf",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-tar",
    "application/zip",
    "audio/3gpp",
    "audio/amr",
    "audio/opus",
    "audio/x-ms-wma",
    "image/avif",
    "image/bmp",
    "image/heic",
    "image/heif",
    "image/tiff",
    "text/plain",
    "video/3gpp",
    "video/mpeg",
    "video/quicktime",
    "video/x-matroska",
    "video/x-msvideo",
];

/// Other names of a type.
const ALIASES: [(&str, &str); 9] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/m4a", "audio/mp4"),
    ("audio/x-m4a", "audio/mp4"),
    ("audio/x-wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("video/x-m4v", "video/mp4"),
];

/// Types whose bytes always tell what they are, beside the pictures and what can be played.
const TELLING: [&str; 6] = [
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-7z-compressed",
    "image/bmp",
    "image/tiff",
];

/// Programs must not come under the name of a document.
const PROGRAMS: [&str; 5] = [
    "application/vnd.microsoft.portable-executable",
    "application/x-executable",
    "application/x-mach-binary",
    "application/java",
    "application/wasm",
];

/// What anything may be called; it is never shown in place.
const ANYTHING: &str = "application/octet-stream";

/// A content type in lower case, without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(String);

impl ContentType {
    /// Reads a content type; `None` when it is none. Parameters are left out, other names replaced by the usual one.
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        if essence.len() > LONGEST || !token(kind) || !token(subtype) {
            return None;
        }
        Some(Self(usual(&essence).to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a picture that can be checked, cleaned and made smaller.
    pub fn is_picture(&self) -> bool {
        PICTURES.contains(&self.as_str())
    }

    /// Whether a browser may show it in place.
    pub fn is_inline(&self) -> bool {
        self.is_picture() || PLAYABLE.contains(&self.as_str())
    }

    /// The type under which it is served: its own where that is known to be harmless.
    pub fn served(&self) -> &str {
        if self.is_inline() || HARMLESS.contains(&self.as_str()) { &self.0 } else { ANYTHING }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn usual(name: &str) -> &str {
    ALIASES.iter().find(|(other, _)| *other == name).map_or(name, |(_, usual)| usual)
}

/// What the bytes can't tell apart.
fn family(name: &str) -> &str {
    match usual(name) {
        "audio/mp4" | "video/mp4" | "video/quicktime" => "mp4",
        "audio/ogg" | "video/ogg" | "application/ogg" | "audio/opus" => "ogg",
        "audio/webm" | "video/webm" | "video/x-matroska" => "webm",
        name => name,
    }
}

/// Whether bytes that look like `found` (`None`: like nothing that is known) may be called `claimed`.
pub fn fits(claimed: &ContentType, found: Option<&str>) -> bool {
    let name = claimed.as_str();
    let Some(found) = found else {
        return !claimed.is_inline() && !TELLING.contains(&name);
    };
    if name == ANYTHING || family(name) == family(found) {
        return true;
    }
    if claimed.is_inline() || TELLING.contains(&name) || PROGRAMS.contains(&found) {
        return false;
    }
    // Text may look like a page or a script, but not like a picture. Documents are archives of all kinds.
    !name.starts_with("text/") || found.starts_with("text/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> ContentType {
        ContentType::parse(text).unwrap()
    }

    #[test]
    fn a_type_is_read_without_parameters_and_by_its_usual_name() {
        assert_eq!(kind("Text/HTML; charset=utf-8").as_str(), "text/html");
        assert_eq!(kind("image/jpg").as_str(), "image/jpeg");
        for bad in ["", "image", "image/", "/png", "a b/c", "image/png\r\nx: y", &format!("a/{}", "b".repeat(100))] {
            assert_eq!(ContentType::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_what_is_known_to_be_harmless_is_served_as_what_it_is() {
        for name in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/atom+xml",
            "application/x-shockwave-flash",
            "application/json",
            "application/wasm",
            "multipart/x-mixed-replace",
            "text/css",
            "text/x-unheard-of",
            // Each name of JavaScript (WHATWG MIME Sniffing).
            "application/ecmascript",
            "application/javascript",
            "application/x-ecmascript",
            "application/x-javascript",
            "text/ecmascript",
            "text/javascript",
            "text/javascript1.0",
            "text/javascript1.1",
            "text/javascript1.2",
            "text/javascript1.3",
            "text/javascript1.4",
            "text/javascript1.5",
            "text/jscript",
            "text/livescript",
            "text/x-ecmascript",
            "text/x-javascript",
        ] {
            assert_eq!(kind(name).served(), "application/octet-stream", "{name}");
            assert!(!kind(name).is_inline(), "{name}");
        }
        for name in ["image/png", "application/pdf", "application/zip", "text/plain", "video/mp4", "video/quicktime"] {
            assert_eq!(kind(name).served(), name);
        }
        assert!(kind("video/mp4").is_inline() && !kind("application/pdf").is_inline());
    }

    #[test]
    fn bytes_must_fit_the_name() {
        let cases = [
            ("image/png", Some("image/png"), true),
            ("image/png", Some("image/jpeg"), false),
            ("image/png", Some("text/html"), false),
            ("image/png", None, false),
            ("application/pdf", None, false),
            ("audio/mp4", Some("video/mp4"), true),
            ("audio/x-wav", Some("audio/x-wav"), true),
            ("text/plain", None, true),
            ("text/plain", Some("text/html"), true),
            ("text/plain", Some("application/x-executable"), false),
            ("text/html", Some("text/html"), true),
            ("text/csv", Some("image/png"), false),
            ("application/msword", Some("application/x-ole-storage"), true),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", Some("application/zip"), true),
            ("application/msword", Some("application/vnd.microsoft.portable-executable"), false),
            ("application/octet-stream", Some("application/x-executable"), true),
        ];
        for (claimed, found, right) in cases {
            assert_eq!(fits(&kind(claimed), found), right, "{claimed} {found:?}");
        }
    }
}
