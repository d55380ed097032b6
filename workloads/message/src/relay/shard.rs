//! The work on one shard: read, append, remember, drop.

use std::time::Duration;

use futures::future::join_all;
use sentinel_domain::{
    ports::{Outbox, OutboxPage, StoreError},
    time::Timestamp,
};
use tokio_util::sync::CancellationToken;

use super::{
    Relay,
    progress::{PLAN, Progress, Scan},
};

/// Events that are read and appended at once.
const PAGE: usize = 500;

/// How a round went.
struct Round {
    /// Whether there was something for the log.
    relayed: bool,
    /// Whether more waits to be read.
    behind: bool,
}

/// Sets the age of the oldest event back when the work on a shard ends, however it does.
struct Idle(metrics::Gauge);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// One shard's worker.
pub(super) struct Worker {
    relay: Relay,
    shard: u16,
    progress: Option<Progress>,
}

impl Worker {
    pub(super) fn new(relay: Relay, shard: u16) -> Self {
        Self { relay, shard, progress: None }
    }

    /// Works until `stop`. What is under way then is dropped; whoever has the shard next does it again.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let pace = self.relay.pace;
        let (mut pause, mut retry) = (pace.busy, pace.retry);
        // Also when the work is dropped: nothing here waits of what is another replica's.
        let _idle = Idle(self.oldest());
        let work = async {
            loop {
                match self.step().await {
                    Ok(round) => {
                        // What is idle is looked at more and more seldom.
                        pause = if round.relayed { pace.busy } else { (pause * 2).min(pace.idle) };
                        retry = pace.retry;
                        tokio::time::sleep(if round.behind { Duration::ZERO } else { pause }).await;
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            shard = self.shard,
                            "the outbox waits"
                        );
                        tokio::time::sleep(retry).await;
                        retry = (retry * 2).min(pace.longest_retry);
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn step(&mut self) -> Result<Round, StoreError> {
        let now = (self.relay.now)();
        let shard = self.shard;
        let outbox = self.relay.outbox.clone();
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => Progress::new(outbox.first_minute(shard).await?, now),
        };
        progress.pass_over_ended(now);
        let result = self.round(&mut progress, &*outbox, now).await;
        self.progress = Some(progress);
        result
    }

    async fn round(&self, progress: &mut Progress, outbox: &dyn Outbox, now: Timestamp) -> Result<Round, StoreError> {
        let mut relayed = false;
        let newest = self.relay.clock.newest().millis.cast_signed();
        let plan = progress.plan(now, Timestamp(newest));
        let behind = plan.len() >= PLAN;
        // A backlog is mostly empty minutes: they are asked for together.
        let pages = join_all(plan.iter().map(|scan| outbox.events(self.shard, scan.minute, scan.after, PAGE))).await;
        for (scan, page) in plan.into_iter().zip(pages) {
            relayed |= self.scan(progress, outbox, scan, page?).await?;
            progress.scanned(scan, now);
        }
        for minute in progress.droppable() {
            outbox.drop_minute(self.shard, minute).await?;
            progress.dropped(minute);
        }
        self.oldest().set(0.0);
        Ok(Round { relayed, behind })
    }

    /// Relays what a scan finds, beginning with its first page.
    async fn scan(
        &self,
        progress: &mut Progress,
        outbox: &dyn Outbox,
        scan: Scan,
        mut page: OutboxPage,
    ) -> Result<bool, StoreError> {
        let mut relayed = false;
        loop {
            let next = page.next;
            let fresh = progress.fresh(scan.minute, page.events);
            if let Some(oldest) = fresh.first() {
                let age = (self.relay.now)().0.saturating_sub(oldest.event_id.timestamp().0);
                self.oldest().set(Duration::from_millis(u64::try_from(age).unwrap_or(0)).as_secs_f64());
                self.relay.log.append(&fresh).await?;
                progress.relayed(scan.minute, &fresh);
                metrics::counter!("sentinel_outbox_relayed_total")
                    .increment(u64::try_from(fresh.len()).unwrap_or(u64::MAX));
                relayed = true;
            }
            let Some(next) = next else { return Ok(relayed) };
            page = outbox.events(self.shard, scan.minute, Some(next), PAGE).await?;
        }
    }

    /// Age of the oldest event that waits for the log.
    fn oldest(&self) -> metrics::Gauge {
        metrics::gauge!("sentinel_outbox_oldest_seconds", "shard" => self.shard.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn work_that_is_dropped_leaves_no_age() {
        let value = Arc::new(AtomicU64::new(0));
        let gauge = metrics::Gauge::from_arc(value.clone());
        let work = async {
            let _idle = Idle(gauge.clone());
            gauge.set(300.0);
            std::future::pending::<()>().await;
        };
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        assert!(f64::from_bits(value.load(Ordering::SeqCst)).abs() < f64::EPSILON);
    }
}
