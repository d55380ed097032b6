//! Search over encrypted messages: what a word is, what is asked for, and how both are hidden from the index.
//!
//! A text is cut into [`token`]s and each becomes [`terms`], blind ones unless the deployment wants plain ones, which is
//! all that an index ever gets. A [`query`] is
//! cut in the same way. What the index finds is decrypted and checked against the query again, so that neither a stale
//! entry nor a collision is ever shown; the places to highlight come from that check.

mod fold;
mod query;
mod terms;
mod token;

pub use self::{
    query::{Highlight, Query},
    terms::{InvalidMark, Mark, SearchKeys, TERM_BYTES, Term},
};
