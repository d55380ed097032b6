//! Notifications, which end by themselves, and how users want them.

use std::collections::HashMap;

use async_trait::async_trait;
use scylla::DeserializeRow;
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    notice::{NO_CHAT, Notice},
    notification::{Notification, Preferences},
    ports::{NotificationReader, NotificationSink, NotificationStore, PreferenceReader, StoreError},
    retention::NOTIFICATION_SECONDS,
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    Cassandra, Shared,
    batch::Writes,
    history::row_limit,
    times::{ending_time, final_write_time, next_write_time, ttl, write_time},
};

/// How long a notification is kept.
const KEPT_SECONDS: i32 = ttl(NOTIFICATION_SECONDS);
/// Rows that are read at once to get past marks, or others' notifications.
const STEP: usize = 1_000;
/// Most rows that are looked through: others can have a user get marks without end.
const LOOKED_THROUGH: usize = 20_000;
/// In place of the chat and the sender of what was taken back. A row that is deleted would be a tombstone, and reads fail
/// that meet many of these; and one that is written late would be back.
const WITHDRAWN: Uuid = Uuid::max();
const MICROS: i64 = 1000;
/// Sorts after every message.
const LAST: Instant = Instant { millis: (1 << 48) - 1, counter: (1 << 12) - 1 };

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
            chat_id: ChatId(self.chat_id.filter(|chat| *chat != WITHDRAWN)?),
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
impl NotificationSink for Cassandra {
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
}

#[async_trait]
impl PreferenceReader for Cassandra {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        preferences(self.shared.kept_preferences(user).await?.as_deref())
    }
}

#[async_trait]
impl NotificationReader for Cassandra {
    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let (mut found, mut before, mut asked, mut looked) = (Vec::new(), before, limit, 0);
        let horizon = self.shared.horizon();
        let kept = |one: &Notification| !one.is_of_message() || horizon.keeps(one.message_id);
        while found.len() < limit && looked < LOOKED_THROUGH {
            let rows = self.shared.notifications(user, before, row_limit(asked)).await?;
            let Some(last) = rows.last() else { break };
            before = Some(MessageId(last.message_id));
            looked += rows.len();
            let page = rows.iter().filter_map(|row| row.notification(user)).filter(kept).collect();
            found.extend(self.shared.with_notices(user, page).await?);
            // Some rows are marks whose notification is gone or was taken back, or are about messages that are gone: they must
            // not make the list look shorter than it is.
            if rows.len() < asked {
                break;
            }
            asked = asked.max(STEP);
        }
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl NotificationStore for Cassandra {
    async fn mark_read(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        let shared = &self.shared;
        if shared.notification(user, message).await?.ok_or(StoreError::NotFound)?.read {
            return Ok(());
        }
        shared.write(&shared.statements.set_notification_read, read_mark(user, message)).await
    }

    async fn mark_chat_read(
        &self,
        user: UserId,
        chat: ChatId,
        before: Option<MessageId>,
        up_to: MessageId,
    ) -> Result<(), StoreError> {
        let set_read = &self.shared.statements.set_notification_read;
        let mark = |writes: &mut Writes, found: &Notification| {
            if !found.read {
                writes.add(set_read, read_mark(user, found.message_id));
            }
        };
        self.shared.change_of_chat(user, chat, (before, up_to), mark).await
    }

    async fn withdraw(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        // Of what nobody was told there is nothing to hide, and a mark would only be in the way of who reads the list. It is not
        // told later either: that takes a message which is not deleted. Only an addition that the store did not answer, and
        // carries out after this, is seen until the chat is read.
        if self.shared.notification(user, message).await?.is_none() {
            return Ok(());
        }
        self.shared.write(&self.shared.statements.withdraw_notification, withdrawal(user, message)).await
    }

    async fn withdraw_chat(&self, user: UserId, chat: ChatId) -> Result<(), StoreError> {
        let withdraw = &self.shared.statements.withdraw_notification;
        let take_back = |writes: &mut Writes, found: &Notification| {
            writes.add(withdraw, withdrawal(user, found.message_id));
        };
        self.shared.change_of_chat(user, chat, (None, MessageId(LAST.id(u64::MAX))), take_back).await
    }

    async fn set_preferences(&self, user: UserId, preferences: &Preferences) -> Result<(), StoreError> {
        let json = serde_json::to_string(preferences).map_err(StoreError::unavailable)?;
        let (shared, statements) = (&self.shared, &self.shared.statements);
        let written: Vec<(Option<i64>,)> = shared.rows(&statements.preferences_written, (user.0,)).await?;
        let at = next_write_time(Timestamp::now(), written.first().and_then(|(time,)| *time));
        shared.write(&statements.set_preferences, (at, json, user.0)).await
    }

    async fn replace_preferences(
        &self,
        user: UserId,
        known: &Preferences,
        wanted: &Preferences,
    ) -> Result<bool, StoreError> {
        let json = serde_json::to_string(wanted).map_err(StoreError::unavailable)?;
        let (shared, statements) = (&self.shared, &self.shared.statements);
        let kept = shared.kept_preferences(user).await?;
        if preferences(kept.as_deref())? != *known {
            return Ok(false);
        }
        let decided = match kept {
            Some(kept) => shared.decide(&statements.replace_preferences, (json, user.0, kept)).await?,
            None => shared.decide(&statements.first_preferences, (json, user.0)).await?,
        };
        // It has the time of a node's clock. What a process has written whose clock is ahead would still be seen.
        if decided && known != wanted && self.preferences(user).await? == *known {
            self.set_preferences(user, wanted).await?;
        }
        Ok(decided)
    }
}

fn preferences(kept: Option<&str>) -> Result<Preferences, StoreError> {
    kept.map_or(Ok(Preferences::default()), |json| serde_json::from_str(json).map_err(StoreError::unreadable))
}

fn read_mark(user: UserId, message: MessageId) -> (i64, i32, Uuid, Uuid) {
    (Timestamp::now().0 * MICROS, KEPT_SECONDS, user.0, message.0)
}

/// What takes a notification back: later than the notification, also than one that is added after it, and kept for longer.
fn withdrawal(user: UserId, message: MessageId) -> (i64, i32, Uuid, Uuid, Uuid, Uuid) {
    (final_write_time(message.0), KEPT_SECONDS, WITHDRAWN, WITHDRAWN, user.0, message.0)
}

impl Shared {
    async fn kept_preferences(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let found: Vec<(String,)> = self.rows(&self.statements.preferences, (user.0,)).await?;
        Ok(found.into_iter().next().map(|(json,)| json))
    }

    /// One notification, without the text of a notice.
    async fn notification(&self, user: UserId, message: MessageId) -> Result<Option<Notification>, StoreError> {
        let found: Vec<Row> = self.rows(&self.statements.notification, (user.0, message.0)).await?;
        Ok(found.first().and_then(|row| row.notification(user)))
    }

    /// The newest rows before `before`; marks whose notification is gone are among them.
    async fn notifications(&self, user: UserId, before: Option<MessageId>, limit: i32) -> Result<Vec<Row>, StoreError> {
        let before = before.map_or_else(|| LAST.id(u64::MAX), |before| before.0);
        self.rows_of_user(&self.statements.notifications, (user.0, before, limit)).await
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

    /// Changes a user's notifications of a chat that are after one message and up to another. Those of all chats are looked
    /// through for them, newest first.
    async fn change_of_chat(
        &self,
        user: UserId,
        chat: ChatId,
        (after, mut up_to): (Option<MessageId>, MessageId),
        change: impl Fn(&mut Writes, &Notification) + Send + Sync,
    ) -> Result<(), StoreError> {
        let after = after.map_or_else(|| Instant::default().id(0), |after| after.0);
        let mut looked = 0;
        while looked < LOOKED_THROUGH {
            let values = (user.0, after, up_to.0, row_limit(STEP));
            let rows: Vec<Row> = self.rows_of_user(&self.statements.notifications_between, values).await?;
            let mut writes = Writes::new();
            for found in rows.iter().filter_map(|row| row.notification(user)).filter(|found| found.chat_id == chat) {
                change(&mut writes, &found);
            }
            self.put(&writes).await?;
            looked += rows.len();
            match rows.last() {
                // It is met once more, which changes nothing.
                Some(last) if rows.len() >= STEP => up_to = MessageId(last.message_id),
                _ => break,
            }
        }
        Ok(())
    }

    /// Forgets all of a user whose account is gone.
    pub(super) async fn forget_notifications(&self, user: UserId) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        let at = ending_time(Timestamp::now());
        writes.add(&self.statements.delete_notifications, (at, user.0));
        writes.add(&self.statements.delete_notices, (at, user.0));
        writes.add(&self.statements.delete_preferences, (at, user.0));
        self.put(&writes).await
    }
}
