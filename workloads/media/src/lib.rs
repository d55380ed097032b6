//! Media service: takes files in, checks them, and hands them out to members of their chats.
//!
//! [`router`] announces uploads, checks them and gives links; [`files_router`] serves the links where the bytes are files
//! of this process; [`collect`] destroys what nobody uses.

mod access;
mod base;
mod budget;
mod check;
mod collect;
mod files;
mod http;
mod links;
mod picture;
mod range;
mod receiving;
mod service;
mod upload;
mod views;

#[cfg(test)]
mod tests;

pub use self::{
    collect::{Collector, collect},
    files::files_router,
    http::{openapi, router},
    service::MediaService,
};
