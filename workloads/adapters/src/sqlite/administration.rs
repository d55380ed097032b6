//! What admins do to accounts, and the audit log.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use sentinel_domain::{
    audit::{AuditAction, AuditEntry},
    ids::{SessionId, UserId},
    mail::LinkPurpose,
    ports::{AccountFilter, AccountRecord, AdministrationStore, Statistics, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Sqlite,
    accounts::{AFTER_ALL_NAMES, require_account, row_limit},
    batch::Batch,
    failure::Failure,
    mail,
    rows::{self, execute, malformed},
    sessions::{end, sessions_of},
    statements::{
        ACCOUNT_RECORD, ACCOUNT_RECORDS, AUDIT_LOG, AUDIT_LOG_ABOUT, INSERT_AUDIT, IS_ADMIN, SET_ADMIN, SET_DISABLED,
        STATISTICS,
    },
};

#[async_trait]
impl AdministrationStore for Sqlite {
    async fn set_admin(&self, id: UserId, admin: bool, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        self.write(move |batch| {
            require_account(batch, id)?;
            execute(batch.db, SET_ADMIN, params![id.as_bytes(), admin])?;
            end_all(batch, id, &entry)
        })
        .await
    }

    async fn set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        entry: AuditEntry,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        self.write(move |batch| {
            let admin = batch.db.prepare_cached(IS_ADMIN)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            if admin.ok_or(StoreError::NotFound)? && disabled {
                return Ok(None);
            }
            execute(batch.db, SET_DISABLED, params![id.as_bytes(), disabled.then_some(entry.at.0)])?;
            if disabled {
                end_all(batch, id, &entry).map(Some)
            } else {
                insert(batch.db, &entry)?;
                Ok(Some(Vec::new()))
            }
        })
        .await
    }

    async fn end_all_sessions(&self, id: UserId, entry: AuditEntry) -> Result<Vec<SessionId>, StoreError> {
        self.write(move |batch| {
            require_account(batch, id)?;
            end_all(batch, id, &entry)
        })
        .await
    }

    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |batch| Ok(insert(batch.db, &entry)?)).await
    }

    async fn audit_log(
        &self,
        about: Option<UserId>,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let before = *before.unwrap_or(Uuid::max()).as_bytes();
        self.read(move |db| {
            let entries: rusqlite::Result<Vec<AuditEntry>> = if let Some(about) = about {
                let mut select = db.prepare_cached(AUDIT_LOG_ABOUT)?;
                select.query_map(params![before, row_limit(limit), about.as_bytes()], entry)?.collect()
            } else {
                let mut select = db.prepare_cached(AUDIT_LOG)?;
                select.query_map(params![before, row_limit(limit)], entry)?.collect()
            };
            Ok(entries?)
        })
        .await
    }

    async fn account_record(&self, id: UserId) -> Result<Option<AccountRecord>, StoreError> {
        self.read(move |db| Ok(db.prepare_cached(ACCOUNT_RECORD)?.query_row([id.as_bytes()], record).optional()?)).await
    }

    async fn account_records(
        &self,
        prefix: &str,
        filter: AccountFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let (from, to) = (prefix.to_owned(), format!("{prefix}{AFTER_ALL_NAMES}"));
        let after = after.unwrap_or_default().to_owned();
        let (admins, disabled) = (filter == AccountFilter::Admins, filter == AccountFilter::Disabled);
        self.read(move |db| {
            let mut select = db.prepare_cached(ACCOUNT_RECORDS)?;
            let values = params![from, to, after, admins, disabled, row_limit(limit)];
            Ok(select.query_map(values, record)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.read(|db| {
            let statistics = db.prepare_cached(STATISTICS)?.query_row([], |row| {
                let count = |column| Ok::<u64, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
                Ok(Statistics {
                    users: count(0)?,
                    disabled: count(1)?,
                    admins: count(2)?,
                    sessions: count(3)?,
                    open_reports: count(4)?,
                })
            })?;
            Ok(statistics)
        })
        .await
    }
}

/// Ends all sessions of an account, and what was mailed to begin another with, and stores why.
pub(super) fn end_all(batch: &mut Batch<'_>, id: UserId, entry: &AuditEntry) -> Result<Vec<SessionId>, Failure> {
    let sessions: Vec<SessionId> = sessions_of(batch.db, id)?.into_iter().map(|session| session.id).collect();
    for &session in &sessions {
        end(batch, session)?;
    }
    mail::withdraw(batch.db, id, LinkPurpose::ResetPassword)?;
    insert(batch.db, entry)?;
    Ok(sessions)
}

/// Stores an entry of the log.
pub(super) fn insert(db: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let AuditEntry { id, at, actor, action, subject, address, note } = entry;
    let (actor, subject) = (actor.as_ref().map(UserId::as_bytes), subject.as_ref().map(UserId::as_bytes));
    execute(db, INSERT_AUDIT, params![id.as_bytes(), at.0, actor, action.as_str(), subject, address, note])?;
    Ok(())
}

/// A row of `id, at, actor, action, subject, address, note`.
fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let user = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 16]>>(column)?.map(UserId::from_bytes));
    Ok(AuditEntry {
        id: Uuid::from_bytes(row.get(0)?),
        at: Timestamp(row.get(1)?),
        actor: user(2)?,
        action: AuditAction::parse(row.get_ref(3)?.as_str()?).ok_or_else(|| malformed(3, Type::Text))?,
        subject: user(4)?,
        address: row.get(5)?,
        note: row.get(6)?,
    })
}

/// A row as [`rows::credentials`] reads it, with the number of sessions.
fn record(row: &Row<'_>) -> rusqlite::Result<AccountRecord> {
    let credentials = rows::credentials(row)?;
    Ok(AccountRecord { account: credentials.account, standing: credentials.standing, sessions: row.get(10)? })
}
