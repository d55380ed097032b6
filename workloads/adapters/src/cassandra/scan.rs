//! Going through all messages, chat by chat, in the order of the cluster's ring.

use async_trait::async_trait;
use sentinel_domain::{
    ids::{ChatId, MessageId, UserId},
    ports::{MessageScan, Scanned, StoreError},
};
use uuid::Uuid;

use super::{Cassandra, Shared, history::row_limit, times::message_bucket};

/// Chats of one step.
const CHATS: usize = 100;

#[async_trait]
impl MessageScan for Cassandra {
    async fn scan(&self, after: Option<Scanned>, limit: usize) -> Result<Vec<Scanned>, StoreError> {
        let (shared, horizon) = (&self.shared, self.shared.horizon());
        let (mut found, mut last) = (Vec::new(), after.map(|after| after.chat_id));
        if let Some(Scanned { chat_id, message_id, .. }) = after {
            shared.scan_chat(chat_id, horizon.or_later(message_id), limit, &mut found).await?;
        }
        while found.len() < limit {
            let chats = shared.chats_after(last).await?;
            if chats.is_empty() {
                break;
            }
            for chat in chats {
                shared.scan_chat(chat, horizon.id(), limit, &mut found).await?;
                if found.len() >= limit {
                    break;
                }
                last = Some(chat);
            }
        }
        Ok(found)
    }
}

impl Shared {
    async fn chats_after(&self, last: Option<ChatId>) -> Result<Vec<ChatId>, StoreError> {
        let limit = row_limit(CHATS);
        let chats: Vec<(Uuid,)> = match last {
            None => self.rows(&self.statements.first_chats, (limit,)).await?,
            Some(last) => self.rows(&self.statements.chats_after, (last.0, limit)).await?,
        };
        Ok(chats.into_iter().map(|(chat,)| ChatId(chat)).collect())
    }

    /// Adds messages of a chat after one, up to `limit` in all.
    async fn scan_chat(
        &self,
        chat_id: ChatId,
        after: MessageId,
        limit: usize,
        found: &mut Vec<Scanned>,
    ) -> Result<(), StoreError> {
        let (mut buckets, mut after) = (self.buckets(chat_id).await?, after);
        buckets.retain(|bucket| *bucket >= message_bucket(after));
        // The oldest first.
        while let Some(bucket) = buckets.pop() {
            loop {
                let asked = limit - found.len();
                let values = (chat_id.0, bucket, after.0, row_limit(asked));
                let rows: Vec<(Uuid, Option<Uuid>, Option<bool>)> = self.rows(&self.statements.unread, values).await?;
                for (message, sender, deleted) in &rows {
                    after = MessageId(*message);
                    if let (Some(sender), false) = (sender, *deleted == Some(true)) {
                        found.push(Scanned { chat_id, message_id: after, sender_id: UserId(*sender) });
                    }
                }
                if found.len() >= limit {
                    return Ok(());
                }
                if rows.len() < asked {
                    break;
                }
            }
        }
        Ok(())
    }
}
