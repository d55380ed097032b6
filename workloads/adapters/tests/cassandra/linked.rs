//! Accounts in `SQLite` whose deletion and blocks reach the store of chats.

use std::sync::Arc;

use async_trait::async_trait;
use sentinel_adapters::{linked_accounts::ChatLinks, sqlite::Sqlite};
use sentinel_domain::{
    account::{Account, Profile, Username},
    ids::{SessionId, UserId},
    ports::{
        AccountReader, AccountStore, Beginning, ConfirmedRemoval, Credentials, NewAccount, PasswordChange,
        ProfileChange, StoreError,
    },
    time::Timestamp,
};

pub struct Accounts {
    pub sqlite: Sqlite,
    pub chats: Arc<dyn ChatLinks>,
}

#[async_trait]
impl AccountReader for Accounts {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        self.sqlite.profile_by_username(username).await
    }

    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.sqlite.profiles(ids).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.sqlite.blocked_between(a, b).await
    }
}

#[async_trait]
impl AccountStore for Accounts {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        self.sqlite.register(new, beginning).await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.sqlite.account(id).await
    }

    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        self.sqlite.credentials(id).await
    }

    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        self.sqlite.credentials_by_login(login).await
    }

    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.sqlite.profiles_by_prefix(prefix, limit).await
    }

    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.sqlite.directory(after, limit).await
    }

    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        self.sqlite.change_profile(id, change).await
    }

    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.sqlite.renew_password_hash(id, old, new).await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.sqlite.change_password(change).await
    }

    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        let removed = self.sqlite.remove_account(id, confirmed).await?;
        self.chats.erase_user(id).await?;
        Ok(removed)
    }

    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.sqlite.block(id, other, now).await?;
        self.chats.set_block(id, other, true).await
    }

    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        self.sqlite.unblock(id, other).await?;
        self.chats.set_block(id, other, false).await
    }

    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        self.sqlite.blocks(id, before, limit).await
    }
}
