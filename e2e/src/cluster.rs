//! A real Kubernetes for development and tests.
//!
//! Two providers stand behind one trait: [`kind`] where a container engine answers, and [`local`], which runs the
//! parts of Kubernetes as plain processes inside a network namespace and needs nothing but root.

pub mod forwarder;
pub mod kind;
pub mod kubectl;
pub mod local;
pub mod process;
pub mod provider;
pub mod state;

pub use kubectl::Kubectl;
pub use provider::{Choice, Provider, Service};
pub use state::State;
