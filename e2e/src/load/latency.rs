//! How long things took: durations of which the median and the slowest of a hundred are told.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

const LONGEST_MICROS: u64 = 600_000_000;

/// Durations, to three digits, up to ten minutes; what is longer counts as that.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Nothing yet.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?))
    }

    /// Something took so long.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_MICROS));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The median in milliseconds; 0 when there is none.
    pub fn p50_ms(&self) -> f64 {
        self.millis(0.5)
    }

    /// What 99 of 100 are not above, in milliseconds; of fewer than 100 it is the slowest.
    pub fn p99_ms(&self) -> f64 {
        self.millis(0.99)
    }

    #[allow(clippy::cast_precision_loss)] // microseconds are far below 2^52
    fn millis(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latencies = Latencies::new().unwrap();
        assert_eq!(latencies.count(), 0);
        for millis in 1..=50 {
            latencies.record(Duration::from_millis(millis));
        }
        assert_eq!(latencies.count(), 50);
        let close = |value: f64, wanted: f64| (value - wanted).abs() < wanted / 500.0;
        assert!(close(latencies.p50_ms(), 25.0), "{}", latencies.p50_ms());
        assert!(close(latencies.p99_ms(), 50.0), "{}", latencies.p99_ms());
        latencies.record(Duration::from_secs(7_000));
        assert!(close(latencies.p99_ms(), 600_000.0), "{}", latencies.p99_ms());
    }
}
