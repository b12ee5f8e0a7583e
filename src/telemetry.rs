//! Logs on standard error, metrics and traces.
//!
//! Levels: ERROR needs action; WARN was recovered from, but should be examined; INFO is an event. Queries, headers and
//! bodies are never logged: they contain tokens, signatures and stream keys.

mod bounded;
pub mod metrics;
mod traces;

use std::io::IsTerminal;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use bounded::Bounded;
#[cfg(feature = "otlp")]
pub use traces::{Exporter, ExporterError};
pub(crate) use traces::{adopt, traced};

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// The default log filter. sqlx and SeaORM would log each statement.
pub const DEFAULT_FILTER: &str = "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";

/// Targets that never log below INFO, whatever `RUST_LOG` says: there they log headers and URLs with queries.
const QUIET: [&str; 8] = [
    "actix_web",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tower_http",
    "tungstenite",
];

/// Logs malformed requests and disconnects at ERROR.
const ABOUT_CALLERS: &str = "actix_http";

/// Logs unreadable parts of database URLs and `.pgpass` lines at WARN: passwords.
const ABOUT_URLS: &str = "sqlx_postgres::options";

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a valid filter.
    #[error("RUST_LOG is not a log filter such as \"info\" or \"info,relaykeeper=debug\"")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is already installed.
    #[error("logging is set up already")]
    Again(#[from] tracing_subscriber::util::TryInitError),
    /// The trace exporter could not be built.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Exporter(#[from] ExporterError),
}

/// Exports the remaining traces on drop.
#[derive(Debug, Default)]
pub struct Telemetry {
    #[cfg(feature = "otlp")]
    exporter: Option<Exporter>,
}

#[cfg(feature = "otlp")]
impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(exporter) = &self.exporter {
            exporter.shut_down();
        }
    }
}

/// Logs to standard error, filtered by `RUST_LOG` (by default `info`).
///
/// # Errors
/// If `RUST_LOG` is invalid, or on a second call.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    init_or(format, DEFAULT_FILTER, "").map(drop)
}

/// The same with the default filter `unset`. With the feature `otlp`, also exports traces to `otlp_endpoint` unless it is
/// empty.
///
/// # Errors
/// As [`init`], or if the exporter cannot be built.
pub fn init_or(
    format: LogFormat,
    unset: &str,
    otlp_endpoint: &str,
) -> Result<Telemetry, TelemetryError> {
    let mut filter = std::env::var("RUST_LOG").unwrap_or_default();
    if filter.trim().is_empty() {
        unset.clone_into(&mut filter);
    }
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut layers = vec![lines(format, colours, std::io::stderr)];
    let telemetry = exporting(otlp_endpoint, &mut layers)?;
    subscriber(layers, &filter)?.try_init()?;
    Ok(telemetry)
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

#[cfg(feature = "otlp")]
fn exporting(endpoint: &str, layers: &mut Vec<BoxedLayer>) -> Result<Telemetry, TelemetryError> {
    if endpoint.is_empty() {
        return Ok(Telemetry::default());
    }
    let exporter = Exporter::to(endpoint)?;
    layers.push(Box::new(exporter.layer()));
    Ok(Telemetry {
        exporter: Some(exporter),
    })
}

#[cfg(not(feature = "otlp"))]
fn exporting(_: &str, _: &mut Vec<BoxedLayer>) -> Result<Telemetry, TelemetryError> {
    Ok(Telemetry::default())
}

fn lines<W>(format: LogFormat, colours: bool, writer: W) -> BoxedLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_ansi(colours).with_writer(Bounded(writer));
    match format {
        LogFormat::Pretty => Box::new(lines),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    }
}

fn subscriber(
    layers: Vec<BoxedLayer>,
    filter: &str,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    let filter = if filter.trim().is_empty() {
        DEFAULT_FILTER
    } else {
        filter
    };
    let quiet = filter_fn(|about| {
        let source = about.target().split("::").next().unwrap_or_default();
        source != ABOUT_CALLERS
            && !about.target().starts_with(ABOUT_URLS)
            && (*about.level() <= Level::INFO || !QUIET.contains(&source))
    });
    let subscriber = tracing_subscriber::registry()
        .with(layers)
        .with(EnvFilter::try_new(filter)?)
        .with(quiet);
    Ok(Box::new(subscriber))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info};

    use super::*;

    #[derive(Clone, Default)]
    pub(crate) struct LogLines(Arc<Mutex<Vec<u8>>>);

    impl Write for LogLines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl LogLines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    pub(crate) fn log_to(
        lines: &LogLines,
        format: LogFormat,
        filter: &str,
    ) -> tracing::subscriber::DefaultGuard {
        let lines = lines.clone();
        let lines = super::lines(format, false, move || lines.clone());
        let subscriber = subscriber(vec![lines], filter).unwrap();
        tracing::subscriber::set_default(subscriber)
    }

    #[test]
    fn a_malformed_request_is_not_logged_as_an_error() {
        let lines = LogLines::default();
        let _guard = log_to(&lines, LogFormat::Pretty, "trace");
        tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
        tracing::error!(target: "actix_server::worker", "a worker died");
        let text = lines.text();
        assert!(
            text.contains("a worker died") && !text.contains("parse error"),
            "{text}"
        );
    }

    #[test]
    fn statements_and_transports_stay_quiet() {
        let lines = LogLines::default();
        let guard = log_to(&lines, LogFormat::Pretty, "");
        info!(target: "sqlx::query", "a statement");
        info!("ours");
        drop(guard);
        let guard = log_to(&lines, LogFormat::Pretty, "trace,h2=trace");
        debug!(target: "h2::codec", "a header");
        debug!(target: "hyperlink", "ours too");
        drop(guard);
        let text = lines.text();
        assert!(
            !text.contains("statement") && !text.contains("header"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn an_invalid_filter_is_refused() {
        let refused = subscriber(Vec::new(), "info,=nonsense=");
        assert!(matches!(refused, Err(TelemetryError::Filter(_))));
    }
}
