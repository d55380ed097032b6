//! A chat's history, partition by partition.

use scylla::statement::prepared::PreparedStatement;
use sentinel_domain::{
    clock::Instant,
    ids::{ChatId, MessageId, UserId},
    message::Message,
    ports::{HistoryPage, HistoryQuery, StoreError},
    retention::Horizon,
};
use uuid::Uuid;

use super::{
    Shared,
    chat::KnownChat,
    messages::{StoredMessage, message_among_others, report_damage},
    times::{bound, message_bucket},
};
use crate::chat_keys::OpenKey;

/// Which way from a message, itself included or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Until,
    Before,
    After,
}

/// A chat as a page sees it.
struct View<'a> {
    shared: &'a Shared,
    known: &'a KnownChat,
    key: OpenKey,
    horizon: Horizon,
    /// Its partitions that are not too old, newest first.
    buckets: Vec<i32>,
}

impl Shared {
    /// A part of the history.
    pub(super) async fn page(
        &self,
        caller: UserId,
        chat: ChatId,
        query: HistoryQuery,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let (known, buckets) = futures::try_join!(self.chat_of(caller, chat), self.buckets(chat))?;
        let view = self.view(&known, buckets)?;
        let limit = limit.max(1);
        match query {
            HistoryQuery::Latest => {
                let (messages, more_before) = view.some(Way::Until, last(), limit).await?;
                Ok(HistoryPage { messages, more_before, more_after: false })
            }
            HistoryQuery::Before(id) => {
                let id = bound(id);
                let (found, more_after) = futures::try_join!(view.some(Way::Before, id, limit), view.has_from(id))?;
                Ok(HistoryPage { messages: found.0, more_before: found.1, more_after })
            }
            HistoryQuery::After(id) => {
                let id = bound(id);
                let (found, more_before) = futures::try_join!(view.some(Way::After, id, limit), view.has_until(id))?;
                let (mut messages, more_after) = found;
                messages.reverse();
                Ok(HistoryPage { messages, more_before, more_after })
            }
            HistoryQuery::Around(id) => {
                let id = bound(id);
                // The message itself counts as one of the older half, so that a limit of one gives it.
                let newer = limit / 2;
                let older = view.some(Way::Until, id, limit - newer);
                let ((older, more_before), (mut messages, more_after)) =
                    futures::try_join!(older, view.some(Way::After, id, newer))?;
                messages.reverse();
                messages.extend(older);
                Ok(HistoryPage { messages, more_before, more_after })
            }
        }
    }

    fn view<'a>(&'a self, known: &'a KnownChat, mut buckets: Vec<i32>) -> Result<View<'a>, StoreError> {
        let horizon = self.horizon();
        buckets.retain(|bucket| *bucket >= message_bucket(horizon.id()));
        Ok(View { shared: self, known, key: self.key(known)?, horizon, buckets })
    }

    /// The newest message of a chat.
    pub(super) async fn newest(&self, known: &KnownChat) -> Result<Option<Message>, StoreError> {
        let Some(newest) = known.newest.filter(|newest| self.horizon().keeps(*newest)) else { return Ok(None) };
        if let Err(StoreError::Unreadable(_)) = self.key(known) {
            // A list is not lost along with a chat that is damaged.
            report_damage(known.chat.id, None);
            return Ok(None);
        }
        match self.message_row(known, newest).await {
            Ok(Some(row)) => return Ok(Some(row.message)),
            // A damaged one is passed over below.
            Ok(None) | Err(StoreError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
        let buckets = self.buckets(known.chat.id).await?;
        let view = self.view(known, buckets)?;
        Ok(view.some(Way::Until, last(), 1).await?.0.pop())
    }

    /// The partitions of a chat that have messages, newest first.
    pub(super) async fn buckets(&self, chat: ChatId) -> Result<Vec<i32>, StoreError> {
        let rows: Vec<(i32,)> = self.rows(&self.statements.chat_buckets, (chat.0,)).await?;
        Ok(rows.into_iter().map(|(bucket,)| bucket).collect())
    }
}

/// Sorts after every id.
fn last() -> MessageId {
    MessageId(Instant { millis: u64::MAX >> 16, counter: u16::MAX >> 4 }.id(u64::MAX))
}

impl View<'_> {
    /// Up to `limit` messages one way, the nearest first, and whether there is another.
    async fn some(&self, way: Way, from: MessageId, limit: usize) -> Result<(Vec<Message>, bool), StoreError> {
        let from = if way == Way::After { self.horizon.or_later(from) } else { from };
        let statements = &self.shared.statements;
        let (first, further) = match way {
            Way::Until => (&statements.messages_until, &statements.messages_before),
            Way::Before => (&statements.messages_before, &statements.messages_before),
            Way::After => (&statements.messages_after, &statements.messages_after),
        };
        let start = message_bucket(from);
        let buckets: Vec<i32> = match way {
            Way::After => self.buckets.iter().rev().copied().filter(|bucket| *bucket >= start).collect(),
            Way::Until | Way::Before => self.buckets.iter().copied().filter(|bucket| *bucket <= start).collect(),
        };
        let mut messages = Vec::new();
        for bucket in buckets {
            let (mut statement, mut from) = (first, from);
            loop {
                let asked = limit - messages.len() + 1;
                let values = (self.known.chat.id.0, bucket, from.0, row_limit(asked));
                let rows: Vec<StoredMessage> = self.shared.rows(statement, values).await?;
                let full = rows.len() >= asked;
                for row in rows {
                    from = row.id();
                    if !self.horizon.keeps(from) {
                        return Ok((messages, false));
                    }
                    let Some(row) = message_among_others(row, &self.known.chat, &self.key)? else { continue };
                    if messages.len() == limit {
                        return Ok((messages, true));
                    }
                    messages.push(row.message);
                }
                // Some were passed over, so others come after them.
                if !full {
                    break;
                }
                statement = further;
            }
        }
        Ok((messages, false))
    }

    /// Whether there is this message or a newer one.
    async fn has_from(&self, id: MessageId) -> Result<bool, StoreError> {
        let id = self.horizon.or_later(id);
        let start = message_bucket(id);
        let buckets = self.buckets.iter().rev().copied().filter(|bucket| *bucket >= start);
        self.has(&self.shared.statements.newest_from, buckets, id).await
    }

    /// Whether there is this message or an older one.
    async fn has_until(&self, id: MessageId) -> Result<bool, StoreError> {
        let start = message_bucket(id);
        let buckets = self.buckets.iter().copied().filter(|bucket| *bucket <= start);
        self.has(&self.shared.statements.newest_until, buckets, id).await
    }

    /// Whether what a statement finds in the first of these partitions that has something is kept.
    async fn has(
        &self,
        statement: &PreparedStatement,
        buckets: impl Iterator<Item = i32>,
        id: MessageId,
    ) -> Result<bool, StoreError> {
        for bucket in buckets {
            let values = (self.known.chat.id.0, bucket, id.0, 1_i32);
            let found: Vec<(Uuid,)> = self.shared.rows(statement, values).await?;
            if let Some((found,)) = found.first() {
                return Ok(self.horizon.keeps(MessageId(*found)));
            }
        }
        Ok(false)
    }
}

/// A limit as CQL takes it.
pub(super) fn row_limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
