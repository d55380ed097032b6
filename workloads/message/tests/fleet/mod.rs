//! Two message processes over one store, and a bus between them that can lose letters or be away.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod accounts;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sentinel_domain::{
    clock::HybridClock,
    config::LimitsConfig,
    event::{Fanout, LiveEvent},
    ids::UserId,
    nodes::{Letter, NodeId},
    ports::{BusListener, NodeBus, Routes, StoreError, Taken},
    time::Timestamp,
};
use sentinel_message::{Hub, Nodes, RoutedFanout};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::platform::{Foundation, Platform};
use accounts::MayBeAway;

/// The processes.
pub struct Fleet {
    pub nodes: [Platform; 2],
    pub hubs: [Arc<Hub>; 2],
    pub addresses: [SocketAddr; 2],
    pub bus: Arc<Bus>,
    pub accounts: Arc<MayBeAway>,
    pub routed: [Arc<RoutedFanout>; 2],
    acting: Arc<Acting>,
}

impl Fleet {
    pub async fn new() -> Self {
        let limits = LimitsConfig { messages_per_second: 100_000, socket_queue: 10_000, ..LimitsConfig::default() };
        let foundation = Foundation::new(limits);
        let (bus, clock) = (Arc::new(Bus::default()), Arc::new(HybridClock::new()));
        let hubs = [Arc::new(Hub::new()), Arc::new(Hub::new())];
        let routed = [0, 1].map(|n| {
            let node = NodeId::started(&format!("node-{n}"));
            let nodes = Nodes { node, routes: bus.clone(), bus: bus.clone(), clock: clock.clone() };
            RoutedFanout::new(hubs[n].clone(), nodes)
        });
        let acting = Arc::new(Acting { fanouts: routed.clone(), number: AtomicUsize::new(0) });
        let store = foundation.store(clock, acting.clone());
        let accounts = Arc::new(MayBeAway::over(store.clone()));
        let nodes = [0, 1].map(|n| {
            let routed = Some(routed[n].clone());
            foundation.process(store.clone(), accounts.clone(), accounts.clone(), hubs[n].clone(), routed)
        });
        let addresses = [nodes[0].listen().await, nodes[1].listen().await];
        Self { nodes, hubs, addresses, bus, accounts, routed, acting }
    }

    /// From now on, what is written is written by this process.
    pub fn act(&self, number: usize) {
        self.acting.number.store(number, Ordering::SeqCst);
    }
}

/// The fan-out of whichever process writes.
struct Acting {
    fanouts: [Arc<RoutedFanout>; 2],
    number: AtomicUsize,
}

impl Fanout for Acting {
    fn publish(&self, events: Vec<LiveEvent>) {
        self.fanouts[self.number.load(Ordering::SeqCst)].publish(events);
    }
}

enum News {
    Letter(Letter),
    Interrupted(Timestamp),
}

/// Routes and bus in memory.
#[derive(Default)]
pub struct Bus {
    routes: Mutex<HashMap<UserId, BTreeSet<NodeId>>>,
    nodes: Mutex<BTreeSet<NodeId>>,
    listeners: Mutex<HashMap<NodeId, UnboundedSender<News>>>,
    /// Nothing can be asked of it.
    pub away: AtomicBool,
    /// Letters are taken and get lost.
    pub losing: AtomicBool,
    /// Whoever wants a lease waits.
    pub holding_leases: AtomicBool,
    /// Whoever sends waits.
    pub holding_letters: AtomicBool,
    sent: AtomicUsize,
}

async fn released(held: &AtomicBool) {
    while held.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Bus {
    fn check(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) { Err(StoreError::unavailable("the bus is away")) } else { Ok(()) }
    }

    pub fn lose(&self, losing: bool) {
        self.losing.store(losing, Ordering::SeqCst);
    }

    pub fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// Comes back without what it knew; everybody learns since when it was away.
    pub fn come_back(&self, since: Timestamp) {
        self.routes.lock().unwrap().clear();
        self.away.store(false, Ordering::SeqCst);
        self.interrupt(since);
    }

    /// Loses what it knew, and answers all the same.
    pub fn forget_routes(&self) {
        self.routes.lock().unwrap().clear();
    }

    pub fn interrupt(&self, since: Timestamp) {
        for listener in self.listeners.lock().unwrap().values() {
            let _ = listener.send(News::Interrupted(since));
        }
    }

    /// How many letters were sent.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    pub fn holds(&self, user: UserId) -> usize {
        self.routes.lock().unwrap().get(&user).map_or(0, BTreeSet::len)
    }
}

#[async_trait]
impl Routes for Bus {
    fn lease_seconds(&self) -> u32 {
        30
    }

    async fn join(&self, node: &NodeId, users: &[UserId]) -> Result<Taken, StoreError> {
        self.check()?;
        released(&self.holding_leases).await;
        let mut taken = Taken { node: self.nodes.lock().unwrap().insert(node.clone()), users: Vec::new() };
        let mut routes = self.routes.lock().unwrap();
        for user in users {
            if routes.entry(*user).or_default().insert(node.clone()) {
                taken.users.push(*user);
            }
        }
        Ok(taken)
    }

    async fn leave(&self, node: &NodeId, users: &[UserId]) -> Result<(), StoreError> {
        self.check()?;
        let mut routes = self.routes.lock().unwrap();
        for user in users {
            routes.entry(*user).or_default().remove(node);
        }
        Ok(())
    }

    async fn nodes_of(&self, users: &[UserId]) -> Result<Vec<Vec<NodeId>>, StoreError> {
        self.check()?;
        let routes = self.routes.lock().unwrap();
        Ok(users.iter().map(|user| routes.get(user).into_iter().flatten().cloned().collect()).collect())
    }

    async fn nodes(&self) -> Result<Vec<NodeId>, StoreError> {
        self.check()?;
        Ok(self.nodes.lock().unwrap().iter().cloned().collect())
    }
}

#[async_trait]
impl NodeBus for Bus {
    async fn send(&self, letters: &[(NodeId, Letter)]) -> Result<(), StoreError> {
        self.check()?;
        released(&self.holding_letters).await;
        self.sent.fetch_add(letters.len(), Ordering::SeqCst);
        if self.losing.load(Ordering::SeqCst) {
            return Ok(());
        }
        // As other nodes read them.
        for (to, letter) in letters {
            let letter = serde_json::from_str(&serde_json::to_string(letter).unwrap()).unwrap();
            if let Some(listener) = self.listeners.lock().unwrap().get(to) {
                let _ = listener.send(News::Letter(letter));
            }
        }
        Ok(())
    }

    async fn listen(&self, node: &NodeId, listener: Box<dyn BusListener>) {
        let (sender, mut news) = unbounded_channel();
        self.listeners.lock().unwrap().insert(node.clone(), sender);
        tokio::spawn(async move {
            while let Some(news) = news.recv().await {
                let goes_on = match news {
                    News::Letter(letter) => listener.received(letter).await,
                    News::Interrupted(since) => listener.interrupted(since).await,
                };
                if !goes_on {
                    return;
                }
            }
        });
    }
}
