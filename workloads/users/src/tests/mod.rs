//! The routes over stores in memory.

mod account;
mod admin_stores;
mod administration;
mod app;
mod description;
mod errors;
mod export;
mod limits;
mod lookup;
mod mail;
mod mail_store;
mod owned_stores;
mod presence;
mod relay;
mod reports;
mod sessions;
mod signing_in;
mod stores;
