//! Writes that were not answered. The store may have carried one out all the same, or do so later; then it is in histories
//! and inboxes, and those who are connected are to hear of it like of any other, without having to sync first. The process
//! looks what came of such a write, and publishes it. It can't look after all, and may end before: so a send or a deletion that
//! is repeated is published again, by whatever process gets the repeat.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sentinel_domain::{
    event::LiveEvent,
    ids::{EventId, MessageId},
    message::Chat,
    ports::StoreError,
};

use super::{Shared, batch::Writes, messages::MessageRow, order::Place};

/// After how long it is looked each time: at once after a short delay, and when a batch that its coordinator left is finished.
const LOOKS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];
/// After how long a look that failed is made again. The store is away, or busy with coming back.
const AFTER_FAILURE: Duration = Duration::from_secs(20);
/// For how long looks that fail are made again: some restarts of a node.
const PATIENCE: Duration = Duration::from_mins(10);
/// How many writes are followed at a time. A store that answers nobody must not be asked ever more.
pub(super) const FOLLOWED_AT_ONCE: usize = 256;
/// For how long what was done is published again when it is repeated. That is longer than clients try on by themselves in an
/// outage. What is older most have found by a sync, and processes do not remember for ever what they have shown.
pub(super) const PUBLISHED_AGAIN_SECONDS: i64 = 3600;

/// How long to wait for the next look, after so many that were answered and showed nothing; `None` when that was enough. A look
/// that failed says nothing of the write.
fn pause(answered: usize, failed: bool, waited: Duration) -> Option<Duration> {
    if failed { (waited < PATIENCE).then_some(AFTER_FAILURE) } else { LOOKS.get(answered).copied() }
}

fn count_not_followed() {
    metrics::counter!("sentinel_cassandra_writes_not_followed_total").increment(1);
}

impl Shared {
    /// Writes an event, and publishes what came of it.
    pub(super) async fn put_and_publish(
        self: &Arc<Self>,
        writes: &Writes,
        place: Place,
        id: EventId,
        event: LiveEvent,
    ) -> Result<(), StoreError> {
        self.put_or_follow(writes, &place, id, &event).await?;
        place.publish(event);
        Ok(())
    }

    /// Writes an event, unless it is too late for that; when it is not answered, it is published once it is seen. `id` is that
    /// under which inboxes get it: not the place's, where another call began to write it.
    pub(super) async fn put_or_follow(
        self: &Arc<Self>,
        writes: &Writes,
        place: &Place,
        id: EventId,
        event: &LiveEvent,
    ) -> Result<(), StoreError> {
        place.check_in_time(id)?;
        let written = self.put(writes).await;
        if !matches!(written, Ok(()) | Err(StoreError::TooLarge(_))) {
            self.follow(id, event.clone());
        }
        written
    }

    /// Publishes what a write that was not answered did, once that is seen. It does no harm when a repeat of the caller's
    /// publishes the same: sockets are not shown what they were shown lately.
    pub(super) fn follow(self: &Arc<Self>, id: EventId, event: LiveEvent) {
        let Ok(turn) = Arc::clone(&self.followed).try_acquire_owned() else { return count_not_followed() };
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            let _turn = turn;
            let (began, mut answered) = (Instant::now(), 0);
            let mut next = pause(answered, false, Duration::ZERO);
            while let Some(wait) = next {
                tokio::time::sleep(wait).await;
                let Some(shared) = shared.upgrade() else { return };
                let looked = shared.as_carried_out(id, &event).await;
                let failed = looked.is_err();
                match looked {
                    Ok(Some(event)) => return shared.order.publish_late(event),
                    Ok(None) => answered += 1,
                    Err(error) => tracing::debug!(%error, %id, "what came of a write can't be seen"),
                }
                next = pause(answered, failed, began.elapsed());
                if failed && next.is_none() {
                    count_not_followed();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_uses_up_no_look() {
        let seconds =
            |answered, failed, waited| pause(answered, failed, Duration::from_secs(waited)).map(|p| p.as_secs());
        assert_eq!([0, 1, 2, 3].map(|answered| seconds(answered, false, 900)), [Some(1), Some(5), Some(20), None]);
        for answered in 0..3 {
            assert_eq!([1, 30, 599].map(|waited| seconds(answered, true, waited)), [Some(20); 3], "{answered}");
            assert_eq!(seconds(answered, true, 600), None, "not for ever");
        }
    }
}
