//! What the service does about each platform event.

use std::sync::Arc;

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    notification::decide,
    outbox::{Change, PlatformEvent},
    ports::{EventHandler, HandlerError, StoreError},
    time::Timestamp,
};

use crate::service::NotificationService;

/// Keeps notifications in step with messages. Everything is looked at as it is now, so an event that comes late or twice
/// changes nothing.
pub struct Notifier(pub Arc<NotificationService>);

#[async_trait]
impl EventHandler for Notifier {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        for event in events {
            self.apply(event).await.map_err(|error| HandlerError::Unavailable(error.into()))?;
        }
        Ok(())
    }
}

impl Notifier {
    async fn apply(&self, event: &PlatformEvent) -> Result<(), StoreError> {
        let notifications = &self.0.notifications;
        match event.change {
            Change::Written { message_id, sender_id } => self.written(event.chat_id, message_id, sender_id).await,
            // A notification shows the text as it is when it is looked at.
            Change::Edited { .. } => Ok(()),
            Change::Deleted { message_id, sender_id } => {
                let [low, high] = event.members;
                let recipient = if low == sender_id { high } else { low };
                notifications.withdraw(recipient, message_id).await
            }
            Change::Read { message_id, user_id } => {
                notifications.mark_chat_read(user_id, event.chat_id, message_id).await
            }
            Change::ChatDeleted => {
                for member in event.members {
                    notifications.withdraw_chat(member, event.chat_id).await?;
                }
                Ok(())
            }
        }
    }

    async fn written(&self, chat: ChatId, message: MessageId, sender: UserId) -> Result<(), StoreError> {
        let service = &self.0;
        let found = async {
            let chat = service.chats.chat(sender, chat).await?;
            let message = service.chats.message(sender, chat.id, message).await?;
            Ok((chat, message))
        };
        let (chat, message) = match found.await {
            Ok(found) => found,
            // Its chat is gone: an event of its own tells that.
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        let recipient = chat.peer_of(sender);
        let preferences = service.notifications.preferences(recipient).await?;
        let blocked = service.accounts.blocked_between(sender, recipient).await?;
        match decide(&chat, &message, &preferences, blocked, Timestamp::now()) {
            Ok(notification) => {
                service.notifications.add(notification).await?;
                metrics::counter!("notifications_total").increment(1);
            }
            Err(silence) => {
                metrics::counter!("notifications_withheld_total", "reason" => silence.as_str()).increment(1);
            }
        }
        Ok(())
    }
}
