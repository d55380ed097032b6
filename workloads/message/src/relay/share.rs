//! Which shard a replica tries to take next, and when.

use std::{collections::BTreeSet, time::Duration};

use uuid::Uuid;

use super::Pace;

/// One replica's view of all shards.
pub(super) struct Share {
    shards: u16,
    /// Where it begins to look; another place in each replica, so that they don't ask for the same ones.
    place: u16,
    pace: Pace,
}

impl Share {
    pub(super) fn new(shards: u16, holder: Uuid, pace: Pace) -> Self {
        let place = u16::from_be_bytes([holder.as_bytes()[0], holder.as_bytes()[1]]) % shards.max(1);
        Self { shards, place, pace }
    }

    /// Shards that this replica does not have, in the order in which it tries them.
    pub(super) fn candidates(&mut self, held: impl Iterator<Item = u16>) -> Vec<u16> {
        let held: BTreeSet<u16> = held.collect();
        let begin = self.place;
        self.place = (begin + 1) % self.shards.max(1);
        (begin..self.shards).chain(0..begin).filter(|shard| !held.contains(shard)).collect()
    }

    /// How long to wait after a try, having had `held` shards before it.
    pub(super) fn pause(&self, held: usize, taken: bool) -> Duration {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        if taken { self.pace.taking.saturating_mul(held + 1) } else { self.pace.looking }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::PACE;

    #[test]
    fn every_shard_is_tried_but_those_held() {
        let mut share = Share::new(8, Uuid::from_u128(5 << 112), PACE);
        assert_eq!(share.candidates([6, 1].into_iter()), [5, 7, 0, 2, 3, 4]);
        assert_eq!(share.candidates([].into_iter()), [6, 7, 0, 1, 2, 3, 4, 5]);
        assert!(Share::new(0, Uuid::nil(), PACE).candidates([].into_iter()).is_empty());
    }

    #[test]
    fn who_has_more_waits_longer_and_one_alone_soon_has_all() {
        let share = Share::new(8, Uuid::nil(), PACE);
        let pauses: Vec<_> = (0..8).map(|held| share.pause(held, true)).collect();
        assert!(pauses.is_sorted() && pauses[0] < pauses[7]);
        assert!(pauses[..7].iter().sum::<Duration>() < PACE.lease);
    }
}
