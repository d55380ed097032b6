//! Waiting times after errors: per object, growing, with jitter so that many do not retry as one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const FIRST: Duration = Duration::from_secs(1);
/// Longest wait after an error that says nothing about how soon it is over.
pub const LONGEST: Duration = Duration::from_mins(5);

/// How long after its wait an object is remembered that is not tried again.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Errors in a row and the end of the last wait, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, (u32, Instant)>>);

impl Backoff {
    /// The time to wait after one more error of `key`: `longest` at most, but for the jitter.
    ///
    /// An error during a wait, after a change elsewhere triggered an early try, does not make the
    /// wait longer: many changes in a row would else put the next try off for minutes.
    pub fn failed(&self, key: &str, longest: Duration) -> Duration {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // What was deleted while it failed is not tried again, and would stay here for ever.
        errors.retain(|_, (_, until)| now.saturating_duration_since(*until) < FORGOTTEN);
        let count = match errors.get(key) {
            Some((_, until)) if *until > now => return (*until - now).min(jitter(longest)),
            Some((count, _)) => *count,
            None => 0,
        };
        let wait = jitter(FIRST.saturating_mul(1 << count.min(16)).min(longest));
        errors.insert(key.to_owned(), (count.saturating_add(1), now + wait));
        wait
    }

    /// Forgets the errors of `key`.
    pub fn succeeded(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// `wait`, up to a quarter shorter or longer.
pub fn jitter(wait: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    wait.mul_f64(0.75 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends the wait of `key` at once.
    fn elapse(backoff: &Backoff, key: &str) {
        backoff.0.lock().unwrap().get_mut(key).unwrap().1 = Instant::now();
    }

    #[test]
    fn waits_grow_to_a_limit_and_start_over_after_success() {
        let backoff = Backoff::default();
        let first = backoff.failed("a", LONGEST);
        assert!(first >= FIRST.mul_f64(0.75) && first <= FIRST.mul_f64(1.25));
        assert!(backoff.failed("a", LONGEST) <= first, "an early try does not make the wait longer");
        for _ in 0..40 {
            elapse(&backoff, "a");
            assert!(backoff.failed("a", LONGEST) <= LONGEST.mul_f64(1.25));
        }
        elapse(&backoff, "a");
        assert!(backoff.failed("a", LONGEST) >= LONGEST.mul_f64(0.75));
        assert!(backoff.failed("b", LONGEST) <= FIRST.mul_f64(1.25), "another object waits on its own");
        backoff.succeeded("a");
        assert!(backoff.failed("a", LONGEST) <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn who_may_not_wait_long_does_not_wait_for_the_end_of_a_longer_wait() {
        let backoff = Backoff::default();
        let longest = Duration::from_secs(40);
        for _ in 0..20 {
            assert!(backoff.failed("a", longest) <= longest.mul_f64(1.25));
            elapse(&backoff, "a");
        }
        assert!(backoff.failed("a", longest) >= longest.mul_f64(0.75), "it does grow");
        elapse(&backoff, "a");
        assert!(backoff.failed("a", LONGEST) >= LONGEST.mul_f64(0.75));
        assert!(backoff.failed("a", longest) <= longest.mul_f64(1.25));
    }
}
