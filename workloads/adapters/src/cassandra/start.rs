//! Starting a chat. Only one of many who try at once may give it its key, so this is a light-weight transaction; chats are
//! started rarely.

use std::sync::Arc;

use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, UserId},
    message::Chat,
    ports::StoreError,
    time::Timestamp,
};

use super::{Shared, batch::Writes, chat::KnownChat, detached, inbox::EventKind, order::Place, times::write_time};

impl Shared {
    /// The one chat of two accounts, and whether this made it.
    pub(super) async fn start(
        self: &Arc<Self>,
        caller: UserId,
        peer: UserId,
        now: Timestamp,
    ) -> Result<(Chat, bool), StoreError> {
        let id = ChatId::of_pair(caller, peer);
        let known = self.known(id).await?;
        if let Some(known) = known.chat {
            return Ok((self.repaired(caller, known).await?.chat, false));
        }
        let pair = if caller == peer { vec![caller] } else { vec![caller, peer] };
        if self.accounts.profiles(&pair).await?.len() < pair.len() {
            return Err(StoreError::NotFound);
        }
        if known.blocked {
            return Err(StoreError::Blocked);
        }
        let (_, key) = self.keys.keyring().new_chat_key(id).map_err(StoreError::unavailable)?;
        let place = self.order.take(id, now);
        let chat = Chat {
            id,
            members: if caller <= peer { [caller, peer] } else { [peer, caller] },
            created_at: now,
            watermarks: Default::default(),
            shown: Default::default(),
        };
        let known = KnownChat { chat, key, started: place.id(), starter: caller, newest: None, blocked: false };
        let shared = Arc::clone(self);
        detached(async move { shared.make(known, place).await }).await
    }

    async fn make(&self, known: KnownChat, place: Place) -> Result<(Chat, bool), StoreError> {
        let KnownChat { chat, key, started, starter, .. } = &known;
        let [low, high] = chat.members;
        let values =
            (low.0, high.0, chat.created_at.0, started.0, starter.0, key.kek.clone(), key.bytes.clone(), chat.id.0);
        if !self.decide(&self.statements.start_chat, values).await? {
            drop(place);
            let other = self.known(chat.id).await?.chat;
            return other
                .map(|other| (other.chat, false))
                .ok_or_else(|| StoreError::unavailable("a chat was started and deleted at the same time"));
        }
        self.put(&self.started_writes(&known)).await?;
        place.publish(LiveEvent::ChatStarted { chat: chat.clone(), by: *starter });
        Ok((known.chat, true))
    }

    /// Finishes the start of a chat if whoever made it could not.
    async fn repaired(&self, caller: UserId, known: KnownChat) -> Result<KnownChat, StoreError> {
        let listed: Vec<(Option<uuid::Uuid>,)> =
            self.rows(&self.statements.user_chat, (caller.0, known.chat.id.0)).await?;
        if listed.is_empty() {
            self.put(&self.started_writes(&known)).await?;
        }
        Ok(known)
    }

    fn started_writes(&self, known: &KnownChat) -> Writes {
        let KnownChat { chat, started, .. } = known;
        let mut writes = Writes::new();
        for member in chat.distinct_members() {
            let values = (member.0, chat.id.0, chat.peer_of(*member).0, started.0, write_time(started.0));
            writes.add(&self.statements.insert_user_chat, values);
            self.add_event(&mut writes, *member, *started, EventKind::ChatStarted, chat.id, None);
        }
        writes
    }
}
