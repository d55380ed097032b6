//! Search service: indexes messages by terms and finds them for their members.
//!
//! [`Indexer`] consumes platform events; [`SearchService`] and its [`router`] answer `GET /search/messages`; [`Reindexer`]
//! makes the index anew.

mod admin;
mod http;
mod indexer;
mod reindex;
mod service;
mod terms;

pub use self::{
    http::{openapi, router},
    indexer::Indexer,
    reindex::{ReindexError, Reindexed, Reindexer},
    service::SearchService,
    terms::Freshness,
};
