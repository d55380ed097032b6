//! What follows here from changes of accounts: erasure of chats, and blocks.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, UserId},
    message::Chat,
    outbox::Change,
    ports::StoreError,
    time::Timestamp,
};

use super::{
    Cassandra, Shared,
    batch::Writes,
    inbox::EventKind,
    list::UserChat,
    order::Arrival,
    partitions::Partition,
    times::{ending_time, final_write_time, next_write_time},
};
use crate::linked_accounts::ChatLinks;

/// Chats that are erased at the same time.
const AT_ONCE: usize = 4;
/// Partitions that one batch deletes.
const PARTITIONS: usize = 200;

#[async_trait]
impl ChatLinks for Cassandra {
    async fn erase_user(&self, user: UserId) -> Result<(), StoreError> {
        self.shared.erase(user).await
    }

    async fn set_block(&self, blocker: UserId, blocked: UserId, on: bool) -> Result<(), StoreError> {
        self.shared.set_block(blocker, blocked, on).await
    }

    async fn forget_block(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError> {
        let chat = ChatId::of_pair(blocker, blocked);
        let values = (ending_time(Timestamp::now()), chat.0, blocker.0);
        self.shared.write(&self.shared.statements.delete_member, values).await
    }
}

impl Shared {
    /// Removes a user's chats and inbox. What is left of an interrupted run is found by the next: a chat leaves the user's
    /// list last.
    async fn erase(&self, user: UserId) -> Result<(), StoreError> {
        let chats = self.user_chats(user).await?;
        stream::iter(chats)
            .map(|chat| self.erase_chat(user, chat))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.forget_notifications(user).await?;
        self.forget_devices(user).await?;
        let buckets = self.inbox_bucket_numbers(user).await?;
        let at = final_write_time(self.order.clock().tick(Timestamp::now()));
        for some in buckets.chunks(PARTITIONS) {
            let mut writes = Writes::new();
            for bucket in some {
                writes.add(&self.statements.delete_events, (at, user.0, *bucket));
            }
            self.put(&writes).await?;
        }
        self.write(&self.statements.delete_inbox_buckets, (at, user.0)).await?;
        self.listed.forget(&buckets.iter().map(|bucket| (user.0, *bucket)).collect::<Vec<Partition>>());
        Ok(())
    }

    async fn erase_chat(&self, leaver: UserId, row: UserChat) -> Result<(), StoreError> {
        let id = ChatId(row.chat_id);
        let known = self.known(id).await?.chat;
        if let Some(known) = &known {
            // The key goes first: without it the rest is noise, wherever copies of it are.
            self.decide(&self.statements.destroy_chat, (id.0, known.chat.created_at.0)).await?;
        }
        self.keys.forget(id);
        let buckets = self.buckets(id).await?;
        let at = final_write_time(self.order.clock().tick(Timestamp::now()));
        for some in buckets.chunks(PARTITIONS) {
            let mut writes = Writes::new();
            for bucket in some {
                writes.add(&self.statements.delete_messages, (at, id.0, *bucket));
            }
            self.put(&writes).await?;
        }
        self.listed.forget(&buckets.iter().map(|bucket| (id.0, *bucket)).collect::<Vec<Partition>>());

        // The other's files too: no message shows them any more.
        self.leave_chat(id, Timestamp::now(), at).await?;

        // A row without a peer is what a late write left in the list.
        let chat = known.map(|known| known.chat).or_else(|| Some(remains(id, leaver, UserId(row.peer?))));
        // Only now: the deletion of many messages may take longer than readers wait for an event.
        let place = self.order.take(id, Arrival::new(Timestamp::now()));
        let mut writes = Writes::new();
        writes.add(&self.statements.delete_chat_buckets, (at, id.0));
        writes.add(&self.statements.delete_user_chat, (at, leaver.0, id.0));
        writes.add(&self.statements.delete_member, (at, id.0, leaver.0));
        if let Some(chat) = &chat {
            let peer = chat.peer_of(leaver);
            if peer != leaver {
                writes.add(&self.statements.delete_user_chat, (at, peer.0, id.0));
                writes.add(&self.statements.delete_member, (at, id.0, peer.0));
                // Older events of the chat in the peer's inbox say nothing without it: readers leave them out.
                self.add_event(&mut writes, peer, place.id(), EventKind::ChatDeleted, id, None);
            }
            self.add_outbox(&mut writes, chat, place.id(), &Change::ChatDeleted);
        }
        self.put(&writes).await?;
        if let Some(chat) = chat {
            place.publish(LiveEvent::ChatDeleted { chat });
        }
        Ok(())
    }

    /// Writes whether one blocks the other, after what was written about it before: callers wait for each other.
    async fn set_block(&self, blocker: UserId, blocked: UserId, on: bool) -> Result<(), StoreError> {
        let chat = ChatId::of_pair(blocker, blocked);
        let written: Vec<(Option<i64>,)> = self.rows(&self.statements.block_written, (chat.0, blocker.0)).await?;
        let at = next_write_time(Timestamp::now(), written.first().and_then(|(time,)| *time));
        self.write(&self.statements.set_blocks, (at, on, chat.0, blocker.0)).await
    }
}

/// A chat of which only the members are known.
fn remains(id: ChatId, a: UserId, b: UserId) -> Chat {
    Chat {
        id,
        members: [a.min(b), a.max(b)],
        created_at: Timestamp(0),
        watermarks: Default::default(),
        shown: Default::default(),
    }
}
