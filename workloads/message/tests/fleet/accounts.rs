//! Accounts and sessions that can be away while chats are there.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    account::{Account, Profile, Username},
    ids::{SessionId, UserId},
    ports::{
        AccountStore, Beginning, ConfirmedRemoval, Credentials, NewAccount, PasswordChange, ProfileChange,
        SessionStore, StoreError,
    },
    session::{Rotation, Session},
    time::Timestamp,
};

pub struct MayBeAway {
    store: Sqlite,
    pub away: AtomicBool,
}

impl MayBeAway {
    pub fn over(store: Sqlite) -> Self {
        Self { store, away: AtomicBool::new(false) }
    }

    fn here(&self) -> Result<&Sqlite, StoreError> {
        if self.away.load(Ordering::SeqCst) { Err(StoreError::unavailable("away")) } else { Ok(&self.store) }
    }
}

#[async_trait]
impl AccountStore for MayBeAway {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        self.here()?.register(new, beginning).await
    }
    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.here()?.account(id).await
    }
    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        self.here()?.credentials(id).await
    }
    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        self.here()?.credentials_by_login(login).await
    }
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        self.here()?.profile_by_username(username).await
    }
    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.here()?.profiles(ids).await
    }
    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.here()?.profiles_by_prefix(prefix, limit).await
    }
    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.here()?.directory(after, limit).await
    }
    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        self.here()?.change_profile(id, change).await
    }
    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.here()?.renew_password_hash(id, old, new).await
    }
    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.here()?.change_password(change).await
    }
    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        self.here()?.remove_account(id, confirmed).await
    }
    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.here()?.block(id, other, now).await
    }
    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        self.here()?.unblock(id, other).await
    }
    async fn blocks(&self, id: UserId) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        self.here()?.blocks(id).await
    }
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.here()?.blocked_between(a, b).await
    }
}

#[async_trait]
impl SessionStore for MayBeAway {
    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        self.here()?.create_session(session).await
    }
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.here()?.session(id).await
    }
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.here()?.sessions(user).await
    }
    async fn rotate_session(
        &self,
        id: SessionId,
        generation: u32,
        now: Timestamp,
        lifetime_seconds: u32,
    ) -> Result<Option<(Session, Rotation)>, StoreError> {
        self.here()?.rotate_session(id, generation, now, lifetime_seconds).await
    }
    async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), StoreError> {
        self.here()?.end_session(user, id).await
    }
    async fn ended_within(&self, seconds: i64) -> Result<Vec<SessionId>, StoreError> {
        self.here()?.ended_within(seconds).await
    }
}
