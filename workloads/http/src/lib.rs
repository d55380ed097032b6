//! What HTTP services share: problem documents, authentication, rate limits, request ids, and what several of them show.

pub mod auth;
pub mod client;
pub mod conditional;
pub mod describe;
pub mod ended_sessions;
pub mod extract;
pub mod layers;
pub mod page;
pub mod problem;
pub mod rate;
pub mod request;
pub mod tokens;
pub mod views;
