//! What is known of the last rebuild of the search index. Each change is one statement, so of several processes one wins.

use async_trait::async_trait;
use sentinel_domain::{
    audit::AuditEntry,
    ids::UserId,
    ports::{ReindexStore, StoreError},
    reindex::{Reindex, ReindexAttempt, ReindexEnd, ReindexFailure, Skipped},
    time::Timestamp,
};
use sqlx::{Error, Row, postgres::PgRow};

use super::{Postgres, administration, rows::malformed};

const LAST: &str = "SELECT id, started_at, started_by, attempts, done, total, ended_at, failure, skipped, first_skipped
    FROM reindex";
const BEGIN: &str = "INSERT INTO reindex (id, started_at, started_by, attempts, done, total, free_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (only_one) DO UPDATE SET id = excluded.id, started_at = excluded.started_at,
    started_by = excluded.started_by, attempts = excluded.attempts, done = excluded.done, total = excluded.total,
    free_at = excluded.free_at, ended_at = NULL, failure = NULL, skipped = 0, first_skipped = ''
    WHERE reindex.ended_at IS NOT NULL";
const TAKE: &str = "UPDATE reindex SET attempts = attempts + 1, done = 0, total = NULL, free_at = $2
    WHERE ended_at IS NULL AND free_at <= $1
    RETURNING id, started_at, started_by, attempts, done, total, ended_at, failure, skipped, first_skipped";
const KEEP: &str = "UPDATE reindex SET done = $3, total = $4, free_at = $5
    WHERE id = $1 AND attempts = $2 AND ended_at IS NULL";
const END: &str = "UPDATE reindex SET done = $3, ended_at = $4, failure = $5, skipped = $6, first_skipped = $7
    WHERE id = $1 AND attempts = $2 AND ended_at IS NULL";

#[async_trait]
impl ReindexStore for Postgres {
    async fn last_reindex(&self) -> Result<Option<Reindex>, StoreError> {
        self.run(|db| Box::pin(async move { Ok(sqlx::query(LAST).try_map(reindex).fetch_optional(db).await?) })).await
    }

    async fn begin_reindex(
        &self,
        new: Reindex,
        free_at: Timestamp,
        entry: Option<AuditEntry>,
    ) -> Result<bool, StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let begin = sqlx::query(BEGIN)
                    .bind(new.id)
                    .bind(new.started_at.0)
                    .bind(new.started_by.map(|user| user.0))
                    .bind(new.attempts.cast_signed())
                    .bind(new.done.cast_signed())
                    .bind(new.total.map(u64::cast_signed))
                    .bind(free_at.0);
                let begun = begin.execute(&mut *db).await?.rows_affected() == 1;
                if let Some(entry) = entry.filter(|_| begun) {
                    administration::insert(db, entry).await?;
                }
                Ok((begun, Vec::new()))
            })
        })
        .await
    }

    async fn take_reindex(&self, now: Timestamp, free_at: Timestamp) -> Result<Option<Reindex>, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let take = sqlx::query(TAKE).bind(now.0).bind(free_at.0);
                Ok(take.try_map(reindex).fetch_optional(db).await?)
            })
        })
        .await
    }

    async fn keep_reindex(
        &self,
        attempt: ReindexAttempt,
        done: u64,
        total: Option<u64>,
        free_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let keep = sqlx::query(KEEP)
                    .bind(attempt.id)
                    .bind(attempt.number.cast_signed())
                    .bind(done.cast_signed())
                    .bind(total.map(u64::cast_signed))
                    .bind(free_at.0);
                Ok(keep.execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }

    async fn end_reindex(&self, attempt: ReindexAttempt, done: u64, end: ReindexEnd) -> Result<bool, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let ended = sqlx::query(END)
                    .bind(attempt.id)
                    .bind(attempt.number.cast_signed())
                    .bind(done.cast_signed())
                    .bind(end.at.0)
                    .bind(end.failure.map(ReindexFailure::as_str))
                    .bind(end.skipped.count.cast_signed())
                    .bind(end.skipped.named());
                Ok(ended.execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }
}

#[allow(clippy::needless_pass_by_value)] // as queries map their rows
fn reindex(row: PgRow) -> Result<Reindex, Error> {
    let failure = match row.try_get::<Option<String>, _>("failure")? {
        Some(name) => Some(ReindexFailure::parse(&name).ok_or_else(|| malformed("failure"))?),
        None => None,
    };
    let skipped = row.try_get::<i64, _>("skipped")?.unsigned_abs();
    let skipped =
        Skipped::of_named(skipped, row.try_get("first_skipped")?).ok_or_else(|| malformed("first_skipped"))?;
    let end = row.try_get::<Option<i64>, _>("ended_at")?.map(|at| ReindexEnd { at: Timestamp(at), failure, skipped });
    Ok(Reindex {
        id: row.try_get("id")?,
        started_at: Timestamp(row.try_get("started_at")?),
        started_by: row.try_get::<Option<uuid::Uuid>, _>("started_by")?.map(UserId),
        attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).map_err(|_| malformed("attempts"))?,
        done: row.try_get::<i64, _>("done")?.unsigned_abs(),
        total: row.try_get::<Option<i64>, _>("total")?.map(i64::unsigned_abs),
        end,
    })
}
