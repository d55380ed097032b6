//! The routes over stores in memory.

mod account;
mod app;
mod description;
mod errors;
mod export;
mod lookup;
mod sessions;
mod signing_in;
mod stores;
