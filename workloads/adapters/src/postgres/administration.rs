//! What admins do to accounts, and the audit log.

use async_trait::async_trait;
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    event::LiveEvent,
    ids::{SessionId, UserId},
    mail::LinkPurpose,
    ports::{AccountFilter, AccountRecord, AdministrationStore, Statistics, StoreError},
    time::Timestamp,
};
use sqlx::{Error, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Postgres,
    accounts::{AFTER_ALL_NAMES, row_limit},
    failure::Failure,
    mail,
    rows::{self, malformed},
    sessions,
};

const SET_ADMIN: &str = "UPDATE accounts SET admin = $2 WHERE id = $1";
const SET_DISABLED: &str = "UPDATE accounts SET disabled_at = $2 WHERE id = $1";
/// Sessions that begin meanwhile wait for the end of the transaction.
const LOCK_ACCOUNT: &str = "SELECT admin FROM accounts WHERE id = $1 FOR UPDATE";
const INSERT_AUDIT: &str = "INSERT INTO audit_log (id, at, actor, action, subject, address, note)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const AUDIT_LOG: &str = "SELECT id, at, actor, action, subject, address, note FROM audit_log
    WHERE id < $1 ORDER BY id DESC LIMIT $2";
const AUDIT_LOG_ABOUT: &str = "SELECT id, at, actor, action, subject, address, note FROM audit_log
    WHERE subject = $3 AND id < $1 ORDER BY id DESC LIMIT $2";
const RECORD: &str = "SELECT id, username, email, display_name, avatar_url, created_at, email_verified_at, admin,
    disabled_at, (SELECT count(*) FROM sessions WHERE user_id = accounts.id) AS sessions FROM accounts WHERE id = $1";
const RECORDS: &str = "SELECT id, username, email, display_name, avatar_url, created_at, email_verified_at, admin,
    disabled_at, (SELECT count(*) FROM sessions WHERE user_id = accounts.id) AS sessions FROM accounts
    WHERE username >= $1 AND username < $2 AND username > $3
    AND (NOT $4 OR admin) AND (NOT $5 OR disabled_at IS NOT NULL) ORDER BY username LIMIT $6";
const STATISTICS: &str =
    "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM accounts WHERE disabled_at IS NOT NULL),
    (SELECT count(*) FROM accounts WHERE admin), (SELECT count(*) FROM sessions),
    (SELECT count(*) FROM reports WHERE resolved_at IS NULL)";

#[async_trait]
impl AdministrationStore for Postgres {
    async fn set_admin(&self, id: UserId, admin: bool, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                lock_account(db, id).await?;
                sqlx::query(SET_ADMIN).bind(id.0).bind(admin).execute(&mut *db).await?;
                end_all(db, id, entry).await
            })
        })
        .await
    }

    async fn set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                if lock_account(db, id).await? && disabled {
                    return Ok((None, Vec::new()));
                }
                sqlx::query(SET_DISABLED).bind(id.0).bind(disabled.then_some(entry.at.0)).execute(&mut *db).await?;
                if disabled {
                    let (ended, events) = end_all(db, id, entry).await?;
                    return Ok((Some(ended), events));
                }
                insert(db, entry).await?;
                Ok((Some(Vec::new()), Vec::new()))
            })
        })
        .await
    }

    async fn end_all_sessions(&self, id: UserId, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                lock_account(db, id).await?;
                end_all(db, id, entry).await
            })
        })
        .await
    }

    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.run(move |db| Box::pin(insert(db, entry))).await
    }

    async fn audit_log(
        &self,
        about: Option<UserId>,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let (before, limit) = (before.unwrap_or(Uuid::max()), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(if about.is_some() { AUDIT_LOG_ABOUT } else { AUDIT_LOG });
                let select = select.bind(before).bind(limit);
                let select = if let Some(about) = about { select.bind(about.0) } else { select };
                Ok(select.try_map(entry).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn account_record(&self, id: UserId) -> Result<Option<AccountRecord>, StoreError> {
        self.run(move |db| {
            Box::pin(async move { Ok(sqlx::query(RECORD).bind(id.0).try_map(record).fetch_optional(db).await?) })
        })
        .await
    }

    async fn account_records(
        &self,
        prefix: &str,
        filter: AccountFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (from, to) = (prefix.to_owned(), format!("{prefix}{AFTER_ALL_NAMES}"));
        let (after, limit) = (after.unwrap_or_default().to_owned(), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(RECORDS)
                    .bind(from)
                    .bind(to)
                    .bind(after)
                    .bind(filter == AccountFilter::Admins)
                    .bind(filter == AccountFilter::Disabled)
                    .bind(limit);
                Ok(select.try_map(record).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.run(|db| {
            Box::pin(async move {
                let (users, disabled, admins, sessions, reports): (i64, i64, i64, i64, i64) =
                    sqlx::query_as(STATISTICS).fetch_one(db).await?;
                Ok(Statistics {
                    users: users.unsigned_abs(),
                    disabled: disabled.unsigned_abs(),
                    admins: admins.unsigned_abs(),
                    sessions: sessions.unsigned_abs(),
                    open_reports: reports.unsigned_abs(),
                })
            })
        })
        .await
    }
}

/// Locks the account and tells whether it is an admin's, or that there is none.
pub(super) async fn lock_account(db: &mut PgConnection, id: UserId) -> Result<bool, Failure> {
    let admin = sqlx::query_scalar(LOCK_ACCOUNT).bind(id.0).fetch_optional(db).await?;
    admin.ok_or_else(|| StoreError::NotFound.into())
}

/// Ends all sessions of an account, which must be locked, and what was mailed to begin another with, and stores why.
pub(super) async fn end_all(
    db: &mut PgConnection,
    id: UserId,
    entry: AuditEntry,
) -> Result<(Vec<SessionId>, Vec<LiveEvent>), Failure> {
    let ended = sessions::end_all(db, id, None).await?;
    mail::withdraw(db, id, LinkPurpose::ResetPassword).await?;
    insert(db, entry).await?;
    Ok((ended.clone(), sessions::events(ended)))
}

/// Stores an entry of the log.
pub(super) async fn insert(db: &mut PgConnection, entry: AuditEntry) -> Result<(), Failure> {
    let AuditEntry { id, at, actor, action, subject, address, note } = entry;
    sqlx::query(INSERT_AUDIT)
        .bind(id)
        .bind(at.0)
        .bind(actor.map(|user| user.0))
        .bind(action.as_str())
        .bind(subject.map(|user| user.0))
        .bind(address)
        .bind(note)
        .execute(db)
        .await?;
    Ok(())
}

#[allow(clippy::needless_pass_by_value)] // as queries map their rows
fn entry(row: PgRow) -> Result<AuditEntry, Error> {
    let user = |column| Ok::<_, Error>(row.try_get::<Option<Uuid>, _>(column)?.map(UserId));
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: Timestamp(row.try_get("at")?),
        actor: user("actor")?,
        action: AuditAction::parse(row.try_get("action")?).ok_or_else(|| malformed("action"))?,
        subject: user("subject")?,
        address: row.try_get("address")?,
        note: row.try_get("note")?,
    })
}

fn record(row: PgRow) -> Result<AccountRecord, Error> {
    let sessions = u32::try_from(row.try_get::<i64, _>("sessions")?).map_err(|_| malformed("sessions"))?;
    let standing = rows::standing(&row)?;
    Ok(AccountRecord { account: rows::account(row)?, standing, sessions })
}
