//! Adapters of the domain's ports, one module per store.

pub mod credentials;
pub mod keys;
pub mod redis;
pub mod sqlite;
