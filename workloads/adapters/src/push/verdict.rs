//! What an answer of a push service means, and trying again.

use std::time::{Duration, Instant};

use sentinel_domain::push::Pushed;

use super::circuit_breaker::CircuitBreakers;

/// Why a push may be taken later: there were too many, to this device or in all.
pub(super) const TOO_MANY: &str = "too_many";
/// Why a push failed: its push service is away, and was not asked.
pub(super) const AWAY: &str = "service_away";

/// What one answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Accepted,
    /// The address is no longer one.
    AddressGone,
    /// Our access token is not good any more.
    Unauthorized,
    /// It will not be taken however often it is sent.
    Refused(&'static str),
    /// It may be taken later: not before this time, if it is said.
    Later(Option<Duration>, &'static str),
}

/// The time that a `Retry-After` header says in seconds. A date is taken as nothing said.
pub(super) fn retry_after(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

/// How often and how long a push is tried. Whoever waits for it holds up others, so it is not for long: the notification
/// stays in the user's list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub tries: u32,
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 4, first_pause: Duration::from_millis(500), longest_pause: Duration::from_secs(10) }
    }
}

impl Patience {
    /// The pause before the try after `tried` ones; `None` when there is none.
    fn pause(self, tried: u32, asked: Option<Duration>) -> Option<Duration> {
        if tried >= self.tries || asked.is_some_and(|asked| asked > self.longest_pause) {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << tried.saturating_sub(1).min(16));
        Some(doubled.min(self.longest_pause).max(asked.unwrap_or_default()))
    }
}

/// Tries until there is a verdict that is final, the patience is over, or the push service counts as away.
pub(super) async fn until_settled<F: Future<Output = Verdict>>(
    patience: Patience,
    breakers: &CircuitBreakers,
    service: &str,
    mut attempt: impl FnMut() -> F,
) -> Pushed {
    let mut tried = 0;
    loop {
        if !breakers.admits(service) {
            return Pushed::Failed(AWAY);
        }
        tried += 1;
        let began = Instant::now();
        let verdict = attempt().await;
        breakers.note(service, began, verdict);
        match verdict {
            Verdict::Accepted => return Pushed::Accepted,
            Verdict::AddressGone => return Pushed::AddressGone,
            Verdict::Unauthorized => return Pushed::Failed("unauthorized"),
            Verdict::Refused(reason) => return Pushed::Failed(reason),
            Verdict::Later(asked, reason) => match patience.pause(tried, asked) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Pushed::Failed(reason),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_respect_what_is_asked() {
        let patience = Patience::default();
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(patience.pause(1, None), Some(Duration::from_millis(500)));
        assert_eq!(patience.pause(3, None), seconds(2));
        assert_eq!(patience.pause(1, seconds(7)), seconds(7));
        assert_eq!(patience.pause(1, seconds(11)), None, "nobody waits that long");
        assert_eq!(patience.pause(4, None), None);
    }

    #[test]
    fn retry_after_is_in_seconds() {
        assert_eq!(retry_after(Some(" 120 ")), Some(Duration::from_mins(2)));
        for unsaid in [None, Some(""), Some("-1"), Some("Wed, 21 Oct 2026 07:28:00 GMT")] {
            assert_eq!(retry_after(unsaid), None, "{unsaid:?}");
        }
    }
}
