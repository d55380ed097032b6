//! Watermarks. Each is a cell whose write time is that of the message it names, so it never goes back, whoever writes last.
//! They are in the chat, and with their event in the lists of both, where syncs find them: the parts of a write become visible
//! one by one, and an event is given once.

use std::sync::Arc;

use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, MessageId, UserId},
    outbox::Change,
    ports::StoreError,
    watermark::{Progress, Watermarks},
};
use uuid::Uuid;

use super::{Shared, batch::Writes, detached, order::Arrival, times::write_time};

impl Shared {
    /// Raises the caller's watermarks.
    pub(super) async fn advance(
        self: &Arc<Self>,
        caller: UserId,
        chat_id: ChatId,
        progress: Progress,
        up_to: MessageId,
        arrival: Arrival,
    ) -> Result<Watermarks, StoreError> {
        let (known, exists, receipt) = futures::try_join!(
            self.chat_of(caller, chat_id),
            self.has_message(chat_id, up_to),
            self.receipt(caller, chat_id),
        )?;
        if !exists {
            return Err(StoreError::NotFound);
        }
        let blocked = known.blocked;
        let mut chat = known.chat;
        let before = chat.watermarks_of(caller);
        let watermarks = before.advanced(progress, up_to);
        // What a blocked peer has heard stays, and what was said behind the block is not told later either: only what is said
        // again.
        let shown_before = chat.shown_of(caller);
        let shown = if blocked { shown_before } else { shown_before.advanced(progress, up_to) };
        if (watermarks, shown) == (before, shown_before) {
            return Ok(before);
        }
        let clock = self.order.clock();
        clock.observe(up_to.0);
        // The receipt before may be another node's, whose clock is ahead, and the later one wins.
        if let Some(receipt) = receipt {
            clock.observe(receipt);
        }
        let place = self.order.take(chat_id, arrival);
        let event = place.id();
        let mut writes = Writes::new();
        self.add_marks(&mut writes, chat_id, caller, watermarks, Some(shown).filter(|_| !blocked));
        let peer = chat.peer_of(caller);
        let statements = &self.statements;
        let own = [&statements.set_own_delivered, &statements.set_own_read];
        let peers = [&statements.set_peer_delivered, &statements.set_peer_read];
        let own = (caller, &statements.set_receipt, own, watermarks);
        let peers = (peer, &statements.set_peer_receipt, peers, shown);
        let told = [Some(own), Some(peers).filter(|_| !blocked && peer != caller)];
        for (user, newest, [delivered, read], marks) in told.into_iter().flatten() {
            writes.add(newest, (write_time(event.0), event.0, user.0, chat_id.0));
            // Both, also when one is as it was: then this event takes the place of the one before.
            for (statement, mark) in [(delivered, marks.delivered_up_to), (read, marks.read_up_to)] {
                if let Some(mark) = mark {
                    writes.add(statement, (write_time(mark.0), (mark.0, event.0), user.0, chat_id.0));
                }
            }
        }
        if watermarks.read_up_to != before.read_up_to {
            let change = Change::Read { message_id: up_to, user_id: caller, before: before.read_up_to };
            self.add_outbox(&mut writes, &chat, event, &change);
        }
        for (place, member) in chat.members.into_iter().enumerate() {
            if member == caller {
                chat.watermarks[place] = watermarks;
                chat.shown[place] = shown;
            }
        }
        let shared = Arc::clone(self);
        detached(async move {
            shared
                .put_and_publish(&writes, place, event, LiveEvent::Receipt { chat, user_id: caller, blocked })
                .await?;
            Ok(watermarks)
        })
        .await
    }

    /// How far a member got, in the chat, and what the peer is told of it if anything.
    fn add_marks(
        &self,
        writes: &mut Writes,
        chat: ChatId,
        member: UserId,
        marks: Watermarks,
        shown: Option<Watermarks>,
    ) {
        let statements = &self.statements;
        let own = [(&statements.set_delivered, marks.delivered_up_to), (&statements.set_read, marks.read_up_to)];
        let shown = shown.map(|marks| {
            [(&statements.set_shown_delivered, marks.delivered_up_to), (&statements.set_shown_read, marks.read_up_to)]
        });
        for (statement, mark) in own.into_iter().chain(shown.into_iter().flatten()) {
            if let Some(mark) = mark {
                writes.add(statement, (write_time(mark.0), mark.0, chat.0, member.0));
            }
        }
    }

    /// The event of a member's newest receipt. The one that the peer was told of is no later.
    async fn receipt(&self, member: UserId, chat: ChatId) -> Result<Option<Uuid>, StoreError> {
        let rows: Vec<(Option<Uuid>,)> = self.rows(&self.statements.receipt, (member.0, chat.0)).await?;
        Ok(rows.first().and_then(|(receipt,)| *receipt))
    }
}
