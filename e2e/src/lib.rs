//! Clusters, images, end-to-end tests and load generator.
//!
//! [`cluster`] brings up a real Kubernetes (kind, or a local one made of its Go modules), [`images`] packs the
//! container images into one archive, and [`up`] puts Sentinel on it. Tests need none of this: a `KUBECONFIG` is enough.
//! [`web`] builds the web client. [`stores`] runs the real databases on 127.0.0.1 for tests that need no cluster.
//! [`load`] measures a server on this machine, or the chat on a cluster.

pub mod cli;
pub mod cluster;
pub mod host;
pub mod images;
pub mod load;
pub mod report;
pub mod stores;
pub mod up;
pub mod web;
