//! What the bytes of a file are kept under.

use std::{fmt, str::FromStr};

use crate::ids::MediaId;

/// Which of a file's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobPart {
    /// As it was uploaded; gone once it was checked.
    Upload,
    /// As it is shown.
    Shown,
    /// A small picture of it.
    Thumbnail,
}

impl BlobPart {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Upload, Self::Shown, Self::Thumbnail];

    /// Its name in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Shown => "file",
            Self::Thumbnail => "thumbnail",
        }
    }
}

impl FromStr for BlobPart {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|part| part.as_str() == text).ok_or(())
    }
}

/// The key of an object: `0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10/file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey {
    /// Whose.
    pub media: MediaId,
    /// Which.
    pub part: BlobPart,
}

impl BlobKey {
    /// The key of one of a file's objects.
    pub fn new(media: MediaId, part: BlobPart) -> Self {
        Self { media, part }
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.media, self.part.as_str())
    }
}
