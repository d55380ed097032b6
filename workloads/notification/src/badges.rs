//! The number of unread notifications on a user's devices, after one was read by itself.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    ports::StoreError,
    push::{Push, PushAddress},
    time::Timestamp,
};

use crate::service::NotificationService;

/// Users whose devices are about to be told the number.
#[derive(Debug, Default)]
pub struct Badges(Mutex<HashSet<UserId>>);

impl Badges {
    fn begin(&self, user: UserId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user)
    }

    fn end(&self, user: UserId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&user);
    }
}

impl NotificationService {
    /// Tells a user's devices in silence how much is unread, as soon as pushes go out. Whatever else is read until then goes
    /// along. It is best effort: the next push tells the number as well.
    pub(crate) fn tell_badge_soon(self: &Arc<Self>, user: UserId, read: MessageId) {
        if !self.badges.begin(user) {
            return;
        }
        let service = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(service.config.push.delay_millis.into())).await;
            service.badges.end(user);
            if let Err(error) = service.tell_badge(user, read, None).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %user, "the devices of a user are not told what was read");
            }
        });
    }

    /// Tells a user's devices in silence how much is unread now that this was read, by itself or with its chat.
    pub(crate) async fn tell_badge(
        &self,
        user: UserId,
        read: MessageId,
        chat_id: Option<ChatId>,
    ) -> Result<(), StoreError> {
        let mut devices = self.devices_of(user, Timestamp::now()).await?;
        // A browser can't be told in silence.
        devices.retain(|device| matches!(device.address, PushAddress::Fcm { .. }));
        if devices.is_empty() {
            return Ok(());
        }
        let badge = match self.unread(user).await {
            // It gets no better by trying again, and others wait.
            Err(error @ StoreError::Unreadable(_)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %user, "the devices of a user are not told what was read");
                return Ok(());
            }
            badge => badge?,
        };
        let push = Push { message_id: read, chat_id, created_at: read.timestamp(), badge, alert: None };
        self.push(&devices, &push).await;
        Ok(())
    }
}
