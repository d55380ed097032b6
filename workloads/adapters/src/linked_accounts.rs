//! Accounts of profile Distributed: what concerns an account in Postgres and what follows from it where chats are.
//!
//! Postgres decides; the chat store follows. What has to follow is written in Postgres in the same transaction as the
//! decision and taken away when it has been done, so an outage or a crash in between delays it and loses nothing.

use std::sync::Arc;

use async_trait::async_trait;
use sentinel_domain::{
    account::{Account, Profile, Username},
    ids::{SessionId, UserId},
    ports::{
        AccountReader, AccountStore, Beginning, ConfirmedRemoval, Credentials, MediaStore, NewAccount, PasswordChange,
        PresenceStore, ProfileChange, StoreError,
    },
    time::Timestamp,
};

use crate::postgres::Postgres;

/// What a chat store must do when accounts change. All methods may be called again for what was done before.
#[async_trait]
pub trait ChatLinks: Send + Sync {
    /// Removes a user's chats with their keys and messages, and the user's inbox. Publishes `ChatDeleted` for each chat
    /// that was still there.
    async fn erase_user(&self, user: UserId) -> Result<(), StoreError>;
    /// Keeps a copy of whether `blocker` blocks `blocked`, so that a send is checked without another store.
    async fn set_block(&self, blocker: UserId, blocked: UserId, on: bool) -> Result<(), StoreError>;
    /// Removes that copy when the account of either is deleted.
    async fn forget_block(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError>;
}

/// Things that are done in one round of [`LinkedAccounts::resume`].
const ROUND: usize = 100;
/// A user is erased once more this long after the account went: a chat that a peer was just starting is there by then.
const SETTLING_SECONDS: i64 = 60;
/// How often a block that changes all the time is copied before the caller is told to come again.
const COPIES: usize = 8;

/// Accounts over Postgres and a chat store.
#[derive(Clone)]
pub struct LinkedAccounts {
    postgres: Postgres,
    chats: Arc<dyn ChatLinks>,
    presence: Option<Arc<dyn PresenceStore>>,
    media: Option<Arc<dyn MediaStore>>,
}

impl LinkedAccounts {
    /// Links the two.
    pub fn new(postgres: Postgres, chats: Arc<dyn ChatLinks>) -> Self {
        Self { postgres, chats, presence: None, media: None }
    }

    /// Has the presence of deleted accounts forgotten, too.
    #[must_use]
    pub fn with_presence(self, presence: Arc<dyn PresenceStore>) -> Self {
        Self { presence: Some(presence), ..self }
    }

    /// Has the files of deleted accounts destroyed, too.
    #[must_use]
    pub fn with_media(self, media: Arc<dyn MediaStore>) -> Self {
        Self { media: Some(media), ..self }
    }

    /// Erases what is kept of a deleted account elsewhere.
    async fn erase(&self, user: UserId) -> Result<(), StoreError> {
        let chats = self.chats.erase_user(user).await;
        if let Some(media) = &self.media {
            media.condemn_all(user, Timestamp::now()).await?;
        }
        if let Some(presence) = &self.presence {
            presence.forget(user).await?;
        }
        chats
    }

    /// Finishes what was interrupted: erasure of deleted accounts and copies of blocks. To be called at start and every
    /// minute, by any number of processes; gives how many things it did. What fails holds up nothing else: the first error
    /// is given when all was tried, and the next round tries again.
    pub async fn resume(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (mut done, mut failure) = (0, None);
        for (blocker, blocked) in self.postgres.pending_blocks(ROUND).await? {
            match self.copy_block(blocker, blocked).await {
                Ok(()) => done += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        for (user, deleted_at) in self.postgres.pending_deletions(ROUND).await? {
            match self.finish_deletion(user, now >= deleted_at.plus_seconds(SETTLING_SECONDS)).await {
                Ok(()) => done += 1,
                Err(error) => {
                    tracing::warn!(%user, %error, "a deleted account is erased in a later round");
                    failure = failure.or(Some(error));
                }
            }
        }
        failure.map_or(Ok(done), Err)
    }

    async fn finish_deletion(&self, user: UserId, settled: bool) -> Result<(), StoreError> {
        self.erase(user).await?;
        if settled { self.postgres.finish_deletion(user).await } else { Ok(()) }
    }

    /// Brings the chat store's copy to what Postgres says.
    async fn copy_block(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError> {
        // Another process may change the block and its copy between any two of these steps. Whoever writes the copy
        // last sees by the second look whether it is still right.
        let (mut on, mut change) = self.postgres.block_state(blocker, blocked).await?;
        for _ in 0..COPIES {
            match on {
                Some(on) => self.chats.set_block(blocker, blocked, on).await?,
                None => self.chats.forget_block(blocker, blocked).await?,
            }
            if let Some(change) = change {
                self.postgres.finish_block(blocker, blocked, change).await?;
            }
            let copied = on;
            (on, change) = self.postgres.block_state(blocker, blocked).await?;
            if on == copied {
                return Ok(());
            }
        }
        Err(StoreError::unavailable("the block changes all the time"))
    }

    /// Runs to its end even if the caller goes away.
    async fn detached<T: Send + 'static>(
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        tokio::spawn(work).await.map_err(StoreError::unavailable)?
    }
}

#[async_trait]
impl AccountReader for LinkedAccounts {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        self.postgres.profile_by_username(username).await
    }

    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.postgres.profiles(ids).await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.postgres.blocked_between(a, b).await
    }
}

#[async_trait]
impl AccountStore for LinkedAccounts {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        self.postgres.register(new, beginning).await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.postgres.account(id).await
    }

    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        self.postgres.credentials(id).await
    }

    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        self.postgres.credentials_by_login(login).await
    }

    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.postgres.profiles_by_prefix(prefix, limit).await
    }

    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        self.postgres.directory(after, limit).await
    }

    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        self.postgres.change_profile(id, change).await
    }

    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.postgres.renew_password_hash(id, old, new).await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.postgres.change_password(change).await
    }

    /// Once the account is gone from Postgres nothing can bring it back, so an outage of the chat store is no failure:
    /// [`LinkedAccounts::resume`] erases the chats when it is over.
    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        let linked = self.clone();
        Self::detached(async move {
            if !linked.postgres.remove_account(id, confirmed).await? {
                return Ok(false);
            }
            if let Err(error) = linked.erase(id).await {
                tracing::warn!(user = %id, %error, "what is left of a deleted account is erased later");
            }
            Ok(true)
        })
        .await
    }

    /// [`StoreError::Unavailable`] when the copy can't be written: the block is known but not yet enforced, and a
    /// repeat or [`LinkedAccounts::resume`] repairs it.
    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        let linked = self.clone();
        Self::detached(async move {
            linked.postgres.block(id, other, now).await?;
            linked.copy_block(id, other).await
        })
        .await
    }

    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        let linked = self.clone();
        Self::detached(async move {
            if !linked.postgres.take_back_block(id, other).await? {
                return Ok(());
            }
            linked.copy_block(id, other).await
        })
        .await
    }

    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        self.postgres.blocks(id, before, limit).await
    }
}
