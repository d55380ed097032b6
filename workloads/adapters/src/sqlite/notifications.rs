//! Notifications and how users want them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    notice::Notice,
    notification::{Notification, Preferences},
    ports::{NotificationReader, NotificationSink, NotificationStore, PreferenceReader, StoreError},
};

use super::{
    Sqlite,
    failure::Failure,
    rows::{self, execute, exists},
    statements::{
        DELETE_NOTIFICATION, DELETE_NOTIFICATIONS_OF_CHAT, INSERT_NOTIFICATION, NOTIFICATION_EXISTS,
        NOTIFICATIONS_BEFORE, PREFERENCES, READ_NOTIFICATION, READ_NOTIFICATIONS_OF_CHAT, SET_PREFERENCES,
    },
};

/// Sorts after every message.
const LAST_ID: [u8; 16] = [0xff; 16];

#[async_trait]
impl NotificationSink for Sqlite {
    async fn add(&self, notification: Notification) -> Result<(), StoreError> {
        let Notification { user_id, chat_id, message_id, sender_id, read, notice } = notification;
        self.write(move |batch| {
            let (user, message) = (user_id.as_bytes(), message_id.as_bytes());
            let (header, body) = (notice.as_ref().map(Notice::header), notice.as_ref().map(Notice::body));
            let values = params![user, message, chat_id.as_bytes(), sender_id.as_bytes(), read, header, body];
            execute(batch.db, INSERT_NOTIFICATION, values)?;
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl PreferenceReader for Sqlite {
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        preferences(self.read(move |db| Ok(kept_preferences(db, user)?)).await?)
    }
}

#[async_trait]
impl NotificationReader for Sqlite {
    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let horizon = self.horizon().id();
        self.read(move |db| {
            let before = before.map_or(LAST_ID, |before| *before.as_bytes());
            let mut select = db.prepare_cached(NOTIFICATIONS_BEFORE)?;
            let mut rows = select.query(params![user.as_bytes(), before, horizon.as_bytes()])?;
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                // The others are not to be lost along with one that is damaged.
                let chat = ChatId::from_bytes(rows::key(row, 1)?);
                found.extend(rows::readable(notification(row, user).map_err(Failure::from), chat)?);
            }
            Ok(found)
        })
        .await
    }
}

#[async_trait]
impl NotificationStore for Sqlite {
    async fn mark_read(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        self.write(move |batch| {
            let values = params![user.as_bytes(), message.as_bytes()];
            if !exists(batch.db, NOTIFICATION_EXISTS, values)? {
                return Err(StoreError::NotFound.into());
            }
            execute(batch.db, READ_NOTIFICATION, params![user.as_bytes(), message.as_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn mark_chat_read(
        &self,
        user: UserId,
        chat: ChatId,
        _before: Option<MessageId>,
        up_to: MessageId,
    ) -> Result<(), StoreError> {
        self.change(READ_NOTIFICATIONS_OF_CHAT, vec![*user.as_bytes(), *chat.as_bytes(), *up_to.as_bytes()]).await
    }

    async fn withdraw(&self, user: UserId, message: MessageId) -> Result<(), StoreError> {
        self.change(DELETE_NOTIFICATION, vec![*user.as_bytes(), *message.as_bytes()]).await
    }

    async fn withdraw_chat(&self, user: UserId, chat: ChatId) -> Result<(), StoreError> {
        self.change(DELETE_NOTIFICATIONS_OF_CHAT, vec![*user.as_bytes(), *chat.as_bytes()]).await
    }

    async fn set_preferences(&self, user: UserId, preferences: &Preferences) -> Result<(), StoreError> {
        let json = serde_json::to_string(preferences).map_err(StoreError::unavailable)?;
        self.write(move |batch| {
            execute(batch.db, SET_PREFERENCES, params![user.as_bytes(), json])?;
            Ok(())
        })
        .await
    }

    async fn replace_preferences(
        &self,
        user: UserId,
        known: &Preferences,
        wanted: &Preferences,
    ) -> Result<bool, StoreError> {
        let json = serde_json::to_string(wanted).map_err(StoreError::unavailable)?;
        let known = known.clone();
        self.write(move |batch| {
            if preferences(kept_preferences(batch.db, user)?)? != known {
                return Ok(false);
            }
            execute(batch.db, SET_PREFERENCES, params![user.as_bytes(), json])?;
            Ok(true)
        })
        .await
    }
}

fn kept_preferences(db: &Connection, user: UserId) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(PREFERENCES)?.query_row([user.as_bytes()], |row| row.get(0)).optional()
}

fn preferences(kept: Option<String>) -> Result<Preferences, StoreError> {
    kept.map_or(Ok(Preferences::default()), |json| serde_json::from_str(&json).map_err(StoreError::unreadable))
}

/// A row of `message_id, chat_id, sender_id, read, header, body`.
fn notification(row: &Row<'_>, user_id: UserId) -> rusqlite::Result<Notification> {
    let notice = row.get::<_, Option<String>>(4)?.zip(row.get(5)?);
    Ok(Notification {
        user_id,
        message_id: MessageId::from_bytes(row.get(0)?),
        chat_id: ChatId::from_bytes(row.get(1)?),
        sender_id: UserId::from_bytes(row.get(2)?),
        read: row.get(3)?,
        notice: notice.map(|(header, body)| Notice::kept(header, body)),
    })
}

impl Sqlite {
    /// Runs a statement about these ids.
    async fn change(&self, sql: &'static str, ids: Vec<[u8; 16]>) -> Result<(), StoreError> {
        self.write(move |batch| {
            execute(batch.db, sql, rusqlite::params_from_iter(ids))?;
            Ok(())
        })
        .await
    }
}
