use std::collections::HashSet;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    ids::{ChatId, MessageId, UserId},
    push::{Device, DeviceId, Push, PushAddress, Pushed},
};

/// Which devices want pushes.
#[async_trait]
pub trait DeviceReader: Send + Sync {
    /// A user's devices, the last registered first.
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError>;
}

/// The devices that want pushes, and what was pushed.
#[async_trait]
pub trait PushDevices: DeviceReader {
    /// Keeps a device, in place of one with its id. Its address is its own from now on: whoever had it, of this user or
    /// another, loses it. Of more than [`crate::push::DEVICES`] of a user, those registered first go.
    async fn register(&self, device: Device) -> Result<(), StoreError>;
    /// Those of these users who have a device, or may have one: whether its address is still theirs is seen only by
    /// [`DeviceReader::devices`]. One look at many users, as most have none.
    async fn reachable(&self, users: &[UserId]) -> Result<HashSet<UserId>, StoreError>;
    /// Forgets a device; nothing happens when there is none.
    async fn remove(&self, user: UserId, device: &DeviceId) -> Result<(), StoreError>;
    /// Forgets a device that still is as it was when it was looked up.
    async fn forget(&self, device: &Device) -> Result<(), StoreError>;
    /// The newest message of a chat of which this user's devices were told; kept for some days at least.
    async fn pushed_up_to(&self, user: UserId, chat: ChatId) -> Result<Option<MessageId>, StoreError>;
    /// Remembers that they were told; it never goes back.
    async fn set_pushed(&self, user: UserId, chat: ChatId, message: MessageId) -> Result<(), StoreError>;
    /// Forgets what was pushed of a chat up to a message, which was read.
    async fn clear_pushed(&self, user: UserId, chat: ChatId, up_to: MessageId) -> Result<(), StoreError>;
}

/// Sends pushes.
#[async_trait]
pub trait PushSender: Send + Sync {
    /// The public key that browsers subscribe with: a P-256 point, uncompressed, in base64url. `None`: no Web Push here.
    fn web_push_key(&self) -> Option<String>;
    /// The address as it is kept, spelled as everywhere, if pushes can be sent to it. No request is made.
    fn check(&self, address: &PushAddress) -> Result<PushAddress, UnfitAddress>;
    /// Sends a push, and again for a while if the push service asks for that.
    async fn push(&self, address: &PushAddress, push: &Push) -> Pushed;
}

/// Why nothing can be pushed to an address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnfitAddress {
    /// The deployment has no access to the platform.
    #[error("{0} is not offered here; do without pushes, or register with another platform")]
    NotOffered(&'static str),
    /// A field is not what it should be.
    #[error("{field} {detail}")]
    Malformed {
        /// Which one.
        field: &'static str,
        /// What it must be.
        detail: &'static str,
    },
    /// The endpoint is not one of a push service that is trusted here.
    #[error(
        "the endpoint is not one of a push service that is allowed here; subscribe in another browser, or do without pushes"
    )]
    Endpoint,
}
