//! Waiting times after errors: per object, growing, with jitter so that many do not retry as one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// Errors in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// The time to wait after one more error of `key`.
    pub fn failed(&self, key: &str) -> Duration {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = errors.entry(key.to_owned()).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count = count.saturating_add(1);
        jitter(wait)
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

    #[test]
    fn waits_grow_to_a_limit_and_start_over_after_success() {
        let backoff = Backoff::default();
        let first = backoff.failed("a");
        assert!(first >= FIRST.mul_f64(0.75) && first <= FIRST.mul_f64(1.25));
        for _ in 0..40 {
            assert!(backoff.failed("a") <= LONGEST.mul_f64(1.25));
        }
        assert!(backoff.failed("a") >= LONGEST.mul_f64(0.75));
        assert!(backoff.failed("b") <= FIRST.mul_f64(1.25), "another object waits on its own");
        backoff.succeeded("a");
        assert!(backoff.failed("a") <= FIRST.mul_f64(1.25));
    }
}
