//! The clock of this process beside those of the store's nodes. Ids, write times, and up to where an inbox was given follow from
//! it: what a process writes whose clock is far ahead wins over what others write until then, and moves their ids along; what
//! one writes whose clock is far behind comes to places that were read already. Such a process leaves the store alone.

use std::{
    sync::{
        Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future;
use scylla::{
    policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy},
    value::CqlTimestamp,
};
use sentinel_domain::{place::SETTLING_SECONDS, ports::StoreError, time::Timestamp};

use super::{CassandraError, Shared};

/// How far the clock here may be from that of most nodes. So those of two processes are at most half as far apart as events are
/// waited for: the other half is for the writes themselves.
const MOST_APART: Duration = Duration::from_secs(SETTLING_SECONDS.unsigned_abs() / 4);
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Nodes that are asked: enough for a majority that one wrong clock does not make.
const ASKED: usize = 5;
const UNKNOWN: i64 = i64::MIN;

/// What the store's time is, by the steady clock of this process: a step of its own wall clock is noticed at once.
pub(super) struct Wall {
    begin: Instant,
    /// The store's time when this began, in milliseconds.
    began_at: AtomicI64,
}

/// The clock here is wrong, or those of most nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock here is {seconds} s {direction} that of most of cassandra's nodes, so this process reads and writes nothing there; \
     see that all machines synchronize their clocks"
)]
pub struct ClockOff {
    seconds: u64,
    direction: &'static str,
}

/// Too few nodes said what time it is.
#[derive(Debug, thiserror::Error)]
#[error("{told} of {asked} nodes of cassandra told their time, which is too few to go by")]
pub(super) struct TooFew {
    told: usize,
    asked: usize,
}

impl Wall {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), began_at: AtomicI64::new(UNKNOWN) }
    }

    /// Refuses when the clock here is too far off.
    pub(super) fn check(&self) -> Result<(), ClockOff> {
        judge(self.ahead(Timestamp::now(), Instant::now()))
    }

    /// By how many milliseconds the clock here is ahead, negative when it is behind.
    fn ahead(&self, now: Timestamp, at: Instant) -> i64 {
        match self.began_at.load(Ordering::Relaxed) {
            UNKNOWN => 0,
            began_at => ahead_of(began_at.saturating_add(self.steady(at)), now),
        }
    }

    /// Takes note of what nodes said of those that were asked, each with the moment of this process at which it did. Once
    /// something is known, it takes more than half of them to know better.
    fn learn(&self, asked: usize, told: &[(Timestamp, Instant)], now: Timestamp, at: Instant) -> Result<(), TooFew> {
        let is_known = self.began_at.load(Ordering::Relaxed) != UNKNOWN;
        let too_few = TooFew { told: told.len(), asked };
        if is_known && told.len() * 2 <= asked {
            return Err(too_few);
        }
        let mut began: Vec<i64> = told.iter().map(|(there, when)| there.0.saturating_sub(self.steady(*when))).collect();
        // Only if more than half of them are far from it, the clock here is the wrong one.
        began.sort_by_key(|began| ahead_of(began.saturating_add(self.steady(at)), now).unsigned_abs());
        let began_at = began.get(began.len().saturating_sub(1) / 2).ok_or(too_few)?;
        self.began_at.store(*began_at, Ordering::Relaxed);
        Ok(())
    }

    fn steady(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.begin).as_millis()).unwrap_or(i64::MAX)
    }
}

fn ahead_of(there: i64, here: Timestamp) -> i64 {
    here.0.saturating_sub(there)
}

fn judge(ahead: i64) -> Result<(), ClockOff> {
    let apart = Duration::from_millis(ahead.unsigned_abs());
    if apart <= MOST_APART {
        return Ok(());
    }
    Err(ClockOff { seconds: apart.as_secs(), direction: if ahead > 0 { "ahead of" } else { "behind" } })
}

impl Shared {
    /// Compares the clocks, and refuses when the one here is too far off.
    pub(super) async fn compare_clocks(&self) -> Result<(), CassandraError> {
        let cluster = self.session.get_cluster_state();
        let nodes = cluster.get_nodes_info().iter().filter(|node| node.is_connected()).take(ASKED).cloned();
        let asked: Vec<_> = nodes.map(|node| self.time_of(NodeIdentifier::Node(node))).collect();
        let answers = future::join_all(asked).await;
        let (asked, told): (usize, Vec<_>) = (answers.len(), answers.into_iter().flatten().collect());
        let (now, at) = (Timestamp::now(), Instant::now());
        let learned = self.wall.learn(asked, &told, now, at);
        learned.map_err(|error| CassandraError::Time(StoreError::unavailable(error)))?;
        let ahead = self.wall.ahead(now, at);
        metrics::gauge!("sentinel_cassandra_clock_apart_seconds")
            .set(Duration::from_millis(ahead.unsigned_abs()).as_secs_f64());
        Ok(judge(ahead)?)
    }

    async fn time_of(&self, node: NodeIdentifier) -> Option<(Timestamp, Instant)> {
        let mut statement = self.statements.now.clone();
        statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(node, None)));
        let asked = Instant::now();
        let answer = self.session.execute_unpaged(&statement, ()).await.ok()?;
        let took = asked.elapsed();
        let (CqlTimestamp(there),) = answer.into_rows_result().ok()?.single_row().ok()?;
        Some((Timestamp(there), asked + took / 2))
    }
}

/// Compares the clocks again and again, for as long as there is the store.
pub(super) async fn keep_comparing(shared: Weak<Shared>) {
    let mut was_off = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_closed() {
            return;
        }
        match shared.compare_clocks().await {
            Ok(()) if was_off => tracing::info!("the clock here is as far from cassandra's as it may be, or closer"),
            Err(CassandraError::Clock(off)) if !was_off => {
                tracing::error!(error = &off as &dyn std::error::Error, "not ready");
            }
            Err(error @ CassandraError::Time(_)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the clocks are compared later");
                continue;
            }
            _ => {}
        }
        was_off = shared.wall.check().is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);
    const HOURS: i64 = 3 * 3600;

    /// How far a clock is ahead, in seconds, once nodes told theirs, which are so many seconds ahead of it.
    fn ahead(nodes: &[i64]) -> i64 {
        let (wall, at) = (Wall::new(), Instant::now());
        let told: Vec<_> = nodes.iter().map(|seconds| (NOW.plus_seconds(*seconds), at)).collect();
        wall.learn(told.len(), &told, NOW, at).unwrap();
        wall.ahead(NOW, at) / 1000
    }

    #[test]
    fn most_nodes_decide_whose_clock_is_wrong() {
        assert_eq!(ahead(&[-HOURS]), HOURS, "one of one");
        assert_eq!(ahead(&[-HOURS, HOURS, -HOURS - 1]).abs(), HOURS);
        assert_eq!(ahead(&[-HOURS, 0, 1]), -1, "one of three is wrong itself");
        assert_eq!(ahead(&[-HOURS, 0]), 0, "nobody knows which of two");
        assert_eq!(ahead(&[-HOURS, -HOURS, 0, -HOURS, 0]), HOURS);
    }

    #[test]
    fn what_most_nodes_said_is_not_forgotten_for_what_one_says() {
        let (wall, at) = (Wall::new(), Instant::now());
        let wrong = (NOW.plus_seconds(HOURS), at);
        wall.learn(3, &[(NOW, at); 3], NOW, at).unwrap();
        for (asked, told) in [(2, vec![wrong]), (3, vec![wrong]), (4, vec![wrong; 2])] {
            let error = wall.learn(asked, &told, NOW, at).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{} of {asked} nodes", told.len())), "{error}");
            judge(wall.ahead(NOW, at)).unwrap();
        }
        wall.learn(3, &[wrong; 2], NOW, at).unwrap();
        judge(wall.ahead(NOW, at)).unwrap_err();
    }

    #[test]
    fn a_clock_far_off_is_refused_either_way_and_says_so() {
        for millis in [-15_000, -1, 0, 15_000] {
            judge(millis).unwrap();
        }
        let told = judge(HOURS * 1000).unwrap_err().to_string();
        assert!(told.starts_with("the clock here is 10800 s ahead of that of most of cassandra's nodes"), "{told}");
        assert_eq!(judge(-15_001), Err(ClockOff { seconds: 15, direction: "behind" }));
    }

    #[test]
    fn a_step_of_the_clock_is_noticed_before_the_next_look() {
        let (wall, at) = (Wall::new(), Instant::now());
        assert!(wall.learn(3, &[], NOW, at).is_err() && wall.check().is_ok(), "nothing is known yet");
        wall.learn(3, &[(NOW, at)], NOW, at).unwrap();
        let (later, minute) = (at + Duration::from_mins(1), NOW.plus_seconds(60));
        judge(wall.ahead(minute, later)).unwrap();
        judge(wall.ahead(minute.plus_seconds(HOURS), later)).unwrap_err();
        judge(wall.ahead(minute.plus_seconds(-HOURS), later)).unwrap_err();
    }
}
