//! Adapters of the domain's ports, one module per store.

pub mod keys;
pub mod sqlite;
