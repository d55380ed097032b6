//! Tests of the operator without a cluster.

mod api_server;
mod conditions;
mod controller;
mod deletion;
mod faults;
mod generated;
mod lifecycle;
mod nginx;
mod samples;
mod storage;
mod world;
