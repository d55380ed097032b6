//! Logs: JSON lines in a cluster, plain lines on a terminal. `RUST_LOG` chooses what is logged.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter,
    filter::{FilterFn, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Libraries that log what goes over connections, tokens and messages included, when asked for details.
const TALKATIVE: [&str; 7] =
    ["tungstenite", "tokio_tungstenite", "socketioxide", "socketioxide_core", "engineioxide", "hyper", "h2"];

/// Where the driver of Cassandra repeats each notice of a node, such as that a batch is larger than 5 KiB, which every
/// message of that size makes it.
const NOTICES: &str = "scylla::network::connection";

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

/// What people write never gets into a log, whatever `RUST_LOG` says.
fn discreet() -> FilterFn {
    filter_fn(|metadata| may_log(metadata.target(), *metadata.level()))
}

fn may_log(target: &str, level: tracing::Level) -> bool {
    if target.starts_with(NOTICES) {
        return level == tracing::Level::ERROR;
    }
    let library = target.split("::").next().unwrap_or_default();
    level <= tracing::Level::WARN || !TALKATIVE.contains(&library)
}

/// Logs JSON lines to standard output.
pub fn start_json() {
    fmt().json().flatten_event(true).with_env_filter(filter()).finish().with(discreet()).init();
}

/// Logs plain lines to standard error, so that standard output is free for what was asked.
pub fn start_plain() {
    let lines = fmt().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    lines.with_env_filter(filter()).finish().with(discreet()).init();
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_that_see_messages_say_nothing_of_them() {
        for target in ["tungstenite::protocol", "tokio_tungstenite", "engineioxide::transport::ws", "hyper::proto::h1"]
        {
            for level in [Level::TRACE, Level::DEBUG, Level::INFO] {
                assert!(!may_log(target, level), "{target} {level}");
            }
            assert!(may_log(target, Level::WARN) && may_log(target, Level::ERROR), "{target}");
        }
        assert!(may_log("sentinel_message::hub", Level::TRACE) && may_log("hyperbole", Level::TRACE));
    }
}
