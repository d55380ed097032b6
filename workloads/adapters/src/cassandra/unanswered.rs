//! Writes that were not answered. The store may have carried one out all the same, or do so later; then it is in histories
//! and inboxes, and those who are connected are to hear of it like of any other, without having to sync first.

use std::{sync::Arc, time::Duration};

use sentinel_domain::{
    event::LiveEvent,
    ids::{EventId, MessageId},
    message::Chat,
    ports::StoreError,
};

use super::{Shared, batch::Writes, messages::MessageRow, order::Place};

/// After how long it is looked each time: at once after a short delay, and when a batch that its coordinator left is finished.
const LOOKS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];
/// How many writes are followed at a time. A store that answers nobody must not be asked ever more: what is not followed is
/// seen with the next sync.
pub(super) const FOLLOWED_AT_ONCE: usize = 256;

impl Shared {
    /// Writes, and publishes what came of it.
    pub(super) async fn put_and_publish(
        self: &Arc<Self>,
        writes: &Writes,
        place: Place,
        event: LiveEvent,
    ) -> Result<(), StoreError> {
        self.put_or_follow(writes, &place, &event).await?;
        place.publish(event);
        Ok(())
    }

    /// Writes, unless it is too late for that; when it is not answered, its event is published once it is seen.
    pub(super) async fn put_or_follow(
        self: &Arc<Self>,
        writes: &Writes,
        place: &Place,
        event: &LiveEvent,
    ) -> Result<(), StoreError> {
        place.check_in_time()?;
        let written = self.put(writes).await;
        if !matches!(written, Ok(()) | Err(StoreError::TooLarge(_))) {
            self.follow(place.id(), event.clone());
        }
        written
    }

    /// Publishes what a write that was not answered did, once that is seen. Sockets are shown nothing twice, so it does no
    /// harm when a repeat of the caller's publishes the same.
    pub(super) fn follow(self: &Arc<Self>, id: EventId, event: LiveEvent) {
        let Ok(turn) = Arc::clone(&self.followed).try_acquire_owned() else { return };
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            let _turn = turn;
            for pause in LOOKS {
                tokio::time::sleep(pause).await;
                let Some(shared) = shared.upgrade() else { return };
                match shared.as_carried_out(id, &event).await {
                    Ok(Some(event)) => return shared.order.publish_late(event),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, %id, "what came of a write can't be seen"),
                }
            }
        });
    }

    /// What the write of an event did, as it is now; `None` when it did nothing yet.
    async fn as_carried_out(&self, id: EventId, event: &LiveEvent) -> Result<Option<LiveEvent>, StoreError> {
        Ok(match event {
            LiveEvent::Message { chat, message, .. } => {
                let row = self.row_of(chat, message.id).await?;
                let found = row.map(|row| row.message).filter(|message| !message.deleted);
                // Who sent it was told of a failure: all of its devices hear that there was none.
                found.map(|message| LiveEvent::Message { chat: chat.clone(), message, origin: None })
            }
            LiveEvent::Edited { chat, message } => {
                let row = self.row_of(chat, message.id).await?;
                let found = row.filter(|row| row.shows(id) && !row.message.deleted);
                found.map(|row| LiveEvent::Edited { chat: chat.clone(), message: row.message })
            }
            LiveEvent::Deleted { chat, message_id } => {
                let row = self.row_of(chat, *message_id).await?;
                row.filter(|row| row.message.deleted).map(|_| event.clone())
            }
            // With the marks that it wrote: later ones may not be the peer's business.
            LiveEvent::Receipt { chat, user_id, .. } => {
                let (wanted, found) = (chat.watermarks_of(*user_id), self.known(chat.id).await?.chat);
                let found = found.filter(|known| {
                    let marks = known.chat.watermarks_of(*user_id);
                    marks.merged(wanted) == marks
                });
                found.map(|_| event.clone())
            }
            LiveEvent::ChatStarted { chat, by } => self.lists(*by, chat.id).await?.then(|| event.clone()),
            _ => None,
        })
    }

    async fn row_of(&self, chat: &Chat, message: MessageId) -> Result<Option<MessageRow>, StoreError> {
        match self.known(chat.id).await?.chat {
            Some(known) => self.message_row(&known, message).await,
            None => Ok(None),
        }
    }
}
