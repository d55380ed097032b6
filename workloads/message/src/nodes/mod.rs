//! Several message processes as one: live events reach the sockets of other nodes, and what got lost on the way is found
//! in the inboxes.
//!
//! [`RoutedFanout`] hands events to the hub of this process at once and sends them to the nodes that hold sockets of the
//! users concerned. It never waits and is best effort; every loss is noticed by the sender, by the receiver through the
//! letters' numbers, or by either losing the bus, and then the node looks into the inboxes of its users.

mod emitted;
mod inbound;
mod leases;
mod outbound;
mod repair;
mod shown_marks;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sentinel_domain::{
    background::vital,
    clock::HybridClock,
    event::{Fanout, LiveEvent},
    ids::UserId,
    nodes::NodeId,
    ports::{NodeBus, Routes},
    time::Timestamp,
};
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    time::timeout,
};

pub(crate) use self::{
    emitted::{Emitted, Key, Missed, MissedBody, MissedEvent},
    leases::Asked,
    shown_marks::ShownMarks,
};
use self::{
    leases::Keeper,
    outbound::{Lost, Outbound, Waiting},
};
use crate::{hub::Hub, service::MessageService};

/// Commits whose events may wait to be sent. When Redis is away they are dropped; the inboxes have them.
const WAITING: usize = 4096;
/// How long a process that stops waits until what it has for other nodes is sent.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// This process among others.
#[derive(Clone)]
pub struct Nodes {
    /// What this process is called, in this run.
    pub node: NodeId,
    /// Which nodes hold sockets of which users.
    pub routes: Arc<dyn Routes>,
    /// How nodes send each other letters.
    pub bus: Arc<dyn NodeBus>,
    /// The clock that makes this process's ids.
    pub clock: Arc<HybridClock>,
}

/// The fan-out of a process that is one of several.
pub struct RoutedFanout {
    hub: Option<Arc<Hub>>,
    nodes: Nodes,
    outbound: mpsc::Sender<Waiting>,
    lost: Arc<Lost>,
    asks: UnboundedSender<Asked>,
    asked: Mutex<Option<UnboundedReceiver<Asked>>>,
}

impl RoutedFanout {
    /// The fan-out of a message process: events go to `hub` and to other nodes. Call it inside a Tokio runtime.
    pub fn new(hub: Arc<Hub>, nodes: Nodes) -> Arc<Self> {
        Self::build(Some(hub), nodes)
    }

    /// The fan-out of a process without sockets of its own. Call it inside a Tokio runtime.
    pub fn without_sockets(nodes: Nodes) -> Arc<Self> {
        Self::build(None, nodes)
    }

    fn build(hub: Option<Arc<Hub>>, nodes: Nodes) -> Arc<Self> {
        let (outbound, waiting) = mpsc::channel(WAITING);
        let (asks, asked) = mpsc::unbounded_channel();
        let lost = Arc::new(Lost::default());
        tokio::spawn(vital("events to other nodes", Outbound::new(nodes.clone(), lost.clone()).run(waiting)));
        Arc::new(Self { hub, nodes, outbound, lost, asks, asked: Mutex::new(Some(asked)) })
    }

    /// Starts to hear other nodes and to keep the leases of this one.
    pub(crate) fn start(&self, service: &Arc<MessageService>) {
        let Some(hub) = &self.hub else { return };
        let Some(asked) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        hub.tell_of_departures(self.asks.clone());
        let repairs = repair::start(service);
        let keeper = Keeper::new(self.nodes.clone(), hub, repairs.clone());
        let listener = inbound::Inbound::new(hub, self.nodes.clock.clone(), repairs, self.asks.clone());
        let nodes = self.nodes.clone();
        tokio::spawn(vital("events of other nodes", async move {
            nodes.bus.listen(&nodes.node, Box::new(listener)).await;
            keeper.run(asked).await;
        }));
    }

    /// Makes sure that other nodes know of the sockets that a user has here. Gives up after a second: then events of
    /// other nodes come late until the bus is back.
    pub(crate) async fn register(&self, user: UserId) {
        leases::register(&self.asks, user).await;
    }

    /// Waits until everything that was published here is sent to other nodes, or they know that it was not: nobody notices
    /// what a process takes with it. Gives up after two seconds; then others notice that this one is gone.
    pub async fn flush(&self) {
        let flushed = async {
            let (done, sent) = oneshot::channel();
            if self.outbound.send(Waiting::Flush(done)).await.is_ok() {
                // Without a sender there is nothing to wait for.
                let _ = sent.await;
            }
        };
        if timeout(FLUSH_PATIENCE, flushed).await.is_err() {
            tracing::warn!("events for other nodes were not sent in time; their users find them in inboxes");
        }
    }
}

impl Fanout for RoutedFanout {
    fn publish(&self, events: Vec<LiveEvent>) {
        let outbound: Vec<LiveEvent> = events.iter().filter(|event| !event.audience().is_empty()).cloned().collect();
        if let Some(hub) = &self.hub {
            hub.publish(events);
        }
        if outbound.is_empty() {
            return;
        }
        let now = Timestamp::now();
        let count = outbound.len();
        if self.outbound.try_send(Waiting::Events(now, outbound)).is_err() {
            self.lost.note(now, count);
        }
    }
}
