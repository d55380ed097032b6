//! The files of the web client, in memory, with what is told of each.
//!
//! In memory, because they are few, and because files of an image all have the same time: only a hash of the content
//! tells a new version from an old one.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sentinel_http::problem::Problem;

use super::encoding::Encoding;

/// More than any web client has: somebody gave the wrong folder.
const LARGEST_FOLDER: u64 = 32 * 1024 * 1024;
/// Folder whose files have a hash of their content in their names.
const HASHED: &str = "/assets/";

/// Why the files can't be had.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// A file or folder can't be read.
    #[error("reading {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has no start page.
    #[error("{} has no index.html: name the folder that the web client was built into", .0.display())]
    NoIndex(PathBuf),
    /// The folder has far more in it than a web client.
    #[error("{} is larger than 32 MiB: name the folder that the web client was built into", .0.display())]
    TooLarge(PathBuf),
}

/// All files by their path in URLs.
pub(super) struct WebFiles(BTreeMap<String, WebFile>);

/// One file in all its forms.
pub(super) struct WebFile {
    content_type: String,
    cache_control: &'static str,
    plain: Form,
    compressed: Vec<(Encoding, Form)>,
}

/// One form of a file.
struct Form {
    etag: String,
    content: Bytes,
}

impl Form {
    fn new(content: Vec<u8>) -> Self {
        let hash = digest(&SHA256, &content);
        Self { etag: format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12])), content: content.into() }
    }
}

impl WebFiles {
    /// The files below a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, WebError> {
        let mut found = BTreeMap::new();
        let mut room = LARGEST_FOLDER;
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            let unreadable = |source| WebError::Unreadable { path: next.clone(), source };
            for entry in std::fs::read_dir(&next).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                let unreadable = |source| WebError::Unreadable { path: path.clone(), source };
                let facts = std::fs::metadata(&path).map_err(unreadable)?;
                if facts.is_dir() {
                    folders.push(path);
                    continue;
                }
                room = room.checked_sub(facts.len()).ok_or_else(|| WebError::TooLarge(folder.to_owned()))?;
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.insert(name, std::fs::read(&path).map_err(unreadable)?);
            }
        }
        if !found.contains_key("index.html") {
            return Err(WebError::NoIndex(folder.to_owned()));
        }
        Ok(Self::of(found))
    }

    /// These contents by their paths below the folder; `<name>.gz` and `<name>.br` are other forms of `<name>`.
    pub(super) fn of(mut contents: BTreeMap<String, Vec<u8>>) -> Self {
        let names: Vec<String> = contents
            .keys()
            .filter(|name| uncompressed(name).is_none_or(|plain| !contents.contains_key(plain)))
            .cloned()
            .collect();
        let mut files = BTreeMap::new();
        for name in names {
            let forms = Encoding::ALL.into_iter().filter_map(|encoding| {
                let content = contents.remove(&format!("{name}{}", encoding.suffix()))?;
                Some((encoding, Form::new(content)))
            });
            let compressed = forms.collect();
            if let Some(plain) = contents.remove(&name) {
                files.insert(format!("/{name}"), WebFile::new(&format!("/{name}"), plain, compressed));
            }
        }
        Self(files)
    }

    /// The file at this path of a URL.
    pub(super) fn get(&self, path: &str) -> Option<&WebFile> {
        self.0.get(path)
    }
}

impl WebFile {
    fn new(path: &str, plain: Vec<u8>, compressed: Vec<(Encoding, Form)>) -> Self {
        let kind = mime_guess::from_path(path).first_or_octet_stream();
        let is_text =
            kind.type_() == "text" || [Some("json"), Some("xml")].contains(&kind.suffix().map(|s| s.as_str()));
        Self {
            content_type: if is_text { format!("{kind}; charset=utf-8") } else { kind.to_string() },
            // A new version has new names there; all else is asked for each time, and mostly found unchanged.
            cache_control: if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" },
            plain: Form::new(plain),
            compressed,
        }
    }

    /// The form that suits the client, or word that the client's copy is still right.
    pub(super) fn answer(&self, request: &HeaderMap, policy: &str) -> Response {
        let text = |name| request.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let accept = text(header::ACCEPT_ENCODING);
        let chosen = self.compressed.iter().find(|(encoding, _)| encoding.is_accepted(accept));
        let form = chosen.map_or(&self.plain, |(_, form)| form);
        let unchanged = is_among(&form.etag, text(header::IF_NONE_MATCH));
        let mut response = Response::builder()
            .status(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
            .header(header::ETAG, &form.etag)
            .header(header::CACHE_CONTROL, self.cache_control)
            .header(header::CONTENT_SECURITY_POLICY, policy)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header("cross-origin-opener-policy", "same-origin")
            .header("cross-origin-resource-policy", "same-origin")
            .header("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
        if !self.compressed.is_empty() {
            response = response.header(header::VARY, "accept-encoding");
        }
        let body = if unchanged {
            Body::empty()
        } else {
            response = response
                .header(header::CONTENT_TYPE, &self.content_type)
                .header(header::CONTENT_LENGTH, form.content.len());
            if let Some((encoding, _)) = chosen {
                response = response.header(header::CONTENT_ENCODING, encoding.name());
            }
            Body::from(form.content.clone())
        };
        response.body(body).unwrap_or_else(|error| {
            tracing::error!(%error, "a file of the web client has an odd header");
            Problem::internal().into_response()
        })
    }
}

/// The name of the file that this would be a compressed form of.
fn uncompressed(name: &str) -> Option<&str> {
    Encoding::ALL.iter().find_map(|encoding| name.strip_suffix(encoding.suffix()))
}

/// Whether a client that sends this `If-None-Match` has it already.
fn is_among(etag: &str, sent: &str) -> bool {
    sent.trim() == "*" || sent.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
}
