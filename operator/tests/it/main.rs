//! Tests of the operator without a cluster.

// Helpers of tests are no test functions, which is all that the configuration of clippy exempts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value, clippy::doc_markdown)]

mod alerts;
mod api_server;
mod bad_input;
mod certificate;
mod claims;
mod command_line;
mod conditions;
mod controller;
mod credentials;
mod deletion;
mod distributed;
mod drift;
mod external;
mod faults;
mod generated;
mod installations;
mod keys;
mod lease;
mod lifecycle;
mod lost_store;
mod lost_volume;
mod migration;
mod nginx;
mod nodes;
mod operations;
mod policies;
mod refused_pods;
mod samples;
mod scale_in;
mod storage;
mod story;
mod troubles;
mod waiting;
mod webhook;
mod world;
