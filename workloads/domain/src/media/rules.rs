//! What an upload may be, and what a message may show of it.

use super::{ContentType, Media};
use crate::{config::LimitsConfig, message::MessageKind};

/// Files of one message at most.
pub const ATTACHMENTS_PER_MESSAGE: usize = 10;
/// How long a link for uploading is good, in seconds.
pub const UPLOAD_SECONDS: i64 = 3600;
/// How long a link for looking is good at least, in seconds.
pub const LINK_SECONDS: i64 = 3600;
/// Links that are asked for within this time are the same, so that browsers need not load twice; in seconds.
pub const LINK_STEP_SECONDS: i64 = 900;
/// How long an upload may be unfinished, and a finished one not sent, in seconds.
pub const UNUSED_SECONDS: i64 = 24 * 3600;
const FILENAME_BYTES: usize = 255;

/// An upload or an attachment that can't be accepted; the text says what to do instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMedia {
    /// See [`NewUpload::check`].
    #[error("a file name has 1 to 255 bytes, no path and no control characters")]
    Filename,
    /// No content type.
    #[error("must be a content type such as image/jpeg")]
    ContentType,
    /// Nothing to upload.
    #[error("a file has at least one byte")]
    Empty,
    /// Larger than the limit, which is given in bytes.
    #[error("a file has at most {}; send a smaller one", readable(*.0))]
    TooLarge(u64),
    /// The owner has no room left; the limit is given in bytes.
    #[error(
        "all your files together have at most {}, with those that were begun in the last day; delete messages with files, or \
         give up uploads that were not sent, to make room",
        readable(*.0)
    )]
    Quota(u64),
    /// No SHA-256.
    #[error("must be the SHA-256 of the file in 64 hexadecimal digits")]
    Sha256,
    /// The message says to be a picture or a file and is not.
    #[error("type image needs pictures alone, type file needs a file, and type text has neither")]
    Kind,
    /// Too many files, or one twice.
    #[error("a message has at most {ATTACHMENTS_PER_MESSAGE} attachments, each once")]
    Attachments,
}

/// A number of bytes as people say it, where that comes out even.
fn readable(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        30.. if bytes > 0 => format!("{} GiB", bytes >> 30),
        20.. if bytes > 0 => format!("{} MiB", bytes >> 20),
        10.. if bytes > 0 => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// What all files of an account take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// Their bytes, as uploaded.
    pub bytes: u64,
}

impl Usage {
    /// Checks that there is room for so many further bytes.
    pub fn check_quota(self, further: u64, limits: &LimitsConfig) -> Result<(), InvalidMedia> {
        let limit = limits.media_quota_bytes;
        if self.bytes.saturating_add(further) > limit { Err(InvalidMedia::Quota(limit)) } else { Ok(()) }
    }
}

/// An upload that a client announces, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// What it is called.
    pub filename: String,
    /// What it is.
    pub content_type: ContentType,
    /// Its bytes.
    pub size: u64,
    /// The hash that it must have.
    pub sha256: Option<[u8; 32]>,
}

impl NewUpload {
    /// Checks an announcement.
    pub fn check(
        filename: &str,
        content_type: &str,
        size: u64,
        sha256: Option<&str>,
        limits: &LimitsConfig,
    ) -> Result<Self, InvalidMedia> {
        let filename = filename.trim();
        let nameless = matches!(filename, "" | "." | "..");
        if nameless
            || filename.len() > FILENAME_BYTES
            || filename.chars().any(|c| c.is_control() || matches!(c, '/' | '\\') || is_direction(c))
        {
            return Err(InvalidMedia::Filename);
        }
        let limit = u64::from(limits.media_bytes);
        Ok(Self {
            filename: filename.to_owned(),
            content_type: ContentType::parse(content_type).ok_or(InvalidMedia::ContentType)?,
            size: match size {
                0 => return Err(InvalidMedia::Empty),
                size if size > limit => return Err(InvalidMedia::TooLarge(limit)),
                size => size,
            },
            sha256: sha256.map(digest).transpose()?,
        })
    }
}

/// Characters that turn the direction of what follows, so that `fdp.exe` can be made to look like `exe.pdf`.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn digest(text: &str) -> Result<[u8; 32], InvalidMedia> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidMedia::Sha256)?;
    Ok(bytes)
}

/// The `Content-Disposition` with which a file is served (RFC 6266, RFC 8187).
pub fn disposition(media: &Media) -> String {
    let how = if media.content_type.is_inline() { "inline" } else { "attachment" };
    let plain: String = media
        .filename
        .chars()
        .map(|c| if (c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%')) || c == ' ' { c } else { '_' })
        .collect();
    if plain == media.filename {
        return format!("{how}; filename=\"{plain}\"");
    }
    let encoded: String = media
        .filename
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// What kind of message shows these files: what the client says, if that is so, or what they are.
pub fn kind_of_message(said: Option<MessageKind>, files: &[ContentType]) -> Result<MessageKind, InvalidMedia> {
    if files.len() > ATTACHMENTS_PER_MESSAGE {
        return Err(InvalidMedia::Attachments);
    }
    let is = match files {
        [] => MessageKind::Text,
        files if files.iter().all(ContentType::is_picture) => MessageKind::Image,
        _ => MessageKind::File,
    };
    match said {
        None => Ok(is),
        Some(said) if said == is => Ok(said),
        // A picture may be sent as a file.
        Some(MessageKind::File) if is == MessageKind::Image => Ok(MessageKind::File),
        Some(_) => Err(InvalidMedia::Kind),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        ids::{MediaId, UserId},
        media::MediaState,
    };

    const LIMITS: fn() -> LimitsConfig =
        || LimitsConfig { media_bytes: 100, media_quota_bytes: 250, ..LimitsConfig::default() };

    fn upload(filename: &str, size: u64, sha256: Option<&str>) -> Result<NewUpload, InvalidMedia> {
        NewUpload::check(filename, "image/png", size, sha256, &LIMITS())
    }

    #[test]
    fn an_upload_needs_a_harmless_name_a_size_and_a_real_hash() {
        assert_eq!(upload(" a.png ", 100, None).unwrap().filename, "a.png");
        for bad in ["", "..", "a/b", "a\\b", "a\nb", "a\u{202e}gnp.exe", &"x".repeat(256)] {
            assert_eq!(upload(bad, 1, None), Err(InvalidMedia::Filename), "{bad:?}");
        }
        assert_eq!(upload("a", 0, None), Err(InvalidMedia::Empty));
        assert_eq!(upload("a", 101, None), Err(InvalidMedia::TooLarge(100)));
        assert_eq!(upload("a", 1, Some(&"0F".repeat(32))).unwrap().sha256, Some([15; 32]));
        for bad in ["", "zz", &"é".repeat(32), &"+1".repeat(32)] {
            assert_eq!(upload("a", 1, Some(bad)), Err(InvalidMedia::Sha256), "{bad}");
        }
        let none = NewUpload::check("a", "picture", 1, None, &LIMITS());
        assert_eq!(none, Err(InvalidMedia::ContentType));
    }

    #[test]
    fn limits_are_told_as_people_say_them() {
        let limits = LimitsConfig::default();
        let over = Usage { files: 1, bytes: u64::MAX }.check_quota(1, &limits).unwrap_err().to_string();
        assert!(over.starts_with("all your files together have at most 1 GiB, with"), "{over}");
        assert!(over.ends_with("not sent, to make room") && !over.contains("  "), "{over}");
        let large = NewUpload::check("a", "image/png", u64::MAX, None, &limits).unwrap_err().to_string();
        assert_eq!(large, "a file has at most 25 MiB; send a smaller one");
        for (bytes, said) in [(0, "0 bytes"), (100, "100 bytes"), (3 << 19, "1536 KiB"), (5 << 30, "5 GiB")] {
            assert_eq!(readable(bytes), said);
        }
    }

    #[test]
    fn all_files_of_an_account_fit_its_quota() {
        assert_eq!(Usage { files: 1, bytes: 150 }.check_quota(100, &LIMITS()), Ok(()));
        assert_eq!(Usage { files: 1, bytes: 151 }.check_quota(100, &LIMITS()), Err(InvalidMedia::Quota(250)));
        assert_eq!(Usage { files: 2, bytes: 250 }.check_quota(0, &LIMITS()), Ok(()));
    }

    #[test]
    fn a_message_is_of_the_kind_of_its_files() {
        let kind = |name: &str| ContentType::parse(name).unwrap();
        let (png, pdf) = (kind("image/png"), kind("application/pdf"));
        let (text, image, file) = (MessageKind::Text, MessageKind::Image, MessageKind::File);
        let pictures = [png.clone(), png.clone()];
        let mixed = [png.clone(), pdf];
        assert_eq!(kind_of_message(None, &[]), Ok(text));
        assert_eq!(kind_of_message(None, &pictures), Ok(image));
        assert_eq!(kind_of_message(Some(file), &pictures), Ok(file));
        assert_eq!(kind_of_message(None, &mixed), Ok(file));
        for (said, files) in [(image, &mixed[..]), (text, &pictures), (image, &[]), (file, &[])] {
            assert_eq!(kind_of_message(Some(said), files), Err(InvalidMedia::Kind), "{said:?}");
        }
        assert_eq!(kind_of_message(None, &vec![png; 11]), Err(InvalidMedia::Attachments));
    }

    #[test]
    fn a_name_can_not_break_out_of_its_header() {
        let media = |filename: &str, kind: &str| Media {
            id: MediaId(Uuid::nil()),
            owner: UserId(Uuid::nil()),
            filename: filename.into(),
            content_type: ContentType::parse(kind).unwrap(),
            size: 1,
            sha256: None,
            state: MediaState::Ready,
            shown: None,
        };
        assert_eq!(disposition(&media("a b.png", "image/png")), "inline; filename=\"a b.png\"");
        assert_eq!(disposition(&media("x.html", "text/html")), "attachment; filename=\"x.html\"");
        assert_eq!(
            disposition(&media("é\".png", "image/png")),
            "inline; filename=\"__.png\"; filename*=UTF-8''%C3%A9%22.png"
        );
    }
}
