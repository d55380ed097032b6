//! Devices that can be read while some or all writes fail.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use sentinel_domain::{
    ports::{DeviceReader, PushDevices},
    push::{Device, DeviceId},
};

use super::*;

pub struct ReadOnly {
    store: Arc<Sqlite>,
    /// Writes of what was pushed that fail before one works.
    failing: AtomicUsize,
    /// Whose devices can't be read, and why.
    unread: Option<Failing>,
}

impl ReadOnly {
    pub fn new(store: Arc<Sqlite>, failing: usize) -> Self {
        Self { store, failing: AtomicUsize::new(failing), unread: None }
    }

    pub fn failing_for(store: Arc<Sqlite>, user: UserId, error: fn() -> StoreError) -> Self {
        Self { unread: Some((user, error)), ..Self::new(store, 0) }
    }
}

#[async_trait]
impl DeviceReader for ReadOnly {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        match self.unread {
            Some((unread, error)) if unread == user => Err(error()),
            _ => self.store.devices(user).await,
        }
    }
}

#[async_trait]
impl PushDevices for ReadOnly {
    async fn register(&self, _: Device) -> Result<(), StoreError> {
        Err(StoreError::unavailable("read only"))
    }

    async fn reachable(&self, users: &[UserId]) -> Result<HashSet<UserId>, StoreError> {
        self.store.reachable(users).await
    }

    async fn remove(&self, _: UserId, _: &DeviceId) -> Result<(), StoreError> {
        Err(StoreError::unavailable("read only"))
    }

    async fn forget(&self, _: &Device) -> Result<(), StoreError> {
        Err(StoreError::unavailable("read only"))
    }

    async fn pushed_up_to(&self, user: UserId, chat: ChatId) -> Result<Option<MessageId>, StoreError> {
        self.store.pushed_up_to(user, chat).await
    }

    async fn set_pushed(&self, user: UserId, chat: ChatId, message: MessageId) -> Result<(), StoreError> {
        if self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::unavailable("read only"));
        }
        self.store.set_pushed(user, chat, message).await
    }

    async fn clear_pushed(&self, _: UserId, _: ChatId, _: MessageId) -> Result<(), StoreError> {
        Err(StoreError::unavailable("read only"))
    }
}
