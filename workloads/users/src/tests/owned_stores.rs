//! What else users have, in memory: files, devices and preferences.

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, MediaId, UserId},
    media::Media,
    notification::{Notification, Preferences},
    ports::{DeviceReader, MediaReader, NotificationSink, PreferenceReader, StoreError},
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

    async fn chats_of(&self, id: MediaId) -> Result<Vec<ChatId>, StoreError> {
        let shown = self.up()?.shown_media.contains(&id);
        Ok(shown.then(|| ChatId::from_bytes([0; 16])).into_iter().collect())
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
    /// New accounts find that they are welcome; nobody looks at it here.
    async fn add(&self, _: Notification) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl PreferenceReader for Memory {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        Ok(self.up()?.preferences.get(&user).cloned().unwrap_or_default())
    }
}
