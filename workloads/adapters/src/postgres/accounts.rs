//! Accounts.

use async_trait::async_trait;
use sentinel_domain::{
    account::{Account, Profile, Username},
    event::LiveEvent,
    ids::{SessionId, UserId},
    mail::LinkPurpose,
    ports::{
        AccountReader, AccountStore, Beginning, ConfirmedRemoval, Credentials, NewAccount, PasswordChange,
        ProfileChange, StoreError,
    },
    time::Timestamp,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, administration, blocks, deletion, failure::Failure, mail, rows, sessions};

const INSERT_ACCOUNT: &str = "INSERT INTO accounts (id, username, email, display_name, password_hash, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)";
const ACCOUNT: &str = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash,
    email_verified_at, admin, disabled_at FROM accounts WHERE id = $1";
const ACCOUNT_BY_USERNAME: &str = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash,
    email_verified_at, admin, disabled_at FROM accounts WHERE username = $1";
const ACCOUNT_BY_EMAIL: &str = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash,
    email_verified_at, admin, disabled_at FROM accounts WHERE email = $1";
const PROFILE_BY_USERNAME: &str = "SELECT id, username, display_name, avatar_url FROM accounts WHERE username = $1";
const PROFILES: &str = "SELECT id, username, display_name, avatar_url
    FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place) JOIN accounts USING (id) ORDER BY place";
const PROFILES_FROM: &str = "SELECT id, username, display_name, avatar_url
    FROM accounts WHERE username >= $1 AND username < $2 ORDER BY username LIMIT $3";
const PROFILES_AFTER: &str = "SELECT id, username, display_name, avatar_url
    FROM accounts WHERE username > $1 ORDER BY username LIMIT $2";
const SET_PROFILE: &str = "UPDATE accounts
    SET display_name = coalesce($2, display_name), avatar_url = CASE WHEN $3 THEN $4 ELSE avatar_url END
    WHERE id = $1 RETURNING id, username, email, display_name, avatar_url, created_at, email_verified_at";
pub(super) const SET_PASSWORD_HASH: &str = "UPDATE accounts SET password_hash = $2 WHERE id = $1";
const RENEW_PASSWORD_HASH: &str = "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
/// Sessions that begin meanwhile wait for the end of the transaction: whoever begins one looks at the password again.
const LOCK_PASSWORD_HASH: &str = "SELECT password_hash FROM accounts WHERE id = $1 FOR UPDATE";
/// An end of the session that happens meanwhile waits.
const LOCK_SESSION: &str = "SELECT 1 FROM sessions WHERE id = $1 AND user_id = $2 FOR UPDATE";

/// Sorts after every character of a user name.
pub(super) const AFTER_ALL_NAMES: char = '\u{7f}';

#[async_trait]
impl AccountReader for Postgres {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        let username = username.as_str().to_owned();
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(PROFILE_BY_USERNAME).bind(username);
                Ok(select.try_map(rows::profile).fetch_optional(db).await?)
            })
        })
        .await
    }

    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        self.run(move |db| {
            Box::pin(async move { Ok(sqlx::query(PROFILES).bind(ids).try_map(rows::profile).fetch_all(db).await?) })
        })
        .await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.run(move |db| Box::pin(blocks::blocked_between(db, a, b))).await
    }
}

#[async_trait]
impl AccountStore for Postgres {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let account = create(db, new).await?;
                if let Some(session) = beginning.session {
                    sessions::insert(db, session).await?;
                }
                if let Some(link) = beginning.link {
                    mail::insert(db, link).await?;
                }
                Ok((account, Vec::new()))
            })
        })
        .await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.credentials(id).await?.map(|credentials| credentials.account))
    }

    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        self.run(move |db| {
            Box::pin(
                async move { Ok(sqlx::query(ACCOUNT).bind(id.0).try_map(rows::credentials).fetch_optional(db).await?) },
            )
        })
        .await
    }

    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        // The server takes no zero bytes, and no login has one.
        if login.contains('\0') {
            return Ok(None);
        }
        // Every address has an @ and no user name has.
        let sql = if login.contains('@') { ACCOUNT_BY_EMAIL } else { ACCOUNT_BY_USERNAME };
        let login = login.to_owned();
        self.run(move |db| {
            Box::pin(
                async move { Ok(sqlx::query(sql).bind(login).try_map(rows::credentials).fetch_optional(db).await?) },
            )
        })
        .await
    }

    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let (from, to, limit) = (prefix.to_owned(), format!("{prefix}{AFTER_ALL_NAMES}"), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(PROFILES_FROM).bind(from).bind(to).bind(limit);
                Ok(select.try_map(rows::profile).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let (after, limit) = (after.unwrap_or_default().to_owned(), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(PROFILES_AFTER).bind(after).bind(limit);
                Ok(select.try_map(rows::profile).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let sets_avatar = change.avatar_url.is_some();
                let update = sqlx::query(SET_PROFILE)
                    .bind(id.0)
                    .bind(change.display_name)
                    .bind(sets_avatar)
                    .bind(change.avatar_url.flatten());
                let changed = update.try_map(rows::account).fetch_optional(db).await?;
                changed.ok_or_else(|| StoreError::NotFound.into())
            })
        })
        .await
    }

    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(RENEW_PASSWORD_HASH).bind(id.0).bind(old).bind(new).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.transact(move |db| Box::pin(change_password(db, change))).await
    }

    /// Removes the account with its sessions and blocks, and notes that its chats have to follow: see
    /// [`crate::linked_accounts::LinkedAccounts`].
    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let hash = lock_password_hash(db, id).await?.ok_or(StoreError::NotFound)?;
                if let Some(ConfirmedRemoval { password_hash, entry }) = confirmed {
                    if hash != password_hash {
                        return Ok((false, Vec::new()));
                    }
                    administration::insert(db, entry).await?;
                }
                Ok((true, deletion::delete_account(db, id, Timestamp::now()).await?))
            })
        })
        .await
    }

    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.run(move |db| Box::pin(blocks::block(db, id, other, now))).await?;
        self.fanout.publish(vec![LiveEvent::BlockChanged { between: [id, other] }]);
        Ok(())
    }

    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        self.take_back_block(id, other).await.map(|_| ())
    }

    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        self.run(move |db| Box::pin(blocks::blocks(db, id, before, limit))).await
    }
}

/// A limit as SQL takes it.
pub(super) fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

async fn create(db: &mut PgConnection, new: NewAccount) -> Result<Account, Failure> {
    let NewAccount { id, username, email, password_hash, created_at } = new;
    let display_name = username.as_str().to_owned();
    sqlx::query(INSERT_ACCOUNT)
        .bind(id.0)
        .bind(username.as_str())
        .bind(email.as_str())
        .bind(&display_name)
        .bind(password_hash)
        .bind(created_at.0)
        .execute(db)
        .await?;
    Ok(Account { id, username, email, email_verified: false, display_name, avatar_url: None, created_at })
}

/// The hash of an account's password, which stays as it is until the transaction ends.
pub(super) async fn lock_password_hash(db: &mut PgConnection, id: UserId) -> Result<Option<String>, Failure> {
    Ok(sqlx::query_scalar(LOCK_PASSWORD_HASH).bind(id.0).fetch_optional(db).await?)
}

async fn change_password(
    db: &mut PgConnection,
    change: PasswordChange,
) -> Result<(Option<Vec<SessionId>>, Vec<LiveEvent>), Failure> {
    let PasswordChange { user, confirmed, password_hash, session, entry } = change;
    let hash = lock_password_hash(db, user).await?;
    let asks = sqlx::query(LOCK_SESSION).bind(session.0).bind(user.0).fetch_optional(&mut *db).await?;
    if asks.is_none() || hash.is_none_or(|hash| hash != confirmed) {
        return Ok((None, Vec::new()));
    }
    sqlx::query(SET_PASSWORD_HASH).bind(user.0).bind(password_hash).execute(&mut *db).await?;
    let ended = sessions::end_all(db, user, Some(session)).await?;
    mail::withdraw(db, user, LinkPurpose::ResetPassword).await?;
    administration::insert(db, entry).await?;
    Ok((Some(ended.clone()), sessions::events(ended)))
}
