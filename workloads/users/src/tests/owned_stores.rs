//! What else users have, in memory: files, devices and preferences. Only what an export asks for is there.

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, MediaId, MessageId, UserId},
    media::{Due, Media, Shown, Usage},
    notification::{Notification, Preferences},
    ports::{MediaStore, NotificationStore, PushDevices, StoreError},
    push::{Device, DeviceId},
    time::Timestamp,
};

use super::stores::Memory;

#[async_trait]
impl MediaStore for Memory {
    async fn owned(&self, owner: UserId, after: Option<MediaId>, limit: usize) -> Result<Vec<Media>, StoreError> {
        let data = self.up()?;
        let mine = data.media.iter().filter(|media| media.owner == owner && after.is_none_or(|after| media.id > after));
        Ok(mine.take(limit).cloned().collect())
    }

    async fn create(&self, _: Media) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn media(&self, _: MediaId) -> Result<Option<Media>, StoreError> {
        unreachable!()
    }

    async fn complete(&self, _: MediaId, _: Shown) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn chats_of(&self, id: MediaId) -> Result<Vec<ChatId>, StoreError> {
        let shown = self.up()?.shown_media.contains(&id);
        Ok(shown.then(|| ChatId::from_bytes([0; 16])).into_iter().collect())
    }

    async fn detach(&self, _: MediaId, _: ChatId, _: Timestamp) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn usage(&self, _: UserId) -> Result<Usage, StoreError> {
        unreachable!()
    }

    async fn condemn(&self, _: MediaId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn condemn_all(&self, _: UserId, _: Timestamp) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn due_after(&self, _: Timestamp, _: Option<Due>, _: usize) -> Result<Vec<Due>, StoreError> {
        unreachable!()
    }

    async fn settle(&self, _: Due) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn forget(&self, _: MediaId) -> Result<(), StoreError> {
        unreachable!()
    }
}

#[async_trait]
impl PushDevices for Memory {
    async fn devices(&self, user: UserId) -> Result<Vec<Device>, StoreError> {
        Ok(self.up()?.devices.iter().filter(|device| device.user_id == user).cloned().collect())
    }

    async fn register(&self, _: Device) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn remove(&self, _: UserId, _: &DeviceId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn forget(&self, _: &Device) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn pushed_up_to(&self, _: UserId, _: ChatId) -> Result<Option<MessageId>, StoreError> {
        unreachable!()
    }

    async fn set_pushed(&self, _: UserId, _: ChatId, _: MessageId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn clear_pushed(&self, _: UserId, _: ChatId, _: MessageId) -> Result<(), StoreError> {
        unreachable!()
    }
}

#[async_trait]
impl NotificationStore for Memory {
    /// New accounts find that they are welcome; nobody looks at it here.
    async fn add(&self, _: Notification) -> Result<(), StoreError> {
        Ok(())
    }

    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        Ok(self.up()?.preferences.get(&user).cloned().unwrap_or_default())
    }

    async fn list(&self, _: UserId, _: Option<MessageId>, _: usize) -> Result<Vec<Notification>, StoreError> {
        unreachable!()
    }

    async fn mark_read(&self, _: UserId, _: MessageId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn mark_chat_read(&self, _: UserId, _: ChatId, _: MessageId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn withdraw(&self, _: UserId, _: MessageId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn withdraw_chat(&self, _: UserId, _: ChatId) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn set_preferences(&self, _: UserId, _: &Preferences) -> Result<(), StoreError> {
        unreachable!()
    }
}
