//! Sessions and the rotation of their refresh tokens.
//!
//! A refresh token is the session's id, its generation and a code over both, so the store keeps no token, not even
//! a hash. Each use moves the session to the next generation. A generation stays good for
//! [`REUSE_GRACE_SECONDS`] after it was replaced and gives the current one (several tabs may refresh at once, some of them
//! late); later the token was stolen or copied and the session ends.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    ids::{SessionId, UserId},
    keyring::{Keyring, TAG_BYTES},
    time::Timestamp,
};

/// Seconds for which a refresh token that was replaced still gives the current one.
pub const REUSE_GRACE_SECONDS: i64 = 30;
/// Sessions that an account may have: one more ends the one that was not used for longest.
pub const SESSIONS_OF_ACCOUNT: usize = 100;
/// Rotations that are remembered for that besides the last one. No client makes as many in that time.
const EARLIER_ROTATIONS: usize = 64;
const PURPOSE: &str = "refresh-token";

/// A log-in on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the client called itself (its `User-Agent`).
    pub device: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last got tokens.
    pub refreshed_at: Timestamp,
    /// Which refresh token is current; 0 is the first.
    pub generation: u32,
    /// When the generations before the last one were replaced, the latest first: those of the grace before the last refresh.
    pub earlier_rotations: Vec<Timestamp>,
}

impl Session {
    /// A session that begins.
    pub fn begin(id: SessionId, user_id: UserId, device: String, now: Timestamp) -> Self {
        let earlier_rotations = Vec::new();
        Self { id, user_id, device, created_at: now, refreshed_at: now, generation: 0, earlier_rotations }
    }

    /// Moves to the generation that [`Rotation::Advance`] tells.
    pub fn advance(&mut self, generation: u32, now: Timestamp) {
        if self.generation > 0 {
            self.earlier_rotations.insert(0, self.refreshed_at);
        }
        let recent = self.earlier_rotations.iter().take_while(|at| in_grace(**at, now)).count();
        self.earlier_rotations.truncate(recent.min(EARLIER_ROTATIONS));
        self.generation = generation;
        self.refreshed_at = now;
    }

    /// When a generation was replaced; `None` when it was not, or too long ago to be known.
    fn replaced_at(&self, generation: u32) -> Option<Timestamp> {
        match self.generation.checked_sub(generation)? {
            0 => None,
            1 => Some(self.refreshed_at),
            age => self.earlier_rotations.get(usize::try_from(age - 2).ok()?).copied(),
        }
    }
}

fn in_grace(replaced_at: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(replaced_at.0) <= REUSE_GRACE_SECONDS * 1000
}

/// What a presented refresh token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is current: move the session to this generation.
    Advance(u32),
    /// It was replaced a moment ago: give this generation, which is the current one.
    Repeat(u32),
    /// The session was not used for too long.
    Expired,
    /// It was replaced long ago: end the session.
    Reused,
}

/// Decides what a token of `generation` means for `session`, which expires `lifetime_seconds` after its last refresh.
pub fn rotate(session: &Session, generation: u32, now: Timestamp, lifetime_seconds: u32) -> Rotation {
    let age = now.0.saturating_sub(session.refreshed_at.0);
    if age > i64::from(lifetime_seconds) * 1000 {
        Rotation::Expired
    } else if generation == session.generation {
        Rotation::Advance(session.generation.saturating_add(1))
    } else if session.replaced_at(generation).is_some_and(|at| in_grace(at, now)) {
        Rotation::Repeat(session.generation)
    } else {
        Rotation::Reused
    }
}

/// The longest life of an unused session that was asked for. A store removes by it what nobody used, since it is told of lives
/// with rotations only.
#[derive(Clone, Debug, Default)]
pub struct SessionLifetime(Arc<AtomicU32>);

impl SessionLifetime {
    /// Takes note of a life that was asked for.
    pub fn observe(&self, seconds: u32) {
        self.0.fetch_max(seconds, Ordering::Relaxed);
    }

    /// Its seconds; nothing is known before the first rotation.
    pub fn longest(&self) -> Option<i64> {
        Some(i64::from(self.0.load(Ordering::Relaxed))).filter(|seconds| *seconds > 0)
    }
}

/// Writes the refresh token of a session's generation.
pub fn refresh_token(keyring: &Keyring, session: SessionId, generation: u32) -> String {
    let body = [session.as_bytes().as_slice(), &generation.to_be_bytes()].concat();
    let code = keyring.authenticate(PURPOSE, &body);
    URL_SAFE_NO_PAD.encode([body.as_slice(), &code].concat())
}

/// Reads a refresh token; `None` when it is not one of ours.
pub fn read_refresh_token(keyring: &Keyring, token: &str) -> Option<(SessionId, u32)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (body, code) = bytes.split_at_checked(20)?;
    if code.len() != TAG_BYTES || !keyring.verifies(PURPOSE, body, code) {
        return None;
    }
    let (session, generation) = body.split_at(16);
    Some((SessionId::from_bytes(session.try_into().ok()?), u32::from_be_bytes(generation.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn session(generation: u32, refreshed_at: i64) -> Session {
        let (id, user_id) = (SessionId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let begun = Session::begin(id, user_id, String::new(), Timestamp(0));
        Session { refreshed_at: Timestamp(refreshed_at), generation, ..begun }
    }

    #[test]
    fn a_token_rotates_repeats_in_the_grace_and_betrays_a_thief_after_it() {
        let now = Timestamp(100_000);
        assert_eq!(rotate(&session(4, 90_000), 4, now, 3600), Rotation::Advance(5));
        assert_eq!(rotate(&session(4, 90_000), 3, now, 3600), Rotation::Repeat(4));
        assert_eq!(rotate(&session(4, 69_999), 3, now, 3600), Rotation::Reused);
        assert_eq!(rotate(&session(4, 90_000), 2, now, 3600), Rotation::Reused);
        assert_eq!(rotate(&session(4, 90_000), 5, now, 3600), Rotation::Reused);
        assert_eq!(rotate(&session(4, 90_000), 4, now, 9), Rotation::Expired);
    }

    #[test]
    fn every_token_is_good_for_the_same_time_after_it_was_replaced() {
        let at = |second: i64| Timestamp(second * 1000);
        let mut session = session(0, 0);
        for (generation, second) in [(1, 100), (2, 110), (3, 120), (4, 135)] {
            assert_eq!(rotate(&session, generation - 1, at(second), 3600), Rotation::Advance(generation));
            session.advance(generation, at(second));
        }
        // Replaced at 100, 110, 120 and 135.
        for (generation, last) in [(1, 140), (2, 150), (3, 165)] {
            assert_eq!(rotate(&session, generation, at(last), 3600), Rotation::Repeat(4), "{generation}");
            assert_eq!(
                rotate(&session, generation, Timestamp(last * 1000 + 1), 3600),
                Rotation::Reused,
                "{generation}"
            );
        }
        assert_eq!(rotate(&session, 0, at(135), 3600), Rotation::Reused);
        session.advance(5, at(200));
        assert!(session.earlier_rotations.is_empty());
        assert_eq!(rotate(&session, 4, at(230), 3600), Rotation::Repeat(5));
        for generation in 6..500 {
            session.advance(generation, at(231));
        }
        assert_eq!(session.earlier_rotations.len(), EARLIER_ROTATIONS);
    }

    #[test]
    fn no_session_ends_before_the_longest_life_that_was_asked_for() {
        let lifetime = SessionLifetime::default();
        assert_eq!(lifetime.longest(), None, "nothing is removed by a guess");
        for seconds in [3600, 7200, 60] {
            lifetime.clone().observe(seconds);
        }
        assert_eq!(lifetime.longest(), Some(7200));
    }

    #[test]
    fn a_forged_refresh_token_is_not_read() {
        let keyring = Keyring::new([("kek-0001".to_owned(), [7; 32])].into()).unwrap();
        let id = SessionId(Uuid::from_u128(1));
        let token = refresh_token(&keyring, id, 3);
        assert_eq!(read_refresh_token(&keyring, &token), Some((id, 3)));
        let other = Keyring::new([("kek-0001".to_owned(), [8; 32])].into()).unwrap();
        assert_eq!(read_refresh_token(&other, &token), None);
        for forged in ["", "AAAA", &token[..token.len() - 4], "ü"] {
            assert_eq!(read_refresh_token(&keyring, forged), None, "{forged}");
        }
    }
}
