//! The hybrid logical clock that makes ids.
//!
//! An id is a `UUIDv7` (RFC 9562): 48 bits of Unix milliseconds, then a 12-bit counter in `rand_a`, then 62 bits that
//! a node draws at random when it starts and that tell apart ids which two nodes make at the same instant. A node
//! merges each id it sees, so what it makes next sorts after all it has seen, however its wall clock stands: order
//! respects causality.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::{ids::EventId, ids::MessageId, time::Timestamp};

const COUNTER_BITS: u32 = 12;
const COUNTER_MAX: u16 = (1 << COUNTER_BITS) - 1;

/// The part of an id that orders it: milliseconds, then the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Unix milliseconds (48 bits).
    pub millis: u64,
    /// Events since the millisecond began (12 bits).
    pub counter: u16,
}

impl Instant {
    /// The instant that an id carries.
    pub fn of(id: Uuid) -> Self {
        let bits = id.as_u128();
        // Both casts keep exactly the bits that the shifts left.
        #[allow(clippy::cast_possible_truncation)]
        Self { millis: (bits >> 80) as u64, counter: ((bits >> 64) & u128::from(COUNTER_MAX)) as u16 }
    }

    /// The instant right after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.counter < COUNTER_MAX {
            Self { millis: self.millis, counter: self.counter + 1 }
        } else {
            Self { millis: self.millis + 1, counter: 0 }
        }
    }

    /// The id that a node gives to this instant (the lowest 62 bits of `node` are used).
    pub fn id(self, node: u64) -> Uuid {
        let high = (u128::from(self.millis) << 80) | (0x7 << 76) | (u128::from(self.counter) << 64);
        let low = (0b10 << 62) | (node & (u64::MAX >> 2));
        Uuid::from_u128(high | u128::from(low))
    }
}

/// A hybrid logical clock. One per process; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct HybridClock {
    node: u64,
    last: Mutex<Instant>,
}

impl Default for HybridClock {
    fn default() -> Self {
        let (_, node) = Uuid::new_v4().as_u64_pair();
        Self { node, last: Mutex::default() }
    }
}

impl HybridClock {
    /// A clock that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Merges an id made elsewhere or earlier: all later ids sort after it.
    pub fn observe(&self, id: Uuid) {
        let seen = Instant::of(id);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if seen > *last {
            *last = seen;
        }
    }

    /// The newest instant that this clock gave out or saw.
    pub fn newest(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id for something that happens at wall-clock time `now`.
    pub fn tick(&self, now: Timestamp) -> Uuid {
        let wall = Instant { millis: u64::try_from(now.0).unwrap_or(0), counter: 0 };
        let instant = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = if wall > *last { wall } else { last.next() };
            *last
        };
        instant.id(self.node)
    }

    /// [`HybridClock::tick`] for a message.
    pub fn message_id(&self, now: Timestamp) -> MessageId {
        MessageId(self.tick(now))
    }

    /// [`HybridClock::tick`] for an inbox event.
    pub fn event_id(&self, now: Timestamp) -> EventId {
        EventId(self.tick(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_a_well_formed_uuid_v7_and_keeps_its_instant() {
        let instant = Instant { millis: 1_706_369_200_007, counter: 4095 };
        let id = instant.id(u64::MAX);
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(Instant::of(id), instant);
        assert_eq!(MessageId(id).timestamp(), Timestamp(1_706_369_200_007));
    }

    #[test]
    fn two_nodes_give_different_ids_to_one_instant() {
        let (a, b) = (HybridClock::new(), HybridClock::new());
        assert_ne!(a.tick(Timestamp(1_000)), b.tick(Timestamp(1_000)));
    }

    #[test]
    fn more_ids_than_the_counter_holds_in_one_millisecond_still_rise() {
        let clock = HybridClock::new();
        let ids: Vec<Uuid> = (0..10_000).map(|_| clock.tick(Timestamp(1_000))).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        /// Nodes with clocks minutes apart, some going backwards, pass messages to each other at random:
        /// whatever a node makes sorts after all that it made or saw before.
        #[test]
        fn ids_of_skewed_clocks_are_monotonic_and_causal(
            skews in prop::collection::vec(-300_000_i64..300_000, 2..6),
            steps in prop::collection::vec((0_usize..6, 0_usize..6, -50_i64..50), 1..200),
        ) {
            let nodes: Vec<HybridClock> = skews.iter().map(|_| HybridClock::new()).collect();
            let mut newest_known = vec![None::<Uuid>; nodes.len()];
            let mut wall = 1_700_000_000_000_i64;
            for (from, to, step) in steps {
                let (from, to) = (from % nodes.len(), to % nodes.len());
                wall += step;
                let id = nodes[from].tick(Timestamp(wall + skews[from]));
                if let Some(known) = newest_known[from] {
                    prop_assert!(id > known, "{id} does not sort after {known}");
                }
                newest_known[from] = Some(id);
                nodes[to].observe(id);
                newest_known[to] = newest_known[to].max(Some(id));
            }
        }
    }
}
