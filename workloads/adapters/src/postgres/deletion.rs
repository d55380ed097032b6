//! Deletion of an account: here in one transaction, which also notes that the chat store has to follow.

use sentinel_domain::{event::LiveEvent, ids::UserId, ports::StoreError, time::Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, failure::Failure, sessions};

/// What the chat store has of them is to be forgotten, too.
const DELETE_BLOCKS: &str =
    "WITH gone AS (DELETE FROM blocks WHERE blocker = $1 OR blocked = $1 RETURNING blocker, blocked)
    INSERT INTO pending_blocks (blocker, blocked) SELECT blocker, blocked FROM gone
        ON CONFLICT (blocker, blocked) DO UPDATE SET change = excluded.change";
/// Programs of before make reports without the names.
const NAME_REPORTED: &str = "UPDATE reports SET username = a.username, display_name = a.display_name
    FROM accounts a WHERE a.id = $1 AND reported = a.id AND reports.username IS NULL";
const DELETE_ACCOUNT: &str = "DELETE FROM accounts WHERE id = $1";
const INSERT_PENDING: &str = "INSERT INTO pending_deletions (user_id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const PENDING: &str = "SELECT user_id, at FROM pending_deletions ORDER BY at LIMIT $1";
const FINISH: &str = "DELETE FROM pending_deletions WHERE user_id = $1";

impl Postgres {
    /// Deleted accounts whose chats are not known to be gone, with when they were deleted, oldest first.
    pub async fn pending_deletions(&self, limit: usize) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(move |db| {
            Box::pin(async move {
                let rows: Vec<(Uuid, i64)> = sqlx::query_as(PENDING).bind(limit).fetch_all(db).await?;
                Ok(rows.into_iter().map(|(user, at)| (UserId(user), Timestamp(at))).collect())
            })
        })
        .await
    }

    /// Notes that a deleted account's chats are gone.
    pub async fn finish_deletion(&self, user: UserId) -> Result<(), StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                sqlx::query(FINISH).bind(user.0).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}

/// Deletes an account with its sessions and blocks; reports stay. It must be locked: whoever makes a session or a block for it
/// then waits for the end of the transaction and finds it gone.
pub(super) async fn delete_account(
    db: &mut PgConnection,
    id: UserId,
    now: Timestamp,
) -> Result<Vec<LiveEvent>, Failure> {
    let ended = sessions::end_all(db, id, None).await?;
    for statement in [DELETE_BLOCKS, NAME_REPORTED, DELETE_ACCOUNT] {
        sqlx::query(statement).bind(id.0).execute(&mut *db).await?;
    }
    sqlx::query(INSERT_PENDING).bind(id.0).bind(now.0).execute(&mut *db).await?;
    Ok(sessions::events(ended))
}
