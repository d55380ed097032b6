//! The process's recorder.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use sentinel_domain::background::vital;

use crate::{Kind, Metric, Section, Unit};

/// Without folding, samples of histograms would pile up until somebody scrapes.
const SAMPLES_FOLDED_EVERY: Duration = Duration::from_secs(1);

/// Why metrics can't be kept: there are no buckets, or the process has a recorder already.
pub type Error = BuildError;

/// Installs the recorder of the process, which knows the metrics of `sections`, and looks after it. To be called once,
/// within a runtime.
pub fn install(sections: &[Section]) -> Result<PrometheusHandle, Error> {
    let handle = builder(sections)?.install_recorder()?;
    describe(sections);
    let folded = handle.clone();
    tokio::spawn(vital("samples of metrics", async move {
        let mut ticks = tokio::time::interval(SAMPLES_FOLDED_EVERY);
        loop {
            ticks.tick().await;
            folded.run_upkeep();
        }
    }));
    Ok(handle)
}

/// What `tell` emits of `sections`, as a scrape shows it. What it emitted another time is not there: so come and go series
/// of things that come and go, which a recorder would keep for good.
pub fn scrape(sections: &[Section], tell: impl FnOnce()) -> Result<String, Error> {
    let recorder = builder(sections)?.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe(sections);
        tell();
    });
    Ok(recorder.handle().render())
}

/// Every histogram has buckets: quantiles that each pod works out by itself can't be added up.
pub(crate) fn builder(sections: &[Section]) -> Result<PrometheusBuilder, Error> {
    let histograms = all(sections).filter(|metric| metric.kind == Kind::Histogram);
    histograms.into_iter().try_fold(PrometheusBuilder::new(), |builder, metric| {
        builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.unit.buckets())
    })
}

/// Gives the recorder the help texts.
pub(crate) fn describe(sections: &[Section]) {
    for Metric { name, kind, unit, labels, help } in all(sections) {
        let unit = match unit {
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Count | Unit::Flag => metrics::Unit::Count,
        };
        match kind {
            Kind::Counter => {
                metrics::describe_counter!(*name, unit, *help);
                // What appears with the value 1 has not grown in the eyes of `increase()`.
                if labels.is_empty() {
                    metrics::counter!(*name).increment(0);
                }
            }
            Kind::Gauge => metrics::describe_gauge!(*name, unit, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, unit, *help),
        }
    }
}

pub(crate) fn all(sections: &[Section]) -> impl Iterator<Item = &Metric> {
    sections.iter().flat_map(|section| section.metrics)
}
