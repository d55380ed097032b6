//! The ports: what services need of stores. Adapters implement them; one contract-test suite holds for all.
//!
//! A port that is named `…Reader` is the part of a store that most services need: whoever only looks asks for that.

mod accounts;
mod administration;
mod chats;
mod events;
mod mail;
mod media;
mod notifications;
mod presence;
mod push;
mod reindex;
mod routes;
mod search;
mod sessions;

pub use accounts::{
    AccountReader, AccountStore, Beginning, ConfirmedRemoval, Credentials, NewAccount, PasswordChange, ProfileChange,
};
pub use administration::{AccountFilter, AccountRecord, AdministrationStore, ReportStore, Statistics};
pub use chats::{
    Appended, ChatReader, ChatStore, ChatSummary, EventMessage, HistoryPage, HistoryQuery, Inbox, Inboxes, MessageScan,
    Scanned,
};
pub use events::{EventHandler, EventLog, HandlerError, Outbox, OutboxPage};
pub use mail::MailStore;
pub use media::{BlobFiles, BlobWriter, Blobs, MediaReader, MediaStore, Served, UploadLink};
pub use notifications::{NotificationReader, NotificationSink, NotificationStore, PreferenceReader};
pub use presence::{PresenceListener, PresenceStore, RollCall};
pub use push::{DeviceReader, PushDevices, PushSender, UnfitAddress};
pub use reindex::ReindexStore;
pub use routes::{BusListener, NodeBus, Routes, Taken};
pub use search::{
    DocumentSource, IndexRebuild, RebuildProgress, Removal, SearchDocument, SearchEntry, SearchHit, SearchIndex,
    SearchPage, SearchQuery, Version,
};
pub use sessions::{SessionReader, SessionStore};

use crate::keyring::KeyError;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not exist, or the caller may not know that it does.
    #[error("not found")]
    NotFound,
    /// Another account has it.
    #[error("{0} is taken")]
    Taken(TakenField),
    /// A member blocks the other.
    #[error("blocked")]
    Blocked,
    /// The message may only be changed by its author.
    #[error("only the author may do this")]
    NotAuthor,
    /// The message was deleted, so it can't be changed.
    #[error("the message was deleted")]
    Gone,
    /// `reply_to` is not a message of the same chat.
    #[error("reply_to is not a message of this chat")]
    UnknownReply,
    /// A file that the message is to show is none any more: its owner gave it up.
    #[error("an attachment was given up")]
    UnknownAttachment,
    /// The store does not take so much at once. Nothing was written, and trying again does not help.
    #[error("the store does not take so much at once")]
    TooLarge(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored can't be read: it is damaged, or of another version. Trying again does not help.
    #[error("what is stored can't be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store can't be reached or failed; nothing was written, and trying again may help.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a driver's error, whose text is for logs only.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Wraps what is wrong with stored data, for logs only.
    pub fn unreadable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable(source.into())
    }

    /// Whether what is stored can't be read here and now, though it is there and the store works: it is damaged, or its key is
    /// not among those that were given.
    pub fn is_about_content(&self) -> bool {
        match self {
            Self::Unreadable(_) => true,
            Self::Unavailable(source) => {
                source.downcast_ref().is_some_and(|error| matches!(error, KeyError::Missing(_)))
            }
            _ => false,
        }
    }
}

impl From<KeyError> for StoreError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Corrupt => Self::unreadable(error),
            // A key that is missing may be given later.
            KeyError::Missing(_) | KeyError::Empty | KeyError::Random => Self::unavailable(error),
        }
    }
}

/// A field that must be unique among accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenField {
    /// The user name.
    Username,
    /// The e-mail address.
    Email,
}

impl std::fmt::Display for TakenField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Username => "username",
            Self::Email => "email",
        })
    }
}
