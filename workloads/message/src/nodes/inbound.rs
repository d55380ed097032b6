//! Hears other nodes: their events go to the sockets here, and what is missing between their letters is looked for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use sentinel_domain::{
    clock::HybridClock,
    event::Fanout,
    nodes::{Arrivals, Contents, Letter, Place},
    ports::BusListener,
    time::Timestamp,
};
use tokio::sync::mpsc::UnboundedSender;

use super::leases::Asked;
use crate::hub::Hub;

/// Letters between looks for senders to forget.
const SWEPT_AFTER: u32 = 10_000;

/// The listener of this process.
pub(super) struct Inbound {
    hub: Weak<Hub>,
    clock: Arc<HybridClock>,
    arrivals: Mutex<(Arrivals, u32)>,
    repairs: UnboundedSender<Timestamp>,
    asks: UnboundedSender<Asked>,
}

impl Inbound {
    pub fn new(
        hub: &Arc<Hub>,
        clock: Arc<HybridClock>,
        repairs: UnboundedSender<Timestamp>,
        asks: UnboundedSender<Asked>,
    ) -> Self {
        let arrivals = Mutex::new((Arrivals::new(Timestamp::now()), 0));
        Self { hub: Arc::downgrade(hub), clock, arrivals, repairs, asks }
    }

    fn place(&self, letter: &Letter, now: Timestamp) -> Place {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let (arrivals, count) = &mut *arrivals;
        *count += 1;
        if *count >= SWEPT_AFTER {
            *count = 0;
            arrivals.sweep(now);
        }
        arrivals.take(&letter.from, letter.sequence, letter.numbered_since, now)
    }

    fn repair(&self, since: Timestamp, why: &'static str) {
        tracing::warn!(%since, why, "events of other nodes may be missing");
        metrics::counter!("sentinel_node_gaps_total", "cause" => why).increment(1);
        // Without a receiver the process stops.
        let _ = self.repairs.send(since);
    }
}

#[async_trait]
impl BusListener for Inbound {
    async fn received(&self, letter: Letter) -> bool {
        let Some(hub) = self.hub.upgrade() else { return false };
        // Whatever is made here from now on sorts after what these sockets are about to see.
        self.clock.observe(letter.clock.0);
        let place = self.place(&letter, Timestamp::now());
        match letter.contents {
            Contents::Events(events) => hub.publish(events),
            Contents::Lost { since } => self.repair(since, "lost_by_sender"),
        }
        if let Place::AfterGap { since } = place {
            self.repair(since, "gap");
        }
        true
    }

    async fn interrupted(&self, since: Timestamp) -> bool {
        if self.hub.strong_count() == 0 {
            return false;
        }
        metrics::counter!("sentinel_node_gaps_total", "cause" => "interruption").increment(1);
        // The leases may be gone too: they come first.
        self.asks.send(Asked::Interrupted(since)).is_ok()
    }
}
