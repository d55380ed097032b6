//! Message service: chats, messages, history, sync and the Socket.IO edge.
//!
//! [`Hub`] is the fan-out that the store publishes to; [`MessageService`] is what routes and events have in common;
//! [`router`] and [`socket_router`] are its two faces.

mod accounts;
mod asyncapi;
mod attachments;
mod dispatcher;
mod http;
mod hub;
mod nodes;
mod presence;
mod relay;
mod requests;
mod service;
mod socket;
mod sync;
mod views;

pub use self::{
    asyncapi::asyncapi,
    http::{openapi, router},
    hub::Hub,
    nodes::{Nodes, RoutedFanout},
    relay::relay,
    service::{MessageService, MessageStores},
    socket::{Replica, ReplicaError, socket_router},
};
