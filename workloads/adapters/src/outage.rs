//! When an outage is told, so that it does not flood the log: what is away is asked many times.

use std::time::{Duration, Instant};

/// How often an outage that lasts is told.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Whether something is away, and since when.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// When it began, and when it was last told.
    lasts: Option<(Instant, Instant)>,
}

impl Outage {
    /// Takes note of a failure; `true` when it should be told.
    pub(crate) fn fails(&mut self, now: Instant) -> bool {
        match &mut self.lasts {
            Some((_, told)) if now.duration_since(*told) < TOLD_EVERY => return false,
            Some((_, told)) => *told = now,
            none => *none = Some((now, now)),
        }
        true
    }

    /// Takes note that it works; how long it did not, if an outage ended.
    pub(crate) fn works(&mut self, now: Instant) -> Option<Duration> {
        self.lasts.take().map(|(begun, _)| now.duration_since(begun))
    }

    /// Whether it was away when it was last asked.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_at_its_begin_then_now_and_then_and_at_its_end() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut outage = Outage::default();
        assert_eq!(outage.works(at(0)), None);
        let told: Vec<u64> = (1..=140).map(|half| half * 500).filter(|millis| outage.fails(at(*millis))).collect();
        assert_eq!(told, [500, 30_500, 60_500]);
        assert!(outage.lasts());
        assert_eq!(outage.works(at(71_500)), Some(Duration::from_secs(71)));
        assert!(!outage.lasts());
        assert_eq!(outage.works(at(72_000)), None, "the end is told once");
        assert!(outage.fails(at(72_500)), "the next outage is told at once");
    }
}
