//! What events of an inbox say, by what they refer to as it is now.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    event::{InboxBody, InboxEvent},
    ids::{ChatId, MessageId, UserId},
    message::Message,
    ports::StoreError,
};

use super::{
    Shared,
    chat::KnownChat,
    inbox::{Entry, EventKind, What},
    messages::READS,
};

impl Shared {
    /// The events of a page; those that say nothing, because their chat is gone, are left out.
    pub(super) async fn bodies(&self, caller: UserId, page: &[Entry]) -> Result<Vec<InboxEvent>, StoreError> {
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
        let events = page.iter().filter_map(|entry| {
            let body = entry.body(caller, chats.get(&entry.chat), &messages)?;
            Some(InboxEvent { id: entry.id, body })
        });
        Ok(events.collect())
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

    fn body(
        &self,
        caller: UserId,
        known: Option<&KnownChat>,
        messages: &HashMap<MessageId, Message>,
    ) -> Option<InboxBody> {
        let chat_id = self.chat;
        let message = |id: Option<MessageId>| messages.get(&id?).filter(|message| message.chat_id == chat_id).cloned();
        Some(match self.what {
            What::Unknown => return None,
            What::Stored(EventKind::ChatDeleted, _) => InboxBody::ChatDeleted { chat_id },
            What::Stored(EventKind::Message, id) => InboxBody::Message(message(id)?),
            What::Stored(EventKind::Edited, id) => InboxBody::Edited(message(id)?),
            What::Stored(EventKind::Deleted, id) => {
                known?;
                InboxBody::Deleted { chat_id, message_id: id? }
            }
            What::Stored(EventKind::ChatStarted, _) => InboxBody::ChatStarted { chat_id, by: known?.starter },
            What::Receipt { own } => {
                let chat = &known?.chat;
                let peer = chat.peer_of(caller);
                let (user_id, watermarks) =
                    if own { (caller, chat.watermarks_of(caller)) } else { (peer, chat.shown_of(peer)) };
                InboxBody::Receipt { chat_id, user_id, watermarks }
            }
        })
    }
}
