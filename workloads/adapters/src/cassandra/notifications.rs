//! Notifications, which end by themselves, and how users want them.

use std::collections::HashMap;

use async_trait::async_trait;
use scylla::DeserializeRow;
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    notice::{NO_CHAT, Notice},
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
    /// Without the text of a notice.
    fn notification(&self, user_id: UserId) -> Option<Notification> {
        Some(Notification {
            user_id,
            chat_id: ChatId(self.chat_id?),
            message_id: MessageId(self.message_id),
            sender_id: UserId(self.sender?),
            read: self.read.unwrap_or(false),
            notice: None,
        })
    }
}

#[derive(DeserializeRow)]
struct NoticeRow {
    message_id: Uuid,
    header: Option<String>,
    body: Option<String>,
}

#[async_trait]
impl NotificationStore for Cassandra {
    async fn add(&self, notification: Notification) -> Result<(), StoreError> {
        let Notification { user_id, chat_id, message_id, sender_id, notice, .. } = notification;
        let statements = &self.shared.statements;
        let at = write_time(message_id.0);
        let values = (user_id.0, message_id.0, chat_id.0, sender_id.0, at, KEPT_SECONDS);
        let Some(notice) = notice else { return self.shared.write(&statements.insert_notification, values).await };
        let mut writes = Writes::new();
        let (header, body) = (notice.header().to_owned(), notice.body().to_owned());
        writes.add(&statements.insert_notice, (user_id.0, message_id.0, header, body, at, KEPT_SECONDS));
        writes.add(&statements.insert_notification, values);
        self.shared.put(&writes).await
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let found = self.shared.notifications(user, before, limit).await?;
        self.shared.with_notices(user, found).await
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
            Some((json,)) => serde_json::from_str(json).map_err(StoreError::unreadable),
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

    /// Adds the texts of notices. One whose text is not visible yet is left out: it becomes so at once.
    async fn with_notices(&self, user: UserId, found: Vec<Notification>) -> Result<Vec<Notification>, StoreError> {
        let mut notices = found.iter().filter(|one| one.chat_id == NO_CHAT).map(|one| one.message_id.0);
        let Some(newest) = notices.next() else { return Ok(found) };
        let oldest = notices.next_back().unwrap_or(newest);
        let rows: Vec<NoticeRow> = self.rows(&self.statements.notices, (user.0, oldest, newest)).await?;
        let text = |row: NoticeRow| Some((MessageId(row.message_id), Notice::kept(row.header?, row.body?)));
        let mut texts: HashMap<MessageId, Notice> = rows.into_iter().filter_map(text).collect();
        let whole = |one: Notification| {
            if one.chat_id != NO_CHAT {
                return Some(one);
            }
            texts.remove(&one.message_id).map(|notice| Notification { notice: Some(notice), ..one })
        };
        Ok(found.into_iter().filter_map(whole).collect())
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
        writes.add(&self.statements.delete_notices, (at, user.0));
        writes.add(&self.statements.delete_preferences, (at, user.0));
        self.put(&writes).await
    }
}
