use async_trait::async_trait;

use super::StoreError;
use crate::{
    ids::UserId,
    nodes::{Letter, NodeId},
    time::Timestamp,
};

/// What a node had no lease for before it took one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The node itself.
    pub node: bool,
    /// These users.
    pub users: Vec<UserId>,
}

/// Which nodes hold sockets of which users: leases that end by themselves when a node is gone.
///
/// What it says may be too much (a node that just lost its last socket of a user) but, as long as leases are renewed in
/// time, never too little.
#[async_trait]
pub trait Routes: Send + Sync {
    /// How long a lease lasts, in seconds; renew it three times in that time.
    fn lease_seconds(&self) -> u32;
    /// Takes or renews the leases of `node` for these users, and that of the node itself. Tells which were not there: a
    /// lease that should have been renewed was lost, and events with it.
    async fn join(&self, node: &NodeId, users: &[UserId]) -> Result<Taken, StoreError>;
    /// Gives the leases of `node` for these users back.
    async fn leave(&self, node: &NodeId, users: &[UserId]) -> Result<(), StoreError>;
    /// The nodes of each of these users, in the order of `users`.
    async fn nodes_of(&self, users: &[UserId]) -> Result<Vec<Vec<NodeId>>, StoreError>;
    /// All nodes that have a lease.
    async fn nodes(&self) -> Result<Vec<NodeId>, StoreError>;
}

/// How nodes send each other letters. Best effort: what gets lost shows in the letters' numbers or is reported as an
/// interruption, and the inboxes have it.
#[async_trait]
pub trait NodeBus: Send + Sync {
    /// Sends letters; those to one node arrive in the order given. After an error, some may have arrived.
    async fn send(&self, letters: &[(NodeId, Letter)]) -> Result<(), StoreError>;
    /// Hands `listener` what comes for `node` from now on, until it says that it has had enough. Returns once letters to
    /// `node` are heard, or at once when the bus is away: then that is an interruption.
    async fn listen(&self, node: &NodeId, listener: Box<dyn BusListener>);
}

/// Who hears what comes over the bus. One call at a time.
#[async_trait]
pub trait BusListener: Send + Sync {
    /// A letter came. `false`: no more, please.
    async fn received(&self, letter: Letter) -> bool;
    /// Letters sent from `since` until now may not have come. `false`: no more, please.
    async fn interrupted(&self, since: Timestamp) -> bool;
}
