//! The outbox relay: what was written along with messages goes on to the log.
//!
//! Each shard of the outbox is worked on by one replica, which holds a lease of it. A replica takes free shards one by
//! one and waits the longer before the next the more it has, so replicas that start together share evenly; nobody gives
//! a shard up for one that comes later, because a move costs more than an uneven share: whoever gets a shard sends what
//! is younger than [`progress::SETTLED`] once more. That is also all that happens after a crash: each event goes to the log
//! at least once, those of one chat in their order.
//!
//! Nothing here is on the path of a send. While the log is away the outbox grows, and the relay goes on where it was.

mod progress;
mod shard;
mod share;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use sentinel_domain::{
    background::vital,
    clock::HybridClock,
    ports::{EventLog, Outbox},
    time::Timestamp,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{shard::Worker, share::Share};

/// How the relay paces itself.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long a lease lasts that is not renewed.
    lease: Duration,
    /// Between two renewals.
    renewal: Duration,
    /// Before its end a lease no longer counts: an append may still be under way.
    margin: Duration,
    /// Between two looks at a shard in which something happens.
    busy: Duration,
    /// The same when nothing happens.
    idle: Duration,
    /// After a failure, at first.
    retry: Duration,
    /// After a failure, at most.
    longest_retry: Duration,
    /// Between two tries to take a shard, for each that is held.
    taking: Duration,
    /// Between two tries when none was free.
    looking: Duration,
}

const PACE: Pace = Pace {
    lease: Duration::from_secs(10),
    renewal: Duration::from_secs(3),
    margin: Duration::from_secs(1),
    busy: Duration::from_millis(200),
    idle: Duration::from_secs(1),
    retry: Duration::from_millis(200),
    longest_retry: Duration::from_secs(5),
    taking: Duration::from_millis(250),
    looking: Duration::from_secs(3),
};

/// Carries events from the outbox to the log until `stop`; gives its leases back then. Any number of replicas may run it.
/// `clock` makes this process's ids, and so knows how far others' are ahead of the time here.
pub async fn relay(outbox: Arc<dyn Outbox>, log: Arc<dyn EventLog>, clock: Arc<HybridClock>, stop: CancellationToken) {
    Relay { outbox, log, clock, pace: PACE, now: Arc::new(Timestamp::now) }.run(stop).await;
}

#[derive(Clone)]
struct Relay {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn EventLog>,
    clock: Arc<HybridClock>,
    pace: Pace,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A shard that this replica works on.
struct Held {
    /// The lease's end, by this process's clock. The worker stops somewhat before.
    until: watch::Sender<Instant>,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Relay {
    async fn run(&self, stop: CancellationToken) {
        let holder = Uuid::new_v4();
        let mut share = Share::new(self.outbox.shards(), holder, self.pace);
        let mut held: BTreeMap<u16, Held> = BTreeMap::new();
        let mut renewal = Instant::now() + self.pace.renewal;
        let mut taking = Instant::now();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(renewal) => {
                    self.renew(&mut held, holder).await;
                    renewal = Instant::now() + self.pace.renewal;
                }
                () = tokio::time::sleep_until(taking) => {
                    // What is held goes first: a store that is slow must not make it be lost while more is asked for.
                    let candidates = share.candidates(held.keys().copied());
                    let taken = timeout_at(renewal, self.take(&candidates, holder)).await.ok().flatten();
                    let pause = share.pause(held.len(), taken.is_some());
                    if let Some((shard, until)) = taken {
                        held.insert(shard, self.start(shard, until));
                    }
                    taking = Instant::now() + pause;
                }
            }
        }
        for (shard, held) in held {
            end(held).await;
            if let Err(error) = self.outbox.release(shard, holder).await {
                tracing::debug!(%error, shard, "the lease was not given back; it ends by itself");
            }
        }
    }

    fn start(&self, shard: u16, until: Instant) -> Held {
        let stop = CancellationToken::new();
        let worker = Worker::new(self.clone(), shard);
        tracing::info!(shard, "this replica relays a shard of the outbox");
        let (until, lease) = watch::channel(until);
        let (work, expired) = (worker.run(stop.clone()), expired(lease, self.pace.margin));
        let worker = tokio::spawn(vital("the relay of a shard", async move {
            tokio::select! {
                () = work => {}
                () = expired => {}
            }
        }));
        Held { until, stop, worker }
    }

    /// Takes the first of these shards that is free.
    async fn take(&self, candidates: &[u16], holder: Uuid) -> Option<(u16, Instant)> {
        for shard in candidates {
            let asked = Instant::now();
            match self.lease(*shard, holder).await {
                Some(true) => return Some((*shard, asked + self.pace.lease)),
                Some(false) => {}
                None => return None,
            }
        }
        None
    }

    /// Renews all leases at once and ends the work on those that are lost.
    async fn renew(&self, held: &mut BTreeMap<u16, Held>, holder: Uuid) {
        let asked = Instant::now();
        let renewals = join_all(held.keys().map(|shard| self.lease(*shard, holder))).await;
        let mut lost = Vec::new();
        for ((shard, held), renewed) in held.iter_mut().zip(renewals) {
            match renewed {
                // Its worker stopped, because the lease was nearly over.
                Some(true) if held.worker.is_finished() => *held = self.start(*shard, asked + self.pace.lease),
                Some(true) => {
                    held.until.send_replace(asked + self.pace.lease);
                }
                Some(false) => lost.push(*shard),
                None if held.worker.is_finished() => lost.push(*shard),
                None => {}
            }
        }
        for shard in lost {
            tracing::warn!(shard, "this replica lost a shard of the outbox");
            if let Some(held) = held.remove(&shard) {
                end(held).await;
            }
        }
    }

    /// `None` when the outbox can't be asked in time.
    async fn lease(&self, shard: u16, holder: Uuid) -> Option<bool> {
        let seconds = u16::try_from(self.pace.lease.as_secs().max(1)).unwrap_or(u16::MAX);
        match tokio::time::timeout(self.pace.renewal, self.outbox.lease(shard, holder, seconds)).await {
            Ok(Ok(leased)) => Some(leased),
            Ok(Err(error)) => {
                tracing::warn!(%error, shard, "a lease of the outbox can't be had");
                None
            }
            Err(_) => None,
        }
    }
}

/// Ends when a lease has no more than `margin` left: an append may still be under way then.
async fn expired(mut lease: watch::Receiver<Instant>, margin: Duration) {
    loop {
        let until = *lease.borrow_and_update();
        // When nobody holds it any more, nobody renews it.
        let renewed = async {
            if lease.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if timeout_at(until - margin, renewed).await.is_err() {
            return;
        }
    }
}

async fn end(held: Held) {
    held.stop.cancel();
    if let Err(error) = held.worker.await {
        tracing::error!(%error, "a worker of the outbox panicked");
    }
}
