//! Users service: accounts, sessions, tokens, look-ups, blocks.

mod account;
mod answer;
mod blocks;
mod device;
mod export;
mod login;
mod lookup;
pub mod password;
mod profile;
mod refresh;
mod register;
mod routes;
mod service;
mod sessions;

pub use routes::{openapi, router};
pub use service::UsersService;

#[cfg(test)]
mod tests;
