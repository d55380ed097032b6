//! A place in an inbox: what a sync token stands for.
//!
//! Where several nodes write, an event may become visible after one with a higher id. A place therefore says up to
//! where everything was given, and which of the events after that were given too. It trails the newest event by
//! [`SETTLING_SECONDS`]: whatever becomes visible within that time is given, once.

use crate::{
    clock::Instant,
    ids::{EventId, MessageId},
    time::Timestamp,
};

/// How long an event may take from its id to being visible, in seconds. Writes time out long before.
pub const SETTLING_SECONDS: i64 = 60;
/// Most events that a place lists one by one; beyond that the settling time gets shorter. With so many a token has 5.5 KiB,
/// for which there is room in an address, and a user would have to get eight events a second for a minute.
pub const LISTED: usize = 512;
const ID_BYTES: usize = 16;
const PRINT_BYTES: usize = 8;

/// Whether something that this event tells of may still be becoming visible.
pub fn is_settling(event: EventId, now: Timestamp) -> bool {
    now < event.timestamp().plus_seconds(SETTLING_SECONDS)
}

/// An event is there before what it tells of: stores make the parts of a write visible one by one.
#[derive(Debug, thiserror::Error)]
#[error("what happened to message {0} can't be seen yet")]
pub struct NotVisible(pub MessageId);

/// A place in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxPlace {
    up_to: EventId,
    /// Fingerprints of events after `up_to` that were given, in the order of the events.
    given: Vec<u64>,
}

impl InboxPlace {
    /// Before every event.
    pub fn start() -> Self {
        Self::exactly(EventId(Instant::default().id(0)))
    }

    /// Everything up to `up_to` was given, nothing after it.
    pub fn exactly(up_to: EventId) -> Self {
        Self { up_to, given: Vec::new() }
    }

    /// Everything up to here was given.
    pub fn up_to(&self) -> EventId {
        self.up_to
    }

    /// How many events after that are listed one by one.
    pub fn listed(&self) -> usize {
        self.given.len()
    }

    /// Whether an event was given.
    pub fn has(&self, event: EventId) -> bool {
        event <= self.up_to || self.given.contains(&fingerprint(event))
    }

    /// The place after a page. `after` are all events of the inbox after [`InboxPlace::up_to`] that were given, before or
    /// by this page, in order. `settled` is the time up to which nothing new can
    /// become visible; it is not believed beyond `end`, the last event of a page that has others after it.
    #[must_use]
    pub fn after_page(&self, after: &[EventId], end: Option<EventId>, settled: Timestamp) -> Self {
        let settled = Instant { millis: u64::try_from(settled.0).unwrap_or(0), counter: 0 };
        let settled = EventId(settled.id(0));
        let mut up_to = self.up_to.max(end.map_or(settled, |end| end.min(settled)));
        let listed = after.len().saturating_sub(LISTED);
        if let Some(last_unlisted) = listed.checked_sub(1).and_then(|place| after.get(place)) {
            up_to = up_to.max(end.map_or(*last_unlisted, |end| end.min(*last_unlisted)));
        }
        let given = after.iter().filter(|event| **event > up_to).map(|event| fingerprint(*event)).collect();
        Self { up_to, given }
    }

    /// The place as bytes: the id, then eight bytes for each event given after it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.up_to.as_bytes().to_vec();
        bytes.extend(self.given.iter().flat_map(|print| print.to_be_bytes()));
        bytes
    }

    /// Reads what [`InboxPlace::to_bytes`] wrote; `None` when it did not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, given) = bytes.split_at_checked(ID_BYTES)?;
        let (prints, rest) = given.as_chunks::<PRINT_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        let given = prints.iter().map(|print| u64::from_be_bytes(*print)).collect();
        Some(Self { up_to: EventId::from_bytes(id.try_into().ok()?), given })
    }
}

impl From<EventId> for InboxPlace {
    fn from(id: EventId) -> Self {
        Self::exactly(id)
    }
}

impl From<MessageId> for InboxPlace {
    fn from(id: MessageId) -> Self {
        Self::exactly(id.into())
    }
}

/// What tells events apart that happen within minutes: 20 bits of the milliseconds, the counter's 12 and 32 of the node.
fn fingerprint(event: EventId) -> u64 {
    let Instant { millis, counter } = Instant::of(event.0);
    let (_, node) = event.0.as_u64_pair();
    ((millis & 0xf_ffff) << 44) | (u64::from(counter) << 32) | (node & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(millis: u64, counter: u16, node: u64) -> EventId {
        EventId(Instant { millis, counter }.id(node))
    }

    #[test]
    fn an_event_that_becomes_visible_late_is_still_new() {
        let (early, late) = (event(100_000, 0, 1), event(100_001, 0, 2));
        let place = InboxPlace::start().after_page(&[late], None, Timestamp(50_000));
        assert!(place.has(late) && !place.has(early));
        let place = place.after_page(&[early, late], None, Timestamp(50_000));
        assert!(place.has(early) && place.has(late));
        let place = place.after_page(&[early, late], None, Timestamp(200_000));
        assert_eq!(place, InboxPlace::exactly(event(200_000, 0, 0)));
    }

    #[test]
    fn a_page_that_is_not_the_last_does_not_pass_over_what_follows() {
        let events: Vec<_> = (0..10).map(|n| event(1_000 + n, 0, 1)).collect();
        let place = InboxPlace::start().after_page(&events[..4], Some(events[3]), Timestamp(1_000_000));
        assert_eq!(place, InboxPlace::exactly(events[3]));
    }

    #[test]
    fn a_place_lists_no_more_than_it_may() {
        let events: Vec<_> = (0..1_000).map(|n| event(1_000 + n, 0, 1)).collect();
        let place = InboxPlace::start().after_page(&events, None, Timestamp(0));
        assert_eq!(place.to_bytes().len(), ID_BYTES + LISTED * PRINT_BYTES);
        assert!(events.iter().all(|event| place.has(*event)));
    }

    #[test]
    fn odd_bytes_are_no_place() {
        for bad in [&[0; 15][..], &[0; 17]] {
            assert_eq!(InboxPlace::from_bytes(bad), None);
        }
    }

    proptest! {
        /// Events become visible in any order, within the settling time of their ids; a client syncs in between.
        #[test]
        fn each_event_is_given_once(
            arrivals in prop::collection::vec((0_u64..60_000, 0_u64..59_000, 0_u64..4), 1..120),
            page in 1_usize..9,
        ) {
            let mut pending: Vec<_> = arrivals.iter().enumerate().map(|(n, (at, delay, node))| {
                (at + delay, event(1_000_000 + at, u16::try_from(n).unwrap(), *node))
            }).collect();
            pending.sort();
            let (mut visible, mut given) = (Vec::<EventId>::new(), Vec::new());
            let mut place = InboxPlace::start();
            for (seen_at, id) in pending {
                visible.push(id);
                visible.sort();
                let settled = Timestamp((1_000_000 + seen_at).cast_signed() - SETTLING_SECONDS * 1000);
                loop {
                    let fresh: Vec<_> = visible.iter().copied().filter(|id| !place.has(*id)).collect();
                    let more = fresh.len() > page;
                    let new = &fresh[..page.min(fresh.len())];
                    given.extend_from_slice(new);
                    let end = new.last().copied().filter(|_| more);
                    let after: Vec<_> = visible.iter().copied()
                        .filter(|id| *id > place.up_to() && (place.has(*id) || new.contains(id)))
                        .filter(|id| end.is_none_or(|end| *id <= end)).collect();
                    // What was given beyond the page's end stays known.
                    let beyond: Vec<_> = visible.iter().copied()
                        .filter(|id| end.is_some_and(|end| *id > end) && place.has(*id)).collect();
                    let all: Vec<_> = after.into_iter().chain(beyond).collect();
                    place = InboxPlace::from_bytes(&place.after_page(&all, end, settled).to_bytes()).unwrap();
                    if !more { break }
                }
            }
            let mut unique = given.clone();
            unique.sort();
            unique.dedup();
            prop_assert_eq!(unique.len(), given.len());
            prop_assert_eq!(unique, visible);
        }
    }
}
