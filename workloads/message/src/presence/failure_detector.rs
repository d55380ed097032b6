//! Notices processes that are gone with all their devices, long before the leases of those end.
//!
//! Every process beats: it writes a number into the store that is another one each time. A process whose number stays
//! the same while this one reached the store all along is gone. Clocks of other machines play no part in it, and when
//! the store was away nobody is taken for gone: then this one knows nothing of the others either.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sentinel_domain::{nodes::NodeId, ports::RollCall};

/// How often a process beats.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// How long a process may be silent.
const GONE_AFTER: Duration = Duration::from_secs(6);
/// How long a process is gone, at most, when this one hears of it: its last beat was just before it went, another noticed
/// that it was silent, and the next beat told this one.
pub(super) const NOTICED_AFTER: Duration = GONE_AFTER.saturating_add(BEAT.saturating_mul(3));

/// What this process has heard of the others.
#[derive(Debug, Default)]
pub(super) struct FailureDetector {
    heard: HashMap<NodeId, (i64, Instant)>,
    asked: Option<Instant>,
}

impl FailureDetector {
    /// Takes note of what the store says; gives the processes that are gone.
    pub fn hear(&mut self, roll: &RollCall, now: Instant) -> Vec<NodeId> {
        let without_break = self.asked.is_some_and(|asked| now.duration_since(asked) <= BEAT * 2);
        self.asked = Some(now);
        if !without_break || !roll.was_known {
            self.heard.clear();
        }
        let mut heard = std::mem::take(&mut self.heard);
        for (node, beat) in &roll.beats {
            let known = heard.remove(node).filter(|(before, _)| before == beat);
            self.heard.insert(node.clone(), known.unwrap_or((*beat, now)));
        }
        let silent = |(_, since): &(i64, Instant)| now.duration_since(*since) >= GONE_AFTER;
        self.heard.iter().filter(|(_, last)| silent(last)).map(|(node, _)| node.clone()).collect()
    }

    /// The store could not be asked: what was heard before tells nothing any more.
    pub fn interrupted(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other process, with this beat.
    fn roll(beat: i64) -> RollCall {
        RollCall { beats: vec![(other(), beat)], gone: Vec::new(), was_known: true }
    }

    fn other() -> NodeId {
        NodeId::from_text("chat-message-1.1".into())
    }

    #[test]
    fn a_process_that_is_silent_for_three_beats_is_gone_and_one_that_beats_is_not() {
        let (mut detector, start) = (FailureDetector::default(), Instant::now());
        for n in 0..10 {
            assert_eq!(detector.hear(&roll(n.into()), start + BEAT * n), []);
        }
        for n in 10..12 {
            assert_eq!(detector.hear(&roll(9), start + BEAT * n), []);
        }
        assert_eq!(detector.hear(&roll(9), start + BEAT * 12), [other()]);
        assert_eq!(detector.hear(&roll(9), start + BEAT * 13), [other()], "until the store knows");
        let known = RollCall { beats: Vec::new(), gone: vec![other()], was_known: true };
        assert_eq!(detector.hear(&known, start + BEAT * 14), []);
        assert_eq!(detector.hear(&roll(10), start + BEAT * 15), [], "it is back");
    }

    #[test]
    fn nobody_is_gone_because_the_store_or_this_process_was() {
        let (mut detector, start) = (FailureDetector::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        detector.hear(&roll(1), at(0));
        detector.hear(&roll(1), at(2));
        // The store was away; the other has not beaten yet since it is back.
        detector.interrupted();
        assert_eq!(detector.hear(&roll(1), at(8)), []);
        assert_eq!(detector.hear(&roll(1), at(10)), []);
        // This process stood still, perhaps with the whole machine.
        assert_eq!(detector.hear(&roll(1), at(60)), []);
        assert_eq!(detector.hear(&roll(1), at(62)), []);
        // The store has lost what it knew.
        assert_eq!(detector.hear(&RollCall { was_known: false, ..roll(1) }, at(66)), []);
        assert_eq!(detector.hear(&roll(1), at(70)), []);
        assert_eq!(detector.hear(&roll(1), at(72)), [other()]);
    }
}
