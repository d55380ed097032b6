use async_trait::async_trait;

use super::StoreError;
use crate::{
    account::{Account, Email, Profile, Standing, Username},
    audit::AuditEntry,
    ids::{SessionId, UserId},
    mail::NewLink,
    session::Session,
    time::Timestamp,
};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: UserId,
    /// Its unique name; also its first display name.
    pub username: Username,
    /// Its unique address.
    pub email: Email,
    /// The password's argon2id hash in PHC form.
    pub password_hash: String,
    /// When.
    pub created_at: Timestamp,
}

/// What begins together with an account.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// Its first session.
    pub session: Option<Session>,
    /// A link to its address, with its mail.
    pub link: Option<NewLink>,
}

/// A change of password by somebody who has shown to know the one until now.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Whose password it is.
    pub user: UserId,
    /// The hash that the password until now was checked against.
    pub confirmed: String,
    /// The new password's hash in PHC form.
    pub password_hash: String,
    /// The session that asks; it goes on.
    pub session: SessionId,
    /// What the audit log keeps of it.
    pub entry: AuditEntry,
}

/// What somebody has shown who may remove an account.
#[derive(Clone, Debug)]
pub struct ConfirmedRemoval {
    /// The hash that the password was checked against.
    pub password_hash: String,
    /// What the audit log keeps of it.
    pub entry: AuditEntry,
}

/// An account with its password hash.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// What admins made of the account.
    pub standing: Standing,
}

/// A change to a profile; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// The name to show.
    pub display_name: Option<String>,
    /// Where the picture is; `Some(None)` removes it.
    pub avatar_url: Option<Option<String>>,
}

/// What others see of accounts.
#[async_trait]
pub trait AccountReader: Send + Sync {
    /// The profile behind a user name.
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError>;
    /// The profiles of these accounts; those that do not exist are left out.
    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError>;
    /// Whether either blocks the other.
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError>;
}

/// Accounts and blocks.
#[async_trait]
pub trait AccountStore: AccountReader {
    /// Makes an account with what begins together with it, in one step: all of it is stored or nothing.
    /// [`StoreError::Taken`] when name or address is another's, also under a race.
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError>;
    /// Makes an account that nobody is logged in to.
    async fn create_account(&self, new: NewAccount) -> Result<Account, StoreError> {
        self.register(new, Beginning::default()).await
    }
    /// The account with this id.
    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError>;
    /// The credentials behind an id.
    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError>;
    /// The credentials behind a folded user name or e-mail address.
    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError>;
    /// Profiles whose name begins with `prefix`, by name.
    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError>;
    /// Profiles whose name sorts after `after`, by name.
    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError>;
    /// Changes a profile; [`StoreError::NotFound`] when it is gone.
    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError>;
    /// Stores a newer hash of the same password. Nothing happens when the hash is not `old` any more: the password was
    /// changed meanwhile, or somebody else stored a newer hash.
    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError>;
    /// Changes a password, ends all other sessions, which it gives, takes back links that set another, and stores the entry,
    /// in one step. Publishes `SessionEnded`. `None`, and nothing is stored, when the hash is not the confirmed one any more, or the session that
    /// asks has ended.
    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError>;
    /// Removes the account with its sessions, blocks, chats, messages and the chats' keys, and stores the entry. Publishes
    /// `SessionEnded` for each session and `ChatDeleted` for each chat. `false`, and nothing is removed, when the hash is
    /// not the confirmed one any more; [`StoreError::NotFound`] when there is no such account.
    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError>;
    /// Removes the account whatever its password is.
    async fn delete_account(&self, id: UserId) -> Result<(), StoreError> {
        self.remove_account(id, None).await.map(|_| ())
    }
    /// Blocks `other`; [`StoreError::NotFound`] when there is no such account. A repeat changes nothing. Publishes
    /// `BlockChanged`.
    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError>;
    /// Takes a block back; a repeat changes nothing. Publishes `BlockChanged`. Nothing at all happens when there is no account
    /// `other`.
    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError>;
    /// Accounts that this one blocks, newest first, with when: those after the place `before`, which is when one was blocked
    /// and who.
    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError>;
}
