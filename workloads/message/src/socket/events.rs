//! Events of sockets: queued as they come, handled one after the other, always acknowledged.

use std::{future::ready, panic::AssertUnwindSafe, sync::Arc, task::Poll, time::Instant};

use axum::{
    http::{StatusCode, header},
    response::IntoResponse,
};
use futures::{FutureExt, StreamExt, future::Either, stream::FuturesOrdered};
use sentinel_domain::{event::LiveEvent, ids::UserId, time::Timestamp, watermark::Progress};
use sentinel_http::{
    problem::{Code, Problem},
    rate::Action,
};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use socketioxide::{
    adapter::LocalAdapter,
    handler::{MessageHandler, Value},
    socket::Socket,
};

use super::{
    Namespace, Session,
    packet::{self, Packet},
    session::{Accepted, Inbound},
};
use crate::{
    asyncapi::{Reauthenticated, Refused, Sent},
    presence::Presences,
    requests::{
        EditMessage, Heartbeat, OneMessage, Reauthenticate, ReceivedAll, SendMessage, StartChat, SyncSince, Typing,
        WatchedUsers,
    },
    service::MessageService,
    sync,
    views::{PresenceView, PresencesView},
};

/// Messages of one socket that may be on their way to the store at once.
const SENDS_AT_ONCE: usize = 32;

/// Where events of one socket come in. The server calls it inline, in the order of packets.
pub(super) struct Inlet {
    pub service: Arc<MessageService>,
    pub session: Arc<Session>,
}

impl MessageHandler<LocalAdapter, Inlet> for Inlet {
    fn call(&self, _: Arc<Socket<LocalAdapter>>, packet: Value, ack: Option<i64>) {
        let limit = usize::try_from(self.service.config.limits.socket_queue).unwrap_or(usize::MAX);
        let packet = packet::waiting(packet);
        match self.session.accept(Inbound { packet, ack, since: Instant::now() }, limit) {
            Accepted::Queued | Accepted::Closed => {}
            Accepted::First => drop(tokio::spawn(work(self.service.clone(), self.session.clone()))),
            Accepted::Full(inbound) => {
                let detail = "too many events wait already; send the rest when these are acknowledged";
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyEvents, detail);
                metrics::counter!("sentinel_socket_events_total", "event" => "any", "outcome" => problem.code())
                    .increment(1);
                if !self.session.acknowledge(inbound.ack, &refusal(problem)) {
                    self.session.end(&self.service.hub, super::Ending::SlowConsumer);
                }
            }
        }
    }
}

/// Handles what waits, then ends.
///
/// Messages that were sent one right after the other go to the store together, in their order: a client that sends
/// many does not wait for a flush to disk for each. Any other event waits until those before it are done, and those after
/// it wait for it; so does a message with files, which must be let into the chat before it takes its place in the store's
/// queue.
async fn work(service: Arc<MessageService>, session: Arc<Session>) {
    let mut sends = FuturesOrdered::new();
    loop {
        let next = if sends.len() < SENDS_AT_ONCE { session.take() } else { None };
        let Some(inbound) = next else {
            if !acknowledge_next(&service, &session, &mut sends).await && session.rest() {
                return;
            }
            continue;
        };
        let packet = &inbound.packet;
        let goes_along = packet::is_plainly(Event::SendMessage.label(), packet) && !packet::shows_files(packet);
        let handled = handle_one(service.clone(), session.clone(), inbound);
        if !goes_along {
            while acknowledge_next(&service, &session, &mut sends).await {}
            let handled = handled.await;
            acknowledge(&service, &session, handled).await;
            continue;
        }
        // Its first poll puts it in the store's queue: it must come before the next one's, whatever the scheduler thinks
        // this task has used up.
        let mut send = Box::pin(tokio::task::unconstrained(handled));
        sends.push_back(match futures::poll!(send.as_mut()) {
            Poll::Ready(handled) => Either::Left(ready(handled)),
            Poll::Pending => Either::Right(send),
        });
    }
}

/// What became of an event.
struct Handled {
    ack: Option<i64>,
    reply: Box<RawValue>,
}

async fn handle_one(service: Arc<MessageService>, session: Arc<Session>, inbound: Inbound) -> Handled {
    let packet = Packet::read(&inbound.packet);
    let event = packet.as_ref().map_or(Event::Unknown, |packet| Event::named(&packet.name));
    let handled = AssertUnwindSafe(handle(&service, &session, event, packet.as_ref())).catch_unwind().await;
    let answer = handled.unwrap_or_else(|_| {
        tracing::error!(event = event.label(), "handling an event panicked");
        Err(Problem::internal())
    });
    let outcome = answer.as_ref().map_or_else(Problem::code, |_| "ok");
    metrics::counter!("sentinel_socket_events_total", "event" => event.label(), "outcome" => outcome).increment(1);
    metrics::histogram!("sentinel_socket_event_duration_seconds", "event" => event.label())
        .record(inbound.since.elapsed().as_secs_f64());
    Handled { ack: inbound.ack, reply: answer.unwrap_or_else(refusal) }
}

/// Acknowledges the next of these that is done, and those after it where its client is slow to read: what is under way has the
/// turn of its chat, for which others wait, so it must not stand still while this client takes its time. `false` when there is
/// none.
async fn acknowledge_next<F: Future<Output = Handled>>(
    service: &MessageService,
    session: &Arc<Session>,
    sends: &mut FuturesOrdered<F>,
) -> bool {
    let Some(handled) = sends.next().await else { return false };
    if session.acknowledge(handled.ack, &handled.reply) {
        return true;
    }
    let later: Vec<Handled> = sends.collect().await;
    for handled in std::iter::once(handled).chain(later) {
        acknowledge(service, session, handled).await;
    }
    true
}

async fn acknowledge(service: &MessageService, session: &Arc<Session>, handled: Handled) {
    session.acknowledge_patiently(&service.hub, handled.ack, &handled.reply).await;
}

/// The events there are; names of others never get into metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    StartPrivateChat,
    SendMessage,
    EditMessage,
    DeleteMessage,
    MessageDelivered,
    MessageRead,
    ReceiveMessage,
    Typing,
    Sync,
    Reauthenticate,
    Heartbeat,
    PresenceSubscribe,
    PresenceUnsubscribe,
    Unknown,
}

impl Event {
    const ALL: [Self; 13] = [
        Self::SendMessage,
        Self::MessageDelivered,
        Self::MessageRead,
        Self::Typing,
        Self::Heartbeat,
        Self::StartPrivateChat,
        Self::EditMessage,
        Self::DeleteMessage,
        Self::ReceiveMessage,
        Self::Sync,
        Self::Reauthenticate,
        Self::PresenceSubscribe,
        Self::PresenceUnsubscribe,
    ];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|event| event.label() == name).unwrap_or(Self::Unknown)
    }

    /// Whether somebody at the device did it, not the client by itself.
    fn shows_use(self) -> bool {
        matches!(
            self,
            Self::StartPrivateChat
                | Self::SendMessage
                | Self::EditMessage
                | Self::DeleteMessage
                | Self::MessageRead
                | Self::Typing
        )
    }

    /// Whether clients may send it in a namespace.
    fn is_of(self, namespace: Namespace) -> bool {
        match namespace {
            Namespace::Chat => self != Self::Unknown,
            Namespace::Notifications | Namespace::Root => self == Self::Reauthenticate,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::StartPrivateChat => "start_private_chat",
            Self::SendMessage => "send_message",
            Self::EditMessage => "edit_message",
            Self::DeleteMessage => "delete_message",
            Self::MessageDelivered => "message_delivered",
            Self::MessageRead => "message_read",
            Self::ReceiveMessage => "receive_message",
            Self::Typing => "typing",
            Self::Sync => "sync",
            Self::Reauthenticate => "reauthenticate",
            Self::Heartbeat => "heartbeat",
            Self::PresenceSubscribe => "presence_subscribe",
            Self::PresenceUnsubscribe => "presence_unsubscribe",
            Self::Unknown => "unknown",
        }
    }
}

type Answer = Result<Box<RawValue>, Problem>;

async fn handle(
    service: &Arc<MessageService>,
    session: &Arc<Session>,
    event: Event,
    packet: Option<&Packet<'_>>,
) -> Answer {
    let caller = session.user_id;
    let is_here = event.is_of(session.namespace());
    // Messages, edits and deletions have a limit of their own, as soon as it is known what they say.
    let has_own_limit = is_here && matches!(event, Event::SendMessage | Event::EditMessage | Event::DeleteMessage);
    if !has_own_limit {
        service.limits.check(Action::SocketEvent, &caller.to_string())?;
    }
    let packet = packet.ok_or_else(|| packet::malformed("an event carries one JSON object"))?;
    if !is_here {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            Code::UnknownEvent,
            "there is no such event here; /asyncapi.json has those that there are",
        ));
    }
    // The seed's event names the peer.
    if event != Event::ReceiveMessage {
        let is_of_caller = packet.is_of(caller);
        (if has_own_limit { counted(service, caller, is_of_caller) } else { is_of_caller })?;
    }
    if let Some(presences) = service.presences.as_ref().filter(|_| event.shows_use()) {
        presences.used(session);
    }
    carry_out(service, session, event, packet).await
}

async fn carry_out(service: &Arc<MessageService>, session: &Arc<Session>, event: Event, packet: &Packet<'_>) -> Answer {
    let caller = session.user_id;
    match event {
        Event::SendMessage => {
            return send(service, session, counted(service, caller, packet.payload())?).await;
        }
        Event::StartPrivateChat => {
            let asked = packet.payload::<StartChat>()?;
            let chat = service.start_chat(caller, asked.receiver_id).await?;
            session.emit(&service.hub, "private_chat_room_created", &json(&chat.chat_id)?);
            return ok(&chat);
        }
        Event::EditMessage => {
            let edit = counted(service, caller, packet.payload::<EditMessage>())?;
            service.edit(caller, edit.chat_id, edit.message_id, edit.message).await?;
        }
        Event::DeleteMessage => {
            let one = counted(service, caller, packet.payload::<OneMessage>())?;
            service.delete(caller, one.chat_id, one.message_id).await?;
        }
        Event::MessageDelivered | Event::MessageRead => {
            let one = packet.payload::<OneMessage>()?;
            let progress = if event == Event::MessageRead { Progress::Read } else { Progress::Delivered };
            service.advance(caller, one.chat_id, progress, one.message_id).await?;
        }
        Event::ReceiveMessage => received_all(service, caller, &packet.payload()?).await?,
        Event::Typing => typing(service, session, packet.payload()?).await?,
        Event::Sync => return ok(&sync::since(service, caller, packet.payload::<SyncSince>()?).await?),
        Event::Reauthenticate => return reauthenticate(service, session, &packet.payload::<Reauthenticate>()?),
        Event::Heartbeat => {
            let active = packet.payload::<Heartbeat>()?.active.unwrap_or(true);
            match &service.presences {
                Some(presences) if active => presences.used(session),
                Some(presences) => presences.idle(session),
                None => {}
            }
        }
        Event::PresenceSubscribe => {
            let users = packet.payload::<WatchedUsers>()?.user_ids;
            let presence = presences(service)?.subscribe(session, users).await?;
            return ok(&PresencesView { presence: presence.into_iter().map(PresenceView::from).collect() });
        }
        Event::PresenceUnsubscribe => {
            presences(service)?.unsubscribe(session, &packet.payload::<WatchedUsers>()?.user_ids);
            return ok(&PresencesView { presence: Vec::new() });
        }
        Event::Unknown => {}
    }
    ok(&json!({}))
}

async fn send(service: &MessageService, session: &Session, message: SendMessage) -> Answer {
    let (chat, new) = message.split();
    let appended = service.send(session.user_id, chat, new, Some(session.origin)).await?;
    let message = &appended.message;
    json(&Sent {
        status: "ok",
        message_id: message.id,
        timestamp: message.id.timestamp(),
        client_message_id: message.client_message_id.as_ref(),
        duplicate: appended.duplicate,
    })
}

/// Clients of the seed name both users, in either order.
async fn received_all(service: &MessageService, caller: UserId, received: &ReceivedAll) -> Result<(), Problem> {
    let peer = match (received.sender_id, received.receiver_id) {
        (peer, receiver) if receiver == caller => peer,
        (sender, peer) if sender == caller => peer,
        _ => return Err(Problem::forbidden("receiver_id is not the caller; give your own id")),
    };
    service.received_all(caller, peer).await
}

/// Counts what is refused before it is a message, an edit or a deletion: nothing else limits it.
fn counted<T>(service: &MessageService, caller: UserId, read: Result<T, Problem>) -> Result<T, Problem> {
    if read.is_err() {
        service.limits.check(Action::SocketEvent, &caller.to_string())?;
    }
    read
}

fn presences(service: &MessageService) -> Result<&Presences, Problem> {
    service.presences.as_deref().ok_or_else(|| {
        let detail = "presence is not available on this instance; do without it";
        Problem::new(StatusCode::NOT_IMPLEMENTED, Code::NotAvailable, detail)
    })
}

/// Tells the peer's devices, unless one blocks the other. It comes often and is worth little: one look at the chat, which
/// knows of blocks at once, and none at the accounts.
async fn typing(service: &MessageService, session: &Session, typing: Typing) -> Result<(), Problem> {
    let caller = session.user_id;
    let (chat, blocked) = service.chats.chat_and_block(caller, typing.chat_id).await?;
    let peer = chat.peer_of(caller);
    let heard = service.routed.is_some() || service.hub.has_sockets_of(peer);
    if peer == caller || !heard || blocked {
        return Ok(());
    }
    let typing = LiveEvent::Typing { chat_id: chat.id, user_id: caller, peer, typing: typing.typing };
    service.fanout().publish(vec![typing]);
    Ok(())
}

/// Lets the socket live on with a new token of the same user.
fn reauthenticate(service: &MessageService, session: &Arc<Session>, asked: &Reauthenticate) -> Answer {
    let claims = service.tokens.verify(&asked.token, Timestamp::now())?;
    if claims.user_id != session.user_id {
        return Err(Problem::forbidden("the token is another user's; connect anew with it"));
    }
    session.renew(claims.session_id, claims.issued_at, claims.expires_at);
    // Whoever ends the log-in of the new token refuses it first, and then ends the sockets that bear it, of which this one
    // was none until now.
    if let Err(error) = service.tokens.verify(&asked.token, Timestamp::now()) {
        session.end(&service.hub, super::Ending::SessionEnded);
        return Err(error.into());
    }
    service.hub.deadlines.watch(session);
    ok(&Reauthenticated { expires_at: claims.expires_at })
}

fn ok(body: &impl Serialize) -> Answer {
    #[derive(Serialize)]
    struct Okay<'a, T: Serialize> {
        status: &'static str,
        #[serde(flatten)]
        body: &'a T,
    }
    json(&Okay { status: "ok", body })
}

fn json(value: &impl Serialize) -> Answer {
    to_raw_value(value).map_err(|_| Problem::internal())
}

/// The acknowledgement of what was refused.
fn refusal(problem: Problem) -> Box<RawValue> {
    let (code, detail, limit) = (problem.code(), problem.detail().to_owned(), problem.limit());
    let retry_after = match problem.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => retry_after(problem),
        _ => None,
    };
    json(&Refused { status: "error", code, detail: &detail, retry_after, limit }).unwrap_or_default()
}

/// Seconds after which to try again, as over HTTP.
fn retry_after(problem: Problem) -> Option<u64> {
    problem.into_response().headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_described_in_the_namespaces_that_take_it_and_no_other() {
        let description = crate::asyncapi::Description::new();
        for namespace in Namespace::ALL {
            let mut described: Vec<_> = description.sends_in(namespace).map(|event| event.name).collect();
            let taken = Event::ALL.into_iter().filter(|event| event.is_of(namespace));
            let mut handled: Vec<_> = taken.map(Event::label).collect();
            described.sort_unstable();
            handled.sort_unstable();
            assert_eq!(described, handled, "{}", namespace.path());
        }
    }

    #[test]
    fn each_event_is_found_by_its_name_and_no_other_gets_into_metrics() {
        for event in Event::ALL {
            assert_eq!(Event::named(event.label()), event);
        }
        for other in ["unknown", "", "Send_Message", "💥"] {
            assert_eq!(Event::named(other), Event::Unknown);
        }
    }

    #[test]
    fn a_refusal_says_when_to_try_again_where_that_helps() {
        let read = |problem| serde_json::from_str::<serde_json::Value>(refusal(problem).get()).unwrap();
        let unavailable = read(Problem::unavailable());
        assert_eq!((&unavailable["status"], &unavailable["code"]), (&json!("error"), &json!("unavailable")));
        assert_eq!(unavailable["retry_after"], 2);
        assert_eq!(read(Problem::not_found()).get("retry_after"), None);
    }
}
