//! Adapters of the domain's ports, one module per store.
