//! A place in an inbox: what a sync token stands for.
//!
//! Where several nodes write, an event may become visible after one with a higher id. A place therefore says up to
//! where everything was given, and which of the events after that were given too. It trails the newest event by
//! [`SETTLING_SECONDS`]: whatever becomes visible within that time is given, once. A place that has no room for more events
//! does not trail less: a page ends before it would have to ([`InboxPlace::fits`]).

use std::{collections::HashSet, iter};

use crate::{
    clock::Instant,
    ids::{EventId, MessageId},
    time::Timestamp,
};

/// How long an event may take from its id to being visible, in seconds. Writes time out long before.
pub const SETTLING_SECONDS: i64 = 60;
/// Most bytes of a place that list events. With so many a token has 5.5 KiB, for which there is room in an address. An event
/// takes one to four where there are many: a user would have to get more than 1,000 in a minute, and rather 2,000.
pub const LISTED_BYTES: usize = 4096;
const ID_BYTES: usize = 16;
/// The first byte of a place that lists many events in few bytes, and of one with a byte behind the list that means nothing.
/// That of an id is part of the time until the year 6429 there.
const LISTING: u8 = 0x80;
const LISTING_PADDED: u8 = 0x81;
/// Bytes of an event, and of a node, where places list them one after the other.
const PRINT_BYTES: usize = 8;
/// Most events that a place lists in so many bytes each. Processes of before know no other places: so they understand all
/// but those of a flood.
const LISTED_FIXED: usize = LISTED_BYTES / PRINT_BYTES;
const NODE_BYTES: usize = 4;
const MILLIS_BITS: u32 = 20;

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

    /// The time of the last event that is listed, if any is.
    pub fn last_listed(&self) -> Option<Timestamp> {
        let start = Instant::of(self.up_to.0).millis;
        let later = |print: &u64| millis(*print).wrapping_sub(start) & ((1 << MILLIS_BITS) - 1);
        let last = self.given.iter().map(later).max()?;
        Some(Timestamp(start.saturating_add(last).cast_signed()))
    }

    /// Whether an event was given. [`InboxPlace::given`] tells it of many.
    pub fn has(&self, event: EventId) -> bool {
        event <= self.up_to || self.given.contains(&fingerprint(event))
    }

    /// What was given, to look up many events.
    pub fn given(&self) -> Given {
        Given { up_to: self.up_to, prints: self.given.iter().copied().collect() }
    }

    /// The place after a page. `after` are all events of the inbox after [`InboxPlace::up_to`] that were given, before or
    /// by this page, in order. `settled` is the time up to which nothing new can
    /// become visible; it is not believed beyond `end`, the last event of a page that has others after it.
    #[must_use]
    pub fn after_page(&self, after: &[EventId], end: Option<EventId>, settled: Timestamp) -> Self {
        let settled = Instant { millis: u64::try_from(settled.0).unwrap_or(0), counter: 0 };
        let settled = EventId(settled.id(0));
        let up_to = self.up_to.max(end.map_or(settled, |end| end.min(settled)));
        let given = after.iter().filter(|event| **event > up_to).map(|event| fingerprint(*event)).collect();
        Self { up_to, given }
    }

    /// How many events a page after this place may give: up to `limit`, and no more than the place after it has room for,
    /// which is looked for by halves. `events` are those of the inbox after [`InboxPlace::up_to`], in order; `given` is what
    /// [`InboxPlace::given`] says of them.
    pub fn room(&self, given: &Given, events: &[EventId], limit: usize, settled: Timestamp) -> usize {
        let events: Vec<(EventId, bool)> = events.iter().map(|event| (*event, given.has(*event))).collect();
        let fresh: Vec<EventId> = events.iter().filter(|(_, has)| !has).map(|(event, _)| *event).collect();
        let fits = |count: &usize| {
            let last = count.checked_sub(1).and_then(|place| fresh.get(place)).copied();
            let given = events.iter().filter(|(event, has)| *has || last.is_some_and(|last| *event <= last));
            let given: Vec<EventId> = given.map(|(event, _)| *event).collect();
            self.after_page(&given, last.filter(|_| *count < fresh.len()), settled).fits()
        };
        let half = |count: &usize| Some(count / 2).filter(|half| *half > 0);
        iter::successors(Some(limit.min(fresh.len())).filter(|count| *count > 0), half).find(fits).unwrap_or(0)
    }

    /// Whether a token has room for all that this lists.
    pub fn fits(&self) -> bool {
        // No event takes less than a byte.
        self.given.len() <= LISTED_FIXED
            || self.given.len() <= LISTED_BYTES && self.list().is_some_and(|list| list.len() <= LISTED_BYTES)
    }

    /// The place as bytes: the id and, for each event that is listed, eight bytes; or, for very many, a mark, the id, and
    /// the list.
    pub fn to_bytes(&self) -> Vec<u8> {
        let id = self.up_to.as_bytes();
        if self.given.len() <= LISTED_FIXED {
            let prints = self.given.iter().flat_map(|print| print.to_be_bytes());
            return id.iter().copied().chain(prints).collect();
        }
        // What does not fit is made a token of by nobody.
        let Some(list) = self.list() else { return id.to_vec() };
        // A process of before takes whatever has a multiple of eight bytes after the first sixteen for a place of its own
        // kind, far in the future: it is to refuse this instead.
        if (1 + list.len()).is_multiple_of(PRINT_BYTES) {
            return [[LISTING_PADDED].as_slice(), id, &list, &[0]].concat();
        }
        [[LISTING].as_slice(), id, &list].concat()
    }

    /// The nodes of the events, after their number. Then, for each event, how much later it is than the one before, in
    /// milliseconds; whether its counter, and whether its node is another than that one's; and both if they are. `None`
    /// when the events are of more nodes than a byte can tell.
    fn list(&self) -> Option<Vec<u8>> {
        let mut nodes: Vec<u32> = self.given.iter().map(|print| node(*print)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut list = vec![u8::try_from(nodes.len()).ok()?];
        list.extend(nodes.iter().flat_map(|node| node.to_be_bytes()));
        let mut before = self.before_the_first();
        for print in &self.given {
            let (other_counter, other_node) = (counter(*print) != counter(before), node(*print) != node(before));
            let later = millis(*print).wrapping_sub(millis(before)) & ((1 << MILLIS_BITS) - 1);
            put_number(&mut list, later << 2 | u64::from(other_counter) << 1 | u64::from(other_node));
            if other_counter {
                put_number(&mut list, counter(*print));
            }
            if other_node {
                list.push(u8::try_from(nodes.binary_search(&node(*print)).ok()?).ok()?);
            }
            before = *print;
        }
        Some(list)
    }

    /// Reads what [`InboxPlace::to_bytes`] wrote; `None` when it did not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (mark @ (&LISTING | &LISTING_PADDED), rest) => {
                let (id, list) = rest.split_at_checked(ID_BYTES)?;
                let list = if *mark == LISTING_PADDED { list.split_last()?.1 } else { list };
                let mut place = Self::exactly(EventId::from_bytes(id.try_into().ok()?));
                place.given = place.read_list(list)?;
                Some(place)
            }
            _ => Self::from_fixed(bytes),
        }
    }

    fn read_list(&self, list: &[u8]) -> Option<Vec<u64>> {
        let (count, rest) = list.split_first()?;
        let (nodes, mut rest) = rest.split_at_checked(usize::from(*count) * NODE_BYTES)?;
        let (nodes, _) = nodes.as_chunks::<NODE_BYTES>();
        let (mut given, mut before) = (Vec::new(), self.before_the_first());
        while !rest.is_empty() {
            let head = take_number(&mut rest)?;
            let counter = if head & 2 == 0 { counter(before) } else { take_number(&mut rest)? };
            let node = if head & 1 == 0 {
                node(before)
            } else {
                let (place, others) = rest.split_first()?;
                rest = others;
                u32::from_be_bytes(*nodes.get(usize::from(*place))?)
            };
            before = print(millis(before).wrapping_add(head >> 2), counter, node);
            given.push(before);
        }
        Some(given)
    }

    /// What the first event that is listed is compared with.
    fn before_the_first(&self) -> u64 {
        print(Instant::of(self.up_to.0).millis, 0, 0)
    }

    /// Reads a place that lists few events, as all did before: the id, then eight bytes for each event given after it.
    fn from_fixed(bytes: &[u8]) -> Option<Self> {
        let (id, given) = bytes.split_at_checked(ID_BYTES)?;
        let (prints, rest) = given.as_chunks::<PRINT_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        let given = prints.iter().map(|print| u64::from_be_bytes(*print)).collect();
        Some(Self { up_to: EventId::from_bytes(id.try_into().ok()?), given })
    }
}

/// The events that a place says were given.
#[derive(Clone, Debug)]
pub struct Given {
    up_to: EventId,
    prints: HashSet<u64>,
}

impl Given {
    /// Whether an event was given.
    pub fn has(&self, event: EventId) -> bool {
        event <= self.up_to || self.prints.contains(&fingerprint(event))
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
    print(millis, u64::from(counter), u32::try_from(node & 0xffff_ffff).unwrap_or(0))
}

fn print(millis: u64, counter: u64, node: u32) -> u64 {
    ((millis & ((1 << MILLIS_BITS) - 1)) << 44) | ((counter & 0xfff) << 32) | u64::from(node)
}

fn millis(print: u64) -> u64 {
    print >> 44
}

fn counter(print: u64) -> u64 {
    (print >> 32) & 0xfff
}

fn node(print: u64) -> u32 {
    u32::try_from(print & 0xffff_ffff).unwrap_or(0)
}

/// Writes a number seven bits at a time, the lowest first; all but the last byte have the highest bit set (LEB128).
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

/// Reads such a number of up to 28 bits, and goes on behind it.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
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
    fn a_place_knows_when_the_last_event_was_that_it_lists() {
        let start = 1_750_000_000_000;
        let events = [0, 999, 61_000].map(|after| event(start + after, 3, 1));
        let place = InboxPlace::exactly(event(start - 1, 0, 0)).after_page(&events, None, Timestamp(0));
        let read = InboxPlace::from_bytes(&place.to_bytes()).unwrap();
        assert_eq!(read.last_listed(), Some(events[2].timestamp()));
        assert_eq!(InboxPlace::exactly(events[0]).last_listed(), None);
    }

    #[test]
    fn a_page_that_is_not_the_last_does_not_pass_over_what_follows() {
        let events: Vec<_> = (0..10).map(|n| event(1_000 + n, 0, 1)).collect();
        let place = InboxPlace::start().after_page(&events[..4], Some(events[3]), Timestamp(1_000_000));
        assert_eq!(place, InboxPlace::exactly(events[3]));
    }

    /// As fast as one user may send, on two processes of which one is busy, so that its counter is hardly ever 0.
    #[test]
    fn a_place_lists_a_flood_in_few_bytes() {
        let event = |n: u64| {
            let node = n % 3 / 2;
            event(1_750_000_000_000 + n * 30, if node == 0 { 0 } else { u16::try_from(n % 7).unwrap() }, node + 7)
        };
        let events: Vec<_> = (0..1_500).map(event).collect();
        let place = InboxPlace::exactly(event(0)).after_page(&events, None, Timestamp(0));
        assert!(place.fits());
        let bytes = place.to_bytes();
        assert!(bytes.len() <= 1 + ID_BYTES + LISTED_BYTES, "{}", bytes.len());
        let read = InboxPlace::from_bytes(&bytes).unwrap();
        assert_eq!(read, place);
        assert!(events.iter().all(|event| read.has(*event)) && !read.has(event(1_500)));
    }

    #[test]
    fn a_place_that_would_list_more_than_it_may_says_so() {
        let events: Vec<_> = (0..5_000).map(|n| event(1_000 + n, 0, 1)).collect();
        let listing = |events: &[EventId]| InboxPlace::start().after_page(events, None, Timestamp(0));
        assert!(listing(&events[..3_000]).fits());
        assert!(!listing(&events).fits());
        let nodes: Vec<_> = (0..600).map(|n| event(1_000 + n, 0, n)).collect();
        assert!(listing(&nodes[..512]).fits() && !listing(&nodes).fits());
    }

    /// Such a process reads an id and eight bytes for each event; what is of no such length it refuses.
    #[test]
    fn a_process_of_before_understands_a_place_or_refuses_it() {
        let events: Vec<_> = (0..2_000).map(|n| event(1_750_000_000_000 + n * 30, 0, 7)).collect();
        for count in (1..=512).step_by(73).chain(513..600) {
            let place = InboxPlace::exactly(events[0]).after_page(&events[1..=count], None, Timestamp(0));
            let bytes = place.to_bytes();
            let is_understood =
                bytes.len() == ID_BYTES + count * PRINT_BYTES && bytes.starts_with(events[0].as_bytes());
            let is_refused = !(bytes.len() - ID_BYTES).is_multiple_of(PRINT_BYTES);
            assert_eq!((is_understood, is_refused), (count <= 512, count > 512), "{count}");
            assert_eq!(InboxPlace::from_bytes(&bytes), Some(place), "{count}");
        }
    }

    #[test]
    fn a_token_that_was_given_out_before_lists_were_short_is_good() {
        let (up_to, given) = (event(1_000_000, 0, 3), event(1_000_005, 9, 4));
        let fixed = [up_to.as_bytes().as_slice(), &fingerprint(given).to_be_bytes()].concat();
        let place = InboxPlace::from_bytes(&fixed).unwrap();
        assert!(place.has(given) && !place.has(event(1_000_005, 9, 5)));
        assert_eq!(InboxPlace::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(InboxPlace::exactly(up_to).to_bytes(), up_to.as_bytes());
    }

    #[test]
    fn odd_bytes_are_no_place() {
        let cut = |list: &[u8]| [&[LISTING], [0; ID_BYTES].as_slice(), list].concat();
        let lists =
            [vec![], vec![1, 0, 0], vec![0, 1, 0], vec![0, 0x82], vec![0, 0xff, 0xff, 0xff, 0xff, 1], vec![0, 2]];
        for bad in [vec![], vec![0; 15], vec![0; 17], vec![LISTING; 16]].into_iter().chain(lists.map(|list| cut(&list)))
        {
            assert_eq!(InboxPlace::from_bytes(&bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_place_lists_is_read_as_it_was_written(
            events in prop::collection::btree_set((0_u64..120_000, 0_u16..4096, 0_u64..20), 0..60),
        ) {
            let events: Vec<_> = events.into_iter().map(|(at, counter, node)| event(2_000_000_000 + at, counter, node)).collect();
            let place = InboxPlace::exactly(event(2_000_000_000, 0, 0)).after_page(&events, None, Timestamp(0));
            prop_assert_eq!(place.list().and_then(|list| place.read_list(&list)), Some(place.given.clone()));
            prop_assert_eq!(InboxPlace::from_bytes(&place.to_bytes()), Some(place));
        }

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
