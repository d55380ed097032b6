//! Presence service: who is online, and when somebody was last active.
//!
//! Sockets tell the store of their devices (the message service does); [`router`] answers what HTTP clients ask.

mod http;
mod service;
mod views;

pub use self::{
    http::{openapi, router},
    service::PresenceService,
};

#[cfg(test)]
mod tests;
