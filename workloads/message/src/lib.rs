//! Message service: chats, messages, history, sync and the Socket.IO edge.
//!
//! [`Hub`] is the fan-out that the store publishes to; [`MessageService`] is what routes and events have in common;
//! [`router`] and [`socket_router`] are its two faces.

mod http;
mod hub;
mod live;
mod page;
mod relay;
mod requests;
mod service;
mod socket;
mod sync;
mod views;

pub use self::{
    http::{openapi, router},
    hub::Hub,
    relay::relay,
    service::MessageService,
    socket::socket_router,
};
