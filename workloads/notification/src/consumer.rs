//! What the service does about each platform event.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream, try_join};
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Shown, decide},
    outbox::{Change, PlatformEvent},
    ports::{EventHandler, EventMessage, HandlerError, StoreError},
    time::Timestamp,
};

use crate::{delay, service::NotificationService};

/// Seconds for which a message is news to open sockets; what comes later is in the list.
const NEWS_SECONDS: i64 = 60;

/// Chats whose events are worked off at the same time; those of one chat stay in order.
const AT_ONCE: usize = 16;
/// How often an event is tried before the whole batch is given back to be tried again: most outages are short, and what
/// was done need not be done twice.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Keeps notifications in step with messages. Everything is looked at as it is now, so an event that comes late or twice
/// changes nothing in the list; open sockets may hear of a message again, under the same id.
pub struct Notifier(pub Arc<NotificationService>);

#[async_trait]
impl EventHandler for Notifier {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        delay::ripen(events, self.0.config.push.notify_delay_millis).await;
        let mut chats: HashMap<ChatId, Vec<PlatformEvent>> = HashMap::new();
        for event in events {
            chats.entry(event.chat_id).or_default().push(event.clone());
        }
        let done = stream::iter(chats.into_values())
            .map(|events| self.apply_in_order(events))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>();
        done.await.map_err(HandlerError::from)
    }
}

/// A chat's events without those that tell of what was read as far, or farther, according to later ones: who reads a chat that is
/// busy says so with each message, and a list is looked through for each. A later one stands for all from where the first began.
fn without_repeats(events: Vec<PlatformEvent>) -> Vec<PlatformEvent> {
    let mut left: Vec<PlatformEvent> = Vec::with_capacity(events.len());
    for mut event in events {
        if let Change::Read { message_id, user_id, before } = &mut event.change {
            left.retain(|earlier| match earlier.change {
                Change::Read { message_id: up_to, user_id: by, before: from }
                    if by == *user_id && up_to <= *message_id =>
                {
                    // Nothing is less than any: from the very beginning.
                    *before = from.min(*before);
                    false
                }
                _ => true,
            });
        }
        left.push(event);
    }
    left
}

impl Notifier {
    async fn apply_in_order(&self, events: Vec<PlatformEvent>) -> Result<(), StoreError> {
        for event in &without_repeats(events) {
            let mut tries = 1;
            while let Err(error) = self.apply(event).await {
                if tries == TRIES || matches!(error, StoreError::Unreadable(_)) {
                    return Err(error);
                }
                tokio::time::sleep(FIRST_PAUSE * (1 << tries)).await;
                tries += 1;
            }
        }
        Ok(())
    }

    async fn apply(&self, event: &PlatformEvent) -> Result<(), StoreError> {
        let notifications = &self.0.notifications;
        match event.change {
            Change::Written { message_id, sender_id } => {
                self.written(event.chat_id, message_id, sender_id, event.peer_of(sender_id)).await
            }
            // A notification shows the text as it is when it is looked at.
            Change::Edited { .. } => Ok(()),
            Change::Deleted { message_id, sender_id } => {
                notifications.withdraw(event.peer_of(sender_id), message_id).await
            }
            Change::Read { message_id, user_id, before } => {
                notifications.mark_chat_read(user_id, event.chat_id, before, message_id).await
            }
            Change::ChatDeleted => {
                for member in event.members {
                    notifications.withdraw_chat(member, event.chat_id).await?;
                }
                Ok(())
            }
        }
    }

    async fn written(
        &self,
        chat: ChatId,
        message: MessageId,
        sender: UserId,
        recipient: UserId,
    ) -> Result<(), StoreError> {
        let service = &self.0;
        let (current, preferences) =
            try_join!(service.current(sender, chat, message), service.notifications.preferences(recipient))?;
        let Some(EventMessage { message, chat, blocked }) = current else { return Ok(()) };
        let now = Timestamp::now();
        match decide(&chat, &message, &preferences, blocked, now) {
            Ok(notification) => {
                service.notifications.add(notification.clone()).await?;
                if message.id.timestamp().plus_seconds(NEWS_SECONDS) > now {
                    self.show(&notification, message.gist(), preferences.show_content).await?;
                }
                metrics::counter!("sentinel_notifications_total").increment(1);
            }
            Err(silence) => {
                metrics::counter!("sentinel_notifications_withheld_total", "reason" => silence.as_str()).increment(1);
            }
        }
        Ok(())
    }

    /// Tells the recipient's open sockets.
    async fn show(&self, notification: &Notification, text: &str, content: bool) -> Result<(), StoreError> {
        let Notification { user_id, chat_id, message_id, sender_id, .. } = *notification;
        let names = if content { self.0.names(&[sender_id]).await? } else { HashMap::new() };
        let content = names.get(&sender_id).map(|name| (name.as_str(), text));
        let shown = Shown::of_message(message_id, chat_id, content);
        self.0.fanout.publish(vec![LiveEvent::Notification { user_id, shown }]);
        Ok(())
    }
}
