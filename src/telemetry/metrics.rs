//! Metrics in Prometheus' conventions: base units, `_total` for counters, labels with closed lists of values.
//!
//! Gauges of the current state are set inside [`render`], so that services that share a process do not mix theirs.

mod list;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::Label;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use parking_lot::Mutex;

pub use list::*;

const UPKEEP: Duration = Duration::from_secs(5);

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum MetricKind {
    /// Only increases.
    Counter,
    /// The current value.
    Gauge,
    /// Counts of values by upper bound.
    Histogram,
}

/// A metric, or a family of metrics with labels.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The description.
    pub help: &'static str,
    /// A histogram's upper bounds.
    buckets: &'static [f64],
}

impl Metric {
    /// Label values come in the order of `labels`.
    pub(crate) fn add<const N: usize>(&self, by: u64, labels: [&str; N]) {
        metrics::counter!(self.name, self.labelled(labels)).increment(by);
    }

    pub(crate) fn set<const N: usize>(&self, value: f64, labels: [&str; N]) {
        metrics::gauge!(self.name, self.labelled(labels)).set(value);
    }

    pub(crate) fn observe<const N: usize>(&self, value: f64, labels: [&str; N]) {
        metrics::histogram!(self.name, self.labelled(labels)).record(value);
    }

    fn labelled<const N: usize>(&self, values: [&str; N]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), N, "{}", self.name);
        let pairs = self.labels.iter().zip(values);
        pairs
            .map(|(name, value)| Label::new(*name, value.to_owned()))
            .collect()
    }

    fn describe(&self) {
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, self.help),
            MetricKind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
        // Otherwise it is missing until its first event.
        if self.labels.is_empty() {
            match self.kind {
                MetricKind::Counter => self.add(0, []),
                MetricKind::Histogram => drop(metrics::histogram!(self.name)),
                MetricKind::Gauge => {}
            }
        }
    }
}

struct MetricsRecorder {
    handle: PrometheusHandle,
    process: Collector,
    /// Serializes renders: each sets gauges first.
    turn: Mutex<()>,
}

fn recorder() -> &'static MetricsRecorder {
    static RECORDER: OnceLock<MetricsRecorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let mut histograms = ALL.iter().filter(|metric| !metric.buckets.is_empty());
        let builder = histograms.try_fold(PrometheusBuilder::new(), |builder, metric| {
            let named = Matcher::Full(metric.name.to_owned());
            builder.set_buckets_for_metric(named, metric.buckets)
        });
        // Only empty buckets are refused.
        let recorder = builder.unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // Fails if an embedding program has its own recorder, which then gets the metrics.
        let _ = metrics::set_global_recorder(recorder);
        for metric in ALL {
            metric.describe();
        }
        BUILD.set(1.0, [env!("CARGO_PKG_VERSION")]);
        let process = Collector::default();
        process.describe();
        MetricsRecorder {
            handle,
            process,
            turn: Mutex::new(()),
        }
    })
}

/// Installs the recorder; a second call has no effect.
pub fn install() {
    recorder();
}

/// Aggregates histogram samples forever, even without scrapes.
pub async fn upkeep_forever() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        recorder().handle.run_upkeep();
    }
}

/// All metrics in Prometheus' text format. Calls `set` first to set the gauges.
pub fn render(set: impl FnOnce()) -> String {
    let recorder = recorder();
    let _turn = recorder.turn.lock();
    set();
    recorder.process.collect();
    recorder.handle.render()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_keep_to_prometheus_customs() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            let Metric { name, kind, .. } = *metric;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("relaykeeper_"), "{name}");
            assert_eq!(
                name.ends_with("_total"),
                kind == MetricKind::Counter,
                "{name}"
            );
            assert!(metric.help.ends_with('.'), "{name}");
            for odd in ["_ms", "_millis", "_minutes", "_percent"] {
                assert!(!name.contains(odd), "{name} has no base unit");
            }
            let bounds = metric.buckets;
            assert_eq!(bounds.is_empty(), kind != MetricKind::Histogram, "{name}");
            assert!(bounds.is_sorted(), "{name}");
        }
    }
}
