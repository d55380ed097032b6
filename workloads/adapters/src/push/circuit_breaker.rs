//! Not waiting for a push service that is away: what failed again and again is refused at once for a while, so that its
//! outage does not hold up pushes to others.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hashlink::LruCache;

use super::verdict::{TOO_MANY, Verdict};

/// Push services that are remembered: browsers' have names without end, below those that are allowed.
const SERVICES: usize = 1_024;

/// When a push service counts as away, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    /// Failures in a row.
    pub failures: u32,
    /// For how long there were nothing but failures: what passes sooner is cured by trying again.
    pub failing: Duration,
    /// How long it is left alone, until one push is tried.
    pub pause: Duration,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { failures: 5, failing: Duration::from_secs(5), pause: Duration::from_secs(30) }
    }
}

/// How a push service does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Well,
    Failing {
        since: Instant,
        last: Instant,
        failures: u32,
    },
    /// Nothing is sent before this time, and then one push.
    Away {
        until: Instant,
    },
}

impl State {
    /// Whether a push may be sent now.
    fn admits(&mut self, tolerance: Tolerance, now: Instant) -> bool {
        match self {
            Self::Well | Self::Failing { .. } => true,
            Self::Away { until } if now < *until => false,
            Self::Away { until } => {
                // This one finds out; if nobody hears how it ended, the next does.
                *until = now + tolerance.pause;
                true
            }
        }
    }

    /// A push that began at `began` failed at `now`; whether the service counts as away since then.
    fn failed(&mut self, tolerance: Tolerance, began: Instant, now: Instant) -> bool {
        let (since, failures) = match *self {
            Self::Away { .. } => {
                *self = Self::Away { until: now + tolerance.pause };
                return false;
            }
            // What failed long ago says nothing of now.
            Self::Failing { since, last, failures } if now < last + tolerance.pause => (since.min(began), failures + 1),
            Self::Failing { .. } | Self::Well => (began, 1),
        };
        let away = failures >= tolerance.failures && now >= since + tolerance.failing;
        *self = if away {
            Self::Away { until: now + tolerance.pause }
        } else {
            Self::Failing { since, last: now, failures }
        };
        away
    }
}

/// The state of each push service, by its name.
pub(super) struct CircuitBreakers {
    tolerance: Tolerance,
    states: Mutex<LruCache<String, State>>,
}

impl CircuitBreakers {
    pub fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, states: Mutex::new(LruCache::new(SERVICES)) }
    }

    /// Whether a push may be sent to a service now.
    pub fn admits(&self, service: &str) -> bool {
        self.states().get_mut(service).is_none_or(|state| state.admits(self.tolerance, Instant::now()))
    }

    /// Notes how a push that began at `began` ended.
    pub fn note(&self, service: &str, began: Instant, verdict: Verdict) {
        match verdict {
            Verdict::Accepted | Verdict::AddressGone | Verdict::Unauthorized => {
                if self.states().remove(service).is_some_and(|state| matches!(state, State::Away { .. })) {
                    tracing::info!(service, "a push service answers again");
                }
            }
            // It may be about one device, or decided here.
            Verdict::Refused(_) | Verdict::Later(_, TOO_MANY) => {}
            Verdict::Later(_, reason) => {
                let mut states = self.states();
                let state = states.entry(service.to_owned()).or_insert(State::Well);
                if state.failed(self.tolerance, began, Instant::now()) {
                    let seconds = self.tolerance.pause.as_secs();
                    tracing::warn!(service, reason, seconds, "a push service is away; it is left alone for a while");
                    metrics::counter!("sentinel_push_services_away_total").increment(1);
                }
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, LruCache<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Tolerance = Tolerance { failures: 3, failing: Duration::from_secs(5), pause: Duration::from_secs(30) };

    /// What happens at which second, and whether a push is admitted right after.
    fn after(events: &[(u64, u64)], at: u64) -> bool {
        let start = Instant::now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut state = State::default();
        for (began, ended) in events {
            state.failed(T, second(*began), second(*ended));
        }
        state.admits(T, second(at))
    }

    #[test]
    fn a_service_is_away_after_enough_failures_for_long_enough() {
        assert!(after(&[(0, 0), (1, 1)], 9), "too few");
        assert!(after(&[(0, 0), (1, 1), (2, 2), (3, 3)], 3), "trying again may cure it");
        assert!(!after(&[(0, 0), (1, 1), (6, 6)], 6));
        assert!(!after(&[(0, 10), (0, 10), (0, 10)], 10), "all waited in vain for ten seconds");
        assert!(after(&[(0, 0), (1, 1), (40, 40)], 40), "the first ones are long ago");
    }

    #[test]
    fn after_a_pause_one_finds_out_for_all() {
        let start = Instant::now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut state = State::default();
        for n in [0, 3, 6] {
            assert_eq!(state.failed(T, second(n), second(n)), n == 6);
        }
        assert!(!state.admits(T, second(35)));
        assert!(state.admits(T, second(36)), "one is tried");
        assert!(!state.admits(T, second(37)), "and only one");
        assert!(!state.failed(T, second(36), second(46)), "that it is away is told once");
        assert!(!state.admits(T, second(75)));
        assert!(state.admits(T, second(76)));
        assert!(state.admits(T, second(106)), "whoever tried has never said how it ended");
    }

    #[test]
    fn only_what_tells_of_an_outage_is_counted_and_each_service_for_itself() {
        let breakers = CircuitBreakers::new(Tolerance { failures: 3, failing: Duration::ZERO, ..T });
        let now = Instant::now();
        for _ in 0..9 {
            breakers.note("fcm", now, Verdict::Later(None, TOO_MANY));
            breakers.note("fcm", now, Verdict::Refused("invalid_request"));
        }
        for _ in 0..2 {
            breakers.note("fcm", now, Verdict::Later(None, "unavailable"));
        }
        breakers.note("fcm", now, Verdict::Accepted);
        for _ in 0..2 {
            breakers.note("fcm", now, Verdict::Later(None, "unavailable"));
        }
        assert!(breakers.admits("fcm"), "one was taken in between");
        breakers.note("fcm", now, Verdict::Later(None, "timed_out"));
        assert!(!breakers.admits("fcm"));
        assert!(breakers.admits("https://push.example.com"));
        // A late answer of one that was on its way tells that all is well.
        breakers.note("fcm", now, Verdict::AddressGone);
        assert!(breakers.admits("fcm"));
    }
}
