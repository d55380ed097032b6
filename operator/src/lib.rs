//! Kubernetes operator that reconciles `SentinelChat` resources.

// Comments of API types become descriptions of the definition, where backticks are noise; the rest
// follows them.
#![allow(clippy::doc_markdown)]

pub mod admin;
pub mod answer;
pub mod api;
pub mod backoff;
pub mod build;
pub mod chats;
pub mod cluster_dns;
pub mod controller;
pub mod crd;
pub mod endpoint;
pub mod events;
pub mod generate;
pub mod image;
pub mod installation;
pub mod lease;
pub mod names;
pub mod providers;
pub mod rbac;
pub mod reconcile;
pub mod reference;
pub mod render;
pub mod settings;
pub mod steps;
pub mod story;
pub mod subset;
