//! Whether a consumer still belongs to its group. The driver can wait for ever for the answer to a commit that it sent
//! before a broker went away (librdkafka 2.12), and then neither reads nor leaves: only a new consumer helps.

use std::time::{Duration, Instant};

use rdkafka::Statistics;

/// A member that is left out for so long is given up. Others need at most a session, 12 s, to agree on who has what.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is known of the place of a consumer in its group.
#[derive(Debug, Default)]
pub(super) struct Membership {
    out_since: Option<Instant>,
}

impl Membership {
    /// Takes in what the driver says at `now`; for how long this member was left out, when that is too long.
    pub(super) fn lost(&mut self, standing: Standing, now: Instant) -> Option<Duration> {
        match standing {
            // Without a broker a new consumer would not do better.
            Standing::In | Standing::NoBroker => {
                self.out_since = None;
                None
            }
            Standing::Out => {
                let out = now.duration_since(*self.out_since.get_or_insert(now));
                (out >= PATIENCE).then_some(out)
            }
        }
    }
}

/// What the driver says of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has its share of the partitions, which may be none.
    In,
    /// A broker can be reached, and there is no share.
    Out,
    /// No broker can be reached.
    NoBroker,
}

impl Standing {
    /// What the driver's report says; the names of states are librdkafka's (`STATISTICS.md`).
    pub(super) fn of(statistics: &Statistics) -> Self {
        let group = statistics.cgrp.as_ref();
        if group.is_some_and(|group| group.state == "up" && group.join_state == "steady") {
            return Self::In;
        }
        // Below zero are the names that were configured, and the coordinator, which is one of the others.
        let reached = statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP");
        if reached { Self::Out } else { Self::NoBroker }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, ConsumerGroup};

    use super::*;

    fn standing(state: &str, join_state: &str, nodeid: i32, broker: &str) -> Standing {
        let group = ConsumerGroup { state: state.into(), join_state: join_state.into(), ..Default::default() };
        let broker = Broker { nodeid, state: broker.into(), ..Default::default() };
        let brokers = [("broker".to_owned(), broker)].into();
        Standing::of(&Statistics { cgrp: Some(group), brokers, ..Default::default() })
    }

    #[test]
    fn the_drivers_states_are_understood() {
        assert_eq!(standing("up", "steady", 1, "UP"), Standing::In);
        assert_eq!(standing("up", "wait-incr-unassign-to-complete", 1, "UP"), Standing::Out);
        assert_eq!(standing("wait-coord", "init", 1, "UP"), Standing::Out);
        assert_eq!(standing("wait-broker-transport", "init", 1, "CONNECT"), Standing::NoBroker);
        assert_eq!(
            standing("wait-broker-transport", "init", -1, "UP"),
            Standing::NoBroker,
            "only a name to begin with"
        );
        assert_eq!(Standing::of(&Statistics::default()), Standing::NoBroker);
    }

    #[test]
    fn a_member_is_given_up_after_a_minute_without_a_share_while_a_broker_answers() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut membership = Membership::default();
        assert_eq!(membership.lost(Standing::Out, at(0)), None);
        assert_eq!(membership.lost(Standing::Out, at(59)), None);
        assert_eq!(membership.lost(Standing::Out, at(60)), Some(Duration::from_mins(1)));

        let mut membership = Membership::default();
        assert_eq!(membership.lost(Standing::Out, at(0)), None);
        assert_eq!(membership.lost(Standing::NoBroker, at(50)), None, "an outage is waited for");
        assert_eq!(membership.lost(Standing::Out, at(300)), None, "and counts from its end");
        assert_eq!(membership.lost(Standing::In, at(330)), None);
        assert_eq!(membership.lost(Standing::Out, at(361)), None, "as every other time");
    }
}
