//! What else users have, in memory: files, devices, notifications and preferences.

use async_trait::async_trait;
use sentinel_domain::{
    ids::{MediaId, MessageId, UserId},
    media::Media,
    notification::{Notification, Preferences},
    ports::{DeviceReader, MediaReader, NotificationReader, NotificationSink, PreferenceReader, StoreError},
    push::Device,
};

use super::stores::Memory;

#[async_trait]
impl MediaReader for Memory {
    async fn owned(&self, owner: UserId, after: Option<MediaId>, limit: usize) -> Result<Vec<Media>, StoreError> {
        let data = self.up()?;
        let mine = data.media.iter().filter(|media| media.owner == owner && after.is_none_or(|after| media.id > after));
        Ok(mine.take(limit).cloned().collect())
    }

    async fn media(&self, id: MediaId) -> Result<Option<Media>, StoreError> {
        Ok(self.up()?.media.iter().find(|media| media.id == id).cloned())
    }

    async fn is_in_chat(&self, id: MediaId) -> Result<bool, StoreError> {
        Ok(self.up()?.shown_media.contains(&id))
    }

    /// Their owner asks for them.
    async fn media_for(&self, _: UserId, ids: &[MediaId]) -> Result<Vec<(Media, bool)>, StoreError> {
        let mut found = Vec::new();
        for id in ids {
            if let Some(media) = self.media(*id).await? {
                found.push((media, self.is_in_chat(*id).await?));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl DeviceReader for Memory {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        Ok(self.up()?.devices.iter().filter(|device| device.user_id == user).cloned().collect())
    }
}

#[async_trait]
impl NotificationSink for Memory {
    async fn add(&self, notification: Notification) -> Result<(), StoreError> {
        self.up()?.notifications.push(notification);
        Ok(())
    }
}

#[async_trait]
impl NotificationReader for Memory {
    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let data = self.up()?;
        let wanted = |one: &&Notification| one.user_id == user && before.is_none_or(|before| one.message_id < before);
        let mut found: Vec<_> = data.notifications.iter().filter(wanted).cloned().collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.message_id));
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl PreferenceReader for Memory {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        Ok(self.up()?.preferences.get(&user).cloned().unwrap_or_default())
    }
}
