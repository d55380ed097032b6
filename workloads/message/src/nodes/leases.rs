//! Keeps the leases of this node: one per user with sockets here, taken before such a socket is told from where to sync,
//! renewed in time, given back with the last socket.
//!
//! One task does all of it, so a lease that is given back and taken again at once ends as it should. While the leases
//! can't be renewed, other nodes don't send events here; then the inboxes are looked into at times. So they are when a lease
//! that is renewed is found gone, for which nobody has to be away: Redis may have needed the memory.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use sentinel_domain::{
    ids::UserId,
    ports::{StoreError, Taken},
    time::Timestamp,
};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::Nodes;
use crate::hub::Hub;

/// How often something is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often inboxes are looked into while the leases can't be renewed.
const LOOKED_EVERY: Duration = Duration::from_secs(5);
/// What is taken from the queue at once.
const ASKS: usize = 512;
/// How long a socket that joins waits for its user's lease.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is asked of the keeper.
pub(crate) enum Asked {
    /// A socket of the user came or went.
    Settle(UserId, Option<oneshot::Sender<()>>),
    /// Events may have been missed since then: the bus was away, and is back, or a node is gone with what it had to send.
    Interrupted(Timestamp),
}

/// Asks for a user's lease and waits for it a while.
pub(super) async fn register(asks: &UnboundedSender<Asked>, user: UserId) {
    let (done, settled) = oneshot::channel();
    if asks.send(Asked::Settle(user, Some(done))).is_ok() {
        // Too late or not at all: the keeper finds that nobody waited, and looks into inboxes once it has the lease.
        let _ = timeout(PATIENCE, settled).await;
    }
}

/// The keeper of this node's leases.
pub(super) struct Keeper {
    nodes: Nodes,
    hub: Weak<Hub>,
    repairs: UnboundedSender<Timestamp>,
    held: Held,
    times: Times,
}

/// The leases that were taken and not given back.
#[derive(Default)]
struct Held {
    node: bool,
    users: HashSet<UserId>,
}

impl Held {
    /// Leases were taken for these users. Gives how many of what was held was gone.
    fn took(&mut self, users: &[UserId], taken: &Taken) -> usize {
        let lost = taken.users.iter().filter(|user| self.users.contains(user)).count();
        let lost = lost + usize::from(taken.node && self.node);
        self.users.extend(users);
        self.node = true;
        lost
    }
}

/// When leases were renewed, and since when they may not have been good.
struct Times {
    renewed_every: Duration,
    renewed: Instant,
    renewed_at: Timestamp,
    owed: Option<Timestamp>,
    looked: Option<Instant>,
}

impl Times {
    fn new(lease_seconds: u32, now: Instant, at: Timestamp) -> Self {
        Self {
            renewed_every: Duration::from_secs(u64::from(lease_seconds)) / 3,
            renewed: now,
            renewed_at: at,
            owed: None,
            looked: None,
        }
    }

    /// Whether leases must be renewed now.
    fn is_due(&self, now: Instant) -> bool {
        self.owed.is_some() || now.duration_since(self.renewed) >= self.renewed_every
    }

    /// Leases may not have been good since then.
    fn owe(&mut self, since: Timestamp) {
        self.owed = Some(self.owed.map_or(since, |owed| owed.min(since)));
    }

    /// All leases were renewed, as was begun at `at`. The time since when they were not good, if so.
    fn renewed(&mut self, began: Instant, at: Timestamp) -> Option<Timestamp> {
        // A process that was stopped for long finds its leases gone.
        if began.duration_since(self.renewed) > self.renewed_every * 2 {
            self.owe(self.renewed_at);
        }
        (self.renewed, self.renewed_at, self.looked) = (began, at, None);
        self.owed.take()
    }

    /// Leases could not be renewed. The time since when to look into inboxes, now and then.
    fn failed(&mut self, now: Instant) -> Option<Timestamp> {
        self.owe(self.renewed_at);
        if self.looked.is_some_and(|at| now.duration_since(at) < LOOKED_EVERY) {
            return None;
        }
        self.looked = Some(now);
        self.owed
    }
}

impl Keeper {
    pub fn new(nodes: Nodes, hub: &Arc<Hub>, repairs: UnboundedSender<Timestamp>) -> Self {
        let times = Times::new(nodes.routes.lease_seconds(), Instant::now(), Timestamp::now());
        Self { nodes, hub: Arc::downgrade(hub), repairs, held: Held::default(), times }
    }

    /// Works until the hub is gone.
    pub async fn run(mut self, mut asked: UnboundedReceiver<Asked>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The node's own lease, so that it is told of losses. A failure is owed and tried again.
        if let Some(hub) = self.hub.upgrade() {
            self.renew(&hub).await;
        }
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                taken = asked.recv_many(&mut batch, ASKS) => {
                    if taken == 0 {
                        return;
                    }
                }
                _ = ticks.tick() => {}
            }
            let Some(hub) = self.hub.upgrade() else { return };
            self.settle(&hub, std::mem::take(&mut batch)).await;
            if self.times.is_due(Instant::now()) {
                self.renew(&hub).await;
            }
        }
    }

    async fn settle(&mut self, hub: &Hub, batch: Vec<Asked>) {
        let (mut users, mut waiting) = (HashSet::new(), Vec::new());
        for asked in batch {
            match asked {
                Asked::Settle(user, done) => {
                    users.insert(user);
                    waiting.extend(done);
                }
                Asked::Interrupted(since) => self.times.owe(since),
            }
        }
        let (here, gone): (Vec<UserId>, Vec<UserId>) = users.into_iter().partition(|user| hub.has_sockets_of(*user));
        if let Err(error) = self.change(&here, &gone).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "leases could not be changed");
            // Some may have been found gone, and taken, before it failed.
            self.times.owe(self.times.renewed_at);
        }
        for done in waiting {
            if done.send(()).is_err() {
                // It was told from where to sync while its events did not come here yet. A look into an inbox goes back
                // further than it can have waited.
                self.times.owe(Timestamp::now());
            }
        }
    }

    async fn change(&mut self, here: &[UserId], gone: &[UserId]) -> Result<(), StoreError> {
        if !here.is_empty() {
            self.take(here).await?;
        }
        if !gone.is_empty() {
            // Whatever becomes of it: a lease that ends is none that was lost.
            for user in gone {
                self.held.users.remove(user);
            }
            self.nodes.routes.leave(&self.nodes.node, gone).await?;
        }
        Ok(())
    }

    /// Takes or renews leases. What was lost of them is owed since they were renewed last.
    async fn take(&mut self, users: &[UserId]) -> Result<(), StoreError> {
        let taken = self.nodes.routes.join(&self.nodes.node, users).await?;
        let lost = self.held.took(users, &taken);
        if lost > 0 {
            metrics::counter!("sentinel_node_leases_lost_total").increment(lost as u64);
            tracing::warn!(lost, "leases were gone before their time; what was not sent here is looked for in inboxes");
            self.times.owe(self.times.renewed_at);
        }
        Ok(())
    }

    async fn renew(&mut self, hub: &Hub) {
        let (began, at) = (Instant::now(), Timestamp::now());
        let repair = match self.take(&hub.users()).await {
            Ok(()) => self.times.renewed(began, at),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "leases could not be renewed");
                self.times.failed(Instant::now())
            }
        };
        if let Some(since) = repair {
            // Without a receiver the process stops.
            let _ = self.repairs.send(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_held_can_be_lost() {
        let [ann, bob] = [1, 2].map(|n| UserId(uuid::Uuid::from_u128(n)));
        let mut held = Held::default();
        assert_eq!(held.took(&[ann], &Taken { node: true, users: vec![ann] }), 0, "the first time");
        assert_eq!(held.took(&[ann, bob], &Taken { node: false, users: vec![bob] }), 0, "Bob is new");
        assert_eq!(held.took(&[ann, bob], &Taken::default()), 0);
        assert_eq!(held.took(&[ann, bob], &Taken { node: false, users: vec![bob] }), 1);
        assert_eq!(held.took(&[], &Taken { node: true, users: vec![] }), 1, "other nodes would not tell it of losses");
    }

    #[test]
    fn leases_are_renewed_in_time_and_inboxes_looked_into_when_they_were_not() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut times = Times::new(30, start, Timestamp(1_000));
        assert!(!times.is_due(after(9)));
        assert!(times.is_due(after(10)));
        assert_eq!(times.renewed(after(10), Timestamp(11_000)), None);
        assert!(!times.is_due(after(19)));

        // Redis is away: inboxes are looked into at once and then at times, from the last good renewal on.
        assert_eq!(times.failed(after(20)), Some(Timestamp(11_000)));
        assert!(times.is_due(after(21)));
        assert_eq!(times.failed(after(21)), None);
        assert_eq!(times.failed(after(25)), Some(Timestamp(11_000)));
        assert_eq!(times.renewed(after(26), Timestamp(27_000)), Some(Timestamp(11_000)));
        assert!(!times.is_due(after(27)));

        // The process stood still for longer than leases last.
        assert_eq!(times.renewed(after(86), Timestamp(87_000)), Some(Timestamp(27_000)));
    }
}
