use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::{
    audit::AuditEntry,
    ids::{SessionId, UserId},
    mail::{LinkHash, LinkPurpose, NewLink, QueuedMail},
    time::Timestamp,
};

/// Mailed links, and the queue of mail.
#[async_trait]
pub trait MailStore: Send + Sync {
    /// Stores a link and its mail in one step; an earlier link of the account for the same purpose is good no more, and its
    /// mail is not sent if it still waits.
    /// [`StoreError::NotFound`] when the account is gone.
    async fn queue_link(&self, link: NewLink) -> Result<(), StoreError>;
    /// Whose link this is, if it is good at `now`. It stays good.
    async fn link_owner(
        &self,
        hash: LinkHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;
    /// Uses a link: notes that the account's address is its owner's. The entry's time is now, its actor and subject the
    /// account. `None`, and nothing is stored, when the link is not good.
    async fn verify_email(&self, hash: LinkHash, entry: AuditEntry) -> Result<Option<UserId>, StoreError>;
    /// Uses a link: sets a new password, notes that the address is the owner's, and ends all sessions, which it gives.
    /// The entry as in [`MailStore::verify_email`]. Publishes `SessionEnded`. `None`, and nothing is stored, when the
    /// link is not good.
    async fn reset_password(
        &self,
        hash: LinkHash,
        password_hash: String,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError>;
    /// Takes mail that is due, oldest first; nobody else gets it before `again_at`.
    async fn take_mail(&self, now: Timestamp, again_at: Timestamp, limit: usize)
    -> Result<Vec<QueuedMail>, StoreError>;
    /// Makes a mail due at another time.
    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError>;
    /// Removes a mail from the queue.
    async fn remove_mail(&self, id: Uuid) -> Result<(), StoreError>;
}
