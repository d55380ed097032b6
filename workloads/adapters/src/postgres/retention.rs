//! What is removed when it is old: sessions that nobody used, the memory of ended ones, what was done and reported. Every process tries, one at a
//! time does it, in pieces that each hold their locks for a moment only.

use std::time::Duration;

use sentinel_domain::{
    clock,
    ports::StoreError,
    report::REPORT_SECONDS,
    retention::{AUDIT_SECONDS, ENDED_SESSION_SECONDS},
    time::Timestamp,
};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Postgres, bounded, failure::Failure, keeper::Link};

/// Rows of one piece.
const PIECE: u16 = 500;
/// Pieces of one sweep of one table; what is left is for the next sweep.
const PIECES: u32 = 400;
/// Between two pieces.
const PAUSE: Duration = Duration::from_millis(20);
/// Names the advisory lock of a sweep within the database.
const LOCK: i64 = 0x5e17_19e1_5eee;

const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock($1)";
const FORGET_ENDED: &str = "DELETE FROM ended_sessions WHERE (ended_at, id) IN
    (SELECT ended_at, id FROM ended_sessions WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
const FORGET_AUDIT: &str = "DELETE FROM audit_log WHERE id IN
    (SELECT id FROM audit_log WHERE id < $1 ORDER BY id LIMIT $2)";
const FORGET_REPORTS: &str = "DELETE FROM reports WHERE id IN
    (SELECT id FROM reports WHERE id < $1 ORDER BY id LIMIT $2)";
const END_STALE: &str = "WITH stale AS (DELETE FROM sessions WHERE id IN
        (SELECT id FROM sessions WHERE refreshed_at < $1 ORDER BY refreshed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING id)
    INSERT INTO ended_sessions (ended_at, id)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, id FROM stale ON CONFLICT DO NOTHING";

#[derive(Clone, Copy)]
enum Piece {
    Ended { before: Timestamp },
    Audit { before: Timestamp },
    Reports { before: Timestamp },
    Stale { before: Timestamp },
}

impl Postgres {
    /// Removes what is old as of `now`. Done every hour anyway; gives the number of rows.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(sweep(&self.link, now).await?)
    }
}

pub(super) async fn sweep(link: &Link, now: Timestamp) -> Result<u64, Failure> {
    let mut total = all_pieces(link, Piece::Ended { before: now.plus_seconds(-ENDED_SESSION_SECONDS) }).await?;
    total += all_pieces(link, Piece::Audit { before: now.plus_seconds(-AUDIT_SECONDS) }).await?;
    total += all_pieces(link, Piece::Reports { before: now.plus_seconds(-REPORT_SECONDS) }).await?;
    if let Some(lifetime) = link.lifetime.longest() {
        total += all_pieces(link, Piece::Stale { before: now.plus_seconds(-lifetime) }).await?;
    }
    Ok(total)
}

async fn all_pieces(link: &Link, piece: Piece) -> Result<u64, Failure> {
    let mut total = 0;
    for _ in 0..PIECES {
        let removed = bounded(link, |db| Box::pin(remove(db, piece))).await?;
        total += removed;
        if removed < u64::from(PIECE) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(total)
}

/// Removes one piece; 0 when another process is at it.
async fn remove(db: &mut PgConnection, piece: Piece) -> Result<u64, Failure> {
    let mut step = db.begin().await?;
    if !sqlx::query_scalar::<_, bool>(TRY_LOCK).bind(LOCK).fetch_one(&mut *step).await? {
        return Ok(0);
    }
    let statement = match piece {
        Piece::Ended { before } => sqlx::query(FORGET_ENDED).bind(before.0).bind(i64::from(PIECE)),
        Piece::Audit { before } => sqlx::query(FORGET_AUDIT).bind(first_id(before)).bind(i64::from(PIECE)),
        Piece::Reports { before } => sqlx::query(FORGET_REPORTS).bind(first_id(before)).bind(i64::from(PIECE)),
        Piece::Stale { before } => sqlx::query(END_STALE).bind(before.0).bind(i64::from(PIECE)),
    };
    let removed = statement.execute(&mut *step).await?.rows_affected();
    step.commit().await?;
    Ok(removed)
}

/// Sorts before every id of this millisecond.
fn first_id(at: Timestamp) -> Uuid {
    clock::Instant { millis: u64::try_from(at.0).unwrap_or(0), counter: 0 }.id(0)
}
