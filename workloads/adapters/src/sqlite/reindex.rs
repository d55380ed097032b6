//! What is known of the last rebuild of the search index.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use sentinel_domain::{
    audit::AuditEntry,
    ids::UserId,
    ports::{ReindexStore, StoreError},
    reindex::{Reindex, ReindexAttempt, ReindexEnd, ReindexFailure, Skipped},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Sqlite, administration,
    failure::Failure,
    rows::{execute, malformed},
    statements::{REINDEX, SET_REINDEX},
};

#[async_trait]
impl ReindexStore for Sqlite {
    async fn last_reindex(&self) -> Result<Option<Reindex>, StoreError> {
        self.read(|db| Ok(row(db)?.map(|(last, _)| last))).await
    }

    async fn begin_reindex(
        &self,
        new: Reindex,
        free_at: Timestamp,
        entry: Option<AuditEntry>,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| {
            if row(batch.db)?.is_some_and(|(last, _)| last.end.is_none()) {
                return Ok(false);
            }
            set(batch.db, &new, free_at)?;
            if let Some(entry) = entry {
                administration::insert(batch.db, &entry)?;
            }
            Ok(true)
        })
        .await
    }

    async fn take_reindex(&self, now: Timestamp, free_at: Timestamp) -> Result<Option<Reindex>, StoreError> {
        self.write(move |batch| {
            let free = row(batch.db)?.filter(|(last, free)| last.end.is_none() && *free <= now);
            let Some((last, _)) = free else { return Ok(None) };
            let taken = Reindex { attempts: last.attempts.saturating_add(1), done: 0, total: None, ..last };
            set(batch.db, &taken, free_at)?;
            Ok(Some(taken))
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
        self.write(move |batch| {
            let Some(last) = of(batch.db, attempt)? else { return Ok(false) };
            set(batch.db, &Reindex { done, total, ..last }, free_at)?;
            Ok(true)
        })
        .await
    }

    async fn end_reindex(&self, attempt: ReindexAttempt, done: u64, end: ReindexEnd) -> Result<bool, StoreError> {
        self.write(move |batch| {
            let Some(last) = of(batch.db, attempt)? else { return Ok(false) };
            let at = end.at;
            set(batch.db, &Reindex { done, end: Some(end), ..last }, at)?;
            Ok(true)
        })
        .await
    }
}

/// The rebuild, if it is still this attempt's.
fn of(db: &Connection, attempt: ReindexAttempt) -> Result<Option<Reindex>, Failure> {
    let last = row(db)?.map(|(last, _)| last);
    Ok(last.filter(|last| last.attempt() == attempt && last.end.is_none()))
}

/// The last rebuild, and when it is free.
fn row(db: &Connection) -> Result<Option<(Reindex, Timestamp)>, Failure> {
    Ok(db.prepare_cached(REINDEX)?.query_row([], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Reindex, Timestamp)> {
    let failure = match row.get_ref(7)?.as_str_or_null()? {
        Some(name) => Some(ReindexFailure::parse(name).ok_or_else(|| malformed(7, Type::Text))?),
        None => None,
    };
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs));
    let skipped = Skipped::of_named(count(9)?.unwrap_or_default(), row.get_ref(10)?.as_str()?);
    let skipped = skipped.ok_or_else(|| malformed(10, Type::Text))?;
    let last = Reindex {
        id: Uuid::from_bytes(row.get(0)?),
        started_at: Timestamp(row.get(1)?),
        started_by: row.get::<_, Option<[u8; 16]>>(2)?.map(UserId::from_bytes),
        attempts: row.get(3)?,
        done: count(4)?.unwrap_or_default(),
        total: count(5)?,
        end: row.get::<_, Option<i64>>(6)?.map(|at| ReindexEnd { at: Timestamp(at), failure, skipped }),
    };
    Ok((last, Timestamp(row.get(8)?)))
}

fn set(db: &Connection, last: &Reindex, free_at: Timestamp) -> Result<(), Failure> {
    let Reindex { id, started_at, started_by, attempts, done, total, end } = last;
    let by = started_by.as_ref().map(UserId::as_bytes);
    let (ended_at, failure) = (end.as_ref().map(|end| end.at.0), end.as_ref().and_then(|end| end.failure));
    let (done, total) = (done.cast_signed(), total.map(u64::cast_signed));
    let (skipped, named) =
        end.as_ref().map(|end| (end.skipped.count.cast_signed(), end.skipped.named())).unwrap_or_default();
    let values = params![
        id.as_bytes(),
        started_at.0,
        by,
        attempts,
        done,
        total,
        ended_at,
        failure.map(ReindexFailure::as_str),
        free_at.0,
        skipped,
        named,
    ];
    execute(db, SET_REINDEX, values)?;
    Ok(())
}
