//! Sessions.

use async_trait::async_trait;
use sentinel_domain::{
    event::LiveEvent,
    ids::{SessionId, UserId},
    ports::{SessionReader, SessionStore, StoreError},
    session::{self, Rotation, SESSIONS_OF_ACCOUNT, Session},
    time::Timestamp,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Postgres, failure::Failure, rows};

const INSERT_SESSION: &str = "INSERT INTO sessions (id, user_id, device, created_at, refreshed_at, generation)
    VALUES ($1, $2, $3, $4, $5, $6)";
const SESSION: &str = "SELECT id, user_id, device, created_at, refreshed_at, generation, earlier_rotations
    FROM sessions WHERE id = $1";
const SESSION_LOCKED: &str = "SELECT id, user_id, device, created_at, refreshed_at, generation, earlier_rotations
    FROM sessions WHERE id = $1 FOR UPDATE";
const SESSIONS_OF: &str = "SELECT id, user_id, device, created_at, refreshed_at, generation, earlier_rotations
    FROM sessions WHERE user_id = $1 ORDER BY created_at DESC";
const MOVE_SESSION: &str = "UPDATE sessions SET generation = $2, refreshed_at = $3, earlier_rotations = $4
    WHERE id = $1";
// When sessions ended is told by the server's clock alone: those of the processes may be apart.
const END_SESSION: &str = "WITH ended AS (DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id)
    INSERT INTO ended_sessions (ended_at, id)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, id FROM ended RETURNING id";
const END_OTHERS: &str =
    "WITH ended AS (DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2 RETURNING id)
    INSERT INTO ended_sessions (ended_at, id)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, id FROM ended RETURNING id";
const END_SURPLUS: &str = "WITH surplus AS (SELECT id FROM sessions WHERE user_id = $1 AND id <> $2
        ORDER BY refreshed_at DESC, created_at DESC OFFSET $3),
    ended AS (DELETE FROM sessions WHERE id IN (SELECT id FROM surplus) RETURNING id)
    INSERT INTO ended_sessions (ended_at, id)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, id FROM ended RETURNING id";
const ENDED_WITHIN: &str = "SELECT id FROM ended_sessions
    WHERE ended_at >= (extract(epoch FROM now()) * 1000)::bigint - $1";

#[async_trait]
impl SessionReader for Postgres {
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.run(move |db| {
            Box::pin(
                async move { Ok(sqlx::query(SESSION).bind(id.0).try_map(rows::session).fetch_optional(db).await?) },
            )
        })
        .await
    }

    async fn ended_within(&self, seconds: i64) -> Result<Vec<SessionId>, StoreError> {
        self.run(move |db| {
            Box::pin(async move {
                let ids = sqlx::query_scalar(ENDED_WITHIN).bind(seconds.saturating_mul(1000)).fetch_all(db).await?;
                Ok(ids.into_iter().map(SessionId).collect())
            })
        })
        .await
    }
}

#[async_trait]
impl SessionStore for Postgres {
    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        // Its account may have been deleted between the password's check and now: the foreign key refuses it then.
        self.transact(move |db| {
            Box::pin(async move {
                let (user, id) = (session.user_id, session.id);
                insert(db, session).await?;
                Ok(((), end_surplus(db, user, id).await?))
            })
        })
        .await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.run(move |db| {
            Box::pin(
                async move { Ok(sqlx::query(SESSIONS_OF).bind(user.0).try_map(rows::session).fetch_all(db).await?) },
            )
        })
        .await
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        generation: u32,
        now: Timestamp,
        lifetime_seconds: u32,
    ) -> Result<Option<(Session, Rotation)>, StoreError> {
        self.link.lifetime.observe(lifetime_seconds);
        self.transact(move |db| Box::pin(rotate(db, id, generation, now, lifetime_seconds))).await
    }

    async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), StoreError> {
        self.transact(move |db| {
            Box::pin(async move {
                let ended = end(db, user, id).await?;
                if ended.is_empty() { Err(StoreError::NotFound.into()) } else { Ok(((), ended)) }
            })
        })
        .await
    }
}

type Ended = Vec<LiveEvent>;

async fn rotate(
    db: &mut PgConnection,
    id: SessionId,
    generation: u32,
    now: Timestamp,
    lifetime_seconds: u32,
) -> Result<(Option<(Session, Rotation)>, Ended), Failure> {
    // Whoever comes second waits here for the lock and then sees what the first one made of it.
    let found = sqlx::query(SESSION_LOCKED).bind(id.0).try_map(rows::session).fetch_optional(&mut *db).await?;
    let Some(mut session) = found else { return Ok((None, Vec::new())) };
    let rotation = session::rotate(&session, generation, now, lifetime_seconds);
    let mut ended = Vec::new();
    match rotation {
        Rotation::Advance(next) => {
            session.advance(next, now);
            let earlier: Vec<i64> = session.earlier_rotations.iter().map(|at| at.0).collect();
            let step = sqlx::query(MOVE_SESSION).bind(id.0).bind(i64::from(next)).bind(now.0).bind(earlier);
            step.execute(db).await?;
        }
        Rotation::Repeat(_) => {}
        Rotation::Expired | Rotation::Reused => ended = end(db, session.user_id, id).await?,
    }
    Ok((Some((session, rotation)), ended))
}

/// Stores a new session.
pub(super) async fn insert(db: &mut PgConnection, session: Session) -> Result<(), Failure> {
    sqlx::query(INSERT_SESSION)
        .bind(session.id.0)
        .bind(session.user_id.0)
        .bind(session.device)
        .bind(session.created_at.0)
        .bind(session.refreshed_at.0)
        .bind(i64::from(session.generation))
        .execute(db)
        .await?;
    Ok(())
}

/// Ends a session of a user, if it is one.
async fn end(db: &mut PgConnection, user: UserId, id: SessionId) -> Result<Ended, Failure> {
    let ended: Vec<Uuid> = sqlx::query_scalar(END_SESSION).bind(id.0).bind(user.0).fetch_all(db).await?;
    Ok(events(ended.into_iter().map(SessionId)))
}

/// Ends the sessions of a user that are too many now that this one has begun.
async fn end_surplus(db: &mut PgConnection, user: UserId, new: SessionId) -> Result<Ended, Failure> {
    let others = i64::try_from(SESSIONS_OF_ACCOUNT - 1).unwrap_or(i64::MAX);
    let ended = sqlx::query_scalar(END_SURPLUS).bind(user.0).bind(new.0).bind(others);
    let ended: Vec<Uuid> = ended.fetch_all(db).await?;
    Ok(events(ended.into_iter().map(SessionId)))
}

/// Ends all sessions of a user but one; gives them.
pub(super) async fn end_all(
    db: &mut PgConnection,
    user: UserId,
    keep: Option<SessionId>,
) -> Result<Vec<SessionId>, Failure> {
    let keep = keep.map(|id| id.0);
    let ended: Vec<Uuid> = sqlx::query_scalar(END_OTHERS).bind(user.0).bind(keep).fetch_all(db).await?;
    Ok(ended.into_iter().map(SessionId).collect())
}

/// What sockets hear of sessions that ended.
pub(super) fn events(ended: impl IntoIterator<Item = SessionId>) -> Ended {
    ended.into_iter().map(|session_id| LiveEvent::SessionEnded { session_id }).collect()
}
