//! Learns of sessions that ended anywhere: each process asks the store every second, so a log-out takes effect
//! everywhere within two, whatever else is away.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sentinel_domain::{
    event::{Fanout, LiveEvent},
    ids::SessionId,
    ports::{SessionReader, StoreError},
    time::Timestamp,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::tokens::Tokens;

const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How far back each question goes beyond the one before: an end takes time to become visible.
const OVERLAP_SECONDS: i64 = 30;

/// What this process knows of sessions that ended.
pub struct EndedSessions {
    store: Arc<dyn SessionReader>,
    tokens: Arc<Tokens>,
    /// When the store was last asked. Only the time since then counts, not what the clocks of processes say.
    asked: Option<Instant>,
    /// What the last question's answer had: the overlap gives it again.
    known: HashSet<SessionId>,
}

impl EndedSessions {
    /// Nothing is known yet: the first question goes back by the lifetime of an access token.
    pub fn new(store: Arc<dyn SessionReader>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens, asked: None, known: HashSet::new() }
    }

    /// Asks the store, and refuses the tokens of sessions that ended. Gives those that were not known before. On an
    /// error, the next question goes back as far as this one.
    pub async fn ask(&mut self) -> Result<Vec<SessionId>, StoreError> {
        let now = Instant::now();
        let back = match self.asked {
            None => self.tokens.lifetime_seconds(),
            Some(asked) => i64::try_from((now - asked).as_secs()).unwrap_or(i64::MAX),
        };
        let ended = self.store.ended_within(back.saturating_add(OVERLAP_SECONDS)).await?;
        let ended: HashSet<_> = ended.into_iter().collect();
        self.asked = Some(now);
        let new: Vec<SessionId> = ended.difference(&self.known).copied().collect();
        self.known = ended;
        for &session in &new {
            self.tokens.revoke_session(session, Timestamp::now());
        }
        Ok(new)
    }

    /// Goes on asking for as long as it is polled. `fanout` hears of each session that ended, so that its sockets close; it
    /// should be the process's own hub, because every process asks.
    pub async fn watch(mut self, fanout: Option<Arc<dyn Fanout>>) {
        let mut ticks = interval(ASKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            ticks.tick().await;
            match self.ask().await {
                Ok(ended) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("sessions that ended are known again");
                    }
                    if let Some(fanout) = fanout.as_ref().filter(|_| !ended.is_empty()) {
                        fanout.publish(
                            ended.into_iter().map(|session_id| LiveEvent::SessionEnded { session_id }).collect(),
                        );
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "can't learn which sessions ended; their tokens stay good until they expire"
                        );
                    }
                }
            }
        }
    }
}
