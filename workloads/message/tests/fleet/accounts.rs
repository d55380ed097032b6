//! Accounts and sessions that can be away while chats are there.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentinel_adapters::sqlite::Sqlite;
use sentinel_domain::{
    account::{Profile, Username},
    ids::{SessionId, UserId},
    ports::{AccountReader, SessionReader, StoreError},
    session::Session,
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
impl AccountReader for MayBeAway {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        self.here()?.profile_by_username(username).await
    }
    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.here()?.profiles(ids).await
    }
    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.here()?.blocked_between(a, b).await
    }
}

#[async_trait]
impl SessionReader for MayBeAway {
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.here()?.session(id).await
    }
    async fn ended_within(&self, seconds: i64) -> Result<Vec<SessionId>, StoreError> {
        self.here()?.ended_within(seconds).await
    }
}
