//! Types, ids, rules and ports of the chat platform; no I/O.

pub mod config;
