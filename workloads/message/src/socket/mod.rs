//! The Socket.IO edge.

pub(crate) mod clock;
mod connect;
mod connections;
mod drain;
mod edge;
mod events;
mod flow;
mod packet;
mod peers;
mod refusal;
mod replica;
mod session;
mod tunnel;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use socketioxide::{ParserConfig, SocketIo};

pub use self::replica::{Replica, ReplicaError};
pub(crate) use self::{
    clock::Deadlines,
    connections::Connections,
    session::{Ending, Namespace, Session},
};
use self::{
    connect::Gate,
    edge::{Edge, Nowhere},
    peers::Peers,
};
use crate::service::MessageService;

/// Time for a client to join a namespace once its transport is open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most JSON bytes that one byte of text can take (`\u0000`).
const ESCAPED: usize = 6;
/// Room for the rest of a packet around its text.
const ENVELOPE: usize = 4096;
/// First read buffer of a WebSocket; it grows with what comes. Reading a frame takes twice its length at times, so this
/// is what a CONNECT with a token needs for the buffer of an idle socket not to have grown.
const READ_BUFFER: usize = 1280;
/// Packets that may wait for a client to read them beyond the answers to its own events.
const LIVE_PACKETS: usize = 256;

/// The routes of the Socket.IO server: `/socket.io/`, polling and WebSocket.
///
/// With a `replica`, session ids name the process that has the session, and requests for a session of another one are
/// passed on to it: any of them may be sent any request.
///
/// Origins are checked here. CORS, request ids and the like are the caller's layers; none of them may limit the time
/// of a request to less than the ping interval (25 s).
pub fn socket_router(service: &Arc<MessageService>, replica: Option<Replica>) -> Router {
    let limits = &service.config.limits;
    let bytes = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    // A text over its limit must get as far as to be answered; only what is far too large breaks the transport.
    let packet_bytes = bytes(limits.body_bytes).max(bytes(limits.message_bytes).saturating_mul(ESCAPED)) + ENVELOPE;
    let parser = ParserConfig::common().max_incoming_binaries(16).max_incoming_binary_buf_size(packet_bytes);
    let (engine, io) = SocketIo::builder()
        .max_payload(packet_bytes as u64)
        .ws_max_message_size(packet_bytes)
        .ws_max_frame_size(packet_bytes)
        .ws_read_buffer_size(READ_BUFFER)
        .max_buffer_size(bytes(limits.socket_queue).saturating_add(LIVE_PACKETS))
        .connect_timeout(CONNECT_TIMEOUT)
        .with_parser(parser)
        .build_with_inner_svc(Nowhere);
    for namespace in Namespace::ALL {
        io.ns(namespace.path(), Gate { service: service.clone(), namespace });
    }
    let origins = service.config.auth.cors_origins.iter().map(|origin| origin.trim_end_matches('/').to_owned());
    let edge = Edge {
        service: engine,
        connections: service.connections.clone(),
        origins: origins.collect(),
        peers: replica.map(Peers::new),
    };
    Router::new()
        .route("/socket.io", any(edge::serve))
        .route("/socket.io/", any(edge::serve))
        .with_state(Arc::new(edge))
}
