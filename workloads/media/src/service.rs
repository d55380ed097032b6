//! The service with what it depends on.

use std::sync::Arc;

use sentinel_domain::{
    config::PlatformConfig,
    ports::{BlobFiles, Blobs, ChatReader, MediaStore},
};
use sentinel_http::{rate::RateLimits, tokens::Tokens};

use crate::{budget::Budget, picture::MOST_MEMORY};

/// Memory in bytes that checks of uploads may take at the same time, beside the decoding of pictures.
const CHECKED_AT_ONCE: u64 = 96 * 1024 * 1024;
/// How often the bytes of a picture are in memory while it is checked: as they were put, a decoder's copy, what is shown. Any
/// upload may turn out to be one.
pub(crate) const PICTURE_COPIES: u64 = 3;

/// Files over the ports.
pub struct MediaService {
    pub(crate) chats: Arc<dyn ChatReader>,
    pub(crate) media: Arc<dyn MediaStore>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) files: Option<Arc<dyn BlobFiles>>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) config: Arc<PlatformConfig>,
    /// For the bytes of uploads that are checked.
    pub(crate) memory: Budget,
    /// For decoding: enough for the largest picture.
    pub(crate) decoding: Budget,
}

impl MediaService {
    /// Builds the service. `files` are the blobs when they are files of this process; [`crate::files_router`] serves them.
    pub fn new(
        chats: Arc<dyn ChatReader>,
        media: Arc<dyn MediaStore>,
        blobs: Arc<dyn Blobs>,
        files: Option<Arc<dyn BlobFiles>>,
        tokens: Arc<Tokens>,
        limits: Arc<RateLimits>,
        config: Arc<PlatformConfig>,
    ) -> Self {
        // One upload of the largest size always fits.
        let memory = CHECKED_AT_ONCE.max(u64::from(config.limits.media_bytes) * PICTURE_COPIES);
        Self {
            chats,
            media,
            blobs,
            files,
            tokens,
            limits,
            config,
            memory: Budget::new(memory),
            decoding: Budget::new(MOST_MEMORY),
        }
    }
}
