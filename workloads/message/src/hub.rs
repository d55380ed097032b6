//! The hub: which sockets each user has here, and the queue of live events for them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
};

use sentinel_domain::{
    event::{Fanout, LiveEvent},
    ids::{SessionId, UserId},
    time::Timestamp,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::{
    nodes::{Asked, Missed},
    presence::{self, Presences},
    socket::{Deadlines, Session},
};

/// What waits for the dispatcher.
pub(crate) enum Work {
    /// Events of one commit.
    Live(Vec<LiveEvent>),
    /// What was found in an inbox.
    Missed(Missed),
}

/// The sockets of this process by user, and where the store publishes to.
///
/// Publishing only queues: one dispatcher takes the events in order and hands them to sockets without waiting.
pub struct Hub {
    queue: UnboundedSender<Work>,
    published: Mutex<Option<UnboundedReceiver<Work>>>,
    users: RwLock<HashMap<UserId, Vec<Arc<Session>>>>,
    seats: Mutex<HashMap<UserId, u32>>,
    departures: OnceLock<UnboundedSender<Asked>>,
    presences: presence::Slot,
    pub(crate) deadlines: Deadlines,
}

impl Default for Hub {
    fn default() -> Self {
        let (queue, published) = mpsc::unbounded_channel();
        Self {
            queue,
            published: Mutex::new(Some(published)),
            users: RwLock::default(),
            seats: Mutex::default(),
            departures: OnceLock::new(),
            presences: presence::Slot::new(),
            deadlines: Deadlines::default(),
        }
    }
}

impl Fanout for Hub {
    fn publish(&self, events: Vec<LiveEvent>) {
        // Without a dispatcher there is nobody to hear of it; the inbox has it.
        let _ = self.queue.send(Work::Live(events));
    }
}

impl Hub {
    /// A hub without sockets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The queue's end, for the one dispatcher.
    pub(crate) fn take_published(&self) -> Option<UnboundedReceiver<Work>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows sockets what they missed, in turn with live events.
    pub(crate) fn show_missed(&self, missed: Missed) {
        // Without a dispatcher there is nobody to show it to.
        let _ = self.queue.send(Work::Missed(missed));
    }

    /// From now on, whoever keeps leases hears of users whose last socket went.
    pub(crate) fn tell_of_departures(&self, keeper: UnboundedSender<Asked>) {
        // There is one keeper; it stays.
        let _ = self.departures.set(keeper);
    }

    /// Other nodes may have had events for sockets here, since then, that never came.
    pub(crate) fn look_into_inboxes(&self, since: Timestamp) {
        if let Some(keeper) = self.departures.get() {
            // Without a keeper there are no other nodes.
            let _ = keeper.send(Asked::Interrupted(since));
        }
    }

    /// From now on, presence hears of sockets that went and of blocks.
    pub(crate) fn tell_presences(&self, presences: &Arc<Presences>) {
        // There is one; it stays.
        let _ = self.presences.set(Arc::downgrade(presences));
    }

    pub(crate) fn presences(&self) -> Option<Arc<Presences>> {
        self.presences.get()?.upgrade()
    }

    /// Takes a place for one more socket of a user; `None` when all `limit` are taken.
    pub(crate) fn take_seat(self: &Arc<Self>, user: UserId, limit: u32) -> Option<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(user).or_default();
        if *taken >= limit {
            return None;
        }
        *taken += 1;
        Some(Seat { hub: self.clone(), user })
    }

    pub(crate) fn join(&self, session: &Arc<Session>) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        users.entry(session.user_id).or_default().push(session.clone());
        drop(users);
        metrics::gauge!("sentinel_sockets_open").increment(1.0);
    }

    /// Forgets a socket; nothing happens when it is not there.
    pub(crate) fn leave(&self, session: &Arc<Session>) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut entry) = users.entry(session.user_id) else { return };
        let sessions = entry.get_mut();
        let Some(place) = sessions.iter().position(|other| Arc::ptr_eq(other, session)) else { return };
        sessions.swap_remove(place);
        let was_last = sessions.is_empty();
        if was_last {
            entry.remove();
        }
        drop(users);
        if let Some(keeper) = self.departures.get().filter(|_| was_last) {
            // Without a keeper the lease ends by itself.
            let _ = keeper.send(Asked::Settle(session.user_id, None));
        }
        if let Some(presences) = self.presences() {
            presences.left(session);
        }
        metrics::gauge!("sentinel_sockets_open").decrement(1.0);
    }

    /// A user's sockets.
    pub(crate) fn sockets_of(&self, user: UserId) -> Vec<Arc<Session>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(&user).cloned().unwrap_or_default()
    }

    pub(crate) fn has_sockets_of(&self, user: UserId) -> bool {
        self.users.read().unwrap_or_else(PoisonError::into_inner).contains_key(&user)
    }

    /// The users that have sockets.
    pub(crate) fn users(&self) -> Vec<UserId> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The sockets of a session.
    pub(crate) fn sockets_in(&self, session: SessionId) -> Vec<Arc<Session>> {
        self.all_that(|socket| socket.session_id() == session)
    }

    /// Every socket.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.all_that(|_| true)
    }

    fn all_that(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.values().flatten().filter(|session| wanted(session)).cloned().collect()
    }
}

/// A place for one socket of a user, given back when dropped.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = seats.entry(self.user) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn seats_are_limited_per_user_and_given_back() {
        let hub = Arc::new(Hub::new());
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let first = hub.take_seat(ann, 2).unwrap();
        let second = hub.take_seat(ann, 2).unwrap();
        assert!(hub.take_seat(ann, 2).is_none());
        assert!(hub.take_seat(bob, 2).is_some());
        drop(first);
        let third = hub.take_seat(ann, 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(hub.seats.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_published_before_the_dispatcher_runs_is_kept_in_order() {
        let hub = Hub::new();
        let sessions: Vec<SessionId> = (0..3).map(|n| SessionId(Uuid::from_u128(n))).collect();
        for &session_id in &sessions {
            hub.publish(vec![LiveEvent::SessionEnded { session_id }]);
        }
        let mut published = hub.take_published().unwrap();
        for session in sessions {
            let Work::Live(events) = published.try_recv().unwrap() else { panic!("live events") };
            assert!(matches!(events[..], [LiveEvent::SessionEnded { session_id }] if session_id == session));
        }
        assert!(hub.take_published().is_none());
    }
}
