//! A user's list of chats. All of it is read at once, for each page of the list and for each page of a sync as well, which finds
//! the receipts in it. A chat where both have got somewhere takes nearly 300 bytes of an answer: with thousands, each page costs
//! a megabyte or more of reading.

use futures::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId, UserId},
    ports::{ChatSummary, StoreError},
};
use uuid::Uuid;

use super::{
    Shared,
    chat::KnownChat,
    history::row_limit,
    messages::READS,
    times::{bound, message_bucket},
};

/// Highest count of unread messages.
const UNREAD_MAX: usize = 1000;
/// Messages that are looked at for it, those of the user among them.
const UNREAD_LOOKED_AT: usize = 10_000;
/// Messages of one statement.
const UNREAD_STEP: usize = 1000;

/// A row of `user_chats`.
#[derive(DeserializeRow)]
pub(super) struct UserChat {
    pub(super) chat_id: Uuid,
    pub(super) peer: Option<Uuid>,
    pub(super) activity: Option<Uuid>,
    pub(super) receipt: Option<Uuid>,
    pub(super) peer_receipt: Option<Uuid>,
    pub(super) delivered: Option<Told>,
    pub(super) read: Option<Told>,
    pub(super) peer_delivered: Option<Told>,
    pub(super) peer_read: Option<Told>,
}

/// A message that somebody got to, and the event that tells of it.
pub(super) type Told = (Uuid, Uuid);

impl Shared {
    /// All chats of a user.
    pub(super) async fn user_chats(&self, user: UserId) -> Result<Vec<UserChat>, StoreError> {
        self.rows(&self.statements.user_chats, (user.0,)).await
    }

    /// The list, newest activity first.
    pub(super) async fn list(
        &self,
        caller: UserId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let chats = self.user_chats(caller).await?.into_iter();
        let active = chats.filter_map(|chat| Some((EventId(chat.activity?), ChatId(chat.chat_id))));
        let mut chats: Vec<_> = active.filter(|(activity, _)| before.is_none_or(|before| *activity < before)).collect();
        chats.sort_unstable_by(|a, b| b.cmp(a));
        // What is left of deleted chats is passed over.
        stream::iter(chats)
            .map(|(activity, chat)| self.summary(caller, chat, activity))
            .buffered(READS.min(limit.max(1)))
            .try_filter_map(|summary| async move { Ok(summary) })
            .take(limit)
            .try_collect()
            .await
    }

    async fn summary(
        &self,
        caller: UserId,
        chat: ChatId,
        activity: EventId,
    ) -> Result<Option<ChatSummary>, StoreError> {
        let Some(known) = self.known(chat).await?.chat else { return Ok(None) };
        let (last_message, unread) = futures::try_join!(self.newest(&known), self.unread(&known, caller))?;
        Ok(Some(ChatSummary { chat: known.chat, last_message, unread, activity }))
    }

    /// Messages of the peer after the caller's read watermark. Notes to oneself are never unread.
    async fn unread(&self, known: &KnownChat, caller: UserId) -> Result<u32, StoreError> {
        let chat = &known.chat;
        let peer = chat.peer_of(caller);
        let read = chat.watermarks_of(caller).read_up_to;
        if peer == caller || known.newest <= read {
            return Ok(0);
        }
        let mut after = read.map_or(self.horizon().id(), |read| self.horizon().or_later(bound(read)));
        let mut buckets = self.buckets(chat.id).await?;
        buckets.retain(|bucket| *bucket >= message_bucket(after));
        let (mut unread, mut looked_at) = (0, 0);
        while let Some(bucket) = buckets.pop() {
            loop {
                let values = (chat.id.0, bucket, after.0, row_limit(UNREAD_STEP));
                let rows: Vec<(Uuid, Option<Uuid>, Option<bool>)> = self.rows(&self.statements.unread, values).await?;
                let of_peer = |(_, sender, deleted): &&(Uuid, Option<Uuid>, Option<bool>)| {
                    *sender == Some(peer.0) && *deleted != Some(true)
                };
                unread += rows.iter().filter(of_peer).count();
                looked_at += rows.len();
                if unread >= UNREAD_MAX || looked_at >= UNREAD_LOOKED_AT {
                    return Ok(u32::try_from(unread.min(UNREAD_MAX)).unwrap_or(u32::MAX));
                }
                if let Some((last, ..)) = rows.last() {
                    after = MessageId(*last);
                }
                if rows.len() < UNREAD_STEP {
                    break;
                }
            }
        }
        Ok(u32::try_from(unread).unwrap_or(u32::MAX))
    }
}
