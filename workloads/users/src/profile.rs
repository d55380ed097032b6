//! What a profile change may say.

use axum::http::Uri;
use sentinel_domain::{
    account::{Username, display_name},
    ports::ProfileChange,
};
use sentinel_http::problem::{Code, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::register::code_of;

/// Longest address of a picture in bytes.
const AVATAR_URL_BYTES: usize = 2048;

/// A change to the caller's profile; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct ProfilePatch {
    /// The name to show: 1 to 64 visible characters, at most 256 bytes; `null` makes it the username again.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub display_name: FieldChange,
    /// An `https` address of at most 2048 bytes; `null` removes the picture.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    pub avatar_url: FieldChange,
}

/// What happens to a field: `null` and one that is not there are not the same.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<String>")]
pub(crate) enum FieldChange {
    /// It stays.
    #[default]
    Keep,
    /// It is as it was at first.
    Reset,
    /// It is this now.
    Set(String),
}

impl From<Option<String>> for FieldChange {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Reset, Self::Set)
    }
}

/// The change to store of the account with this name.
pub(crate) fn change(username: &Username, patch: ProfilePatch) -> Result<ProfileChange, Problem> {
    let display_name = match patch.display_name {
        FieldChange::Keep => None,
        FieldChange::Reset => Some(username.to_string()),
        FieldChange::Set(name) => Some(
            display_name(&name)
                .map_err(|error| Problem::invalid("display_name", code_of(&error), error.to_string()))?,
        ),
    };
    let avatar_url = match patch.avatar_url {
        FieldChange::Keep => None,
        FieldChange::Reset => Some(None),
        FieldChange::Set(url) if is_picture_address(&url) => Some(Some(url)),
        FieldChange::Set(_) => {
            let detail = "must be an https address of at most 2048 bytes, or null";
            return Err(Problem::invalid("avatar_url", Code::InvalidAvatarUrl, detail));
        }
    };
    Ok(ProfileChange { display_name, avatar_url })
}

/// Other people's clients load this address, so nothing but plain `https` will do.
fn is_picture_address(url: &str) -> bool {
    // Characters that RFC 3986 does not have, and that could end an attribute or a string.
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte));
    let https = |uri: Uri| {
        let host = uri.host().is_some_and(|host| !host.is_empty());
        uri.scheme_str() == Some("https") && host && !uri.authority().is_some_and(|it| it.as_str().contains('@'))
    };
    plain && url.len() <= AVATAR_URL_BYTES && url.parse().is_ok_and(https)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_by_https_only() {
        for good in ["https://example.com/a.png", "https://example.com:8443/a?b=c#d", "https://[2001:db8::1]/"] {
            assert!(is_picture_address(good), "{good}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2048));
        let bad = [
            "http://example.com/a.png",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "//example.com/a.png",
            "/a.png",
            "https://",
            "https://user:password@example.com/",
            "https://example.com/\"onload=\"",
            "https://example.com/ a",
            "https://exämple.com/",
            "",
            &long,
        ];
        for bad in bad {
            assert!(!is_picture_address(bad), "{bad}");
        }
    }

    fn ann() -> Username {
        Username::parse("ann").unwrap()
    }

    #[test]
    fn null_removes_and_absence_keeps() {
        let read = |json: &str| change(&ann(), serde_json::from_str(json).unwrap()).unwrap();
        let kept = read("{}");
        assert_eq!((kept.display_name, kept.avatar_url), (None, None));
        assert_eq!(read(r#"{"display_name":null}"#).display_name.as_deref(), Some("ann"), "as at registration");
        assert_eq!(read(r#"{"avatar_url":null}"#).avatar_url, Some(None));
        let set = read(r#"{"avatar_url":"https://example.com/a","display_name":" Ann "}"#);
        assert_eq!(set.avatar_url, Some(Some("https://example.com/a".into())));
        assert_eq!(set.display_name.as_deref(), Some("Ann"));
    }

    #[test]
    fn a_deceiving_display_name_is_refused() {
        let name = FieldChange::Set("a\u{202e}b".into());
        let patch = ProfilePatch { display_name: name, avatar_url: FieldChange::Keep };
        assert_eq!(change(&ann(), patch).unwrap_err().code(), "invalid_display_name");
    }
}
