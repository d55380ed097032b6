//! Blocks, and which of them the chat store has still to copy.

use sentinel_domain::{account::Profile, event::LiveEvent, ids::UserId, ports::StoreError, time::Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, failure::Failure, rows};

// Both parts of a statement are one step. A repeat asks for a new copy too: that is how a caller repairs one.
const BLOCK: &str = "WITH block AS (
        INSERT INTO blocks (blocker, blocked, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)
    INSERT INTO pending_blocks (blocker, blocked) VALUES ($1, $2)
        ON CONFLICT (blocker, blocked) DO UPDATE SET change = excluded.change";
const UNBLOCK: &str = "WITH block AS (DELETE FROM blocks WHERE blocker = $1 AND blocked = $2)
    INSERT INTO pending_blocks (blocker, blocked) SELECT $1, $2 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $2)
        ON CONFLICT (blocker, blocked) DO UPDATE SET change = excluded.change";
const BLOCKS_OF: &str = "SELECT a.id, a.username, a.display_name, a.avatar_url, b.created_at AS blocked_at
    FROM blocks b JOIN accounts a ON a.id = b.blocked
    WHERE b.blocker = $1 AND (b.created_at, b.blocked) < ($2, $3)
    ORDER BY b.created_at DESC, b.blocked DESC LIMIT $4";
const BLOCKED_BETWEEN: &str = "SELECT EXISTS (SELECT 1 FROM blocks
    WHERE (blocker = $1 AND blocked = $2) OR (blocker = $2 AND blocked = $1))";
const STATE: &str = "SELECT
    CASE WHEN EXISTS (SELECT 1 FROM accounts WHERE id = $1) AND EXISTS (SELECT 1 FROM accounts WHERE id = $2)
        THEN EXISTS (SELECT 1 FROM blocks WHERE blocker = $1 AND blocked = $2) END,
    (SELECT change FROM pending_blocks WHERE blocker = $1 AND blocked = $2)";
const PENDING: &str = "SELECT blocker, blocked FROM pending_blocks ORDER BY change LIMIT $1";
const FINISH: &str = "DELETE FROM pending_blocks WHERE blocker = $1 AND blocked = $2 AND change = $3";

impl Postgres {
    /// Takes a block back, and tells whether the chat store has to follow: not where `other` is nobody, or whoever makes up ids
    /// would have each of them written into every store.
    pub async fn take_back_block(&self, id: UserId, other: UserId) -> Result<bool, StoreError> {
        let known = self.run(move |db| Box::pin(unblock(db, id, other))).await?;
        if known {
            self.fanout.publish(vec![LiveEvent::BlockChanged { between: [id, other] }]);
        }
        Ok(known)
    }

    /// Whether `blocker` blocks `blocked` now, `None` when either account is deleted, and the number of the change that the
    /// chat store has still to copy.
    pub async fn block_state(
        &self,
        blocker: UserId,
        blocked: UserId,
    ) -> Result<(Option<bool>, Option<i64>), StoreError> {
        self.run(move |db| {
            Box::pin(async move { Ok(sqlx::query_as(STATE).bind(blocker.0).bind(blocked.0).fetch_one(db).await?) })
        })
        .await
    }

    /// Blocker and blocked of blocks that the chat store has still to copy, oldest change first.
    pub async fn pending_blocks(&self, limit: usize) -> Result<Vec<(UserId, UserId)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(move |db| {
            Box::pin(async move {
                let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(PENDING).bind(limit).fetch_all(db).await?;
                Ok(rows.into_iter().map(|(blocker, blocked)| (UserId(blocker), UserId(blocked))).collect())
            })
        })
        .await
    }

    /// Notes that the chat store has a copy of a block as of this change; a newer one stays to be copied.
    pub async fn finish_block(&self, blocker: UserId, blocked: UserId, change: i64) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(FINISH).bind(blocker.0).bind(blocked.0).bind(change).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}

pub(super) async fn block(db: &mut PgConnection, id: UserId, other: UserId, now: Timestamp) -> Result<(), Failure> {
    sqlx::query(BLOCK).bind(id.0).bind(other.0).bind(now.0).execute(db).await?;
    Ok(())
}

/// Whether there is an account `other`.
async fn unblock(db: &mut PgConnection, id: UserId, other: UserId) -> Result<bool, Failure> {
    Ok(sqlx::query(UNBLOCK).bind(id.0).bind(other.0).execute(db).await?.rows_affected() > 0)
}

pub(super) async fn blocks(
    db: &mut PgConnection,
    id: UserId,
    before: Option<(Timestamp, UserId)>,
    limit: usize,
) -> Result<Vec<(Profile, Timestamp)>, Failure> {
    let (at, who) = before.unwrap_or((Timestamp(i64::MAX), UserId(Uuid::max())));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let select = sqlx::query(BLOCKS_OF).bind(id.0).bind(at.0).bind(who.0).bind(limit);
    Ok(select.try_map(rows::block).fetch_all(db).await?)
}

pub(super) async fn blocked_between(db: &mut PgConnection, a: UserId, b: UserId) -> Result<bool, Failure> {
    Ok(sqlx::query_scalar(BLOCKED_BETWEEN).bind(a.0).bind(b.0).fetch_one(db).await?)
}
