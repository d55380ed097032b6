//! What the service pushes to devices about each platform event.
//!
//! It is a consumer of its own, apart from [`crate::Notifier`]: it waits longer, and a push service that is away holds
//! up nobody's list of notifications. An event is done once its pushes are; one that comes again finds by what was
//! pushed that nothing is left to do.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{Stream, StreamExt, future::ready, stream};
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    notification::{Notification, Preferences, Shown, Silence, decide_push},
    outbox::{Change, PlatformEvent},
    ports::{EventHandler, EventMessage, HandlerError, StoreError},
    push::{Alert, Push},
    time::Timestamp,
};

use crate::{delay, service::NotificationService};

/// Chats whose devices are pushed to at the same time.
const AT_ONCE: usize = 16;
/// Newest messages of one sender to one recipient in a batch that are looked through for one that was not deleted.
const KEPT: usize = 16;
/// How often it is tried to remember what was pushed.
const NOTED_WITHIN: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pushes to devices what their users have not seen.
pub struct Pusher(pub Arc<NotificationService>);

/// What is left to do about a batch of events.
#[derive(Default)]
struct Batch {
    /// The newest messages of each chat, sender and recipient. The newest takes the place of those before it, unless it was
    /// deleted.
    written: HashMap<(ChatId, UserId, UserId), BTreeSet<MessageId>>,
    /// How far each chat was read by whom.
    read: HashMap<(ChatId, UserId), MessageId>,
}

impl Batch {
    fn of(events: &[PlatformEvent]) -> Self {
        let mut batch = Self::default();
        for event in events {
            match event.change {
                Change::Written { message_id, sender_id } => {
                    let key = (event.chat_id, sender_id, event.peer_of(sender_id));
                    let newest = batch.written.entry(key).or_default();
                    newest.insert(message_id);
                    if newest.len() > KEPT {
                        newest.pop_first();
                    }
                }
                Change::Read { message_id, user_id, .. } => {
                    let newest = batch.read.entry((event.chat_id, user_id)).or_insert(message_id);
                    *newest = message_id.max(*newest);
                }
                Change::Edited { .. } | Change::Deleted { .. } | Change::ChatDeleted => {}
            }
        }
        batch
    }
}

#[async_trait]
impl EventHandler for Pusher {
    async fn handle(&self, events: &[PlatformEvent]) -> Result<(), HandlerError> {
        delay::ripen(events, self.0.config.push.delay_millis).await;
        let Batch { written, read } = Batch::of(events);
        let recipients: HashSet<UserId> = written.keys().map(|(_, _, recipient)| *recipient).collect();
        // First what is cheap and mostly ends it: many have no device.
        let reachable = self.0.devices.reachable(&Vec::from_iter(recipients)).await?;
        let pushed = stream::iter(written)
            .filter(|((_, _, recipient), _)| ready(reachable.contains(recipient)))
            .map(|((chat, sender, recipient), messages)| self.written(chat, messages, sender, recipient))
            .buffer_unordered(AT_ONCE);
        all_of(pushed).await?;
        let cleared = stream::iter(read)
            .map(|((chat, reader), message)| self.read(chat, reader, message))
            .buffer_unordered(AT_ONCE);
        all_of(cleared).await
    }
}

/// Goes through to the end, so that a failure does not undo what others are about to note, and gives the first failure.
async fn all_of(work: impl Stream<Item = Result<(), StoreError>>) -> Result<(), HandlerError> {
    let results: Vec<_> = work.collect().await;
    Ok(results.into_iter().collect::<Result<(), _>>()?)
}

impl Pusher {
    /// Pushes the newest of these messages that was not deleted.
    async fn written(
        &self,
        chat: ChatId,
        messages: BTreeSet<MessageId>,
        sender: UserId,
        recipient: UserId,
    ) -> Result<(), StoreError> {
        let (service, now) = (&self.0, Timestamp::now());
        let devices = service.devices_of(recipient, now).await?;
        if devices.is_empty() {
            return Ok(());
        }
        let preferences = service.notifications.preferences(recipient).await?;
        let pushed = service.devices.pushed_up_to(recipient, chat).await?;
        for message in messages.into_iter().rev() {
            let current = service.current(sender, chat, message).await?;
            let Some(EventMessage { message, chat, blocked }) = current else { continue };
            match decide_push(&chat, &message, &preferences, blocked, pushed, now) {
                Ok(notification) => {
                    let alert = self.alert(&notification, message.gist(), &preferences).await?;
                    let badge = service.badge(recipient).await;
                    service.push(&devices, &about(chat.id, message.id, badge, alert)).await;
                    self.note_pushed(recipient, chat.id, message.id).await;
                    return Ok(());
                }
                Err(silence) => {
                    metrics::counter!("sentinel_pushes_withheld_total", "reason" => silence.as_str()).increment(1);
                    if silence != Silence::Deleted {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Remembers what was pushed. Whatever becomes of that, the event is done: once more, every device would ring again.
    async fn note_pushed(&self, user: UserId, chat: ChatId, message: MessageId) {
        for tries in 1..=NOTED_WITHIN {
            let Err(error) = self.0.devices.set_pushed(user, chat, message).await else { return };
            tracing::warn!(error = &error as &dyn std::error::Error, %chat, tries, "what was pushed is not remembered");
            if tries < NOTED_WITHIN {
                tokio::time::sleep(FIRST_PAUSE * (1 << tries)).await;
            }
        }
    }

    /// What was pushed has been read, perhaps on another device: badges go down.
    async fn read(&self, chat: ChatId, reader: UserId, up_to: MessageId) -> Result<(), StoreError> {
        let service = &self.0;
        let Some(pushed) = service.devices.pushed_up_to(reader, chat).await?.filter(|pushed| *pushed <= up_to) else {
            return Ok(());
        };
        service.tell_badge(reader, pushed, Some(chat)).await?;
        service.devices.clear_pushed(reader, chat, up_to).await
    }

    /// What is shown: who wrote and what, if both the user and the deployment want that.
    async fn alert(
        &self,
        notification: &Notification,
        text: &str,
        preferences: &Preferences,
    ) -> Result<Alert, StoreError> {
        let Notification { message_id, chat_id, sender_id, .. } = *notification;
        let names = if preferences.show_content && self.0.config.push.show_content {
            self.0.names(&[sender_id]).await?
        } else {
            HashMap::new()
        };
        let content = names.get(&sender_id).map(|name| (name.as_str(), text));
        let Shown { header, body, .. } = Shown::of_message(message_id, chat_id, content);
        Ok(Alert { header, body })
    }
}

fn about(chat_id: ChatId, message_id: MessageId, badge: u32, alert: Alert) -> Push {
    Push { message_id, chat_id: Some(chat_id), created_at: message_id.timestamp(), badge, alert: Some(alert) }
}
