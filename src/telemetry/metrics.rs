//! What is counted and measured, in Prometheus' words: base units, `_total` for what only grows, and no label whose
//! values are not a closed list. [`ALL`] is the list; `docs/metrics.md` says the same to people.
//!
//! One recorder holds the figures of the process. What stands at the moment of a scrape (relays in work, budgets, cleanup jobs,
//! alarms) is set by whoever renders, inside [`render`], so that services that share a process do not mix theirs.

mod list;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::Label;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use parking_lot::Mutex;

pub use list::*;

/// How often samples of histograms are summed up when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is as it is now.
    Gauge,
    /// How often a value fell below each of some bounds.
    Histogram,
}

/// A figure, or a family of them by labels.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// A histogram's upper bounds.
    buckets: &'static [f64],
}

impl Metric {
    /// Counts `by` more, with these values of its labels, in their order.
    pub(crate) fn add<const N: usize>(&self, by: u64, labels: [&str; N]) {
        metrics::counter!(self.name, self.labelled(labels)).increment(by);
    }

    /// Sets what it is now.
    pub(crate) fn set<const N: usize>(&self, value: f64, labels: [&str; N]) {
        metrics::gauge!(self.name, self.labelled(labels)).set(value);
    }

    /// Takes a value in.
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
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
        // A figure that appears only with its first event looks like one that is missing.
        if self.labels.is_empty() {
            match self.kind {
                Kind::Counter => self.add(0, []),
                Kind::Histogram => drop(metrics::histogram!(self.name)),
                Kind::Gauge => {}
            }
        }
    }
}

/// The process' recorder and what it reads of the operating system.
struct Recorder {
    handle: PrometheusHandle,
    process: Collector,
    /// Whoever renders sets figures of a moment, and nobody else's come between.
    turn: Mutex<()>,
}

fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for metric in ALL.iter().filter(|metric| metric.kind == Kind::Histogram) {
            let named = Matcher::Full(metric.name.to_owned());
            builder = match builder.set_buckets_for_metric(named, metric.buckets) {
                Ok(builder) => builder,
                // A histogram without bounds, which a test finds.
                Err(_) => PrometheusBuilder::new(),
            };
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Somebody who embeds this has a recorder of their own: then they get the figures, and ours stays empty.
        let _ = metrics::set_global_recorder(recorder);
        for metric in ALL {
            metric.describe();
        }
        BUILD.set(1.0, [env!("CARGO_PKG_VERSION")]);
        let process = Collector::default();
        process.describe();
        Recorder {
            handle,
            process,
            turn: Mutex::new(()),
        }
    })
}

/// Counts from now on. A second call does nothing.
pub fn install() {
    recorder();
}

/// Keeps what is counted small, forever, even when nobody scrapes.
pub async fn upkeep_forever() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        recorder().handle.run_upkeep();
    }
}

/// All figures in Prometheus' text format, after `set` has set those of this moment.
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
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
            for odd in ["_ms", "_millis", "_minutes", "_percent"] {
                assert!(!name.contains(odd), "{name} has no base unit");
            }
            let bounds = metric.buckets;
            assert_eq!(bounds.is_empty(), kind != Kind::Histogram, "{name}");
            assert!(bounds.is_sorted(), "{name}");
        }
    }
}
