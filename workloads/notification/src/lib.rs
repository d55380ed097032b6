//! Notification service: consumes platform events and tells people of messages that they have not seen.
//!
//! [`Notifier`] is the consumer that keeps lists and tells open sockets, [`Pusher`] the one that pushes to devices;
//! [`router`] lets users see their notifications and say how they want them, and admins tell users what they have to say.

mod badges;
mod consumer;
mod delay;
mod devices;
mod http;
mod notices;
mod pusher;
mod service;
mod views;

pub use self::{
    badges::Badges,
    consumer::Notifier,
    http::{openapi, router},
    pusher::Pusher,
    service::NotificationService,
};

#[cfg(test)]
mod tests;
