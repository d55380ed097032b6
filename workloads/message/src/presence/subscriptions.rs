//! Which sockets watch which users, and what each was shown.

use std::collections::{HashMap, HashSet};

use sentinel_domain::{event::Origin, ids::UserId, presence::PresenceStatus};

/// The subscriptions of all sockets here; `W` is who watches.
pub(super) struct Subscriptions<W> {
    watchers: HashMap<UserId, HashMap<Origin, Watcher<W>>>,
    watched: HashMap<Origin, HashSet<UserId>>,
}

impl<W> Default for Subscriptions<W> {
    fn default() -> Self {
        Self { watchers: HashMap::new(), watched: HashMap::new() }
    }
}

struct Watcher<W> {
    who: W,
    shown: Shown,
}

/// What a watcher was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing yet: it is being read.
    Nothing,
    /// Nothing yet, and what is being read may be old.
    Outdated,
    /// This.
    Status(PresenceStatus),
}

impl<W: Clone> Subscriptions<W> {
    /// Adds what a socket does not watch yet, and gives that; `None`, and nothing is added, when it would watch more
    /// than `most`.
    pub fn add(&mut self, socket: Origin, who: &W, users: &[UserId], most: usize) -> Option<Vec<UserId>> {
        let watched = self.watched.entry(socket).or_default();
        let added: Vec<UserId> = users.iter().filter(|user| !watched.contains(user)).copied().collect();
        if watched.len() + added.len() > most {
            return None;
        }
        watched.extend(&added);
        if watched.is_empty() {
            self.watched.remove(&socket);
        }
        for user in &added {
            let watcher = Watcher { who: who.clone(), shown: Shown::Nothing };
            self.watchers.entry(*user).or_default().insert(socket, watcher);
        }
        Some(added)
    }

    /// The socket gets to see this as the answer. `true`: it may be old, look again.
    pub fn begin(&mut self, socket: Origin, user: UserId, status: PresenceStatus) -> bool {
        let Some(watcher) = self.watcher(socket, user) else { return false };
        match std::mem::replace(&mut watcher.shown, Shown::Status(status)) {
            Shown::Nothing => false,
            Shown::Outdated => true,
            // It watches already, and one of the two is old.
            Shown::Status(shown) => shown != status,
        }
    }

    /// Whether a socket has to be shown this, which is new. It counts as shown.
    pub fn show(&mut self, socket: Origin, user: UserId, status: PresenceStatus) -> bool {
        let Some(watcher) = self.watcher(socket, user) else { return false };
        match watcher.shown {
            Shown::Nothing | Shown::Outdated => {
                watcher.shown = Shown::Outdated;
                false
            }
            Shown::Status(shown) => {
                watcher.shown = Shown::Status(status);
                shown != status
            }
        }
    }

    fn watcher(&mut self, socket: Origin, user: UserId) -> Option<&mut Watcher<W>> {
        self.watchers.get_mut(&user)?.get_mut(&socket)
    }

    /// The socket watches these users no more.
    pub fn remove(&mut self, socket: Origin, users: &[UserId]) {
        let Some(watched) = self.watched.get_mut(&socket) else { return };
        let removed: Vec<UserId> = users.iter().filter(|user| watched.remove(user)).copied().collect();
        if watched.is_empty() {
            self.watched.remove(&socket);
        }
        for user in removed {
            self.forget(socket, user);
        }
    }

    /// The socket is gone.
    pub fn leave(&mut self, socket: Origin) {
        for user in self.watched.remove(&socket).unwrap_or_default() {
            self.forget(socket, user);
        }
    }

    fn forget(&mut self, socket: Origin, user: UserId) {
        if let Some(watchers) = self.watchers.get_mut(&user) {
            watchers.remove(&socket);
            if watchers.is_empty() {
                self.watchers.remove(&user);
            }
        }
    }

    /// Who watches a user, and what each was shown.
    pub fn watchers_of(&self, user: UserId) -> Vec<(Origin, W, Shown)> {
        let watchers = self.watchers.get(&user).into_iter().flatten();
        watchers.map(|(socket, watcher)| (*socket, watcher.who.clone(), watcher.shown)).collect()
    }

    /// Whether anybody watches a user.
    pub fn is_watched(&self, user: UserId) -> bool {
        self.watchers.contains_key(&user)
    }

    /// Everybody who is watched.
    pub fn watched_users(&self) -> Vec<UserId> {
        self.watchers.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));
    const PHONE: Origin = Origin(1);
    const DESK: Origin = Origin(2);

    #[test]
    fn a_socket_watches_so_many_and_what_it_leaves_takes_no_room() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.add(PHONE, &"phone", &[ANN], 2), Some(vec![ANN]));
        assert_eq!(subscriptions.add(PHONE, &"phone", &[ANN, BOB], 2), Some(vec![BOB]));
        assert_eq!(subscriptions.add(DESK, &"desk", &[BOB], 2), Some(vec![BOB]));
        let more = UserId(Uuid::from_u128(3));
        assert_eq!(subscriptions.add(PHONE, &"phone", &[more], 2), None);
        assert!(!subscriptions.is_watched(more));
        assert_eq!(subscriptions.watchers_of(ANN), [(PHONE, "phone", Shown::Nothing)]);
        assert_eq!(subscriptions.watchers_of(BOB).len(), 2);
        subscriptions.remove(PHONE, &[ANN, more]);
        assert_eq!(subscriptions.watched_users(), [BOB]);
        subscriptions.leave(PHONE);
        subscriptions.leave(PHONE);
        subscriptions.leave(DESK);
        assert!(subscriptions.watchers.is_empty() && subscriptions.watched.is_empty());
        assert_eq!(subscriptions.add(PHONE, &"phone", &[], 2), Some(vec![]));
        assert!(subscriptions.watched.is_empty());
    }

    #[test]
    fn a_watcher_is_shown_what_is_new_and_nothing_before_the_first_answer() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(PHONE, &"phone", &[ANN], 2);
        assert!(!subscriptions.show(PHONE, ANN, PresenceStatus::Online));
        assert!(subscriptions.begin(PHONE, ANN, PresenceStatus::Offline), "it changed meanwhile");
        assert!(subscriptions.show(PHONE, ANN, PresenceStatus::Online));
        assert!(!subscriptions.show(PHONE, ANN, PresenceStatus::Online));
        assert!(subscriptions.show(PHONE, ANN, PresenceStatus::Away));
        assert!(!subscriptions.show(DESK, ANN, PresenceStatus::Away));
        assert!(!subscriptions.begin(PHONE, ANN, PresenceStatus::Away));
    }

    #[test]
    fn who_watches_already_is_not_left_with_an_old_answer() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(PHONE, &"phone", &[ANN], 2);
        assert!(!subscriptions.begin(PHONE, ANN, PresenceStatus::Offline));
        // It asks again; she comes while that is read, and is shown before the answer, which says that she is not there.
        assert_eq!(subscriptions.add(PHONE, &"phone", &[ANN], 2), Some(vec![]));
        assert!(subscriptions.show(PHONE, ANN, PresenceStatus::Online));
        assert!(subscriptions.begin(PHONE, ANN, PresenceStatus::Offline), "look again");
        assert!(subscriptions.show(PHONE, ANN, PresenceStatus::Online));
    }
}
