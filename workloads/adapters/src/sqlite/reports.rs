//! Reports of abuse.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params, types::Type};
use sentinel_domain::{
    audit::AuditEntry,
    ids::{ChatId, MessageId, UserId},
    keyring::WrappedKey,
    ports::{ReportStore, StoreError},
    report::{NewReport, Report, ReportReason, Reported, Resolution},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Sqlite,
    accounts::{require_account, row_limit},
    administration,
    rows::{execute, malformed},
    statements::{INSERT_REPORT, REPORT_OPEN, REPORTS, REPORTS_BY, RESOLVE_REPORT, SAME_REPORT},
};

#[async_trait]
impl ReportStore for Sqlite {
    async fn create_report(&self, report: NewReport) -> Result<Uuid, StoreError> {
        self.write(move |batch| {
            require_account(batch, report.reporter)?;
            let (chat, message) = report.message.unzip();
            let (kek, evidence) = report.evidence.as_ref().map(|sealed| (&sealed.kek, &sealed.bytes)).unzip();
            let same = params![
                report.reporter.as_bytes(),
                report.reported.as_bytes(),
                chat.as_ref().map(ChatId::as_bytes),
                message.as_ref().map(MessageId::as_bytes),
                report.reason.as_str(),
                report.comment,
                evidence.is_some(),
                report.same_after().0,
            ];
            let known = batch.db.prepare_cached(SAME_REPORT)?.query_row(same, |row| row.get(0)).optional()?;
            if let Some(known) = known {
                return Ok(Uuid::from_bytes(known));
            }
            require_account(batch, report.reported)?;
            let values = params![
                report.id.as_bytes(),
                report.reporter.as_bytes(),
                report.reported.as_bytes(),
                chat.as_ref().map(ChatId::as_bytes),
                message.as_ref().map(MessageId::as_bytes),
                report.reason.as_str(),
                report.comment,
                kek,
                evidence,
                report.created_at.0,
            ];
            execute(batch.db, INSERT_REPORT, values)?;
            Ok(report.id)
        })
        .await
    }

    async fn reports(&self, open: bool, before: Option<Uuid>, limit: usize) -> Result<Vec<Report>, StoreError> {
        let before = *before.unwrap_or(Uuid::max()).as_bytes();
        self.read(move |db| {
            let mut select = db.prepare_cached(REPORTS)?;
            Ok(select.query_map(params![open, before, row_limit(limit)], report)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn reports_by(
        &self,
        reporter: UserId,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        let before = *before.unwrap_or(Uuid::max()).as_bytes();
        self.read(move |db| {
            let mut select = db.prepare_cached(REPORTS_BY)?;
            let values = params![reporter.as_bytes(), before, row_limit(limit)];
            Ok(select.query_map(values, report)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn resolve_report(&self, id: Uuid, resolution: Resolution, entry: AuditEntry) -> Result<bool, StoreError> {
        self.write(move |batch| {
            let open = batch.db.prepare_cached(REPORT_OPEN)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            if !open.ok_or(StoreError::NotFound)? {
                return Ok(false);
            }
            let Resolution { by, at, note } = resolution;
            execute(batch.db, RESOLVE_REPORT, params![id.as_bytes(), by.as_bytes(), at.0, note])?;
            administration::insert(batch.db, &entry)?;
            Ok(true)
        })
        .await
    }
}

/// A row of `id, reporter, reported, username, display_name`, whether that account is deleted, `chat_id, message_id, reason,
/// comment, kek, evidence, created_at, resolved_by, resolved_at, resolution`.
fn report(row: &Row<'_>) -> rusqlite::Result<Report> {
    let id = |column| row.get::<_, Option<[u8; 16]>>(column);
    let sealed = row.get::<_, Option<String>>(10)?.zip(row.get::<_, Option<Vec<u8>>>(11)?);
    let resolved = id(13)?.zip(row.get::<_, Option<i64>>(14)?).zip(row.get::<_, Option<String>>(15)?);
    Ok(Report {
        id: Uuid::from_bytes(row.get(0)?),
        reporter: id(1)?.map(UserId::from_bytes),
        reported: Reported {
            id: UserId::from_bytes(row.get(2)?),
            username: row.get(3)?,
            display_name: row.get(4)?,
            deleted: row.get(5)?,
        },
        message: id(6)?.map(ChatId::from_bytes).zip(id(7)?.map(MessageId::from_bytes)),
        reason: ReportReason::parse(row.get_ref(8)?.as_str()?).ok_or_else(|| malformed(8, Type::Text))?,
        comment: row.get(9)?,
        evidence: sealed.map(|(kek, bytes)| WrappedKey { kek, bytes }),
        created_at: Timestamp(row.get(12)?),
        resolution: resolved.map(|((by, at), note)| Resolution { by: UserId::from_bytes(by), at: Timestamp(at), note }),
    })
}
