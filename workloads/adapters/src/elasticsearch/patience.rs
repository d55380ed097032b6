//! Trying again what a rebuild does: it takes long, and the engine or the store of messages may be away for a moment of it.

use std::time::{Duration, Instant};

use sentinel_domain::ports::StoreError;

use super::ElasticsearchError;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long something may fail before a rebuild is broken off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(pub Duration);

impl Patience {
    /// Tries until it works, or has failed for that long, or fails in a way that time does not mend.
    pub async fn with<T, F>(self, mut attempt: impl FnMut() -> F) -> Result<T, ElasticsearchError>
    where
        F: Future<Output = Result<T, ElasticsearchError>>,
    {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let error = match attempt().await {
                Err(error) if passes(&error) && begun.elapsed() < self.0 => error,
                outcome => return outcome,
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "the rebuild of the search index waits");
            tokio::time::sleep(pause.min(self.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether it may work later.
pub(super) fn passes(error: &ElasticsearchError) -> bool {
    match error {
        ElasticsearchError::Unreachable { .. } | ElasticsearchError::Red => true,
        ElasticsearchError::Entries { .. } => error.refused_for_good().is_none(),
        ElasticsearchError::Refused { status, .. } => matches!(status, 429 | 500..=599),
        ElasticsearchError::Source(error) => matches!(error, StoreError::Unavailable(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn refused(status: u16) -> ElasticsearchError {
        ElasticsearchError::Refused { request: "POST /_bulk".into(), status, reason: String::new() }
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_the_rest_is_not() {
        let tries = Cell::new(0);
        let attempt = |status: u16, works_after: u32| {
            tries.set(tries.get() + 1);
            let outcome = if tries.get() > works_after { Ok(tries.get()) } else { Err(refused(status)) };
            async move { outcome }
        };
        assert_eq!(Patience(Duration::from_mins(1)).with(|| attempt(429, 1)).await.unwrap(), 2);
        tries.set(0);
        assert!(Patience(Duration::from_mins(1)).with(|| attempt(400, 1)).await.is_err());
        assert_eq!(tries.get(), 1);
        tries.set(0);
        assert!(Patience(Duration::from_millis(20)).with(|| attempt(503, 1000)).await.is_err());
        assert!(tries.get() > 1);
    }
}
