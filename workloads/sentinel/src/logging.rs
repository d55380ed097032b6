//! Logs: JSON lines in a cluster, plain lines on a terminal. `RUST_LOG` chooses what is logged.

use std::{collections::BTreeMap, error::Error, fmt::Debug, io::IsTerminal as _, iter::successors};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterFn, filter_fn},
    fmt,
    fmt::{
        FmtContext, FormatEvent, FormatFields, SubscriberBuilder,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
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

/// JSON lines in which an error has its causes: the library writes what an error says itself, and not what it came from.
struct WithCauses(Format<Json>);

impl<S, N> FormatEvent<S, N> for WithCauses
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut chains = Chains::default();
        event.record(&mut chains);
        if chains.0.is_empty() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let mut fields: serde_json::Map<_, _> = serde_json::from_str(&line).map_err(|_| std::fmt::Error)?;
        fields.extend(chains.0.into_iter().map(|(name, chain)| (name.to_owned(), chain.into())));
        let line = serde_json::to_string(&fields).map_err(|_| std::fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Errors of an event that have a cause, each as `what: its cause: the cause of that`.
#[derive(Default)]
struct Chains(BTreeMap<&'static str, String>);

impl Visit for Chains {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        if error.source().is_some() {
            let chain: Vec<_> = successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect();
            self.0.insert(field.name(), chain.join(": "));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

fn json_lines() -> SubscriberBuilder<JsonFields, WithCauses> {
    fmt().json().flatten_event(true).map_event_format(WithCauses)
}

/// Logs JSON lines to standard output.
pub fn start_json() {
    json_lines().with_env_filter(filter()).finish().with(discreet()).init();
}

/// Logs plain lines to standard error, so that standard output is free for what was asked.
pub fn start_plain() {
    let lines = fmt().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    lines.with_env_filter(filter()).finish().with(discreet()).init();
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use sentinel_domain::ports::StoreError;
    use tracing::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_says_what_an_error_came_from() {
        let written = Written::default();
        let writer = written.clone();
        let logger = json_lines().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(logger, || {
            let _span = tracing::info_span!("request", route = "/me").entered();
            let error = StoreError::unavailable(io::Error::other("no route to 10.0.0.7"));
            tracing::warn!(error = &error as &dyn Error, attempts = 2, "tried again");
            tracing::info!("nothing is wrong");
        });
        let bytes = written.0.lock().unwrap().clone();
        let lines: Vec<serde_json::Value> =
            str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [warning, notice] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(warning["error"], "the store is not available: no route to 10.0.0.7");
        assert_eq!((&warning["attempts"], &warning["message"]), (&2.into(), &"tried again".into()));
        assert_eq!((&warning["level"], &warning["span"]["route"]), (&"WARN".into(), &"/me".into()));
        assert!(warning["timestamp"].is_string() && warning["target"].is_string(), "{warning}");
        assert_eq!(notice["message"], "nothing is wrong");
    }

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
