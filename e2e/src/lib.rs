//! Clusters, images, end-to-end tests and load generator.
//!
//! [`cluster`] brings up a real Kubernetes (kind, or a local one made of its Go modules), [`images`] packs the
//! container images into one archive, and [`up`] puts Sentinel on it. Tests need none of this: a `KUBECONFIG` is enough.
//! [`load`] measures a server on this machine.

pub mod cli;
pub mod cluster;
pub mod host;
pub mod images;
pub mod load;
pub mod report;
pub mod up;
