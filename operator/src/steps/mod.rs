//! The steps of a reconcile; [`crate::reconcile`] has their order.
//!
//! [`validate`], [`observe`], [`dereference`], [`sequence`], [`plan`], [`apply`], [`prune`], [`status`] and [`finalize`] are
//! the steps, and their parts are below them. Beside them is what several of them need: volumes that grow, findings of Jobs,
//! the resource's fields. [`unreadable`] is what is done with a resource that no step can take.
//!
//! Only those that talk to the cluster hold a client; validate, sequence, plan, growth and the assessment in status are pure,
//! as is [`crate::build`].

pub mod apply;
pub mod dereference;
mod fields;
pub mod finalize;
pub mod findings;
pub mod growth;
pub mod observe;
pub mod plan;
pub mod prune;
pub mod sequence;
pub mod status;
pub mod unreadable;
pub mod validate;
