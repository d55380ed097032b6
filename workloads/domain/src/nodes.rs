//! Message processes ("nodes") and what they tell each other: numbered letters, so that a receiver notices what it missed.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{event::LiveEvent, ids::EventId, time::Timestamp};

/// How long a sender remembers a node that it has nothing for.
const FORGOTTEN_AFTER_SECONDS: i64 = 3600;
/// Nodes that are remembered without looking for ones to forget.
const SWEEP_FROM: usize = 256;

/// One run of a message process: the same pod has another id after a restart, so that what was meant for the run before
/// is neither taken for a gap nor delivered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(String);

impl NodeId {
    /// A new run of the process called `name`, such as its pod.
    pub fn started(name: &str) -> Self {
        let (_, run) = Uuid::new_v4().as_u64_pair();
        Self(format!("{name}.{run:016x}"))
    }

    /// The id that was written as `text`.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

/// What one node sends to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Who sends it.
    pub from: NodeId,
    /// Its number among the letters of this sender to this receiver, from 0.
    pub sequence: u64,
    /// When the sender took number 0, by its wall clock; a sender of an older version does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbered_since: Option<Timestamp>,
    /// The newest id that the sender has made or seen, for the receiver's clock.
    pub clock: EventId,
    /// What it says.
    pub contents: Contents,
}

/// What a letter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Events for sockets, in order.
    Events(Vec<LiveEvent>),
    /// Events were not sent, from this time on; whoever they were for must look into inboxes.
    Lost {
        /// When the first of them happened, by the sender's wall clock.
        since: Timestamp,
    },
}

/// The sender's side: numbers letters.
#[derive(Debug, Default)]
pub struct Numbering {
    receivers: HashMap<NodeId, Numbered>,
    sweep_at: usize,
}

/// What a sender knows of one receiver.
#[derive(Debug)]
struct Numbered {
    next: u64,
    since: Timestamp,
    used: Timestamp,
}

impl Numbering {
    /// The number of the next letter to `to`, and when number 0 was taken. It is used up, whether or not the letter gets
    /// there.
    pub fn next(&mut self, to: &NodeId, now: Timestamp) -> (u64, Timestamp) {
        if self.receivers.len() >= self.sweep_at.max(SWEEP_FROM) {
            let old = now.plus_seconds(-FORGOTTEN_AFTER_SECONDS);
            self.receivers.retain(|_, receiver| receiver.used > old);
            self.sweep_at = self.receivers.len() * 2;
        }
        let receiver = self.receivers.entry(to.clone()).or_insert(Numbered { next: 0, since: now, used: now });
        receiver.used = now;
        let number = receiver.next;
        receiver.next += 1;
        (number, receiver.since)
    }
}

/// What a letter's number tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing is missing before it.
    Next,
    /// Letters before it are missing, sent at this time or later.
    AfterGap {
        /// When the last letter before the gap came; for the first that came, when its sender began to number or this
        /// receiver to listen, whichever was later.
        since: Timestamp,
    },
    /// It, or one with its number, came before.
    Repeated,
}

/// The receiver's side: notices what is missing.
#[derive(Debug)]
pub struct Arrivals {
    listening_since: Timestamp,
    senders: HashMap<NodeId, (u64, Timestamp)>,
}

impl Arrivals {
    /// Nothing came yet.
    pub fn new(listening_since: Timestamp) -> Self {
        Self { listening_since, senders: HashMap::new() }
    }

    /// Takes note of a letter that came at `now` from somebody who numbers since then.
    pub fn take(&mut self, from: &NodeId, sequence: u64, numbered_since: Option<Timestamp>, now: Timestamp) -> Place {
        match self.senders.entry(from.clone()) {
            Entry::Vacant(unknown) => {
                unknown.insert((sequence + 1, now));
                if sequence == 0 {
                    return Place::Next;
                }
                // Whatever the sender's clock says, nothing that is missing is yet to come.
                let since =
                    numbered_since.map_or(self.listening_since, |since| since.min(now).max(self.listening_since));
                Place::AfterGap { since }
            }
            Entry::Occupied(mut known) => {
                let (next, last) = *known.get();
                // A sender that forgot this node begins anew.
                if sequence < next && sequence != 0 {
                    return Place::Repeated;
                }
                known.insert((sequence + 1, now));
                if sequence == next { Place::Next } else { Place::AfterGap { since: last } }
            }
        }
    }

    /// Forgets senders that were not heard of for a day: runs that are over.
    pub fn sweep(&mut self, now: Timestamp) {
        let old = now.plus_seconds(-24 * FORGOTTEN_AFTER_SECONDS);
        self.senders.retain(|_, (_, last)| *last > old);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_run_of_a_pod_is_another_node() {
        let (a, b) = (NodeId::started("chat-message-0"), NodeId::started("chat-message-0"));
        assert!(a != b && a.as_str().starts_with("chat-message-0."));
    }

    #[test]
    fn a_gap_is_known_by_the_last_letter_before_it() {
        let sender = NodeId::started("a");
        let mut arrivals = Arrivals::new(Timestamp(5));
        let mut take = |sequence, at| arrivals.take(&sender, sequence, Some(Timestamp(1)), Timestamp(at));
        assert_eq!(take(0, 10), Place::Next);
        assert_eq!(take(1, 20), Place::Next);
        assert_eq!(take(3, 30), Place::AfterGap { since: Timestamp(20) });
        assert_eq!(take(3, 31), Place::Repeated);
        assert_eq!(take(4, 40), Place::Next);
    }

    #[test]
    fn nothing_is_missing_from_before_the_sender_began_or_the_receiver_listened() {
        let mut arrivals = Arrivals::new(Timestamp(5));
        let mut first = |numbered_since: Option<i64>, at| {
            arrivals.take(&NodeId::started("b"), 7, numbered_since.map(Timestamp), Timestamp(at))
        };
        assert_eq!(first(Some(1), 50), Place::AfterGap { since: Timestamp(5) });
        // A pod that is new: days after this one began to listen.
        assert_eq!(first(Some(40), 50), Place::AfterGap { since: Timestamp(40) });
        assert_eq!(first(Some(900), 50), Place::AfterGap { since: Timestamp(50) });
        assert_eq!(first(None, 50), Place::AfterGap { since: Timestamp(5) });
    }

    #[test]
    fn a_letter_of_an_older_version_is_read() {
        let clock = "00000000-0000-7000-8000-000000000000";
        let old = serde_json::json!({
            "from": "a.1", "sequence": 3, "clock": clock, "contents": {"lost": {"since": "2026-01-02T03:04:05.006Z"}},
        });
        let letter: Letter = serde_json::from_value(old).unwrap();
        assert_eq!((letter.sequence, letter.numbered_since), (3, None));
    }

    #[test]
    fn a_sender_that_forgot_this_node_is_looked_into() {
        let (sender, receiver) = (NodeId::started("a"), NodeId::started("b"));
        let (mut numbering, mut arrivals) = (Numbering::default(), Arrivals::new(Timestamp(0)));
        for _ in 0..3 {
            let (number, since) = numbering.next(&receiver, Timestamp(0));
            assert_eq!(arrivals.take(&sender, number, Some(since), Timestamp(0)), Place::Next);
        }
        let much_later = Timestamp(0).plus_seconds(2 * FORGOTTEN_AFTER_SECONDS);
        for n in 0..SWEEP_FROM {
            numbering.next(&NodeId::from_text(n.to_string()), much_later);
        }
        assert_eq!(numbering.next(&receiver, much_later), (0, much_later));
        assert_eq!(arrivals.take(&sender, 0, Some(much_later), much_later), Place::AfterGap { since: Timestamp(0) });
    }

    proptest! {
        /// Whatever is lost on the way, the first letter after a loss says so, and none says so without a loss.
        #[test]
        fn losses_are_noticed_and_nothing_else(lost in prop::collection::vec(any::<bool>(), 1..100)) {
            let (sender, receiver) = (NodeId::started("a"), NodeId::started("b"));
            let (mut numbering, mut arrivals) = (Numbering::default(), Arrivals::new(Timestamp(0)));
            let mut missing = false;
            for (at, lost) in lost.into_iter().enumerate() {
                let now = Timestamp(i64::try_from(at).unwrap());
                let (number, since) = numbering.next(&receiver, now);
                if lost {
                    missing = true;
                    continue;
                }
                let place = arrivals.take(&sender, number, Some(since), now);
                prop_assert_eq!(matches!(place, Place::AfterGap { .. }), missing);
                missing = false;
            }
        }
    }
}
