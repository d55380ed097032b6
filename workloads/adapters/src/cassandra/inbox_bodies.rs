//! What events of an inbox say, by what they refer to as it is now.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    event::{InboxBody, InboxEvent},
    ids::{ChatId, EventId, MessageId, UserId},
    place::is_settling,
    ports::StoreError,
    time::Timestamp,
};

use super::{
    Shared,
    chat::KnownChat,
    inbox::{Entry, EventKind, What},
    messages::{MessageRow, READS},
};

/// What the events of a page say.
pub(super) struct Bodies {
    /// Those that say something. The others' chat or message is gone.
    pub(super) events: Vec<InboxEvent>,
    /// Those of which it can't be seen yet: the parts of a write become visible one by one. They come later.
    pub(super) unseen: Vec<EventId>,
}

impl Shared {
    /// What the events of a page say, at `wall` or later.
    pub(super) async fn bodies(&self, caller: UserId, page: &[Entry], wall: Timestamp) -> Result<Bodies, StoreError> {
        let mut ids: Vec<ChatId> = page.iter().filter(|entry| entry.needs_chat()).map(|entry| entry.chat).collect();
        ids.sort();
        ids.dedup();
        let chats: HashMap<ChatId, KnownChat> = stream::iter(ids)
            .map(|id| async move { Ok::<_, StoreError>(self.known(id).await?.chat.map(|chat| (id, chat))) })
            .buffer_unordered(READS)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await?;
        let wanted = page.iter().filter_map(Entry::message).collect::<Vec<_>>();
        let messages = self.messages_of(&chats, wanted).await?;
        let horizon = self.horizon();
        let mut bodies = Bodies { events: Vec::with_capacity(page.len()), unseen: Vec::new() };
        for entry in page {
            let known = chats.get(&entry.chat);
            let subject = entry.message().map(|(_, id)| id);
            let row = subject.and_then(|id| messages.get(&id));
            if subject.is_some_and(|id| horizon.keeps(id))
                && known.is_some()
                && is_settling(entry.id, wall)
                && entry.is_ahead_of(row)
            {
                // A message that is that young does not go away while its chat is there.
                bodies.unseen.push(entry.id);
            } else if let Some(body) = entry.body(caller, known, row) {
                bodies.events.push(InboxEvent { id: entry.id, body });
            }
        }
        Ok(bodies)
    }
}

impl Entry {
    fn needs_chat(&self) -> bool {
        !matches!(self.what, What::Stored(EventKind::ChatDeleted, _) | What::Unknown)
    }

    /// The message whose contents it needs.
    fn message(&self) -> Option<(ChatId, MessageId)> {
        match self.what {
            What::Stored(EventKind::Message | EventKind::Edited, subject) => Some((self.chat, subject?)),
            _ => None,
        }
    }

    /// Whether the event is visible before the message that it tells of, or before the edit.
    fn is_ahead_of(&self, row: Option<&MessageRow>) -> bool {
        match (self.what, row) {
            (What::Stored(EventKind::Edited, _), Some(row)) => !row.shows(self.id),
            (_, row) => row.is_none(),
        }
    }

    fn body(&self, caller: UserId, known: Option<&KnownChat>, row: Option<&MessageRow>) -> Option<InboxBody> {
        let chat_id = self.chat;
        let message = || row.map(|row| &row.message).filter(|message| message.chat_id == chat_id).cloned();
        Some(match self.what {
            What::Unknown => return None,
            What::Stored(EventKind::ChatDeleted, _) => InboxBody::ChatDeleted { chat_id },
            What::Stored(EventKind::Message, _) => InboxBody::Message(message()?),
            What::Stored(EventKind::Edited, _) => InboxBody::Edited(message()?),
            What::Stored(EventKind::Deleted, id) => {
                known?;
                InboxBody::Deleted { chat_id, message_id: id? }
            }
            What::Stored(EventKind::ChatStarted, _) => InboxBody::ChatStarted { chat_id, by: known?.starter },
            What::Receipt { own, marks } => {
                let chat = &known?.chat;
                let peer = chat.peer_of(caller);
                let (user_id, watermarks) =
                    if own { (caller, chat.watermarks_of(caller)) } else { (peer, chat.shown_of(peer)) };
                // Those of the chat may be visible later than the event, or have gone on since.
                InboxBody::Receipt { chat_id, user_id, watermarks: watermarks.merged(marks) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        clock::Instant,
        message::{Message, MessageKind},
    };
    use uuid::Uuid;

    use super::*;
    use crate::cassandra::{messages::is_unseen, times::write_time};

    fn event(millis: u64) -> EventId {
        EventId(Instant { millis, counter: 5 }.id(3))
    }

    fn entry(id: EventId, kind: EventKind) -> Entry {
        Entry { id, chat: ChatId(Uuid::nil()), what: What::Stored(kind, Some(MessageId(event(1_000).0))) }
    }

    /// A message whose text was last written by this event.
    fn row(last: Option<EventId>) -> MessageRow {
        let message = Message {
            id: MessageId(event(1_000).0),
            chat_id: ChatId(Uuid::nil()),
            sender_id: UserId(Uuid::nil()),
            kind: MessageKind::Text,
            text: "hello".into(),
            attachments: vec![],
            reply_to: None,
            client_message_id: None,
            edited_at: None,
            deleted: last.is_none(),
        };
        MessageRow { message, version: 0, written: last.map(|last| write_time(last.0)) }
    }

    #[test]
    fn an_event_is_ahead_until_what_it_tells_of_is_there() {
        let written = entry(event(1_000), EventKind::Message);
        assert!(written.is_ahead_of(None));
        assert!(!written.is_ahead_of(Some(&row(Some(event(1_000))))));
        assert!(!written.is_ahead_of(Some(&row(Some(event(9_000))))), "it was edited since");

        let edited = entry(event(5_000), EventKind::Edited);
        assert!(edited.is_ahead_of(None));
        assert!(edited.is_ahead_of(Some(&row(Some(event(1_000))))), "the text is the one before");
        assert!(!edited.is_ahead_of(Some(&row(Some(event(5_000))))));
        assert!(!edited.is_ahead_of(Some(&row(Some(event(9_000))))));
        assert!(!edited.is_ahead_of(Some(&row(None))), "it was deleted since");
    }

    #[test]
    fn an_event_is_tried_again_until_its_text_or_a_later_one_is_there() {
        let message = MessageId(event(1_000).0);
        let unseen =
            |row: Option<MessageRow>, of: u64, now: i64| is_unseen(row.as_ref(), message, event(of), Timestamp(now));
        let text_of = |millis| Some(row(Some(event(millis))));
        assert!(unseen(None, 1_000, 1_500));
        assert!(!unseen(text_of(1_000), 1_000, 1_500));
        assert!(unseen(text_of(1_000), 3_000, 3_500), "neither edit is there");
        assert!(unseen(text_of(2_000), 3_000, 3_500), "the text is that of the edit before");
        for seen in [text_of(3_000), text_of(9_000), Some(row(None))] {
            assert!(!unseen(seen, 3_000, 3_500));
        }
        // Not for ever, and not for a message that was there long before.
        assert!(!unseen(text_of(2_000), 3_000, 63_001));
        assert!(!unseen(None, 1_000, 61_001));
        assert!(!unseen(None, 70_000, 70_500), "it is gone");
    }
}
