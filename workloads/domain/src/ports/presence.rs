use async_trait::async_trait;

use super::StoreError;
use crate::{event::Origin, ids::UserId, nodes::NodeId, presence::Presence, time::Timestamp};

/// Presence: a lease per device, an aggregate per user.
///
/// A device is a connected socket, or a session that says over HTTP that it is in use. Its lease ends by itself, so a
/// device that is lost goes offline without any event. Leases are long, so that renewing them costs little; when a process
/// ends with all its devices, the others notice by its beats, and its devices count no more.
#[async_trait]
pub trait PresenceStore: Send + Sync {
    /// How long a lease lasts, in seconds; renew it three times in that time.
    fn lease_seconds(&self) -> u32;
    /// A device is connected; `active` tells whether it is in use, which sets the user's last activity to `now`. Should the
    /// process end before it drops the device, the last minute of that may be lost.
    async fn touch(&self, user: UserId, device: Origin, active: bool, now: Timestamp) -> Result<(), StoreError>;
    /// A device that no process will drop is in use until its lease ends. The last activity, which is `now`, is durable when this
    /// returns.
    async fn heartbeat(&self, user: UserId, device: Origin, now: Timestamp) -> Result<(), StoreError>;
    /// Renews the leases of devices that are as they were; the flag tells whether each is in use.
    async fn renew(&self, devices: &[(UserId, Origin, bool)]) -> Result<(), StoreError>;
    /// A device is gone.
    async fn drop(&self, user: UserId, device: Origin) -> Result<(), StoreError>;
    /// A device that told by [`PresenceStore::heartbeat`], whichever process it told, is gone.
    async fn forget_device(&self, user: UserId, device: Origin) -> Result<(), StoreError>;
    /// This process lives. Tells of the others, among which are those that hold no devices yet; `None` when there can
    /// be no others. The devices of a process that was marked as gone count again from its next beat on.
    async fn beat(&self) -> Result<Option<RollCall>, StoreError>;
    /// The devices of these processes count no more.
    async fn mark_gone(&self, nodes: &[NodeId]) -> Result<(), StoreError>;
    /// The presence of each of these users, in their order.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, StoreError>;
    /// Forgets a user whose account was deleted.
    async fn forget(&self, user: UserId) -> Result<(), StoreError>;
    /// Tells `listener` of users whose aggregate changed, until it has had enough. The end of a lease is no event, nor is
    /// the end of a process: who watches users has to look at them at times, at least once per lease.
    async fn watch(&self, listener: Box<dyn PresenceListener>);
}

/// What the store knows of the processes that hold devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollCall {
    /// The other processes, each with a number that is another one after each of its beats.
    pub beats: Vec<(NodeId, i64)>,
    /// The processes whose devices do not count.
    pub gone: Vec<NodeId>,
    /// Whether the store knew of this process before this beat. If not, it may have lost the leases of its devices too.
    pub was_known: bool,
}

/// Who hears of changes of presence.
pub trait PresenceListener: Send + Sync {
    /// The aggregate of this user is another now. `false`: no more, please.
    fn changed(&self, user: UserId) -> bool;
    /// Changes may have gone unheard. `false`: no more, please.
    fn interrupted(&self) -> bool;
}
