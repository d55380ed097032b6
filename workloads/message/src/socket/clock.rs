//! Ends sockets whose token has expired, after a warning. One timer serves all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use sentinel_domain::{background::vital, time::Timestamp};

use super::{Connections, Ending, Session};
use crate::{dispatcher, hub::Hub, views::TokenExpiring};

/// How long before its token's end a client is warned, at most.
const WARNING_MILLIS: i64 = 60_000;
const TICK: Duration = Duration::from_secs(1);

/// The sockets by when to look at them next.
#[derive(Default)]
pub(crate) struct Deadlines {
    due: Mutex<BTreeMap<(i64, u64), Arc<Session>>>,
}

impl Deadlines {
    /// Looks at a socket again when its token's time calls for it.
    pub fn watch(&self, session: &Arc<Session>) {
        let expires_at = session.expires_at().0;
        let at = if session.warned.load(Ordering::Relaxed) { expires_at } else { session.warn_at().0 };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let before = session.due_at.swap(at, Ordering::Relaxed);
        due.remove(&(before, session.origin.0));
        if !session.has_ended() {
            due.insert((at, session.origin.0), session.clone());
        }
    }

    pub fn forget(&self, session: &Session) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.remove(&(session.due_at.load(Ordering::Relaxed), session.origin.0));
    }

    fn take_due(&self, now: Timestamp) -> Vec<Arc<Session>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let later = due.split_off(&(now.0 + 1, 0));
        std::mem::replace(&mut *due, later).into_values().collect()
    }
}

/// When a client is warned: within the last third of what its token is good for, or a warning and the new token that it
/// asks for would follow each other without end.
pub(super) fn warn_at(issued_at: Timestamp, expires_at: Timestamp) -> Timestamp {
    Timestamp(expires_at.0 - WARNING_MILLIS.min((expires_at.0 - issued_at.0) / 3))
}

/// Starts the clock. It stops when the hub is gone.
pub(crate) fn start(hub: &Arc<Hub>, connections: &Arc<Connections>) {
    let (hub, connections) = (Arc::downgrade(hub), connections.clone());
    tokio::spawn(vital("deadlines of sockets", async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let Some(hub) = hub.upgrade() else { return };
            look(&hub, Timestamp::now());
            connections.sweep();
        }
    }));
}

fn look(hub: &Arc<Hub>, now: Timestamp) {
    for session in hub.deadlines.take_due(now) {
        let expires_at = session.expires_at();
        if expires_at <= now {
            session.end(hub, Ending::Expired);
            continue;
        }
        if session.warn_at() <= now
            && !session.warned.swap(true, Ordering::Relaxed)
            && let Some(warning) = dispatcher::raw(&TokenExpiring { expires_at })
        {
            session.emit_in(session.namespace(), hub, "token_expiring", &warning);
        }
        hub.deadlines.watch(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_not_warned_of_however_short_its_life() {
        let warned = |seconds: i64| (warn_at(Timestamp(0), Timestamp(seconds * 1000)).0 / 1000, seconds);
        assert_eq!([warned(60), warned(180), warned(900)], [(40, 60), (120, 180), (840, 900)]);
    }
}
