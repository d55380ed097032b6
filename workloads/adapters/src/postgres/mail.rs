//! Mailed links, and the queue of mail.

use async_trait::async_trait;
use sentinel_domain::{
    audit::AuditEntry,
    ids::{SessionId, UserId},
    keyring::WrappedKey,
    mail::{LinkHash, LinkPurpose, NewLink, QueuedMail},
    ports::{MailStore, StoreError},
    time::Timestamp,
};
use sqlx::{Error, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Postgres,
    accounts::{SET_PASSWORD_HASH, lock_password_hash, row_limit},
    administration,
    failure::Failure,
    rows::malformed,
};

const INSERT_LINK: &str = "INSERT INTO links (user_id, purpose, hash, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (user_id, purpose) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";
const INSERT_MAIL: &str = "INSERT INTO mail_queue (id, user_id, kek, sealed, expires_at, due_at, attempts, purpose)
    VALUES ($1, $2, $3, $4, $5, 0, $6, $7)";
const WITHDRAW_LINK: &str = "DELETE FROM links WHERE user_id = $1 AND purpose = $2";
const WITHDRAW_MAIL: &str = "DELETE FROM mail_queue WHERE user_id = $1 AND purpose = $2";
const LINK_OWNER: &str = "SELECT user_id FROM links WHERE hash = $1 AND purpose = $2 AND expires_at > $3";
/// Of two who use a link at once, one gets it.
const USE_LINK: &str = "DELETE FROM links WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id";
const SET_EMAIL_VERIFIED: &str =
    "UPDATE accounts SET email_verified_at = coalesce(email_verified_at, $2) WHERE id = $1";
const TAKE_MAIL: &str = "UPDATE mail_queue SET due_at = $2, attempts = attempts + 1 WHERE id IN
    (SELECT id FROM mail_queue WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
    RETURNING id, kek, sealed, expires_at, attempts";
const POSTPONE_MAIL: &str = "UPDATE mail_queue SET due_at = $2 WHERE id = $1";
const REMOVE_MAIL: &str = "DELETE FROM mail_queue WHERE id = $1";

#[async_trait]
impl MailStore for Postgres {
    async fn queue_link(&self, link: NewLink) -> Result<(), StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                administration::lock_account(db, link.user).await?;
                insert(db, link).await?;
                Ok(((), Vec::new()))
            })
        })
        .await
    }

    async fn link_owner(
        &self,
        hash: LinkHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.run(move |db| Box::pin(async move { owner(db, hash, purpose, now).await })).await
    }

    async fn verify_email(&self, hash: LinkHash, entry: AuditEntry) -> Result<Option<UserId>, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let Some(user) = use_link(db, hash, LinkPurpose::VerifyEmail, entry.at).await? else {
                    return Ok((None, Vec::new()));
                };
                administration::insert(db, AuditEntry { actor: Some(user), subject: Some(user), ..entry }).await?;
                Ok((Some(user), Vec::new()))
            })
        })
        .await
    }

    async fn reset_password(
        &self,
        hash: LinkHash,
        password_hash: String,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let Some(user) = use_link(db, hash, LinkPurpose::ResetPassword, entry.at).await? else {
                    return Ok((None, Vec::new()));
                };
                sqlx::query(SET_PASSWORD_HASH).bind(user.0).bind(password_hash).execute(&mut *db).await?;
                let entry = AuditEntry { actor: Some(user), subject: Some(user), ..entry };
                let (ended, events) = administration::end_all(db, user, entry).await?;
                Ok((Some(ended), events))
            })
        })
        .await
    }

    async fn take_mail(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        let limit = row_limit(limit);
        self.run(move |db| {
            Box::pin(async move {
                let take = sqlx::query(TAKE_MAIL).bind(now.0).bind(again_at.0).bind(limit);
                Ok(take.try_map(mail).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(POSTPONE_MAIL).bind(id).bind(until.0).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    async fn remove_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(REMOVE_MAIL).bind(id).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}

/// Stores a link and its mail.
pub(super) async fn insert(db: &mut PgConnection, link: NewLink) -> Result<(), Failure> {
    let NewLink { hash, purpose, user, expires_at, mail } = link;
    withdraw(db, user, purpose).await?;
    sqlx::query(INSERT_LINK)
        .bind(user.0)
        .bind(purpose.as_str())
        .bind(hash.0.to_vec())
        .bind(expires_at.0)
        .execute(&mut *db)
        .await?;
    sqlx::query(INSERT_MAIL)
        .bind(mail.id)
        .bind(user.0)
        .bind(mail.sealed.kek)
        .bind(mail.sealed.bytes)
        .bind(mail.expires_at.0)
        .bind(mail.attempts.cast_signed())
        .bind(purpose.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Takes back a link that was or is to be mailed: it opens nothing any more.
pub(super) async fn withdraw(db: &mut PgConnection, user: UserId, purpose: LinkPurpose) -> Result<(), Failure> {
    for sql in [WITHDRAW_LINK, WITHDRAW_MAIL] {
        sqlx::query(sql).bind(user.0).bind(purpose.as_str()).execute(&mut *db).await?;
    }
    Ok(())
}

async fn owner(
    db: &mut PgConnection,
    hash: LinkHash,
    purpose: LinkPurpose,
    now: Timestamp,
) -> Result<Option<UserId>, Failure> {
    let select = sqlx::query_scalar(LINK_OWNER).bind(hash.0.to_vec()).bind(purpose.as_str()).bind(now.0);
    Ok(select.fetch_optional(db).await?.map(UserId))
}

/// Uses a link, which proves that the account's address is its owner's. Its account stays locked until the transaction ends:
/// a session that begins meanwhile, with the password until now, must not stay.
async fn use_link(
    db: &mut PgConnection,
    hash: LinkHash,
    purpose: LinkPurpose,
    now: Timestamp,
) -> Result<Option<UserId>, Failure> {
    let Some(user) = owner(db, hash, purpose, now).await? else { return Ok(None) };
    // Before the link, as everybody does who takes links back: two that lock in another order wait for each other.
    if lock_password_hash(db, user).await?.is_none() {
        return Ok(None);
    }
    let used = sqlx::query_scalar(USE_LINK).bind(hash.0.to_vec()).bind(purpose.as_str()).bind(now.0);
    let Some(user) = used.fetch_optional(&mut *db).await?.map(UserId) else { return Ok(None) };
    sqlx::query(SET_EMAIL_VERIFIED).bind(user.0).bind(now.0).execute(db).await?;
    Ok(Some(user))
}

#[allow(clippy::needless_pass_by_value)] // as queries map their rows
fn mail(row: PgRow) -> Result<QueuedMail, Error> {
    Ok(QueuedMail {
        id: row.try_get("id")?,
        sealed: WrappedKey { kek: row.try_get("kek")?, bytes: row.try_get("sealed")? },
        expires_at: Timestamp(row.try_get("expires_at")?),
        attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).map_err(|_| malformed("attempts"))?,
    })
}
