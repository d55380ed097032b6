//! Reports of abuse.

use async_trait::async_trait;
use sentinel_domain::{
    audit::AuditEntry,
    ids::{ChatId, MessageId, UserId},
    keyring::WrappedKey,
    ports::{ReportStore, StoreError},
    report::{NewReport, Report, ReportReason, Reported, Resolution},
    time::Timestamp,
};
use sqlx::{Error, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Postgres, accounts::row_limit, administration, rows::malformed};

const INSERT_REPORT: &str = "INSERT INTO reports
    (id, reporter, reported, username, display_name, chat_id, message_id, reason, comment, kek, evidence, created_at)
    SELECT $1, $2, id, username, display_name, $4, $5, $6, $7, $8, $9, $10 FROM accounts WHERE id = $3";
// Reports of one account wait for each other: of two alike at once, the second finds the first.
const LOCK_REPORTER: &str = "SELECT true FROM accounts WHERE id = $1 FOR NO KEY UPDATE";
// As `Report::says`.
const SAME_REPORT: &str = "SELECT id FROM reports WHERE reporter = $1 AND reported = $2
    AND chat_id IS NOT DISTINCT FROM $3 AND message_id IS NOT DISTINCT FROM $4 AND reason = $5
    AND comment IS NOT DISTINCT FROM $6 AND (evidence IS NOT NULL OR NOT $7) AND resolved_at IS NULL AND created_at > $8
    ORDER BY id LIMIT 1";
// Programs of before leave the names out.
const REPORTS: &str = "SELECT r.id, reporter, reported, coalesce(r.username, a.username, '') AS username,
    coalesce(r.display_name, a.display_name, '') AS display_name, a.id IS NULL AS deleted, chat_id, message_id, reason,
    comment, kek, evidence, r.created_at, resolved_by, resolved_at, resolution
    FROM reports r LEFT JOIN accounts a ON a.id = reported
    WHERE (resolved_at IS NULL) = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3";
const REPORTS_BY: &str = "SELECT r.id, reporter, reported, coalesce(r.username, a.username, '') AS username,
    coalesce(r.display_name, a.display_name, '') AS display_name, a.id IS NULL AS deleted, chat_id, message_id, reason,
    comment, kek, evidence, r.created_at, resolved_by, resolved_at, resolution
    FROM reports r LEFT JOIN accounts a ON a.id = reported
    WHERE reporter = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3";
const REPORT_OPEN: &str = "SELECT resolved_at IS NULL FROM reports WHERE id = $1 FOR UPDATE";
const RESOLVE_REPORT: &str = "UPDATE reports SET resolved_by = $2, resolved_at = $3, resolution = $4 WHERE id = $1";

#[async_trait]
impl ReportStore for Postgres {
    async fn create_report(&self, report: NewReport) -> Result<Uuid, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let (chat, message) = report.message.unzip();
                let reporter = sqlx::query_scalar::<_, bool>(LOCK_REPORTER).bind(report.reporter.0);
                reporter.fetch_optional(&mut *db).await?.ok_or(StoreError::NotFound)?;
                let same = sqlx::query_scalar(SAME_REPORT)
                    .bind(report.reporter.0)
                    .bind(report.reported.0)
                    .bind(chat.map(|id| id.0))
                    .bind(message.map(|id| id.0))
                    .bind(report.reason.as_str())
                    .bind(&report.comment)
                    .bind(report.evidence.is_some())
                    .bind(report.same_after().0);
                if let Some(known) = same.fetch_optional(&mut *db).await? {
                    return Ok((known, Vec::new()));
                }
                let (kek, evidence) = report.evidence.map(|sealed| (sealed.kek, sealed.bytes)).unzip();
                let stored = sqlx::query(INSERT_REPORT)
                    .bind(report.id)
                    .bind(report.reporter.0)
                    .bind(report.reported.0)
                    .bind(chat.map(|id| id.0))
                    .bind(message.map(|id| id.0))
                    .bind(report.reason.as_str())
                    .bind(report.comment)
                    .bind(kek)
                    .bind(evidence)
                    .bind(report.created_at.0)
                    .execute(db)
                    .await?;
                if stored.rows_affected() == 1 { Ok((report.id, Vec::new())) } else { Err(StoreError::NotFound.into()) }
            })
        })
        .await
    }

    async fn reports(&self, open: bool, before: Option<Uuid>, limit: usize) -> Result<Vec<Report>, StoreError> {
        let (before, limit) = (before.unwrap_or(Uuid::max()), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(REPORTS).bind(open).bind(before).bind(limit);
                Ok(select.try_map(report).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn reports_by(
        &self,
        reporter: UserId,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        let (before, limit) = (before.unwrap_or(Uuid::max()), row_limit(limit));
        self.run(move |db| {
            Box::pin(async move {
                let select = sqlx::query(REPORTS_BY).bind(reporter.0).bind(before).bind(limit);
                Ok(select.try_map(report).fetch_all(db).await?)
            })
        })
        .await
    }

    async fn resolve_report(&self, id: Uuid, resolution: Resolution, entry: AuditEntry) -> Result<bool, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let open: Option<bool> = sqlx::query_scalar(REPORT_OPEN).bind(id).fetch_optional(&mut *db).await?;
                if !open.ok_or(StoreError::NotFound)? {
                    return Ok((false, Vec::new()));
                }
                let Resolution { by, at, note } = resolution;
                sqlx::query(RESOLVE_REPORT).bind(id).bind(by.0).bind(at.0).bind(note).execute(&mut *db).await?;
                administration::insert(db, entry).await?;
                Ok((true, Vec::new()))
            })
        })
        .await
    }
}

#[allow(clippy::needless_pass_by_value)] // as queries map their rows
fn report(row: PgRow) -> Result<Report, Error> {
    let id = |column| row.try_get::<Option<Uuid>, _>(column);
    let sealed = row.try_get::<Option<String>, _>("kek")?.zip(row.try_get::<Option<Vec<u8>>, _>("evidence")?);
    let resolved = id("resolved_by")?
        .zip(row.try_get::<Option<i64>, _>("resolved_at")?)
        .zip(row.try_get::<Option<String>, _>("resolution")?);
    Ok(Report {
        id: row.try_get("id")?,
        reporter: id("reporter")?.map(UserId),
        reported: Reported {
            id: UserId(row.try_get("reported")?),
            username: row.try_get("username")?,
            display_name: row.try_get("display_name")?,
            deleted: row.try_get("deleted")?,
        },
        message: id("chat_id")?.map(ChatId).zip(id("message_id")?.map(MessageId)),
        reason: ReportReason::parse(row.try_get("reason")?).ok_or_else(|| malformed("reason"))?,
        comment: row.try_get("comment")?,
        evidence: sealed.map(|(kek, bytes)| WrappedKey { kek, bytes }),
        created_at: Timestamp(row.try_get("created_at")?),
        resolution: resolved.map(|((by, at), note)| Resolution { by: UserId(by), at: Timestamp(at), note }),
    })
}
