//! Notifications, which end by themselves, and how users want them.

use async_trait::async_trait;
use scylla::DeserializeRow;
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Preferences},
    ports::{NotificationStore, StoreError},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Cassandra, Shared,
    batch::Writes,
    times::{final_write_time, write_time},
};

/// How long a notification is kept, in seconds: 30 days.
const KEPT_SECONDS: i32 = 30 * 24 * 3600;
/// Newest notifications of a user that are looked through for those of one chat.
const LOOKED_THROUGH: i32 = 2_000;
const MICROS: i64 = 1000;

#[derive(DeserializeRow)]
struct Row {
    message_id: Uuid,
    // A mark may outlive the notification that it was made on.
    chat_id: Option<Uuid>,
    sender: Option<Uuid>,
    read: Option<bool>,
}

impl Row {
    fn notification(&self, user_id: UserId) -> Option<Notification> {
        Some(Notification {
            user_id,
            chat_id: ChatId(self.chat_id?),
            message_id: MessageId(self.message_id),
            sender_id: UserId(self.sender?),
            read: self.read.unwrap_or(false),
        })
    }
}

#[async_trait]
impl NotificationStore for Cassandra {
    async fn add(&self, notification: Notification) -> Result<(), StoreError> {
        let Notification { user_id, chat_id, message_id, sender_id, .. } = notification;
        let at = write_time(message_id.0);
        let values = (user_id.0, message_id.0, chat_id.0, sender_id.0, at, KEPT_SECONDS);
        self.shared.write(&self.shared.statements.insert_notification, values).await
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        self.shared.notifications(user, before, limit).await
    }

    async fn mark_read(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let found: Vec<Row> = shared.rows(&shared.statements.notification, (user.0, message.0)).await?;
        let found = found.first().and_then(|row| row.notification(user)).ok_or(StoreError::NotFound)?;
        if found.read {
            return Ok(());
        }
        shared.write(&shared.statements.set_notification_read, read_mark(user, message)).await
    }

    async fn mark_chat_read(&self, user: UserId, chat: ChatId, up_to: MessageId) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        for found in self.shared.notifications_of_chat(user, chat).await? {
            if !found.read && found.message_id <= up_to {
                writes.add(&self.shared.statements.set_notification_read, read_mark(user, found.message_id));
            }
        }
        self.shared.put(&writes).await
    }

    async fn withdraw(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        let values = (final_write_time(message.0), user.0, message.0);
        self.shared.write(&self.shared.statements.delete_notification, values).await
    }

    async fn withdraw_chat(&self, user: UserId, chat: ChatId) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        for found in self.shared.notifications_of_chat(user, chat).await? {
            let values = (final_write_time(found.message_id.0), user.0, found.message_id.0);
            writes.add(&self.shared.statements.delete_notification, values);
        }
        self.shared.put(&writes).await
    }

    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        let found: Vec<(String,)> = self.shared.rows(&self.shared.statements.preferences, (user.0,)).await?;
        match found.first() {
            Some((json,)) => serde_json::from_str(json).map_err(StoreError::unavailable),
            None => Ok(Preferences::default()),
        }
    }

    async fn set_preferences(&self, user: UserId, preferences: &Preferences) -> Result<(), StoreError> {
        let json = serde_json::to_string(preferences).map_err(StoreError::unavailable)?;
        let at = Timestamp::now().0 * MICROS;
        self.shared.write(&self.shared.statements.set_preferences, (at, json, user.0)).await
    }
}

fn read_mark(user: UserId, message: MessageId) -> (i64, i32, Uuid, Uuid) {
    (Timestamp::now().0 * MICROS, KEPT_SECONDS, user.0, message.0)
}

impl Shared {
    async fn notifications(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: i32,
    ) -> Result<Vec<Notification>, StoreError> {
        /// Sorts after every message.
        const LAST: Instant = Instant { millis: (1 << 48) - 1, counter: (1 << 12) - 1 };
        let before = before.map_or_else(|| LAST.id(u64::MAX), |before| before.0);
        let rows: Vec<Row> = self.rows(&self.statements.notifications, (user.0, before, limit)).await?;
        Ok(rows.iter().filter_map(|row| row.notification(user)).collect())
    }

    async fn notifications_of_chat(&self, user: UserId, chat: ChatId) -> Result<Vec<Notification>, StoreError> {
        let mut found = self.notifications(user, None, LOOKED_THROUGH).await?;
        found.retain(|notification| notification.chat_id == chat);
        Ok(found)
    }

    /// Forgets all of a user whose account is gone.
    pub(super) async fn forget_notifications(&self, user: UserId) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        let at = Timestamp::now().0 * MICROS;
        writes.add(&self.statements.delete_notifications, (at, user.0));
        writes.add(&self.statements.delete_preferences, (at, user.0));
        self.put(&writes).await
    }
}
