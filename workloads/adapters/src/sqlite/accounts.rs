//! Accounts and blocks.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sentinel_domain::{
    account::{Account, Profile, Username},
    event::LiveEvent,
    ids::{ChatId, SessionId, UserId},
    mail::LinkPurpose,
    ports::{
        AccountReader, AccountStore, Beginning, ConfirmedRemoval, Credentials, NewAccount, PasswordChange,
        ProfileChange, StoreError, TakenField,
    },
    time::Timestamp,
};

use super::{
    Sqlite, administration,
    batch::Batch,
    chat_cache::blocked_between,
    deletion,
    failure::Failure,
    mail,
    rows::{self, execute, exists},
    sessions,
    statements::{
        ACCOUNT, ACCOUNT_BY_EMAIL, ACCOUNT_BY_USERNAME, ACCOUNT_EXISTS, BLOCKS_OF, DELETE_BLOCK, EMAIL_EXISTS,
        INSERT_ACCOUNT, INSERT_BLOCK, PASSWORD_HASH, PROFILE, PROFILE_BY_USERNAME, PROFILES_AFTER, PROFILES_FROM,
        RENEW_PASSWORD_HASH, SET_PASSWORD_HASH, SET_PROFILE, USERNAME_EXISTS,
    },
};

/// Sorts after every character of a user name.
pub(super) const AFTER_ALL_NAMES: char = '\u{7f}';

#[async_trait]
impl AccountReader for Sqlite {
    async fn profile_by_username(&self, username: &Username) -> Result<Option<Profile>, StoreError> {
        let username = username.clone();
        self.read(move |db| {
            let mut select = db.prepare_cached(PROFILE_BY_USERNAME)?;
            Ok(select.query_row([username.as_str()], rows::profile).optional()?)
        })
        .await
    }

    async fn profiles(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |db| {
            let mut select = db.prepare_cached(PROFILE)?;
            let found = ids.iter().map(|id| select.query_row([id.as_bytes()], rows::profile).optional());
            Ok(found.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn blocked_between(&self, a: UserId, b: UserId) -> Result<bool, StoreError> {
        self.read(move |db| Ok(blocked_between(db, a, b)?)).await
    }
}

#[async_trait]
impl AccountStore for Sqlite {
    async fn register(&self, new: NewAccount, beginning: Beginning) -> Result<Account, StoreError> {
        self.write(move |batch| {
            let account = create(batch, new)?;
            if let Some(session) = &beginning.session {
                sessions::insert(batch.db, session)?;
            }
            if let Some(link) = &beginning.link {
                mail::insert(batch.db, link)?;
            }
            Ok(account)
        })
        .await
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.credentials(id).await?.map(|credentials| credentials.account))
    }

    async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, StoreError> {
        self.read(move |db| Ok(db.prepare_cached(ACCOUNT)?.query_row([id.as_bytes()], rows::credentials).optional()?))
            .await
    }

    async fn credentials_by_login(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        // Every address has an @ and no user name has.
        let sql = if login.contains('@') { ACCOUNT_BY_EMAIL } else { ACCOUNT_BY_USERNAME };
        let login = login.to_owned();
        self.read(move |db| Ok(db.prepare_cached(sql)?.query_row([login], rows::credentials).optional()?)).await
    }

    async fn profiles_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let from = prefix.to_owned();
        self.read(move |db| {
            let to = format!("{from}{AFTER_ALL_NAMES}");
            let mut select = db.prepare_cached(PROFILES_FROM)?;
            Ok(select.query_map(params![from, to, row_limit(limit)], rows::profile)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn directory(&self, after: Option<&str>, limit: usize) -> Result<Vec<Profile>, StoreError> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(PROFILES_AFTER)?;
            Ok(select.query_map(params![after, row_limit(limit)], rows::profile)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn change_profile(&self, id: UserId, change: ProfileChange) -> Result<Account, StoreError> {
        self.write(move |batch| change_profile(batch, id, change)).await
    }

    async fn renew_password_hash(&self, id: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, RENEW_PASSWORD_HASH, params![id.as_bytes(), old, new])?;
            Ok(())
        })
        .await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.write(move |batch| change_password(batch, &change)).await
    }

    async fn remove_account(&self, id: UserId, confirmed: Option<ConfirmedRemoval>) -> Result<bool, StoreError> {
        self.write(move |batch| {
            require_account(batch, id)?;
            if let Some(ConfirmedRemoval { password_hash: confirmed, entry }) = confirmed {
                if password_hash(batch.db, id)?.is_none_or(|hash| hash != confirmed) {
                    return Ok(false);
                }
                administration::insert(batch.db, &entry)?;
            }
            deletion::delete_account(batch, id, Timestamp::now())?;
            Ok(true)
        })
        .await
    }

    async fn block(&self, id: UserId, other: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| {
            for account in [id, other] {
                require_account(batch, account)?;
            }
            execute(batch.db, INSERT_BLOCK, params![id.as_bytes(), other.as_bytes(), now.0])?;
            batch.chats.forget(ChatId::of_pair(id, other));
            batch.events.push(LiveEvent::BlockChanged { between: [id, other] });
            Ok(())
        })
        .await
    }

    async fn unblock(&self, id: UserId, other: UserId) -> Result<(), StoreError> {
        self.write(move |batch| {
            // What there was with a deleted account went with it.
            if !exists(batch.db, ACCOUNT_EXISTS, [other.as_bytes()])? {
                return Ok(());
            }
            execute(batch.db, DELETE_BLOCK, params![id.as_bytes(), other.as_bytes()])?;
            batch.chats.forget(ChatId::of_pair(id, other));
            batch.events.push(LiveEvent::BlockChanged { between: [id, other] });
            Ok(())
        })
        .await
    }

    async fn blocks(
        &self,
        id: UserId,
        before: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Profile, Timestamp)>, StoreError> {
        let (at, who) = before.unwrap_or((Timestamp(i64::MAX), UserId(uuid::Uuid::max())));
        self.read(move |db| {
            let mut select = db.prepare_cached(BLOCKS_OF)?;
            let values = params![id.as_bytes(), at.0, who.as_bytes(), row_limit(limit)];
            let blocks = select.query_map(values, |row| Ok((rows::profile(row)?, Timestamp(row.get(4)?))))?;
            Ok(blocks.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// A limit as SQL takes it.
pub(super) fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Refuses when there is no such account.
pub(super) fn require_account(batch: &Batch<'_>, id: UserId) -> Result<(), Failure> {
    if exists(batch.db, ACCOUNT_EXISTS, [id.as_bytes()])? { Ok(()) } else { Err(StoreError::NotFound.into()) }
}

fn create(batch: &mut Batch<'_>, new: NewAccount) -> Result<Account, Failure> {
    // Nobody else writes, so what is free now stays free until the insert.
    if exists(batch.db, USERNAME_EXISTS, [new.username.as_str()])? {
        return Err(StoreError::Taken(TakenField::Username).into());
    }
    if exists(batch.db, EMAIL_EXISTS, [new.email.as_str()])? {
        return Err(StoreError::Taken(TakenField::Email).into());
    }
    let NewAccount { id, username, email, password_hash, created_at } = new;
    let display_name = username.as_str().to_owned();
    let values = params![id.as_bytes(), username.as_str(), email.as_str(), display_name, password_hash, created_at.0];
    execute(batch.db, INSERT_ACCOUNT, values)?;
    Ok(Account { id, username, email, email_verified: false, display_name, avatar_url: None, created_at })
}

fn password_hash(db: &Connection, id: UserId) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(PASSWORD_HASH)?.query_row([id.as_bytes()], |row| row.get(0)).optional()
}

fn change_password(batch: &mut Batch<'_>, change: &PasswordChange) -> Result<Option<Vec<SessionId>>, Failure> {
    let PasswordChange { user, confirmed, password_hash: new, session, entry } = change;
    let sessions = sessions::sessions_of(batch.db, *user)?;
    let asks = sessions.iter().any(|one| one.id == *session);
    if !asks || password_hash(batch.db, *user)?.is_none_or(|hash| hash != *confirmed) {
        return Ok(None);
    }
    execute(batch.db, SET_PASSWORD_HASH, params![user.as_bytes(), new])?;
    let others: Vec<SessionId> = sessions.into_iter().map(|one| one.id).filter(|id| id != session).collect();
    for &other in &others {
        sessions::end(batch, other)?;
    }
    mail::withdraw(batch.db, *user, LinkPurpose::ResetPassword)?;
    administration::insert(batch.db, entry)?;
    Ok(Some(others))
}

fn change_profile(batch: &mut Batch<'_>, id: UserId, change: ProfileChange) -> Result<Account, Failure> {
    let found = batch.db.prepare_cached(ACCOUNT)?.query_row([id.as_bytes()], rows::credentials).optional()?;
    let mut account = found.ok_or(StoreError::NotFound)?.account;
    if let Some(display_name) = change.display_name {
        account.display_name = display_name;
    }
    if let Some(avatar_url) = change.avatar_url {
        account.avatar_url = avatar_url;
    }
    execute(batch.db, SET_PROFILE, params![id.as_bytes(), account.display_name, account.avatar_url])?;
    Ok(account)
}
