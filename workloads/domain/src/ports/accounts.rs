use async_trait::async_trait;

use super::StoreError;
use crate::{
    account::{Account, Email, Profile, Standing, Username},
    ids::UserId,
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

/// Accounts and blocks.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Makes an account; [`StoreError::Taken`] when name or address is another's, also under a race.
    async fn create_account(&self, new: NewAccount) -> Result<Account, StoreError>;
    /// The account with this id.
    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError>;
    /// The credentials behind an id.
    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError>;
    /// The credentials behind a folded user name or e-mail address.
    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError>;
    /// The profile behind a user name.
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError>;
    /// The profiles of these accounts; those that do not exist are left out.
    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError>;
    /// Profiles whose name begins with `prefix`, by name.
    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError>;
    /// Profiles whose name sorts after `after`, by name.
    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError>;
    /// Changes a profile; [`StoreError::NotFound`] when it is gone.
    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError>;
    /// Stores a new password hash.
    async fn set_password_hash(&self, id: UserId, hash: String) -> Result<(), StoreError>;
    /// Removes the account with its sessions, blocks, chats, messages and the chats' keys. Publishes
    /// `SessionEnded` for each session and `ChatDeleted` for each chat.
    async fn delete_account(&self, id: UserId) -> Result<(), StoreError>;
    /// Blocks `other`; [`StoreError::NotFound`] when there is no such account. A repeat changes nothing. Publishes
    /// `BlockChanged`.
    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError>;
    /// Takes a block back; nothing happens when there is none. Publishes `BlockChanged`.
    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError>;
    /// The accounts that this one blocks, newest first, with when.
    async fn blocks(&self, id: UserId) -> Result<Vec<(Profile, Timestamp)>, StoreError>;
    /// Whether either blocks the other.
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError>;
}
