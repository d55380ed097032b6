//! Logs: JSON lines in a cluster, plain lines on a terminal. `RUST_LOG` chooses what is logged.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

fn filter() -> EnvFilter {
    // The socket libraries log payloads below warn: never by default.
    EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,socketioxide=warn,engineioxide=warn,hyper=warn"))
}

/// Logs JSON lines to standard output.
pub fn start_json() {
    fmt().json().flatten_event(true).with_env_filter(filter()).init();
}

/// Logs plain lines to standard error, so that standard output is free for what was asked.
pub fn start_plain() {
    fmt().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).with_env_filter(filter()).init();
}
