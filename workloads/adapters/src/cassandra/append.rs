//! Sending. What must be known is read at the same time; then everything that a message is goes into one batch.

use std::{sync::Arc, time::Instant};

use futures::future;
use scylla::value::MaybeUnset;
use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::{ChatId, MessageId, UserId},
    message::{ClientMessageId, Draft, Message},
    outbox::Change,
    ports::{Appended, StoreError},
    time::Timestamp,
};

use super::{
    Shared,
    attempts::{Attempt, Entered, Verdict, WRITE_LIMIT, written_first},
    batch::{Writes, optional},
    chat::KnownChat,
    detached,
    inbox::EventKind,
    messages::body,
    order::{Arrival, Place, was_held_up},
    times::{message_bucket, write_time},
};
use crate::content;

/// A client id that was used in another chat, by an attempt of which nobody knows what came.
#[derive(Debug, thiserror::Error)]
#[error("the client message id is in use in another chat")]
struct UsedElsewhere;

/// It took so long to take an attempt over that it may be buried meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("it took too long to finish an earlier attempt to send this message")]
struct TooLate;

/// A send under way.
struct Sending {
    known: KnownChat,
    draft: Draft,
    origin: Option<Origin>,
    arrival: Arrival,
}

impl Shared {
    /// Writes a message, or finds the one that the sender wrote under the same client id.
    pub(super) async fn append(
        self: &Arc<Self>,
        draft: Draft,
        origin: Option<Origin>,
        arrival: Arrival,
    ) -> Result<Appended, StoreError> {
        let (chat, sender) = (draft.chat_id, draft.sender_id);
        let attempts = async {
            match &draft.client_message_id {
                Some(client) => self.attempts(sender, client, chat).await,
                None => Ok((Vec::new(), Vec::new())),
            }
        };
        let answered = async {
            match draft.reply_to {
                Some(message) => self.has_message(chat, message).await,
                None => Ok(true),
            }
        };
        // The place in the order is taken now, the id when the chat's newest is known.
        let reads = async { futures::try_join!(self.chat_of(sender, chat), attempts, answered) };
        let (turn, found) = Box::pin(future::join(self.turns.wait(chat), reads)).await;
        let (known, (attempts, stale), answered) = found?;
        let shared = Arc::clone(self);
        if !attempts.is_empty() {
            drop(turn);
            return detached(async move { shared.repeat(Sending { known, draft, origin, arrival }).await }).await;
        }
        if known.blocked {
            return Err(StoreError::Blocked);
        }
        if !answered {
            return Err(StoreError::UnknownReply);
        }
        // It may be visible before the chat shows it as its newest.
        if let Some(message) = draft.reply_to {
            self.order.clock().observe(message.0);
        }
        let place = self.order.take(chat, arrival);
        drop(turn);
        detached(async move { shared.first(Sending { known, draft, origin, arrival }, place, stale).await }).await
    }

    /// The message that is known to be written under a client id. Whoever finds none appends, which waits for others.
    pub(super) async fn sent(
        &self,
        sender: UserId,
        chat: ChatId,
        client: &ClientMessageId,
        origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError> {
        let (known, (attempts, _)) =
            futures::try_join!(self.chat_of(sender, chat), self.attempts(sender, client, chat))?;
        match written_first(&attempts) {
            Some(attempt) => self.repeated(attempt, sender, client, &known, origin).await,
            None => Ok(None),
        }
    }

    /// Sends what nobody sent before.
    async fn first(
        self: &Arc<Self>,
        mut sending: Sending,
        mut place: Place,
        stale: Vec<Attempt>,
    ) -> Result<Appended, StoreError> {
        let id = place.message_id();
        let sender = sending.draft.sender_id;
        let client = sending.draft.client_message_id.clone();
        // Before others wait for this attempt: they know how long it takes after that.
        self.let_in(&sending.draft.attachments, sending.known.chat.id, sending.arrival.at).await?;
        if let Some(client) = &client {
            let chat = sending.known.chat.id;
            // Here its repeat begins anew at once. Once it is entered, the repeat has to wait until it is stale.
            place.check_in_time(id.into())?;
            if let Entered::AmongOthers { yielded } = self.enter(sender, client, chat, id).await? {
                // That may take seconds, in which nobody else of the chat shall wait to be heard of.
                drop(place);
                let verdict = self.outcome(sender, client, chat, yielded, sending.arrival).await?;
                if verdict != Verdict::Write {
                    return self.carry_out(sending, verdict).await;
                }
                sending.known = self.chat_of(sender, chat).await?;
                if sending.known.blocked {
                    return Err(StoreError::Blocked);
                }
                place = self.order.take(chat, sending.arrival);
            }
        }
        let message = sending.draft.clone().into_message(id);
        let mut writes = self.message_writes(&sending.known, &message, sending.arrival.at)?;
        if let Some(client) = &client {
            for attempt in stale {
                let chat = self.known(attempt.chat).await?.chat;
                if let Some(chat) = chat {
                    self.add_burial(&mut writes, sender, client, attempt, &chat);
                }
            }
        }
        let Sending { known, origin, .. } = sending;
        let event = LiveEvent::Message { chat: known.chat, message: message.clone(), origin };
        if let Err(error) = self.put_and_publish(&writes, place, id.into(), event).await {
            // What was refused was not written here, and is too old to be written by a repeat.
            if !was_held_up(&error)
                && let Some(client) = client
            {
                self.mark_unknown(sender, client, id);
            }
            return Err(error);
        }
        Ok(Appended { message, duplicate: false })
    }

    /// Finds out what came of attempts that were there before.
    async fn repeat(self: &Arc<Self>, sending: Sending) -> Result<Appended, StoreError> {
        let Some(client) = sending.draft.client_message_id.clone() else {
            return Err(StoreError::unavailable(UsedElsewhere));
        };
        let (sender, chat) = (sending.draft.sender_id, sending.known.chat.id);
        let verdict = self.outcome(sender, &client, chat, None, sending.arrival).await?;
        self.carry_out(sending, verdict).await
    }

    async fn carry_out(self: &Arc<Self>, sending: Sending, verdict: Verdict) -> Result<Appended, StoreError> {
        let (sender, client) = (sending.draft.sender_id, sending.draft.client_message_id.clone());
        let client = client.ok_or_else(|| StoreError::unavailable(UsedElsewhere))?;
        let Sending { known, draft, origin, arrival } = sending;
        let attempt = match verdict {
            Verdict::Repeat(attempt) => match self.repeated(attempt, sender, &client, &known, origin).await? {
                Some(message) => return Ok(Appended { message, duplicate: true }),
                // The mark is there and the message not yet: the batch is being finished.
                None => attempt,
            },
            Verdict::TakeOver(attempt) => attempt,
            Verdict::Write => return Err(StoreError::unavailable(UsedElsewhere)),
        };
        let decided = Instant::now();
        if attempt.chat != known.chat.id {
            return Err(StoreError::unavailable(UsedElsewhere));
        }
        // Finding out what came of the attempt may have taken seconds.
        let known = self.chat_of(sender, known.chat.id).await?;
        if known.blocked {
            // What was written before the block stays; what was not is written no more.
            let message = self.written(attempt, sender, &client).await?.ok_or(StoreError::Blocked)?;
            return Ok(Appended { message, duplicate: true });
        }
        tracing::debug!(chat = %attempt.chat, message = %attempt.message, "a send that was not finished is written again");
        match self.let_in(&draft.attachments, attempt.chat, arrival.at).await {
            // What was written shows what it showed, whatever became of that since.
            Err(StoreError::UnknownAttachment) => {
                let message = self.repeated(attempt, sender, &client, &known, origin).await?;
                let message = message.ok_or(StoreError::UnknownAttachment)?;
                return Ok(Appended { message, duplicate: true });
            }
            let_in => let_in?,
        }
        if decided.elapsed() > WRITE_LIMIT {
            return Err(StoreError::unavailable(TooLate));
        }
        let place = self.order.take(attempt.chat, arrival);
        let message = draft.into_message(attempt.message);
        let writes = self.message_writes(&known, &message, arrival.at)?;
        let event = LiveEvent::Message { chat: known.chat.clone(), message, origin };
        self.put_or_follow(&writes, &place, attempt.message.into(), &event).await?;
        // It may have been there all the time, and edited since.
        let message = self.written(attempt, sender, &client).await?;
        let message = message.ok_or_else(|| StoreError::unavailable("a message is not there after it was written"))?;
        place.publish(LiveEvent::Message { chat: known.chat, message: message.clone(), origin });
        Ok(Appended { message, duplicate: true })
    }

    /// The message of an attempt, for its repeat; `None` when it is not there. It is published again: nobody heard of it if
    /// the write was not answered, and whoever followed that gave up or ended. Sockets are not shown what they were shown lately
    /// or were told to sync from after.
    async fn repeated(
        &self,
        attempt: Attempt,
        sender: UserId,
        client: &ClientMessageId,
        known: &KnownChat,
        origin: Option<Origin>,
    ) -> Result<Option<Message>, StoreError> {
        let is_published = attempt.chat == known.chat.id && !known.blocked && attempt.is_published_again();
        // Taken before it is read: when it is deleted meanwhile, that comes after it.
        let place = is_published.then(|| self.order.behind_all(attempt.chat));
        let message = self.written(attempt, sender, client).await?;
        if let (Some(place), Some(message)) = (place, message.as_ref().filter(|message| !message.deleted)) {
            place.publish(LiveEvent::Message { chat: known.chat.clone(), message: message.clone(), origin });
        }
        Ok(message)
    }

    /// The message of an attempt; `None` when it is not there.
    async fn written(
        &self,
        attempt: Attempt,
        sender: UserId,
        client: &ClientMessageId,
    ) -> Result<Option<Message>, StoreError> {
        let Some(known) = self.known(attempt.chat).await?.chat else { return Ok(None) };
        if !self.horizon().keeps(attempt.message) {
            return Ok(Some(Message::expired(attempt.message, attempt.chat, sender, client.clone())));
        }
        Ok(self.message_row(&known, attempt.message).await?.map(|row| row.message))
    }

    /// Everything that a message is: its row, both inboxes, the lists, its files, the outbox, and the mark under its client id.
    fn message_writes(&self, known: &KnownChat, message: &Message, now: Timestamp) -> Result<Writes, StoreError> {
        let chat = &known.chat;
        let key = self.key(known)?;
        let sealed = content::seal(&key, chat, message.id, 0, &message.text, &message.attachments)
            .map_err(StoreError::unavailable)?;
        let at = write_time(message.id.0);
        let mut writes = Writes::new();
        let client = message.client_message_id.as_ref().map(|client| client.as_str().to_owned());
        let values = (
            chat.id.0,
            message_bucket(message.id),
            message.id.0,
            message.sender_id.0,
            content::kind_code(message.kind).cast_signed(),
            optional(message.reply_to.map(|id| id.0)),
            MaybeUnset::from_option(client),
            body(0, &sealed),
            at,
        );
        writes.add(&self.statements.insert_message, values);
        self.add_chat_bucket(&mut writes, chat.id, message.id);
        for member in chat.distinct_members() {
            self.add_event(&mut writes, *member, message.id.into(), EventKind::Message, chat.id, Some(message.id));
            writes.add(&self.statements.set_activity, (at, message.id.0, member.0, chat.id.0));
        }
        writes.add(&self.statements.set_newest, (at, message.id.0, chat.id.0));
        self.add_attached(&mut writes, message, now);
        let change = Change::Written { message_id: message.id, sender_id: message.sender_id };
        self.add_outbox(&mut writes, chat, message.id.into(), &change);
        if let Some(client) = &message.client_message_id {
            self.add_written(&mut writes, message.sender_id, client, message.id);
        }
        Ok(writes)
    }

    fn add_chat_bucket(&self, writes: &mut Writes, chat: ChatId, message: MessageId) {
        let partition = (chat.0, message_bucket(message));
        if !self.listed.has(partition) {
            writes.add(&self.statements.insert_chat_bucket, (partition.0, partition.1, write_time(message.0)));
            writes.opened.push(partition);
        }
    }
}
