//! Types, ids, rules and ports of the chat platform; no I/O.

pub mod account;
pub mod audit;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod event;
pub mod findings;
pub mod ids;
pub mod keyring;
pub mod mail;
pub mod media;
pub mod message;
pub mod nodes;
pub mod notice;
pub mod notification;
pub mod outbox;
pub mod place;
pub mod ports;
pub mod presence;
pub mod push;
pub mod reindex;
pub mod report;
pub mod search;
pub mod session;
pub mod time;
pub mod watermark;
