//! Whether what was uploaded is what was announced, and what is shown of it.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::http::StatusCode;
use sentinel_domain::media::{ContentType, Media, fits};
use sentinel_http::problem::{Code, Problem};

use crate::{
    budget::{Share, blocking},
    picture::{self, PictureError, Prepared},
    service::MediaService,
};

/// Bytes from the beginning that tell what a file is.
const TELLING_BYTES: usize = 8192;

/// An upload that is not what was announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is longer or shorter.
    #[error("{found} bytes were uploaded, {announced} were announced; upload it again")]
    Size {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be.
        announced: u64,
    },
    /// It is another file than was announced or came before, or was damaged on the way.
    #[error(
        "the SHA-256 of what was uploaded is not that of what was announced or found good before; upload that again"
    )]
    Hash,
    /// It is something else.
    #[error("what was uploaded is not {0}; upload that, or begin anew with the type that it is")]
    Kind(String),
    /// It is a picture that can't be shown.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A fault of ours.
    #[error("a thread that read a picture ended")]
    Interrupted,
}

impl From<tokio::task::JoinError> for Refused {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Interrupted
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Size { .. } => Self::invalid("size", Code::WrongSize, detail),
            Refused::Hash => Self::invalid("sha256", Code::WrongHash, detail),
            Refused::Kind(_) => Self::invalid("content_type", Code::WrongContentType, detail),
            Refused::Picture(PictureError::Broken(source)) => {
                tracing::debug!(error = source.as_ref().map(|error| error as &dyn std::error::Error), "broken picture");
                Self::invalid("content_type", Code::BrokenPicture, detail)
            }
            Refused::Picture(PictureError::TooLarge) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PictureTooLarge, detail)
            }
            Refused::Interrupted => {
                tracing::error!("{detail}");
                Self::internal()
            }
        }
    }
}

/// The SHA-256 of some bytes.
pub(crate) type Hash = [u8; 32];

/// What to keep of an upload.
pub(crate) enum Checked {
    /// The bytes as they are.
    File(Vec<u8>),
    /// A picture, cleaned, and what it is.
    Picture(ContentType, Prepared),
}

impl MediaService {
    /// Checks an upload's bytes, hashes them, and makes what is shown of them. `memory` is what these take.
    pub(crate) async fn check(
        &self,
        media: &Media,
        bytes: Vec<u8>,
        memory: &Share,
    ) -> Result<(Hash, Checked), Refused> {
        if bytes.len() as u64 != media.size {
            return Err(Refused::Size { found: bytes.len() as u64, announced: media.size });
        }
        let found = infer::get(&bytes[..bytes.len().min(TELLING_BYTES)]).map(|kind| kind.mime_type());
        if !fits(&media.content_type, found) {
            return Err(Refused::Kind(media.content_type.to_string()));
        }
        let bytes = Arc::new(bytes);
        let hashed = bytes.clone();
        let digest = blocking(memory.clone(), move || digest::digest(&digest::SHA256, &hashed)).await?;
        let mut hash = Hash::default();
        hash.copy_from_slice(digest.as_ref());
        if media.sha256.is_some_and(|required| required != hash) {
            return Err(Refused::Hash);
        }
        // Also one that goes by another name has metadata that nobody else is to see.
        let format = picture::format_of(media.content_type.as_str()).or_else(|| picture::format_in(&bytes));
        let Some(format) = format else { return Ok((hash, Checked::File(Arc::unwrap_or_clone(bytes)))) };
        // Decoders copy all of a file, or walk over its parts, to tell what it is.
        let looked_at = bytes.clone();
        let needed = blocking(memory.clone(), move || picture::memory(&looked_at, format)).await??;
        let held = (memory.clone(), self.decoding.take(needed).await.ok_or(Refused::Interrupted)?);
        let begun = std::time::Instant::now();
        let prepared = blocking(held, move || picture::prepare(&bytes, format)).await??;
        metrics::histogram!("sentinel_media_picture_seconds").record(begun.elapsed().as_secs_f64());
        let content_type = ContentType::parse(format.to_mime_type()).unwrap_or_else(|| media.content_type.clone());
        Ok((hash, Checked::Picture(content_type, prepared)))
    }
}
