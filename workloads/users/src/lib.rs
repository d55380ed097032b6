//! Users service: accounts, sessions, tokens, look-ups, blocks, reports of abuse, administration.

mod account;
mod administration;
mod answer;
mod blocks;
mod device;
mod email;
mod export;
mod login;
mod lookup;
pub mod mail;
pub mod password;
mod profile;
mod refresh;
mod register;
mod reports;
mod routes;
mod service;
mod sessions;

pub use routes::{openapi, router};
pub use service::{UserStores, UsersService};

#[cfg(test)]
mod tests;
