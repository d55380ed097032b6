//! What is known of a chat: one partition.

use scylla::DeserializeRow;
use sentinel_domain::{
    ids::{ChatId, EventId, MessageId, UserId},
    keyring::WrappedKey,
    message::Chat,
    ports::StoreError,
    time::Timestamp,
    watermark::Watermarks,
};
use uuid::Uuid;

use super::Shared;
use crate::chat_keys::OpenKey;

/// A row of `chats`: what is static, and a member.
#[derive(DeserializeRow, Default)]
pub(super) struct ChatRow {
    member: Option<Uuid>,
    low: Option<Uuid>,
    high: Option<Uuid>,
    created_at: Option<i64>,
    started: Option<Uuid>,
    starter: Option<Uuid>,
    kek: Option<String>,
    chat_key: Option<Vec<u8>>,
    newest: Option<Uuid>,
    delivered_up_to: Option<Uuid>,
    read_up_to: Option<Uuid>,
    shown_delivered: Option<Uuid>,
    shown_read: Option<Uuid>,
    blocks: Option<bool>,
}

/// A chat that exists.
#[derive(Clone)]
pub(super) struct KnownChat {
    pub(super) chat: Chat,
    pub(super) key: WrappedKey,
    /// The event of its start.
    pub(super) started: EventId,
    pub(super) starter: UserId,
    /// Its newest message.
    pub(super) newest: Option<MessageId>,
    /// Whether either member blocks the other.
    pub(super) blocked: bool,
}

/// What the partition of a chat says.
pub(super) struct Known {
    /// The chat, if it exists.
    pub(super) chat: Option<KnownChat>,
    /// Whether either of the two blocks the other.
    pub(super) blocked: bool,
}

impl Known {
    fn of(id: ChatId, rows: &[ChatRow]) -> Self {
        let blocked = rows.iter().any(|row| row.blocks == Some(true));
        Self { chat: rows.first().and_then(|first| known_chat(id, first, rows, blocked)), blocked }
    }
}

fn known_chat(id: ChatId, first: &ChatRow, rows: &[ChatRow], blocked: bool) -> Option<KnownChat> {
    let members = [UserId(first.low?), UserId(first.high?)];
    let row = |member: UserId| rows.iter().find(|row| row.member == Some(member.0));
    let marks = |delivered: Option<Uuid>, read: Option<Uuid>| Watermarks {
        delivered_up_to: delivered.max(read).map(MessageId),
        read_up_to: read.map(MessageId),
    };
    let of = |member| row(member).map_or_else(Watermarks::default, |row| marks(row.delivered_up_to, row.read_up_to));
    let shown = |member| row(member).map_or_else(Watermarks::default, |row| marks(row.shown_delivered, row.shown_read));
    Some(KnownChat {
        chat: Chat {
            id,
            members,
            created_at: Timestamp(first.created_at?),
            watermarks: members.map(of),
            shown: members.map(shown),
        },
        key: WrappedKey { kek: first.kek.clone()?, bytes: first.chat_key.clone()? },
        started: EventId(first.started?),
        starter: UserId(first.starter?),
        newest: first.newest.map(MessageId),
        blocked,
    })
}

impl Shared {
    /// What there is of a chat. Ids that are given from now on sort after all that it shows.
    pub(super) async fn known(&self, id: ChatId) -> Result<Known, StoreError> {
        let rows: Vec<ChatRow> = self.rows(&self.statements.chat, (id.0,)).await?;
        let known = Known::of(id, &rows);
        if let Some(chat) = &known.chat {
            self.order.clock().observe(chat.newest.map_or(chat.started.0, |newest| newest.0.max(chat.started.0)));
        }
        Ok(known)
    }

    /// A chat of this caller.
    pub(super) async fn chat_of(&self, caller: UserId, id: ChatId) -> Result<KnownChat, StoreError> {
        self.known(id).await?.chat.filter(|known| known.chat.has(caller)).ok_or(StoreError::NotFound)
    }

    /// The key of a chat that was just read.
    pub(super) fn key(&self, known: &KnownChat) -> Result<OpenKey, StoreError> {
        Ok(self.keys.open(known.chat.id, &known.key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_block_without_a_chat_is_no_chat() {
        let rows = [ChatRow { member: Some(id(2)), blocks: Some(true), ..ChatRow::default() }];
        let known = Known::of(ChatId(id(1)), &rows);
        assert!(known.chat.is_none() && known.blocked);
    }

    #[test]
    fn what_is_left_of_a_deleted_chat_is_no_chat() {
        let rows =
            [ChatRow { member: Some(id(2)), read_up_to: Some(id(9)), newest: Some(id(9)), ..ChatRow::default() }];
        let known = Known::of(ChatId(id(1)), &rows);
        assert!(known.chat.is_none() && !known.blocked);
    }

    #[test]
    fn a_member_without_a_row_has_no_progress() {
        let row = ChatRow {
            member: Some(id(3)),
            low: Some(id(2)),
            high: Some(id(3)),
            created_at: Some(5),
            started: Some(id(4)),
            starter: Some(id(3)),
            kek: Some("kek-0001".into()),
            chat_key: Some(vec![1]),
            read_up_to: Some(id(9)),
            ..ChatRow::default()
        };
        let known = Known::of(ChatId(id(1)), &[row]).chat.unwrap();
        let read = Some(MessageId(id(9)));
        assert_eq!(known.chat.watermarks_of(UserId(id(3))), Watermarks { delivered_up_to: read, read_up_to: read });
        assert_eq!(known.chat.watermarks_of(UserId(id(2))), Watermarks::default());
    }
}
