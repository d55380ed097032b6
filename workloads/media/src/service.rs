//! The service with what it depends on.

use std::sync::Arc;

use sentinel_domain::{
    config::PlatformConfig,
    keyring::Keyring,
    ports::{BlobFiles, Blobs, ChatStore, MediaStore},
};
use sentinel_http::{rate::RateLimits, tokens::Tokens};
use tokio::sync::Semaphore;

use crate::picture::MOST_PIXELS;

/// Kibibytes of uploads that are looked at at the same time.
const KIBIBYTES_AT_ONCE: u32 = 64 * 1024;
/// Kilopixels that are decoded at the same time: as many as the largest picture has.
const KILOPIXELS_AT_ONCE: usize = MOST_PIXELS.div_ceil(1000) as usize;

/// Files over the ports.
pub struct MediaService {
    pub(crate) chats: Arc<dyn ChatStore>,
    pub(crate) media: Arc<dyn MediaStore>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) files: Option<Arc<dyn BlobFiles>>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) config: Arc<PlatformConfig>,
    pub(crate) memory: Budget,
    pub(crate) pixels: Budget,
}

impl MediaService {
    /// Builds the service. `files` are the blobs when they are files of this process; [`crate::files_router`] serves them.
    #[expect(clippy::too_many_arguments, reason = "each is a port or a part of the configuration")]
    pub fn new(
        chats: Arc<dyn ChatStore>,
        media: Arc<dyn MediaStore>,
        blobs: Arc<dyn Blobs>,
        files: Option<Arc<dyn BlobFiles>>,
        tokens: Arc<Tokens>,
        keyring: Arc<Keyring>,
        limits: Arc<RateLimits>,
        config: Arc<PlatformConfig>,
    ) -> Self {
        // One upload of the largest size always fits.
        let memory = KIBIBYTES_AT_ONCE.max(config.limits.media_bytes.div_ceil(1024)) as usize;
        Self {
            chats,
            media,
            blobs,
            files,
            tokens,
            keyring,
            limits,
            config,
            memory: Budget::new(memory),
            pixels: Budget::new(KILOPIXELS_AT_ONCE),
        }
    }
}

/// An amount of something that many share; whoever wants more than is left waits.
pub(crate) struct Budget(Semaphore);

impl Budget {
    fn new(amount: usize) -> Self {
        Self(Semaphore::new(amount))
    }

    /// Takes thousands (or kibis) of something until the permit is dropped; `None` only when the budget is gone.
    pub(crate) async fn take(&self, amount: u64, thousand: u64) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let amount = u32::try_from(amount.div_ceil(thousand).max(1)).unwrap_or(u32::MAX);
        self.0.acquire_many(amount).await.ok()
    }
}
