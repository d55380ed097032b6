//! The service with what it depends on.

use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use sentinel_domain::{
    config::PlatformConfig,
    event::Fanout,
    ids::{ChatId, MessageId, UserId},
    keyring::Keyring,
    ports::{
        AccountStore, AdministrationStore, ChatReader, EventMessage, NotificationStore, PushDevices, PushSender,
        SessionReader, StoreError,
    },
    push::{Device, Push, Pushed},
    time::Timestamp,
};
use sentinel_http::{rate::RateLimits, tokens::Tokens};

use crate::badges::Badges;

/// Most notifications that are counted as not read.
const COUNTED: usize = 100;
/// How many notifications are looked through for them, one page after another: mostly the first has enough or is all
/// there is.
const LOOKED_THROUGH: [usize; 2] = [100, 900];

/// Notifications over the ports.
pub struct NotificationService {
    /// Names.
    pub accounts: Arc<dyn AccountStore>,
    /// Sessions, with whose end devices get nothing more.
    pub sessions: Arc<dyn SessionReader>,
    /// Messages as they are now.
    pub chats: Arc<dyn ChatReader>,
    /// Notifications and preferences.
    pub notifications: Arc<dyn NotificationStore>,
    /// Devices that want pushes.
    pub devices: Arc<dyn PushDevices>,
    /// How pushes are sent.
    pub pushes: Arc<dyn PushSender>,
    /// The audit log of what admins do.
    pub administration: Arc<dyn AdministrationStore>,
    /// Where notifications for open sockets go.
    pub fanout: Arc<dyn Fanout>,
    /// Whose devices are about to be told how much is unread.
    pub badges: Badges,
    /// Rate limits.
    pub limits: Arc<RateLimits>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Keys behind cursors.
    pub keyring: Arc<Keyring>,
    /// The configuration.
    pub config: Arc<PlatformConfig>,
}

impl NotificationService {
    /// A message of which an event told, and its chat, as they are now; `None` when either is gone, which an event of its own
    /// tells. A message that can't be seen yet is [`StoreError::Unavailable`].
    pub(crate) async fn current(
        &self,
        member: UserId,
        chat: ChatId,
        message: MessageId,
    ) -> Result<Option<EventMessage>, StoreError> {
        self.chats.message_of_event(member, chat, message, message.into(), Timestamp::now()).await
    }

    /// What these users are called.
    pub(crate) async fn names(&self, users: &[UserId]) -> Result<HashMap<UserId, String>, StoreError> {
        let profiles = self.accounts.profiles(users).await?;
        Ok(profiles.into_iter().map(|profile| (profile.user_id, profile.display_name)).collect())
    }

    /// A user's devices whose sessions go on; the others are forgotten. None when what is stored of the user can't be read:
    /// that gets no better, and others are not to wait for it.
    pub(crate) async fn devices_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Device>, StoreError> {
        match self.devices_with_sessions(user, now).await {
            Err(error @ StoreError::Unreadable(_)) => {
                metrics::counter!("sentinel_push_users_unreadable_total").increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, %user, "the devices of a user can't be read: nothing is pushed to them");
                Ok(Vec::new())
            }
            devices => devices,
        }
    }

    async fn devices_with_sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Device>, StoreError> {
        let mut devices = Vec::new();
        for device in self.devices.devices(user).await? {
            let session = self.sessions.session(device.session_id).await?;
            let lifetime = i64::from(self.config.auth.refresh_token_seconds);
            if session.is_some_and(|found| found.user_id == user && found.refreshed_at.plus_seconds(lifetime) > now) {
                devices.push(device);
            } else {
                self.forget(&device).await;
            }
        }
        Ok(devices)
    }

    /// Forgets a device. A failure is no reason to do again what was done: the next push finds the device as it is.
    async fn forget(&self, device: &Device) {
        if let Err(error) = self.devices.forget(device).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, user = %device.user_id, "a device that is none any more is not forgotten yet");
        }
    }

    /// Pushes to all devices at once, and forgets those that are none any more.
    pub(crate) async fn push(&self, devices: &[Device], push: &Push) {
        let pushed = join_all(devices.iter().map(|device| self.pushes.push(&device.address, push))).await;
        for (device, _) in devices.iter().zip(pushed).filter(|(_, pushed)| *pushed == Pushed::AddressGone) {
            self.forget(device).await;
        }
    }

    /// What a push says is unread: at least what it is about. It says just that when nobody knows the number now: a push that
    /// is told too little beats none.
    pub(crate) async fn badge(&self, user: UserId) -> u32 {
        let unread = self.unread(user).await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, %user, "a push goes out without the number of what is unread");
        });
        unread.unwrap_or(1).max(1)
    }

    /// How much a user was told of and has not read; counted up to a hundred, among the newest thousand.
    pub(crate) async fn unread(&self, user: UserId) -> Result<u32, StoreError> {
        let (mut unread, mut before) = (0, None);
        for limit in LOOKED_THROUGH {
            let page = self.notifications.list(user, before, limit).await?;
            unread += page.iter().filter(|one| !one.read && !one.is_welcome()).count();
            before = page.last().map(|last| last.message_id);
            if unread >= COUNTED || page.len() < limit {
                break;
            }
        }
        Ok(u32::try_from(unread.min(COUNTED)).unwrap_or(u32::MAX))
    }
}
