//! The reference page.

use crate::{CHATS, Kind, Metric, OPERATOR, PLATFORM, Section, Unit};

/// The page as Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from the code by `cargo run -p sentinel-operator --bin crdgen`. What to watch, and alerts: \
         [operations.md](../operations.md#what-to-watch).\n\n\
         All are in the text format of Prometheus, at `/metrics` on the admin port (9090) of the operator's pods and of those \
         of the platform's services. Each pod tells of itself: add up over pods. A counter without labels begins at 0, a \
         series with labels when there is something to tell (`sentinel_events_total` at 0, for each group that the pod reads as). The buckets of histograms of seconds end at 60.\n",
    );
    for section in PLATFORM.iter().chain(OPERATOR).chain(CHATS) {
        table(section, &mut page);
    }
    page
}

fn table(section: &Section, page: &mut String) {
    page.push_str(
        &["\n## ", section.title, "\n\n| metric | type | unit | labels | |\n|---|---|---|---|---|\n"].concat(),
    );
    for Metric { name, kind, unit, labels, help } in section.metrics {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let cells = [&format!("`{name}`"), type_of(*kind), unit_of(*unit), &labels.join(", "), help];
        page.push_str(&["| ", &cells.join(" | "), " |\n"].concat());
    }
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn unit_of(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Seconds => "seconds",
        Unit::Flag => "0 or 1",
    }
}
