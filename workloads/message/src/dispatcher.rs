//! The dispatcher: hands live events to the sockets of the users concerned, in order, waiting for none.

use std::sync::Arc;

use sentinel_domain::{
    background::vital,
    event::{LiveEvent, Origin},
    ids::{ChatId, UserId},
    message::{Chat, Message},
    notification::{Kind, Shown},
    time::Timestamp,
    watermark::Watermarks,
};
use sentinel_http::{
    tokens::Tokens,
    views::{MessageView, NotificationView},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    hub::{Hub, Work},
    nodes::{Emitted, Key, Missed, MissedBody, ShownMarks},
    socket::{Ending, Namespace, Session},
    views::{
        ChatDeleted, ChatStarted, DeletedMessage, NewMessageView, NotificationReadView, ReceiptView, ReceivedView,
        TypingView,
    },
};

/// Events of this many batches are handed out before other tasks get a turn.
const BATCHES: usize = 64;
/// Seconds after which a receiver forgets that somebody is typing.
const TYPING_SECONDS: u32 = 6;

/// Starts the hub's one dispatcher. It ends when the hub is gone. `emitted` remembers what was shown, where events may
/// come twice: live and from an inbox.
pub(crate) fn start(hub: &Arc<Hub>, tokens: Arc<Tokens>, emitted: Option<Emitted>) {
    let Some(mut published) = hub.take_published() else { return };
    let hub = Arc::downgrade(hub);
    let mut lately = Lately { emitted, marks: ShownMarks::default() };
    tokio::spawn(vital("live events", async move {
        let mut batches = Vec::with_capacity(BATCHES);
        while published.recv_many(&mut batches, BATCHES).await > 0 {
            let Some(hub) = hub.upgrade() else { return };
            for work in batches.drain(..) {
                match work {
                    Work::Live(events) => {
                        for event in events {
                            deliver(
                                &mut Audience { hub: &hub, lately: &mut lately, key: Key::of(&event) },
                                &tokens,
                                &event,
                            );
                        }
                    }
                    Work::Missed(missed) => show_missed(&hub, &mut lately, &missed),
                }
            }
            tokio::task::yield_now().await;
        }
    }));
}

/// What sockets here were shown lately.
struct Lately {
    emitted: Option<Emitted>,
    marks: ShownMarks,
}

impl Lately {
    /// Whether an event is shown to a user for the first time; from now on it is not.
    fn is_first(&mut self, user: UserId, key: Key) -> bool {
        self.emitted.as_mut().is_none_or(|emitted| emitted.is_first(user, key))
    }
}

/// The sockets that hear of one event.
struct Audience<'a> {
    hub: &'a Arc<Hub>,
    lately: &'a mut Lately,
    /// What tells the event from others, if it may come twice.
    key: Option<Key>,
}

impl Audience<'_> {
    /// A user's sockets; none when they have been shown the event already.
    fn sockets_of(&mut self, user: UserId) -> Vec<Arc<Session>> {
        let sockets = self.hub.sockets_of(user);
        if let Some(key) = self.key
            && !sockets.is_empty()
            && !self.lately.is_first(user, key)
        {
            return Vec::new();
        }
        sockets
    }

    /// Tells a user how far a member got: never less than before.
    fn tell_receipt(&mut self, user: UserId, chat: ChatId, member: UserId, marks: Watermarks) {
        if !self.hub.has_sockets_of(user) {
            return;
        }
        let marks = self.lately.marks.raised(user, chat, member, marks);
        self.key = Some(Key::receipt(chat, member, marks));
        let sockets = self.sockets_of(user);
        let Some(receipt) = Receipt::of(user, chat, member, marks).filter(|_| !sockets.is_empty()) else { return };
        for session in sockets {
            receipt.show(self.hub, &session);
        }
    }

    fn tell(&mut self, user: UserId, event: &'static str, payload: &RawValue) {
        for session in self.sockets_of(user) {
            session.emit(self.hub, event, payload);
        }
    }

    fn tell_members(&mut self, chat: &Chat, event: &'static str, payload: &impl Serialize) {
        let Some(payload) = raw(payload) else { return };
        for &member in chat.distinct_members() {
            self.tell(member, event, &payload);
        }
    }
}

fn deliver(to: &mut Audience<'_>, tokens: &Tokens, event: &LiveEvent) {
    match event {
        LiveEvent::Message { chat, message, origin } => deliver_message(to, chat, message, *origin),
        LiveEvent::Edited { chat, message } => {
            to.tell_members(chat, "message_edited", &MessageView::of(chat, message));
        }
        LiveEvent::Deleted { chat, message_id } => {
            let deleted = DeletedMessage { chat_id: chat.id, message_id: *message_id };
            to.tell_members(chat, "message_deleted", &deleted);
        }
        LiveEvent::Receipt { chat, user_id, blocked } => deliver_receipt(to, chat, *user_id, *blocked),
        LiveEvent::ChatStarted { chat, by } => {
            let started = ChatStarted { chat_id: chat.id, by: *by, members: chat.distinct_members().to_vec() };
            to.tell_members(chat, "chat_started", &started);
        }
        LiveEvent::ChatDeleted { chat } => to.tell_members(chat, "chat_deleted", &ChatDeleted { chat_id: chat.id }),
        LiveEvent::Typing { chat_id, user_id, peer, typing } => {
            let typing =
                TypingView { chat_id: *chat_id, user_id: *user_id, typing: *typing, expires_in: TYPING_SECONDS };
            if let Some(typing) = raw(&typing) {
                to.tell(*peer, "typing", &typing);
            }
        }
        LiveEvent::Notification { user_id, shown } => deliver_notification(to, *user_id, shown),
        LiveEvent::NotificationRead { user_id, notification_id } => {
            let Some(read) = raw(&NotificationReadView { notification_id: *notification_id }) else { return };
            for session in to.sockets_of(*user_id) {
                session.emit_in(Namespace::Notifications, to.hub, "notification_read", &read);
            }
        }
        LiveEvent::BlockChanged { between } => {
            if let Some(presences) = to.hub.presences() {
                presences.block_changed(*between);
            }
        }
        LiveEvent::SessionEnded { session_id } => {
            tokens.revoke_session(*session_id, Timestamp::now());
            for session in to.hub.sockets_in(*session_id) {
                session.end(to.hub, Ending::SessionEnded);
            }
        }
    }
}

fn deliver_message(to: &mut Audience<'_>, chat: &Chat, message: &Message, origin: Option<Origin>) {
    let Some(view) = raw(&MessageView::of(chat, message)) else { return };
    let mut reached_peer = false;
    for &member in chat.distinct_members() {
        for session in to.sockets_of(member) {
            // One that is published again, as when its send is repeated, is no news to who connected since.
            if origin == Some(session.origin) || session.syncs_from_after(message.id.into()) {
                continue;
            }
            reached_peer |= session.emit(to.hub, "receive_message", &view) && member != message.sender_id;
        }
    }
    if reached_peer {
        let millis = Timestamp::now().0.saturating_sub(message.id.timestamp().0).max(0);
        // Milliseconds that a message takes fit a double exactly.
        #[allow(clippy::cast_precision_loss)]
        metrics::histogram!("sentinel_delivery_seconds").record(millis as f64 / 1000.0);
    }
}

/// The member's own devices hear of it too, so that they show the same.
fn deliver_receipt(to: &mut Audience<'_>, chat: &Chat, user_id: UserId, blocked: bool) {
    let peer = chat.peer_of(user_id);
    to.tell_receipt(user_id, chat.id, user_id, chat.watermarks_of(user_id));
    if !blocked && peer != user_id {
        to.tell_receipt(peer, chat.id, user_id, chat.shown_of(user_id));
    }
}

/// How far a member got, as a user's sockets get it.
struct Receipt {
    receipt: Box<RawValue>,
    /// A peer's, for clients of the seed.
    received: Option<Box<RawValue>>,
}

impl Receipt {
    fn of(user: UserId, chat_id: ChatId, member: UserId, marks: Watermarks) -> Option<Self> {
        let Watermarks { delivered_up_to, read_up_to } = marks;
        let receipt = raw(&ReceiptView { chat_id, user_id: member, delivered_up_to, read_up_to })?;
        let received = ReceivedView { chat_id, receiver_id: member, message_id: delivered_up_to };
        Some(Self { receipt, received: (member != user).then(|| raw(&received)).flatten() })
    }

    fn show(&self, hub: &Arc<Hub>, session: &Arc<Session>) {
        session.emit(hub, "receipt", &self.receipt);
        if let Some(received) = &self.received {
            session.emit(hub, "message_received", received);
        }
    }
}

/// Clients of the seed listen for `new_message`.
fn deliver_notification(to: &mut Audience<'_>, user_id: UserId, shown: &Shown) {
    let Some(notification) = raw(&NotificationView::from(shown.clone())) else { return };
    let seed = NewMessageView { header: &shown.header, body: &shown.body };
    let seed = matches!(shown.kind, Kind::NewMessage | Kind::Notice).then(|| raw(&seed)).flatten();
    for session in to.sockets_of(user_id) {
        session.emit_in(Namespace::Notifications, to.hub, "notification", &notification);
        if let Some(seed) = &seed {
            session.emit_in(Namespace::Notifications, to.hub, "new_message", seed);
        }
    }
}

/// Shows a user's sockets what they were not shown, unless their `ready` said to sync from after it.
fn show_missed(hub: &Arc<Hub>, lately: &mut Lately, missed: &Missed) {
    let sockets = hub.sockets_of(missed.user);
    if sockets.is_empty() {
        return;
    }
    for event in &missed.events {
        let mut receipt = None;
        let key = match &event.body {
            MissedBody::Receipt(chat, member, marks) => {
                let marks = lately.marks.raised(missed.user, *chat, *member, *marks);
                receipt = Receipt::of(missed.user, *chat, *member, marks);
                Key::receipt(*chat, *member, marks)
            }
            MissedBody::Other { key, .. } => *key,
        };
        if !lately.is_first(missed.user, key) {
            continue;
        }
        metrics::counter!("sentinel_inbox_repaired_events_total").increment(1);
        for session in sockets.iter().filter(|session| !session.syncs_from_after(event.id)) {
            if let MissedBody::Other { event, payload, .. } = &event.body {
                session.emit(hub, event, payload);
            } else if let Some(receipt) = &receipt {
                receipt.show(hub, session);
            }
        }
    }
}

/// The payload as JSON, written once for all sockets that get it.
pub(crate) fn raw(payload: &impl Serialize) -> Option<Box<RawValue>> {
    to_raw_value(payload).ok()
}
