//! Which changes of presence are on their way, and who has seen them.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// What users are brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A device is in use.
    Online,
    /// None is.
    Away,
}

impl Status {
    /// By its name in the contract; there is a further one that nobody is brought into.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "online" => Some(Self::Online),
            "away" => Some(Self::Away),
            _ => None,
        }
    }
}

/// The newest change of each user.
pub struct Changes {
    newest: Vec<Option<Change>>,
    watchers: usize,
    /// Watchers who have yet to see the newest changes.
    awaited: usize,
    /// Watchers who had not seen a change when the next one of the same user began.
    overtaken: usize,
}

struct Change {
    status: Status,
    begun: Instant,
    seen_by: HashSet<usize>,
}

impl Changes {
    /// None yet, of so many users with so many watchers each.
    pub fn new(users: usize, watchers: usize) -> Self {
        Self { newest: (0..users).map(|_| None).collect(), watchers, awaited: 0, overtaken: 0 }
    }

    /// A user changes.
    pub fn begin(&mut self, user: usize, status: Status, begun: Instant) {
        let before = self.newest[user].replace(Change { status, begun, seen_by: HashSet::new() });
        if let Some(before) = before {
            let unseen = self.watchers - before.seen_by.len();
            self.overtaken += unseen;
            self.awaited -= unseen;
        }
        self.awaited += self.watchers;
    }

    /// A watcher sees a user in this state: how long that took, if it is the newest change and new to the watcher.
    pub fn seen(&mut self, user: usize, status: Status, watcher: usize, now: Instant) -> Option<Duration> {
        let change = self.newest[user].as_mut().filter(|change| change.status == status)?;
        if !change.seen_by.insert(watcher) {
            return None;
        }
        self.awaited -= 1;
        Some(now.saturating_duration_since(change.begun))
    }

    /// How many have yet to see the newest changes.
    pub fn awaited(&self) -> usize {
        self.awaited
    }

    /// How many have not seen a change, newest or not.
    pub fn unseen(&self) -> usize {
        self.awaited + self.overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_by_each_watcher() {
        let (mut changes, start) = (Changes::new(3, 2), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        changes.begin(0, Status::Away, at(0));
        assert_eq!(changes.awaited(), 2);
        assert_eq!(changes.seen(0, Status::Online, 1, at(5)), None, "what was before");
        assert_eq!(changes.seen(0, Status::Away, 1, at(10)), Some(Duration::from_millis(10)));
        assert_eq!(changes.seen(0, Status::Away, 1, at(20)), None, "it is no news any more");
        assert_eq!(changes.seen(1, Status::Away, 1, at(20)), None, "nothing was waited for");
        assert_eq!((changes.awaited(), changes.unseen()), (1, 1));
        assert_eq!(changes.seen(0, Status::Away, 2, at(30)), Some(Duration::from_millis(30)));
        assert_eq!((changes.awaited(), changes.unseen()), (0, 0));
    }

    #[test]
    fn who_missed_a_change_is_counted_when_the_next_begins() {
        let (mut changes, start) = (Changes::new(1, 3), Instant::now());
        changes.begin(0, Status::Away, start);
        changes.seen(0, Status::Away, 1, start);
        changes.begin(0, Status::Online, start);
        assert_eq!((changes.awaited(), changes.unseen()), (3, 5));
        for watcher in 1..=3 {
            changes.seen(0, Status::Online, watcher, start);
        }
        assert_eq!((changes.awaited(), changes.unseen()), (0, 2));
    }
}
