//! Logs on standard error, metrics and traces.
//!
//! Levels say what an operator must do. ERROR: someone must act. WARN: we recovered, look later. INFO: what happened.
//! A query, a header or a body never reaches a log: they hold tokens, signatures and stream keys.

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

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// What is usually logged when `RUST_LOG` is not set. sqlx and SeaORM would tell each statement.
pub const DEFAULT_FILTER: &str = "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";

/// Whatever `RUST_LOG` says, these tell nothing below INFO: there, transports tell headers and addresses with their queries.
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

/// Tells as an ERROR what a caller sends that is no HTTP, or that a caller has gone: nobody here must act on it.
const ABOUT_CALLERS: &str = "actix_http";

/// Logs, at WARN, the values of a database URL and the lines of a `.pgpass` that it cannot read: passwords.
const ABOUT_URLS: &str = "sqlx_postgres::options";

/// Logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is no filter.
    #[error("RUST_LOG is not a log filter such as \"info\" or \"info,relaykeeper=debug\"")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logs are set up already.
    #[error("logging is set up already")]
    Again(#[from] tracing_subscriber::util::TryInitError),
    /// Traces cannot be sent.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Exporter(#[from] ExporterError),
}

/// Sends what is left of the traces when it is dropped, at the end of the process.
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

/// Sends this process's logs to standard error, filtered by `RUST_LOG` (`info` when it is not set or empty).
///
/// # Errors
/// [`TelemetryError`]: `RUST_LOG` is no filter, or this is the second call.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    init_or(format, DEFAULT_FILTER, "").map(drop)
}

/// The same, filtered by `unset` when `RUST_LOG` is not set or empty; and traces go to the collector at `otlp_endpoint`,
/// unless that is empty or the feature `otlp` is off.
///
/// # Errors
/// As [`init`], and when traces cannot be sent.
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

    /// What was logged, for a test to read.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    pub(crate) fn log_to(
        lines: &Lines,
        format: LogFormat,
        filter: &str,
    ) -> tracing::subscriber::DefaultGuard {
        let lines = lines.clone();
        let lines = super::lines(format, false, move || lines.clone());
        let subscriber = subscriber(vec![lines], filter).unwrap();
        tracing::subscriber::set_default(subscriber)
    }

    #[test]
    fn a_caller_who_speaks_no_http_is_no_error_of_ours() {
        let lines = Lines::default();
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
        let lines = Lines::default();
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
    fn a_filter_that_is_none_is_refused() {
        let refused = subscriber(Vec::new(), "info,=nonsense=");
        assert!(matches!(refused, Err(TelemetryError::Filter(_))));
    }
}
