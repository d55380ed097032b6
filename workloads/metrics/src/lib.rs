//! Every metric of the platform and the operator in one table, from which come the help texts of `/metrics`, the buckets
//! of histograms and the reference page. Who counts something writes the name out, so that a search finds both places; a
//! test compares them.

mod page;
mod recorder;
mod table;

pub use metrics_exporter_prometheus::PrometheusHandle;

pub use self::{
    page::page,
    recorder::{Error, install, scrape},
    table::{CHATS, OPERATOR, PLATFORM},
};

/// Metrics about one thing.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [Metric],
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What its values are.
    pub unit: Unit,
    /// The labels of each series.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// How something is now.
    Gauge,
    /// How often a value fell into each bucket; can be added up over pods.
    Histogram,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of something.
    Count,
    /// Seconds.
    Seconds,
    /// 1 for yes, 0 for no.
    Flag,
}

impl Unit {
    /// The upper bounds of a histogram's buckets.
    pub fn buckets(self) -> &'static [f64] {
        match self {
            Self::Seconds => {
                &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
            }
            Self::Count | Self::Flag => &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
        }
    }
}

#[cfg(test)]
mod tests;
