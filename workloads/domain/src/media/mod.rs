//! Uploaded files: what they are, and what becomes of them.
//!
//! A client announces an upload, puts the bytes where it is told, and says that it is done. What it put is checked and a
//! copy without metadata is made, which is all that anybody is ever shown. Until a message refers to it only its owner
//! sees it, then the members of that message's chat do. What is not completed or not sent in a day is destroyed.

mod key;
mod kind;
mod link;
mod rules;

use crate::{
    ids::{MediaId, UserId},
    time::Timestamp,
};

pub use self::{
    key::{BlobKey, BlobPart},
    kind::{ContentType, fits},
    link::FileLink,
    rules::{
        ATTACHMENTS_PER_MESSAGE, InvalidMedia, LINK_SECONDS, LINK_STEP_SECONDS, NewUpload, UNUSED_SECONDS,
        UPLOAD_SECONDS, Usage, disposition, kind_of_message,
    },
};

/// How far an upload has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaState {
    /// Announced; perhaps its bytes are there.
    Pending,
    /// Checked; it can be shown.
    Ready,
    /// Nobody may see it any more; its bytes are about to be destroyed.
    Condemned,
}

/// An uploaded file.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Its id, which carries the time at which it was announced.
    pub id: MediaId,
    /// Who uploaded it.
    pub owner: UserId,
    /// What its owner calls it.
    pub filename: String,
    /// What it is.
    pub content_type: ContentType,
    /// Bytes of the upload.
    pub size: u64,
    /// The SHA-256 that the upload must have: the one that was announced, or else that of the first bytes that were good.
    pub sha256: Option<[u8; 32]>,
    /// How far it has got.
    pub state: MediaState,
    /// What is shown of it; there once it is [`MediaState::Ready`].
    pub shown: Option<Shown>,
}

// What people call their files is theirs.
impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What is shown of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its bytes: fewer than were uploaded when metadata was taken out.
    pub size: u64,
    /// Of pictures: their extent.
    pub picture: Option<Picture>,
}

/// The extent of a picture as it is shown, upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Media {
    /// When it was announced.
    pub fn created_at(&self) -> Timestamp {
        crate::ids::MessageId(self.id.0).timestamp()
    }

    /// When it is destroyed unless a message shows it.
    pub fn unused_until(&self) -> Timestamp {
        self.created_at().plus_seconds(UNUSED_SECONDS)
    }

    /// Whether its owner still has it at `now`: until it is sent, and as long as a message shows it. After that it is about to
    /// be destroyed.
    pub fn is_kept(&self, shown_somewhere: bool, now: Timestamp) -> bool {
        shown_somewhere || now < self.unused_until()
    }

    /// What to show of it, if it may be shown.
    pub fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref().filter(|_| self.state == MediaState::Ready)
    }

    /// Whether it can be sent now: well before it would be destroyed, so that it is not destroyed meanwhile.
    pub fn can_be_sent(&self, attached_before: bool, now: Timestamp) -> bool {
        self.state == MediaState::Ready && (attached_before || now < self.unused_until().plus_seconds(-UPLOAD_SECONDS))
    }

    /// Whether it can be completed now: the same margin.
    pub fn can_be_completed(&self, now: Timestamp) -> bool {
        self.state == MediaState::Pending && now < self.unused_until().plus_seconds(-UPLOAD_SECONDS)
    }
}

/// A time at which a file has to be looked at again: is it in use?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Which file.
    pub media: MediaId,
}
