//! Starting a chat. Only one of many who try at once may give it its key, so this is a light-weight transaction; chats are
//! started rarely.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, EventId, UserId},
    message::Chat,
    ports::StoreError,
};

use super::{
    Shared,
    batch::Writes,
    chat::KnownChat,
    detached,
    inbox::EventKind,
    order::{Arrival, Place, is_held_up},
    times::write_time,
};

/// For how long a start that many race for is tried.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest pause before another try; a random part of it, so that those who collided do not do so again.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

impl Shared {
    /// The one chat of two accounts, and whether this made it.
    pub(super) async fn start(
        self: &Arc<Self>,
        caller: UserId,
        peer: UserId,
        arrival: Arrival,
    ) -> Result<(Chat, bool), StoreError> {
        let id = ChatId::of_pair(caller, peer);
        if let Some(known) = self.known(id).await?.chat
            && self.lists(caller, id).await?
        {
            return Ok((known.chat, false));
        }
        // Those of this process that make one take turns: transactions of one row that overlap disturb one another.
        let turn = self.starts.wait(id).await;
        let known = self.known(id).await?;
        if let Some(known) = known.chat {
            return Ok((self.repaired(caller, known, arrival).await?, false));
        }
        let pair = [caller, peer];
        self.check_accounts(if caller == peer { &pair[..1] } else { &pair }).await?;
        if known.blocked {
            return Err(StoreError::Blocked);
        }
        let (_, key) = self.keys.keyring()?.new_chat_key(id)?;
        let place = self.order.take(id, arrival);
        let chat = Chat {
            id,
            members: if caller <= peer { [caller, peer] } else { [peer, caller] },
            created_at: arrival.at,
            watermarks: Default::default(),
            shown: Default::default(),
        };
        let known = KnownChat { chat, key, started: place.id(), starter: caller, newest: None, blocked: false };
        let shared = Arc::clone(self);
        let made = detached(async move { shared.make(known, place).await }).await;
        drop(turn);
        made
    }

    async fn make(self: &Arc<Self>, known: KnownChat, place: Place) -> Result<(Chat, bool), StoreError> {
        let KnownChat { chat, started, starter, .. } = &known;
        if !self.claim(&known).await? {
            let other = self.known(chat.id).await?.chat;
            // An earlier try of this call, whose fate was unknown, may have been the one that was carried out.
            if other.as_ref().is_none_or(|other| other.started != *started) {
                drop(place);
                return other
                    .map(|other| (other.chat, false))
                    .ok_or_else(|| StoreError::unavailable("a chat was started and deleted at the same time"));
            }
        }
        let event = LiveEvent::ChatStarted { chat: chat.clone(), by: *starter };
        self.put_and_publish(&self.started_writes(&known, *started), place, *started, event).await?;
        Ok((known.chat, true))
    }

    /// Tries to be the one that gives the chat its key; false when the chat has one. A transaction whose fate is unknown,
    /// as when many race, is tried again: the next one is carried out after it, or finds what it did.
    async fn claim(&self, known: &KnownChat) -> Result<bool, StoreError> {
        let KnownChat { chat, key, started, starter, .. } = known;
        let [low, high] = chat.members;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let values =
                (low.0, high.0, chat.created_at.0, started.0, starter.0, key.kek.clone(), key.bytes.clone(), chat.id.0);
            match self.decide(&self.statements.start_chat, values).await {
                Err(StoreError::Unavailable(error)) if Instant::now() < deadline => {
                    tracing::debug!(%error, "the start of a chat is tried again");
                }
                decided => return decided,
            }
            let [random, ..] = uuid::Uuid::new_v4().into_bytes();
            tokio::time::sleep(LONGEST_PAUSE * u32::from(random) / 255).await;
        }
    }

    /// Chats are with accounts that are there.
    async fn check_accounts(&self, members: &[UserId]) -> Result<(), StoreError> {
        let there = self.accounts.profiles(members).await?.len();
        if there < members.len() { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Whether a chat is in a member's list.
    pub(super) async fn lists(&self, member: UserId, chat: ChatId) -> Result<bool, StoreError> {
        let listed: Vec<(Option<uuid::Uuid>,)> = self.rows(&self.statements.user_chat, (member.0, chat.0)).await?;
        Ok(!listed.is_empty())
    }

    /// Finishes the start of a chat if whoever made it could not.
    async fn repaired(
        self: &Arc<Self>,
        caller: UserId,
        known: KnownChat,
        arrival: Arrival,
    ) -> Result<Chat, StoreError> {
        if self.lists(caller, known.chat.id).await? {
            return Ok(known.chat);
        }
        // The deletion of an account does not find a chat that is in no list yet.
        self.check_accounts(known.chat.distinct_members()).await?;
        let place = self.order.take(known.chat.id, arrival);
        // A process that is just making it writes the same, if it does so in time. After that clients may have synced from
        // later places, and need a later event.
        let event = if is_held_up(known.started, arrival.now()) { place.id() } else { known.started };
        let shared = Arc::clone(self);
        detached(async move {
            let live = LiveEvent::ChatStarted { chat: known.chat.clone(), by: known.starter };
            shared.put_and_publish(&shared.started_writes(&known, event), place, event, live).await?;
            Ok(known.chat)
        })
        .await
    }

    /// Both lists and inboxes, where this event tells of the start.
    fn started_writes(&self, known: &KnownChat, event: EventId) -> Writes {
        let KnownChat { chat, started, .. } = known;
        let mut writes = Writes::new();
        for member in chat.distinct_members() {
            let values = (member.0, chat.id.0, chat.peer_of(*member).0, started.0, write_time(started.0));
            writes.add(&self.statements.insert_user_chat, values);
            self.add_event(&mut writes, *member, event, EventKind::ChatStarted, chat.id, None);
        }
        writes
    }
}
