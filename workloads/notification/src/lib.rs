//! Notification service: consumes platform events and tells people of messages that they have not seen.
//!
//! [`Notifier`] is the consumer; [`router`] lets users see their notifications and say how they want them.

mod consumer;
mod http;
mod service;
mod views;

pub use self::{
    consumer::Notifier,
    http::{openapi, router},
    service::NotificationService,
};

#[cfg(test)]
mod tests;
