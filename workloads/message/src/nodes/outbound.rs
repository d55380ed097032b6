//! Sends events to the nodes that hold sockets of the users concerned: in order, many at once, off everybody's path.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sentinel_domain::{
    event::LiveEvent,
    ids::{EventId, UserId},
    nodes::{Contents, Letter, NodeId, Numbering},
    ports::StoreError,
    time::Timestamp,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::interval,
};

use super::Nodes;

/// Commits that are taken at once.
const BATCHES: usize = 256;
/// Most events and bytes of text of one round.
const EVENTS: usize = 512;
const TEXT_BYTES: usize = 1024 * 1024;
/// How often other nodes are told of losses that they could not be told of before.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Events that were not sent and of which other nodes have not been told.
#[derive(Default)]
pub(super) struct Lost(Mutex<Option<Timestamp>>);

impl Lost {
    /// Events of then were dropped.
    pub fn note(&self, at: Timestamp, events: usize) {
        metrics::counter!("sentinel_node_events_dropped_total").increment(events as u64);
        self.note_again(at);
    }

    fn note_again(&self, at: Timestamp) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = Some(since.map_or(at, |since| since.min(at)));
    }

    fn take(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What waits to be sent.
pub(super) enum Waiting {
    /// Events of one commit, and when it was.
    Events(Timestamp, Vec<LiveEvent>),
    /// Somebody wants to know when all before this was sent.
    Flush(oneshot::Sender<()>),
}

/// The sender of this process.
pub(super) struct Outbound {
    nodes: Nodes,
    lost: Arc<Lost>,
    numbering: Numbering,
}

impl Outbound {
    pub fn new(nodes: Nodes, lost: Arc<Lost>) -> Self {
        Self { nodes, lost, numbering: Numbering::default() }
    }

    /// Sends what waits, until nobody can add to it any more.
    pub async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batches = Vec::new();
        loop {
            tokio::select! {
                taken = waiting.recv_many(&mut batches, BATCHES) => {
                    if taken == 0 {
                        return;
                    }
                    self.work_off(std::mem::take(&mut batches)).await;
                }
                _ = ticks.tick() => self.tell_of_losses().await,
            }
        }
    }

    async fn work_off(&mut self, batches: Vec<Waiting>) {
        let (mut commits, mut flushes) = (Vec::new(), Vec::new());
        for waiting in batches {
            match waiting {
                Waiting::Events(at, events) => commits.push((at, events)),
                Waiting::Flush(done) => flushes.push(done),
            }
        }
        self.send_all(commits).await;
        if flushes.is_empty() {
            return;
        }
        // Others must also know what they did not get.
        self.tell_of_losses().await;
        for done in flushes {
            // Whoever waited may have had enough.
            let _ = done.send(());
        }
    }

    async fn send_all(&mut self, batches: Vec<(Timestamp, Vec<LiveEvent>)>) {
        let since = batches.first().map_or_else(Timestamp::now, |(at, _)| *at);
        let events = batches.into_iter().flat_map(|(_, events)| events).collect();
        for round in rounds(events) {
            if let Err(error) = self.send(&round).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    events = round.len(),
                    "events were not sent to other nodes, which will find them in inboxes"
                );
                self.lost.note(since, round.len());
            }
        }
    }

    async fn send(&mut self, events: &[LiveEvent]) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let users: Vec<UserId> =
            events.iter().flat_map(LiveEvent::audience).copied().filter(|user| seen.insert(*user)).collect();
        let nodes = self.nodes.routes.nodes_of(&users).await?;
        let routes: HashMap<UserId, Vec<NodeId>> = users.into_iter().zip(nodes).collect();
        let letters: Vec<_> = addressed(events, &routes, &self.nodes.node)
            .into_iter()
            .map(|(node, events)| self.letter(node, Contents::Events(events)))
            .collect();
        self.deliver(letters).await
    }

    /// Tells all nodes that they may have missed something.
    async fn tell_of_losses(&mut self) {
        let Some(since) = self.lost.take() else { return };
        let told = match self.nodes.routes.nodes().await {
            Ok(nodes) => {
                let own = self.nodes.node.clone();
                let others = nodes.into_iter().filter(|node| *node != own);
                let letters = others.map(|node| self.letter(node, Contents::Lost { since })).collect();
                self.deliver(letters).await
            }
            Err(error) => Err(error),
        };
        if told.is_err() {
            self.lost.note_again(since);
        }
    }

    fn letter(&mut self, to: NodeId, contents: Contents) -> (NodeId, Letter) {
        let (sequence, numbered_since) = self.numbering.next(&to, Timestamp::now());
        let letter = Letter {
            from: self.nodes.node.clone(),
            sequence,
            numbered_since: Some(numbered_since),
            clock: EventId(self.nodes.clock.newest().id(0)),
            contents,
        };
        (to, letter)
    }

    async fn deliver(&self, letters: Vec<(NodeId, Letter)>) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.nodes.bus.send(&letters).await?;
        metrics::counter!("sentinel_node_letters_sent_total").increment(letters.len() as u64);
        Ok(())
    }
}

/// Cuts events into rounds that are not too large.
fn rounds(events: Vec<LiveEvent>) -> Vec<Vec<LiveEvent>> {
    let mut rounds = Vec::new();
    let (mut round, mut bytes) = (Vec::new(), 0);
    for event in events {
        if round.len() >= EVENTS || (bytes >= TEXT_BYTES && !round.is_empty()) {
            rounds.push(std::mem::take(&mut round));
            bytes = 0;
        }
        bytes += match &event {
            LiveEvent::Message { message, .. } | LiveEvent::Edited { message, .. } => message.text.len(),
            _ => 0,
        };
        round.push(event);
    }
    if !round.is_empty() {
        rounds.push(round);
    }
    rounds
}

/// The events for each other node, each once and in order.
fn addressed(
    events: &[LiveEvent],
    routes: &HashMap<UserId, Vec<NodeId>>,
    own: &NodeId,
) -> HashMap<NodeId, Vec<LiveEvent>> {
    let mut addressed: HashMap<NodeId, Vec<LiveEvent>> = HashMap::new();
    for event in events {
        let mut nodes: Vec<&NodeId> =
            event.audience().iter().filter_map(|user| routes.get(user)).flatten().filter(|node| *node != own).collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            addressed.entry(node.clone()).or_default().push(event.clone());
        }
    }
    addressed
}

#[cfg(test)]
mod tests {
    use sentinel_domain::ids::ChatId;
    use uuid::Uuid;

    use super::*;

    fn typing(from: u128, to: u128) -> LiveEvent {
        let (user_id, peer) = (UserId(Uuid::from_u128(from)), UserId(Uuid::from_u128(to)));
        LiveEvent::Typing { chat_id: ChatId::of_pair(user_id, peer), user_id, peer, typing: true }
    }

    #[test]
    fn each_node_gets_what_concerns_its_users_in_order_and_this_one_nothing() {
        let node = |name: &str| NodeId::from_text(name.into());
        let routes: HashMap<_, _> = [
            (UserId(Uuid::from_u128(1)), vec![node("here"), node("a")]),
            (UserId(Uuid::from_u128(2)), vec![node("a"), node("b")]),
        ]
        .into();
        let events = [typing(2, 1), typing(1, 2), typing(1, 3)];
        let addressed = addressed(&events, &routes, &node("here"));
        assert_eq!(addressed.len(), 2);
        assert_eq!(addressed[&node("a")], events[..2]);
        assert_eq!(addressed[&node("b")], events[1..2]);
    }

    #[test]
    fn many_events_go_in_several_rounds() {
        let events: Vec<_> = (0..1200).map(|n| typing(n, n + 1)).collect();
        let rounds = rounds(events.clone());
        assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [512, 512, 176]);
        assert_eq!(rounds.concat(), events);
    }
}
