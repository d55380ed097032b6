//! Accounts as chats need them: chatting goes on while the store of accounts is away, with what was last known.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::future::Cache;
use sentinel_domain::{
    account::Profile,
    ids::UserId,
    ports::{AccountReader, StoreError},
};
use sentinel_http::problem::Problem;
use tokio::time::timeout;

use crate::views::PeerView;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// A failure that takes so long is one that others are spared.
const SLOW: Duration = Duration::from_millis(250);
/// How long the store is not asked again about blocks after it was away, but by one caller at the end of that time.
const SPARED_FOR: Duration = Duration::from_secs(3);
/// How much is remembered, and for how long, of what is only used while the store is away.
const REMEMBERED: u64 = 50_000;
const REMEMBERED_FOR: Duration = Duration::from_hours(12);

/// Profiles and blocks. The store is asked each time; what it said last stands in for it when it is away.
pub(crate) struct Accounts {
    store: Arc<dyn AccountReader>,
    profiles: Cache<UserId, Profile>,
    blocked: Cache<(UserId, UserId), bool>,
    outage: Outage,
}

/// Since when the store is away: not every caller shall wait to find that out.
#[derive(Default)]
struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// Whether to ask the store at `now`.
    fn may_ask(&self, now: Instant) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *asked {
            None => true,
            Some(asked) if now.duration_since(*asked) < SPARED_FOR => false,
            Some(asked) => {
                *asked = now;
                true
            }
        }
    }

    fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn away(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

impl Accounts {
    pub fn new(store: Arc<dyn AccountReader>) -> Self {
        let profiles = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build();
        let blocked = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build();
        Self { store, profiles, blocked, outage: Outage::default() }
    }

    /// What the caller sees of another member; not found when the account is gone.
    pub async fn peer(&self, id: UserId) -> Result<PeerView, Problem> {
        self.peers(&[id]).await?.remove(&id).ok_or_else(Problem::not_found)
    }

    /// What the caller sees of other members; those whose account is gone are left out. While the store is away, those
    /// that are not remembered have empty names.
    pub async fn peers(&self, ids: &[UserId]) -> Result<HashMap<UserId, PeerView>, Problem> {
        let mut peers = HashMap::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(peers);
        }
        if let Some(profiles) = unless_away(self.store.profiles(ids)).await? {
            for profile in profiles {
                self.profiles.insert(profile.user_id, profile.clone()).await;
                peers.insert(profile.user_id, profile.into());
            }
        } else {
            for &id in ids {
                let known = self.profiles.get(&id).await;
                peers.insert(id, known.map_or_else(|| PeerView::unknown(id), PeerView::from));
            }
        }
        Ok(peers)
    }

    /// Whether either blocks the other; when that can't be told, they are taken to be.
    pub async fn blocked_between(&self, a: UserId, b: UserId) -> bool {
        let pair = if a <= b { (a, b) } else { (b, a) };
        let asked = Instant::now();
        if self.outage.may_ask(asked) {
            match unless_away(self.store.blocked_between(a, b)).await {
                Ok(Some(blocked)) => {
                    self.outage.answered();
                    self.blocked.insert(pair, blocked).await;
                    return blocked;
                }
                // What fails at once holds nobody up, and may be no outage.
                Ok(None) if asked.elapsed() >= SLOW => self.outage.away(Instant::now()),
                Ok(None) | Err(_) => {}
            }
        }
        self.blocked.get(&pair).await.unwrap_or(true)
    }
}

/// The answer; `None` when the store is away.
async fn unless_away<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>, StoreError> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(StoreError::Unavailable(source))) => {
            tracing::debug!(error = source.as_ref() as &dyn std::error::Error, "accounts are not available");
            Ok(None)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            tracing::debug!("accounts did not answer in time");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_store_is_away_one_caller_at_a_time_asks_it() {
        let (outage, start) = (Outage::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert!(outage.may_ask(start) && outage.may_ask(start));
        outage.away(after(2000));
        assert!(!outage.may_ask(after(2001)) && !outage.may_ask(after(4999)));
        assert!(outage.may_ask(after(5000)), "one looks whether it is back");
        assert!(!outage.may_ask(after(5001)), "the others do not wait for that");
        outage.answered();
        assert!(outage.may_ask(after(5500)) && outage.may_ask(after(5500)));
    }
}
