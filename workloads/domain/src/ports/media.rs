use async_trait::async_trait;

use super::StoreError;
use crate::{
    ids::{ChatId, MediaId, UserId},
    media::{BlobKey, ContentType, Due, FileLink, Media, Shown, Usage},
    time::Timestamp,
};

/// What is known of uploaded files.
#[async_trait]
pub trait MediaReader: Send + Sync {
    /// A file, in whatever state.
    async fn media(&self, id: MediaId) -> Result<Option<Media>, StoreError>;
    /// Whether some chat shows a file: one of which some message that shows it is not too old. For up to a day also one
    /// where such a message was about to be written, whatever came of that.
    async fn is_in_chat(&self, id: MediaId) -> Result<bool, StoreError>;
    /// Those of some files that there are, in whatever state and the order of the ids, each with whether such a chat of the
    /// caller's shows it. A file is sent by its owner and chats are of two, so another's file can only be in the one chat with
    /// its owner. However many chats a file was sent to, that is all that is looked at.
    async fn media_for(&self, caller: UserId, ids: &[MediaId]) -> Result<Vec<(Media, bool)>, StoreError>;
    /// An owner's files, condemned ones left out: the oldest `limit` of those announced after `after`.
    async fn owned(&self, owner: UserId, after: Option<MediaId>, limit: usize) -> Result<Vec<Media>, StoreError>;
}

/// Uploaded files. Whatever is written is durable when the call returns. Which chats show a file is written with the
/// messages, by [`super::ChatStore::append`].
#[async_trait]
pub trait MediaStore: MediaReader {
    /// Notes an upload that was announced, to be looked at again when [`Media::unused_until`] is over.
    /// [`StoreError::NotFound`] when its owner is gone, where that is known.
    async fn create(&self, media: Media) -> Result<(), StoreError>;
    /// Has a pending file have this SHA-256 from now on, unless it has to have one already; gives the one that it has to have.
    /// [`StoreError::NotFound`] when it is not pending (any more).
    async fn require_hash(&self, id: MediaId, sha256: [u8; 32]) -> Result<[u8; 32], StoreError>;
    /// Makes a pending file ready, with the type that its bytes turned out to be of. [`StoreError::NotFound`] when it is not
    /// pending (any more).
    async fn complete(&self, id: MediaId, content_type: &ContentType, shown: Shown) -> Result<(), StoreError>;
    /// Hides a file that no message shows, complete or not, for good, and has it looked at again at `again`. Of sending it
    /// and this at the same time one comes about; if this does, the other is [`StoreError::UnknownAttachment`]. A repeat does the same again, or what an interruption left of it.
    /// [`StoreError::NotFound`] when a message shows it, or for up to two days was about to, and when it is gone.
    async fn give_up(&self, id: MediaId, again: Timestamp) -> Result<(), StoreError>;
    /// Takes a file away from a chat and has it looked at again at `now` or soon after, and in any case after it was taken
    /// away. A repeat changes nothing.
    async fn detach(&self, id: MediaId, chat: ChatId, now: Timestamp) -> Result<(), StoreError>;
    /// What an owner's files take, condemned ones left out.
    async fn usage(&self, owner: UserId) -> Result<Usage, StoreError>;
    /// The same by looking at each file, where what is counted fast may have files that are gone: those count no more.
    async fn recount(&self, owner: UserId) -> Result<Usage, StoreError> {
        self.usage(owner).await
    }
    /// Hides a file from everybody. A repeat, or a file that is gone, changes nothing.
    async fn condemn(&self, id: MediaId) -> Result<(), StoreError>;
    /// Hides all files of an owner and has them looked at again at `now` or soon after, and in any case after that.
    async fn condemn_all(&self, owner: UserId, now: Timestamp) -> Result<(), StoreError>;
    /// What has to be looked at by `now`, the longest due first.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.due_after(now, None, limit).await
    }
    /// The same from the one after `after` on, whether that was settled or not. Who goes on like this does not go over what it
    /// has settled again, which takes stores longer the more it is.
    async fn due_after(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError>;
    /// Notes that what was due was looked at.
    async fn settle(&self, due: Due) -> Result<(), StoreError>;
    /// Forgets a condemned file. A file that is gone changes nothing.
    async fn forget(&self, id: MediaId) -> Result<(), StoreError>;
}

/// Where and how a client puts the bytes of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLink {
    /// Where.
    pub url: String,
    /// Headers that the client must send as they are.
    pub headers: Vec<(&'static str, String)>,
}

/// How an object is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its `Content-Disposition`.
    pub disposition: String,
}

/// The bytes of files.
///
/// `base` is how the client reaches the platform, scheme and host: `https://chat.example.com`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// A link for putting the bytes of an upload, all of them at once and no other number.
    fn put_link(&self, base: &str, upload: &Media, now: Timestamp) -> Result<UploadLink, StoreError>;
    /// A link for getting an object until `until`. Links that are asked for with the same `now` are the same.
    fn get_link(&self, base: &str, key: BlobKey, now: Timestamp, until: Timestamp) -> Result<String, StoreError>;
    /// The size of an object; `None` when it is not there.
    async fn size(&self, key: BlobKey) -> Result<Option<u64>, StoreError>;
    /// All bytes of an object.
    async fn get(&self, key: BlobKey) -> Result<Vec<u8>, StoreError>;
    /// Writes an object, in place of what is there; durable when this returns.
    async fn put(&self, key: BlobKey, bytes: Vec<u8>, served: &Served) -> Result<(), StoreError>;
    /// Destroys an object; nothing happens when it is not there.
    async fn delete(&self, key: BlobKey) -> Result<(), StoreError>;
}

/// Objects that are files of this process, whose links the platform itself serves.
#[async_trait]
pub trait BlobFiles: Send + Sync {
    /// Whether the code was made for this link, and its time is not over.
    fn is_good(&self, link: &FileLink, code: &str, now: Timestamp) -> bool;
    /// Opens an object for reading.
    async fn open(&self, key: BlobKey) -> Result<std::fs::File, StoreError>;
    /// Begins to write an object.
    async fn begin(&self, key: BlobKey) -> Result<Box<dyn BlobWriter>, StoreError>;
}

/// An object that is being written. Dropped before its end, nothing is left of it.
#[async_trait]
pub trait BlobWriter: Send {
    /// Adds bytes.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
    /// Puts the object in place; durable when this returns.
    async fn finish(self: Box<Self>) -> Result<(), StoreError>;
}
