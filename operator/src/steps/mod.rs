//! The steps of a reconcile; [`crate::reconcile`] has their order.
//!
//! One module a step. Only those that talk to the cluster hold a client; validate, sequence, plan, growth
//! and the assessment in status are pure, as is [`crate::build`].

pub mod apply;
pub mod asking;
pub mod certificate;
mod contents;
pub mod dereference;
mod fields;
pub mod finalize;
pub mod findings;
pub mod growth;
pub mod leave;
pub mod observe;
pub mod plan;
pub mod probe;
pub mod prune;
pub mod repair;
pub mod search_nodes;
pub mod sequence;
pub mod status;
pub mod tls;
mod traces;
pub mod unreadable;
pub mod validate;
pub mod volumes;
mod warnings;
