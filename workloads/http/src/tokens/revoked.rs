//! Sessions that ended while access tokens of theirs were still good.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use sentinel_domain::{ids::SessionId, time::Timestamp};

/// Entries that are kept without looking for ones to forget.
const SWEEP_FROM: usize = 1024;

/// Ended sessions, each until its last token has expired.
#[derive(Default)]
pub(super) struct RevokedSessions(RwLock<Sessions>);

#[derive(Default)]
struct Sessions {
    until: HashMap<SessionId, Timestamp>,
    sweep_at: usize,
}

impl RevokedSessions {
    /// Keeps a session until then.
    pub fn insert(&self, session: SessionId, until: Timestamp, now: Timestamp) {
        let mut sessions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.until.len() >= sessions.sweep_at.max(SWEEP_FROM) {
            sessions.until.retain(|_, until| *until > now);
            // Doubling keeps the cost of sweeping constant per entry.
            sessions.sweep_at = sessions.until.len() * 2;
        }
        sessions.until.insert(session, until);
    }

    /// Whether a session is kept.
    pub fn contains(&self, session: SessionId, now: Timestamp) -> bool {
        let sessions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sessions.until.get(&session).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_session_is_forgotten_once_its_tokens_have_expired() {
        let revoked = RevokedSessions::default();
        let session = |n: usize| SessionId(Uuid::from_u128(n as u128));
        for n in 0..SWEEP_FROM {
            revoked.insert(session(n), Timestamp(100), Timestamp(0));
        }
        assert!(revoked.contains(session(7), Timestamp(99)));
        assert!(!revoked.contains(session(7), Timestamp(100)));
        revoked.insert(session(SWEEP_FROM), Timestamp(200), Timestamp(100));
        assert_eq!(revoked.0.read().unwrap().until.len(), 1);
    }
}
