//! One connected socket: who it is, what waits to be handled, and how it ends.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sentinel_domain::{
    event::Origin,
    ids::{EventId, SessionId, UserId},
    place::InboxPlace,
    time::Timestamp,
};
use serde_json::value::RawValue;
use socketioxide::{
    SendError, SocketError, SocketIo,
    adapter::LocalAdapter,
    extract::AckSender,
    handler::{FromMessageParts, Value},
    socket::{Sid, Socket},
};

use super::{
    clock::warn_at,
    connections::{Connections, Line},
    flow::Flow,
};
use crate::hub::{Hub, Seat};

/// How long a client has to close the transport itself after its last socket ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long an acknowledgement waits for a client that does not read, in steps.
const ACK_PATIENCE: u32 = 200;
const ACK_STEP: Duration = Duration::from_millis(25);
/// Bytes of packets that wait to be handled, per socket. The largest one is let in when nothing else waits.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// How it is told that a client left a namespace by itself.
pub(super) const CLIENT_DISCONNECT: &str = "client_disconnect";

/// Which namespace a socket is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// `/`: some clients join it along with others; nothing happens there, and they send nothing but `reauthenticate`.
    Root,
    /// `/chat`.
    Chat,
    /// `/notifications`: what a user is told of; clients send nothing but `reauthenticate`.
    Notifications,
}

impl Namespace {
    /// Every one. Clients join any of them over one transport, each with a token of its own.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Notifications, Self::Root];

    /// Its name as clients write it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Chat => "/chat",
            Self::Notifications => "/notifications",
        }
    }
}

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its session was ended: it shall not come back by itself.
    SessionEnded,
    /// Its token's time is over: likewise.
    Expired,
    /// It does not read what it gets: it shall come back and sync.
    SlowConsumer,
    /// The process stops: it shall come back and reach another.
    Drained,
    /// It went by itself, or the network did.
    Left(&'static str),
}

impl Ending {
    fn label(self) -> &'static str {
        match self {
            Self::SessionEnded => "session_ended",
            Self::Expired => "token_expired",
            Self::SlowConsumer => "slow_consumer",
            Self::Drained => "drained",
            Self::Left(reason) => reason,
        }
    }
}

/// An event as it came in.
pub(super) struct Inbound {
    pub packet: Value,
    pub ack: Option<i64>,
    pub since: Instant,
}

/// What became of an event that came in.
pub(super) enum Accepted {
    /// It waits, and somebody is at work.
    Queued,
    /// It waits, and somebody has to start working.
    First,
    /// Too many wait already.
    Full(Inbound),
    /// The socket has ended.
    Closed,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Inbound>,
    /// Of the packets that wait.
    bytes: usize,
    working: bool,
    closed: bool,
}

/// A connected socket.
pub(crate) struct Session {
    pub user_id: UserId,
    pub origin: Origin,
    namespace: Namespace,
    log_in: Mutex<SessionId>,
    expires_at: AtomicI64,
    /// When its client is told that its token is about to expire.
    warn_at: AtomicI64,
    /// When the clock looks at it next.
    pub(super) due_at: AtomicI64,
    pub(super) warned: AtomicBool,
    ended: AtomicBool,
    /// From where its `ready` said to sync.
    syncs_from: OnceLock<Box<InboxPlace>>,
    sid: Sid,
    // The server's socket holds the handlers, which hold this: weak, or neither would ever go.
    socket: Weak<Socket<LocalAdapter>>,
    line: Option<Line>,
    flow: Arc<Flow>,
    connections: Arc<Connections>,
    queue: Mutex<Queue>,
    _seat: Seat,
}

/// What a session is made of.
pub(super) struct NewSession<'a> {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub namespace: Namespace,
    pub socket: &'a Arc<Socket<LocalAdapter>>,
    pub connections: &'a Arc<Connections>,
    pub seat: Seat,
}

impl Session {
    pub(super) fn new(new: NewSession<'_>) -> Arc<Self> {
        let (origin, _) = uuid::Uuid::new_v4().as_u64_pair();
        let extensions = &new.socket.req_parts().extensions;
        let flow = new.connections.join_flow(new.socket.id, extensions.get::<Arc<Flow>>().cloned());
        Arc::new(Self {
            user_id: new.user_id,
            origin: Origin(origin),
            namespace: new.namespace,
            log_in: Mutex::new(new.session_id),
            expires_at: AtomicI64::new(new.expires_at.0),
            warn_at: AtomicI64::new(warn_at(new.issued_at, new.expires_at).0),
            due_at: AtomicI64::new(i64::MAX),
            warned: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            syncs_from: OnceLock::new(),
            sid: new.socket.id,
            socket: Arc::downgrade(new.socket),
            line: extensions.get::<Line>().cloned(),
            flow,
            connections: new.connections.clone(),
            queue: Mutex::default(),
            _seat: new.seat,
        })
    }

    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    pub fn session_id(&self) -> SessionId {
        *self.log_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.expires_at.load(Ordering::Relaxed))
    }

    pub fn warn_at(&self) -> Timestamp {
        Timestamp(self.warn_at.load(Ordering::Relaxed))
    }

    /// Goes on with a new token.
    pub fn renew(&self, session: SessionId, issued_at: Timestamp, expires_at: Timestamp) {
        *self.log_in.lock().unwrap_or_else(PoisonError::into_inner) = session;
        self.expires_at.store(expires_at.0, Ordering::Relaxed);
        self.warn_at.store(warn_at(issued_at, expires_at).0, Ordering::Relaxed);
        self.warned.store(false, Ordering::Relaxed);
    }

    /// The client is about to be told to sync from here.
    pub fn sync_from(&self, place: InboxPlace) {
        // Told once.
        let _ = self.syncs_from.set(Box::new(place));
    }

    /// From where the client was told to sync, if it was.
    pub fn syncs_from(&self) -> Option<&InboxPlace> {
        self.syncs_from.get().map(AsRef::as_ref)
    }

    /// Whether the client was told to sync from after this event, which it therefore has or does not want.
    pub fn syncs_from_after(&self, event: EventId) -> bool {
        self.syncs_from().is_some_and(|place| place.has(event))
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Hands a live event of `/chat` to the client; tells whether it was. A client that does not read is cut off.
    pub fn emit(self: &Arc<Self>, hub: &Arc<Hub>, event: &'static str, payload: &RawValue) -> bool {
        self.emit_in(Namespace::Chat, hub, event, payload)
    }

    /// The same in another namespace; nothing happens when the socket is not in it.
    pub fn emit_in(
        self: &Arc<Self>,
        namespace: Namespace,
        hub: &Arc<Hub>,
        event: &'static str,
        payload: &RawValue,
    ) -> bool {
        if self.namespace != namespace || self.has_ended() {
            return false;
        }
        let Some(socket) = self.socket.upgrade() else { return false };
        if self.flow.is_full() {
            self.end(hub, Ending::SlowConsumer);
            return false;
        }
        self.flow.add(payload.get().len());
        match socket.emit(event, payload) {
            Ok(()) => true,
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                self.end(hub, Ending::SlowConsumer);
                false
            }
            Err(_) => false,
        }
    }

    /// Acknowledges an event at once; `false` when the client has too much to read already.
    pub fn acknowledge(&self, ack: Option<i64>, reply: &RawValue) -> bool {
        let (Some(id), Some(socket)) = (ack, self.socket.upgrade()) else { return true };
        if self.flow.is_full() {
            return false;
        }
        self.flow.add(reply.get().len());
        let mut nothing = Value::Str("".into(), None);
        let Ok(sender) = AckSender::from_message_parts(&socket, &mut nothing, &Some(id));
        !matches!(sender.send(reply), Err(SendError::Socket(SocketError::InternalChannelFull)))
    }

    /// Acknowledges an event, waiting a while for a client that is slow to read. That holds up its own events only.
    pub async fn acknowledge_patiently(self: &Arc<Self>, hub: &Arc<Hub>, ack: Option<i64>, reply: &RawValue) {
        for _ in 0..ACK_PATIENCE {
            if self.acknowledge(ack, reply) || self.has_ended() {
                return;
            }
            tokio::time::sleep(ACK_STEP).await;
        }
        self.end(hub, Ending::SlowConsumer);
    }

    /// Puts an event into the queue, of which there is one per socket so that events are handled in order.
    pub(super) fn accept(&self, inbound: Inbound, limit: usize) -> Accepted {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Accepted::Closed;
        }
        let bytes = queue.bytes.saturating_add(inbound.packet.len());
        if queue.waiting.len() >= limit || (bytes > WAITING_BYTES && !queue.waiting.is_empty()) {
            return Accepted::Full(inbound);
        }
        queue.bytes = bytes;
        queue.waiting.push_back(inbound);
        if std::mem::replace(&mut queue.working, true) { Accepted::Queued } else { Accepted::First }
    }

    /// The next event to handle, if one waits.
    pub(super) fn take(&self) -> Option<Inbound> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let inbound = queue.waiting.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(inbound.packet.len());
        Some(inbound)
    }

    /// Whether nothing waits any more. Then the worker must stop: an idle socket has neither worker nor buffer.
    pub(super) fn rest(&self) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = queue.waiting.is_empty();
        if empty {
            queue.working = false;
            queue.waiting = VecDeque::new();
        }
        empty
    }

    /// Ends the socket, once.
    pub fn end(self: &Arc<Self>, hub: &Arc<Hub>, ending: Ending) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        hub.deadlines.forget(self);
        hub.leave(self);
        metrics::counter!("sentinel_sockets_closed_total", "reason" => ending.label()).increment(1);
        match ending {
            // What it sent before it went is still done. A transport that it left open has no seat and no token any more.
            Ending::Left(CLIENT_DISCONNECT) => match self.socket.upgrade() {
                Some(socket) => self.cut_when_unused(server_of(&socket)),
                None => self.cut(),
            },
            Ending::Left(_) => {}
            // It is the transport that is not read, or that has to go; with it go the sockets of other namespaces.
            Ending::SlowConsumer | Ending::Drained => self.cut(),
            Ending::SessionEnded | Ending::Expired => {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.closed = true;
                queue.waiting.clear();
                queue.bytes = 0;
                drop(queue);
                let Some(socket) = self.socket.upgrade() else { return self.cut() };
                let server = server_of(&socket);
                // A namespace disconnect tells stock clients not to come back with the same token.
                if socket.disconnect().is_err() {
                    return self.cut();
                }
                self.cut_when_unused(server);
            }
        }
    }

    /// Cuts the transport in a moment, unless it carries a socket then: other namespaces have tokens of their own.
    fn cut_when_unused(self: &Arc<Self>, server: SocketIo) {
        let session = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            if !has_sockets(&server, session.sid) {
                session.cut();
            }
        });
    }

    fn cut(&self) {
        self.connections.cut(self.sid, self.line.as_ref());
    }
}

fn server_of(socket: &Arc<Socket<LocalAdapter>>) -> SocketIo {
    let Ok(server) = SocketIo::from_message_parts(socket, &mut Value::Str("".into(), None), &None);
    server
}

/// Whether a transport carries a socket in any namespace.
fn has_sockets(server: &SocketIo, sid: Sid) -> bool {
    let in_namespace = |namespace: Namespace| server.of(namespace.path())?.get_socket(sid);
    Namespace::ALL.into_iter().any(|namespace| in_namespace(namespace).is_some())
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connections.leave_flow(self.sid, &self.flow);
    }
}
