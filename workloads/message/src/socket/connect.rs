//! Joining and leaving a namespace.

use std::{fmt::Display, future::Future, num::NonZeroU32, pin::Pin, sync::Arc, time::Duration};

use sentinel_domain::time::Timestamp;
use sentinel_http::{extract::parse_json, problem::Code, rate::Action};
use serde::Deserialize;
use socketioxide::{
    adapter::LocalAdapter,
    handler::{ConnectHandler, DisconnectHandler, Value},
    socket::{DisconnectReason, Socket},
};

use super::{
    Ending, Namespace, Session,
    events::Inlet,
    refusal::Refusal,
    session::{CLIENT_DISCONNECT, NewSession},
};
use crate::{
    dispatcher,
    hub::Hub,
    service::MessageService,
    sync,
    views::{LimitsView, ReadyView},
};

type Admission<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Display + Send>>> + Send + 'a>>;

/// How long a socket that joins waits for the store to tell whether its session is still there.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gate of a namespace.
#[derive(Clone)]
pub(super) struct Gate {
    pub service: Arc<MessageService>,
    pub namespace: Namespace,
}

/// The payload of a CONNECT.
#[derive(Deserialize)]
struct Credentials {
    token: Option<String>,
}

// Both are called inline, in the order of packets: what is set up in the first is there before the client can know
// that it has joined, so no event of it goes unheard.
impl ConnectHandler<LocalAdapter, Gate> for Gate {
    fn call_middleware<'a>(&'a self, socket: Arc<Socket<LocalAdapter>>, auth: &'a Option<Value>) -> Admission<'a> {
        let admitted = self.admit(&socket, auth.as_ref());
        Box::pin(std::future::ready(admitted.map_err(|refusal| {
            metrics::counter!("sentinel_sockets_refused_total", "code" => refusal.code.as_str()).increment(1);
            Box::new(refusal) as Box<dyn Display + Send>
        })))
    }

    fn call(&self, socket: Arc<Socket<LocalAdapter>>, _: Option<Value>) {
        let Some(session) = socket.extensions.get::<Arc<Session>>() else { return };
        let hub = &self.service.hub;
        hub.join(&session);
        hub.deadlines.watch(&session);
        if session.has_ended() {
            // It went while it came.
            hub.leave(&session);
            hub.deadlines.forget(&session);
        } else {
            tokio::spawn(greet(self.service.clone(), session));
        }
    }
}

impl Gate {
    /// Verifies the token, which costs no I/O, and sets the socket up.
    fn admit(&self, socket: &Arc<Socket<LocalAdapter>>, auth: Option<&Value>) -> Result<(), Refusal> {
        let token = auth
            .and_then(Value::as_str)
            .and_then(|auth| parse_json::<Credentials>(auth.as_bytes()).ok())
            .and_then(|credentials| credentials.token)
            .ok_or_else(|| Refusal {
                code: Code::MissingToken,
                message: "connect with auth {token}, an access token".into(),
            })?;
        let claims = self
            .service
            .tokens
            .verify(&token, Timestamp::now())
            .map_err(|error| Refusal { code: error.code(), message: error.to_string() })?;
        // Each costs several reads of the stores, also when the client leaves at once.
        self.service.limits.check(Action::SocketEvent, &claims.user_id.to_string()).map_err(|_| Refusal {
            code: Code::RateLimited,
            message: "too many connects: wait a few seconds".into(),
        })?;
        let most = self.service.config.limits.sockets_per_user;
        let seat = self.service.hub.take_seat(claims.user_id, most).ok_or_else(|| Refusal {
            code: Code::TooManySockets,
            message: format!("{most} sockets of this user are open: close one, or connect again in a minute"),
        })?;
        let session = Session::new(NewSession {
            user_id: claims.user_id,
            session_id: claims.session_id,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            namespace: self.namespace,
            socket,
            connections: &self.service.connections,
            seat,
        });
        socket.on_fallback(Inlet { service: self.service.clone(), session: session.clone() });
        socket.on_disconnect(Departure { hub: self.service.hub.clone(), session: session.clone() });
        socket.extensions.insert(session);
        Ok(())
    }
}

/// What needs the store: whether the session is still there, and from where to sync.
async fn greet(service: Arc<MessageService>, session: Arc<Session>) {
    // Other nodes send events here before the place to sync from is read: nothing falls in between.
    let registered = async {
        if let Some(routed) = &service.routed {
            routed.register(session.user_id).await;
        }
    };
    if session.has_ended() {
        return;
    }
    let found = tokio::time::timeout(PATIENCE, service.sessions.session(session.session_id()));
    // While the store of sessions is away, the token's word counts.
    if let (Ok(Ok(None)), ()) = tokio::join!(found, registered) {
        session.end(&service.hub, Ending::SessionEnded);
        return;
    }
    if session.namespace() != Namespace::Chat {
        return;
    }
    if let Some(presences) = &service.presences {
        presences.connected(&session);
    }
    let limits = &service.config.limits;
    // Without the store, a client syncs from the token that it has.
    let head = service.inboxes.inbox_head(session.user_id, Timestamp::now()).await.ok();
    let sync_token = head.as_ref().map(|head| sync::token(&service.keyring, session.user_id, head));
    if let (Some(head), Some(_)) = (head, &service.routed) {
        session.sync_from(head);
    }
    let ready = ReadyView {
        user_id: session.user_id,
        session_id: session.session_id(),
        sync_token,
        limits: LimitsView {
            message_bytes: limits.message_bytes,
            packet_bytes: limits.body_bytes,
            messages_per_second: limits.messages_per_second,
            queued_events: limits.socket_queue,
            message_retention_seconds: service.config.retention.message_seconds.map(NonZeroU32::get),
        },
    };
    if let Some(ready) = dispatcher::raw(&ready) {
        session.emit(&service.hub, "ready", &ready);
    }
}

/// Called when a socket has gone, whatever the reason.
struct Departure {
    hub: Arc<Hub>,
    session: Arc<Session>,
}

impl DisconnectHandler<LocalAdapter, Departure> for Departure {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<LocalAdapter>>,
        reason: DisconnectReason,
        defer: fn(Arc<Socket<LocalAdapter>>),
    ) {
        let reason = match reason {
            DisconnectReason::ClientNSDisconnect => CLIENT_DISCONNECT,
            DisconnectReason::TransportClose => "transport_close",
            DisconnectReason::HeartbeatTimeout => "heartbeat_timeout",
            DisconnectReason::PacketParsingError => "malformed_packet",
            DisconnectReason::MultipleHttpPollingError => "multiple_polls",
            DisconnectReason::ServerNSDisconnect | DisconnectReason::ClosingServer => "server",
            DisconnectReason::TransportError => "transport_error",
        };
        self.session.end(&self.hub, Ending::Left(reason));
        defer(socket);
    }
}
