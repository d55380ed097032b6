//! Mailed links, and the queue of mail.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    audit::AuditEntry,
    ids::{SessionId, UserId},
    keyring::WrappedKey,
    mail::{LinkHash, LinkPurpose, NewLink, QueuedMail},
    ports::{MailStore, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Sqlite,
    accounts::require_account,
    administration,
    failure::is_about_content,
    rows::execute,
    statements::{
        DELETE_LINK, DUE_MAIL, INSERT_LINK, INSERT_MAIL, LINK_OWNER, POSTPONE_MAIL, REMOVE_MAIL, SET_EMAIL_VERIFIED,
        SET_PASSWORD_HASH, TAKE_MAIL, WITHDRAW_LINK, WITHDRAW_MAIL,
    },
};

#[async_trait]
impl MailStore for Sqlite {
    async fn queue_link(&self, link: NewLink) -> Result<(), StoreError> {
        self.write(move |batch| {
            require_account(batch, link.user)?;
            Ok(insert(batch.db, &link)?)
        })
        .await
    }

    async fn link_owner(
        &self,
        hash: LinkHash,
        purpose: LinkPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.read(move |db| Ok(owner(db, hash, purpose, now)?)).await
    }

    async fn verify_email(&self, hash: LinkHash, entry: AuditEntry) -> Result<Option<UserId>, StoreError> {
        self.write(move |batch| {
            let Some(user) = owner(batch.db, hash, LinkPurpose::VerifyEmail, entry.at)? else { return Ok(None) };
            execute(batch.db, DELETE_LINK, [hash.0])?;
            execute(batch.db, SET_EMAIL_VERIFIED, params![user.as_bytes(), entry.at.0])?;
            administration::insert(batch.db, &AuditEntry { actor: Some(user), subject: Some(user), ..entry })?;
            Ok(Some(user))
        })
        .await
    }

    async fn reset_password(
        &self,
        hash: LinkHash,
        password_hash: String,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.write(move |batch| {
            let Some(user) = owner(batch.db, hash, LinkPurpose::ResetPassword, entry.at)? else { return Ok(None) };
            execute(batch.db, DELETE_LINK, [hash.0])?;
            execute(batch.db, SET_PASSWORD_HASH, params![user.as_bytes(), password_hash])?;
            execute(batch.db, SET_EMAIL_VERIFIED, params![user.as_bytes(), entry.at.0])?;
            let entry = AuditEntry { actor: Some(user), subject: Some(user), ..entry };
            administration::end_all(batch, user, &entry).map(Some)
        })
        .await
    }

    async fn take_mail(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<QueuedMail>, StoreError> {
        self.write(move |batch| {
            let due = due(batch.db, now, limit)?;
            for mail in &due {
                execute(batch.db, TAKE_MAIL, params![mail.id.as_bytes(), again_at.0, mail.attempts])?;
            }
            Ok(due)
        })
        .await
    }

    async fn postpone_mail(&self, id: Uuid, until: Timestamp) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, POSTPONE_MAIL, params![id.as_bytes(), until.0])?;
            Ok(())
        })
        .await
    }

    async fn remove_mail(&self, id: Uuid) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, REMOVE_MAIL, [id.as_bytes()])?;
            Ok(())
        })
        .await
    }
}

/// Stores a link and its mail.
pub(super) fn insert(db: &Connection, link: &NewLink) -> rusqlite::Result<()> {
    let NewLink { hash, purpose, user, expires_at, mail } = link;
    withdraw(db, *user, *purpose)?;
    execute(db, INSERT_LINK, params![user.as_bytes(), purpose.as_str(), hash.0, expires_at.0])?;
    let QueuedMail { id, sealed, expires_at, attempts } = mail;
    let values =
        params![id.as_bytes(), user.as_bytes(), sealed.kek, sealed.bytes, expires_at.0, 0, attempts, purpose.as_str()];
    execute(db, INSERT_MAIL, values)?;
    Ok(())
}

/// Takes back a link that was or is to be mailed: it opens nothing any more.
pub(super) fn withdraw(db: &Connection, user: UserId, purpose: LinkPurpose) -> rusqlite::Result<()> {
    for sql in [WITHDRAW_LINK, WITHDRAW_MAIL] {
        execute(db, sql, params![user.as_bytes(), purpose.as_str()])?;
    }
    Ok(())
}

/// Mails that are due, the first ones first. A damaged one is left where it is: it must not hold up the others.
fn due(db: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<Vec<QueuedMail>> {
    let mut select = db.prepare_cached(DUE_MAIL)?;
    let mut rows = select.query([now.0])?;
    let mut due = Vec::new();
    while due.len() < limit
        && let Some(row) = rows.next()?
    {
        match mail(row) {
            Err(error) if is_about_content(&error) => tracing::error!(%error, "a mail in the queue is damaged"),
            mail => due.push(mail?),
        }
    }
    Ok(due)
}

/// A row of `id, kek, sealed, expires_at, attempts`, one attempt later.
fn mail(row: &Row<'_>) -> rusqlite::Result<QueuedMail> {
    Ok(QueuedMail {
        id: Uuid::from_bytes(row.get(0)?),
        sealed: WrappedKey { kek: row.get(1)?, bytes: row.get(2)? },
        expires_at: Timestamp(row.get(3)?),
        attempts: row.get::<_, u32>(4)?.saturating_add(1),
    })
}

fn owner(db: &Connection, hash: LinkHash, purpose: LinkPurpose, now: Timestamp) -> rusqlite::Result<Option<UserId>> {
    let mut select = db.prepare_cached(LINK_OWNER)?;
    select.query_row(params![hash.0, purpose.as_str(), now.0], |row| row.get(0).map(UserId::from_bytes)).optional()
}
