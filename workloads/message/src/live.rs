//! The dispatcher: hands live events to the sockets of the users concerned, in order, waiting for none.

use std::sync::Arc;

use sentinel_domain::{
    event::{LiveEvent, Origin},
    ids::UserId,
    message::{Chat, Message},
    time::Timestamp,
};
use sentinel_http::tokens::Tokens;
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use crate::{
    hub::Hub,
    socket::Ending,
    views::{ChatDeleted, ChatStarted, DeletedMessage, MessageView, ReceiptView},
};

/// Events of this many batches are handed out before other tasks get a turn.
const BATCHES: usize = 64;

/// Starts the hub's one dispatcher. It ends when the hub is gone.
pub(crate) fn start(hub: &Arc<Hub>, tokens: Arc<Tokens>) {
    let Some(mut published) = hub.take_published() else { return };
    let hub = Arc::downgrade(hub);
    tokio::spawn(async move {
        let mut batches = Vec::with_capacity(BATCHES);
        while published.recv_many(&mut batches, BATCHES).await > 0 {
            let Some(hub) = hub.upgrade() else { return };
            for event in batches.drain(..).flatten() {
                deliver(&hub, &tokens, &event);
            }
            tokio::task::yield_now().await;
        }
    });
}

fn deliver(hub: &Arc<Hub>, tokens: &Tokens, event: &LiveEvent) {
    match event {
        LiveEvent::Message { chat, message, origin } => deliver_message(hub, chat, message, *origin),
        LiveEvent::Edited { chat, message } => to_members(hub, chat, "message_edited", &MessageView::of(chat, message)),
        LiveEvent::Deleted { chat, message_id } => {
            let deleted = DeletedMessage { chat_id: chat.id, message_id: *message_id };
            to_members(hub, chat, "message_deleted", &deleted);
        }
        LiveEvent::Receipt { chat, user_id, blocked } => deliver_receipt(hub, chat, *user_id, *blocked),
        LiveEvent::ChatStarted { chat, by } => {
            to_members(hub, chat, "chat_started", &ChatStarted { chat_id: chat.id, by: *by });
        }
        LiveEvent::ChatDeleted { chat } => to_members(hub, chat, "chat_deleted", &ChatDeleted { chat_id: chat.id }),
        LiveEvent::SessionEnded { session_id } => {
            tokens.revoke_session(*session_id, Timestamp::now());
            for session in hub.sockets_in(*session_id) {
                session.end(hub, Ending::SessionEnded);
            }
        }
    }
}

fn deliver_message(hub: &Arc<Hub>, chat: &Chat, message: &Message, origin: Option<Origin>) {
    let Some(view) = raw(&MessageView::of(chat, message)) else { return };
    let mut reached_peer = false;
    for &member in chat.distinct_members() {
        for session in hub.sockets_of(member) {
            if origin != Some(session.origin) && session.emit(hub, "receive_message", &view) {
                reached_peer |= member != message.sender_id;
            }
        }
    }
    if reached_peer {
        let millis = Timestamp::now().0.saturating_sub(message.id.timestamp().0).max(0);
        // Milliseconds that a message takes fit a double exactly.
        #[allow(clippy::cast_precision_loss)]
        metrics::histogram!("delivery_seconds").record(millis as f64 / 1000.0);
    }
}

/// The member's own devices hear of it too, so that they show the same.
fn deliver_receipt(hub: &Arc<Hub>, chat: &Chat, user_id: UserId, blocked: bool) {
    let marks = chat.watermarks_of(user_id);
    let receipt =
        ReceiptView { chat_id: chat.id, user_id, delivered_up_to: marks.delivered_up_to, read_up_to: marks.read_up_to };
    let Some(receipt) = raw(&receipt) else { return };
    let peer = chat.peer_of(user_id);
    to_user(hub, user_id, "receipt", &receipt);
    if blocked || peer == user_id {
        return;
    }
    to_user(hub, peer, "receipt", &receipt);
    let received = json!({"chat_id": chat.id, "receiver_id": user_id, "message_id": marks.delivered_up_to});
    if let Some(received) = raw(&received) {
        to_user(hub, peer, "message_received", &received);
    }
}

fn to_members(hub: &Arc<Hub>, chat: &Chat, event: &'static str, payload: &impl Serialize) {
    let Some(payload) = raw(payload) else { return };
    for &member in chat.distinct_members() {
        to_user(hub, member, event, &payload);
    }
}

/// Hands an event to every socket of a user.
pub(crate) fn to_user(hub: &Arc<Hub>, user: UserId, event: &'static str, payload: &RawValue) {
    for session in hub.sockets_of(user) {
        session.emit(hub, event, payload);
    }
}

/// The payload as JSON, written once for all sockets that get it.
pub(crate) fn raw(payload: &impl Serialize) -> Option<Box<RawValue>> {
    to_raw_value(payload).ok()
}
