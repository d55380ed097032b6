//! Adapters of the domain's ports, one module per store.

pub mod credentials;
pub mod kafka;
pub mod keys;
pub mod linked;
pub mod postgres;
pub mod sqlite;
