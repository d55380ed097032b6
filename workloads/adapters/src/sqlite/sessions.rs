//! Sessions.

use std::cmp::Reverse;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sentinel_domain::{
    event::LiveEvent,
    ids::{SessionId, UserId},
    ports::{SessionReader, SessionStore, StoreError},
    session::{self, Rotation, SESSIONS_OF_ACCOUNT, Session},
    time::Timestamp,
};

use super::{
    Sqlite,
    accounts::require_account,
    batch::Batch,
    failure::Failure,
    rows::{self, execute},
    statements::{DELETE_SESSION, ENDED_SINCE, INSERT_ENDED, INSERT_SESSION, MOVE_SESSION, SESSION, SESSIONS_OF},
};

#[async_trait]
impl SessionReader for Sqlite {
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(move |db| Ok(find(db, id)?)).await
    }

    async fn ended_within(&self, seconds: i64) -> Result<Vec<SessionId>, StoreError> {
        self.read(move |db| {
            let since = Timestamp::now().plus_seconds(seconds.saturating_neg());
            let mut select = db.prepare_cached(ENDED_SINCE)?;
            let ended = select.query_map([since.0], |row| row.get(0).map(SessionId::from_bytes))?;
            Ok(ended.collect::<Result<_, _>>()?)
        })
        .await
    }
}

#[async_trait]
impl SessionStore for Sqlite {
    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        self.write(move |batch| {
            // Its account may have been deleted between the password's check and now.
            require_account(batch, session.user_id)?;
            insert(batch.db, &session)?;
            for id in surplus(batch.db, &session)? {
                end(batch, id)?;
            }
            Ok(())
        })
        .await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.read(move |db| Ok(sessions_of(db, user)?)).await
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        generation: u32,
        now: Timestamp,
        lifetime_seconds: u32,
    ) -> Result<Option<(Session, Rotation)>, StoreError> {
        self.shared.lifetime.observe(lifetime_seconds);
        self.write(move |batch| rotate(batch, id, generation, now, lifetime_seconds)).await
    }

    async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), StoreError> {
        self.write(move |batch| {
            find(batch.db, id)?.filter(|session| session.user_id == user).ok_or(StoreError::NotFound)?;
            end(batch, id)
        })
        .await
    }
}

fn rotate(
    batch: &mut Batch<'_>,
    id: SessionId,
    generation: u32,
    now: Timestamp,
    lifetime_seconds: u32,
) -> Result<Option<(Session, Rotation)>, Failure> {
    let Some(mut session) = find(batch.db, id)? else { return Ok(None) };
    let rotation = session::rotate(&session, generation, now, lifetime_seconds);
    match rotation {
        Rotation::Advance(next) => {
            session.advance(next, now);
            let earlier: Vec<i64> = session.earlier_rotations.iter().map(|at| at.0).collect();
            let earlier = serde_json::Value::from(earlier).to_string();
            execute(batch.db, MOVE_SESSION, params![id.as_bytes(), next, now.0, earlier])?;
        }
        Rotation::Repeat(_) => {}
        Rotation::Expired | Rotation::Reused => end(batch, id)?,
    }
    Ok(Some((session, rotation)))
}

/// Stores a new session.
pub(super) fn insert(db: &Connection, session: &Session) -> rusqlite::Result<()> {
    let Session { id, user_id, device, created_at, refreshed_at, generation, earlier_rotations: _ } = session;
    let values = params![id.as_bytes(), user_id.as_bytes(), device, created_at.0, refreshed_at.0, generation];
    execute(db, INSERT_SESSION, values)?;
    Ok(())
}

/// Ends a session and lets its sockets know. When is told by the clock that [`SessionReader::ended_within`] goes by.
pub(super) fn end(batch: &mut Batch<'_>, id: SessionId) -> Result<(), Failure> {
    remove(batch.db, id.as_bytes(), Timestamp::now())?;
    batch.events.push(LiveEvent::SessionEnded { session_id: id });
    Ok(())
}

/// Removes a session and remembers that it ended.
pub(super) fn remove(db: &Connection, id: &[u8; 16], now: Timestamp) -> rusqlite::Result<()> {
    execute(db, DELETE_SESSION, [id])?;
    execute(db, INSERT_ENDED, params![now.0, id])?;
    Ok(())
}

/// The sessions that are too many now that this one has begun.
fn surplus(db: &Connection, new: &Session) -> rusqlite::Result<impl Iterator<Item = SessionId>> {
    let mut others = sessions_of(db, new.user_id)?;
    others.retain(|session| session.id != new.id);
    others.sort_by_key(|session| Reverse(session.refreshed_at));
    Ok(others.into_iter().skip(SESSIONS_OF_ACCOUNT - 1).map(|session| session.id))
}

fn find(db: &Connection, id: SessionId) -> rusqlite::Result<Option<Session>> {
    db.prepare_cached(SESSION)?.query_row([id.as_bytes()], rows::session).optional()
}

/// A user's sessions, newest first.
pub(super) fn sessions_of(db: &Connection, user: UserId) -> rusqlite::Result<Vec<Session>> {
    db.prepare_cached(SESSIONS_OF)?.query_map([user.as_bytes()], rows::session)?.collect()
}
