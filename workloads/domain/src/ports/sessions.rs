use async_trait::async_trait;

use super::StoreError;
use crate::{
    ids::{SessionId, UserId},
    session::{Rotation, Session},
    time::Timestamp,
};

/// Which sessions there are, and which there were a moment ago.
#[async_trait]
pub trait SessionReader: Send + Sync {
    /// The session with this id, unless it ended.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// Sessions that ended in the last so many seconds, by the store's own clock: their access tokens may not have expired
    /// yet. The clocks of processes, which may be apart, have no part in it.
    async fn ended_within(&self, seconds: i64) -> Result<Vec<SessionId>, StoreError>;
}

/// Sessions. Every end of a session publishes `SessionEnded`.
#[async_trait]
pub trait SessionStore: SessionReader {
    /// Stores a new session, and in the same step ends those of its user that were not used for longest, so that
    /// [`SESSIONS_OF_ACCOUNT`](crate::session::SESSIONS_OF_ACCOUNT) are left.
    async fn create_session(&self, session: Session) -> Result<(), StoreError>;
    /// A user's sessions, newest first.
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError>;
    /// Decides by [`crate::session::rotate`] and carries it out, in one step even under a race: a session moves
    /// once per generation, and ends on [`Rotation::Reused`] and [`Rotation::Expired`]. `None`: no such session.
    async fn rotate_session(
        &self,
        id: SessionId,
        generation: u32,
        now: Timestamp,
        lifetime_seconds: u32,
    ) -> Result<Option<(Session, Rotation)>, StoreError>;
    /// Ends a session of this user; [`StoreError::NotFound`] when it is not one of theirs.
    async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), StoreError>;
}
