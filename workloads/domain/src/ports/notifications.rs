use async_trait::async_trait;

use super::StoreError;
use crate::{
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Preferences},
};

/// Where notifications go.
#[async_trait]
pub trait NotificationSink: Send + Sync {
    /// Keeps a notification; one that is there already stays as it is, read or not.
    async fn add(&self, notification: Notification) -> Result<(), StoreError>;
}

/// How users want to be notified.
#[async_trait]
pub trait PreferenceReader: Send + Sync {
    /// How a user wants it.
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError>;
}

/// What users were told of. Old notifications go by themselves; those about a message are not listed any more when it is
/// too old.
#[async_trait]
pub trait NotificationReader: Send + Sync {
    /// A user's notifications before `before`, newest first.
    async fn list(
        &self,
        user: UserId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError>;
}

/// Notifications and how users want them.
#[async_trait]
pub trait NotificationStore: NotificationSink + NotificationReader + PreferenceReader {
    /// Marks one as read; [`StoreError::NotFound`] when there is no such notification.
    async fn mark_read(&self, user: UserId, message: MessageId) -> Result<(), StoreError>;
    /// Marks those of a chat as read, up to a message. Those up to `before` may be left as they are: they were marked earlier.
    async fn mark_chat_read(
        &self,
        user: UserId,
        chat: ChatId,
        before: Option<MessageId>,
        up_to: MessageId,
    ) -> Result<(), StoreError>;
    /// Takes one back; nothing happens when there is none.
    async fn withdraw(&self, user: UserId, message: MessageId) -> Result<(), StoreError>;
    /// Takes all of a chat back.
    async fn withdraw_chat(&self, user: UserId, chat: ChatId) -> Result<(), StoreError>;
    /// Changes how a user wants to be notified.
    async fn set_preferences(&self, user: UserId, preferences: &Preferences) -> Result<(), StoreError>;
    /// The same if they still are `known`; gives whether it did. Of several at once that know the same, one does.
    async fn replace_preferences(
        &self,
        user: UserId,
        known: &Preferences,
        wanted: &Preferences,
    ) -> Result<bool, StoreError>;
}
