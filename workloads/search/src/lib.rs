//! Search service: indexes messages by blind terms and finds them for their members.
//!
//! [`Indexer`] consumes platform events; [`SearchService`] and its [`router`] answer `GET /search/messages`.

mod http;
mod indexer;
mod service;

pub use self::{
    http::{openapi, router},
    indexer::Indexer,
    service::SearchService,
};
