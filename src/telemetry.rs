//! Logs on standard error, and the span every request runs in.
//!
//! Levels say what an operator must do. ERROR: someone must act. WARN: we recovered, look later. INFO: what happened.
//! A query, a header or a body never reaches a log: they hold tokens, signatures and stream keys.

mod bounded;
pub mod metrics;
mod traces;

use std::io::IsTerminal;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{Error, HttpMessage, HttpRequest};
use tracing::field::Empty;
use tracing::{Level, Span, Subscriber, debug, error, error_span, info, warn};
use tracing_actix_web::{RequestId, RootSpanBuilder};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use bounded::{Bounded, Budget};
pub(crate) use traces::traced;
#[cfg(feature = "otlp")]
pub use traces::{Exporter, ExporterError};

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

/// Probes and scrapes: too many to be told at INFO.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line an event, for people; with colours on a terminal.
    #[default]
    Pretty,
    /// One JSON object an event, for machines.
    Json,
}

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

/// The span of a request, for [`tracing_actix_web::TracingLogger`]: method, route pattern and request id; at its end
/// one line with the status and the time it took. The crate's own builder would log the query.
#[derive(Debug, Clone, Copy)]
pub struct RequestSpan;

/// Answers of this process that anyone can cause.
static UNPROVEN: Budget = Budget::new();

/// Marks, among a request's extensions, one that has shown a valid token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authenticated;

/// When a request came in.
#[derive(Clone, Copy)]
struct Arrived(Instant);

/// What a request is called in logs: its pattern (`/v1/relays/{relay_id}`), never its path. Matched against the path as the router
/// reads it: `/%761/relays` is `/v1/relays`.
fn route(pattern: Option<String>) -> String {
    pattern.unwrap_or_else(|| "unmatched".to_owned())
}

/// Counts an answered request.
fn count(request: &HttpRequest, status: StatusCode, arrived: Option<Arrived>) {
    let method = bounded::method(request.method());
    let route = route(request.match_pattern());
    metrics::REQUESTS.add(1, [method, &route, status.as_str()]);
    if let Some(Arrived(at)) = arrived {
        metrics::REQUEST_DURATION.observe(at.elapsed().as_secs_f64(), [&route]);
    }
}

/// The id the API has put into the request's header after it made sure of it, else the one the span's crate gave.
fn request_id(request: &ServiceRequest) -> Option<String> {
    let header = request.headers().get("x-request-id");
    let header = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
    header.or_else(|| {
        let given = request.extensions().get::<RequestId>().copied();
        given.map(|id| id.to_string())
    })
}

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request_id(request);
        request.extensions_mut().insert(Arrived(Instant::now()));
        // At ERROR, so that no filter takes the request's name from the lines it lets through.
        let span = error_span!(
            "request",
            method = bounded::method(request.method()),
            route = route(
                request
                    .resource_map()
                    .match_pattern(request.match_info().as_str())
            ),
            request_id = id,
            trace_id = Empty,
        );
        traces::adopt(&span, request.headers());
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, arrived, probe, authenticated) = match outcome {
            Ok(response) => {
                let request = response.request();
                let pattern = route(request.match_pattern());
                (
                    response.status(),
                    request.extensions().get::<Arrived>().copied(),
                    PROBES.contains(&pattern.as_str()),
                    request.extensions().get::<Authenticated>().is_some(),
                )
            }
            Err(error) => (error.as_response_error().status_code(), None, false, false),
        };
        let latency_ms =
            arrived.map(|Arrived(at)| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX));
        let code = status.as_u16();
        if let Ok(response) = outcome {
            count(response.request(), status, arrived);
        }
        span.in_scope(|| {
            if probe {
                debug!(status = code, latency_ms, "answered");
            } else if status == StatusCode::INTERNAL_SERVER_ERROR {
                error!(status = code, latency_ms, "answered");
            } else if status.is_server_error() {
                warn!(status = code, latency_ms, "answered");
            } else if (status.is_client_error() || !authenticated)
                && !UNPROVEN.is_logged(Instant::now())
            {
                debug!(status = code, latency_ms, "answered");
            } else {
                info!(status = code, latency_ms, "answered");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use rstest::rstest;
    use tracing_actix_web::TracingLogger;

    use super::*;

    /// What was logged, for a test to read.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log_to(lines: &Lines, format: LogFormat, filter: &str) -> tracing::subscriber::DefaultGuard {
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

    async fn one_request(uri: &str, status: u16) {
        let answer = move || async move {
            let body = "body-canary";
            HttpResponse::build(StatusCode::from_u16(status).unwrap()).body(body)
        };
        let app = App::new()
            .wrap(TracingLogger::<RequestSpan>::new())
            .route("/v1/relays/{relay_id}", web::post().to(answer))
            .route("/livez", web::post().to(answer));
        let app = init_service(app).await;
        let request = TestRequest::post()
            .uri(uri)
            .insert_header(("authorization", "Bearer header-canary"))
            .set_payload("body-canary");
        call_service(&app, request.to_request()).await;
    }

    #[rstest]
    #[case(LogFormat::Pretty)]
    #[case(LogFormat::Json)]
    #[actix_web::test]
    async fn a_request_is_told_by_its_route_and_never_by_query_header_or_body(
        #[case] format: LogFormat,
    ) {
        let lines = Lines::default();
        let _guard = log_to(&lines, format, "trace");
        one_request("/v1/relays/path-canary?sign=query-canary", 202).await;
        one_request("/nowhere/path-canary?sign=query-canary", 200).await;
        let text = lines.text();
        assert!(!text.contains("canary"), "{text}");
        for part in [
            "POST",
            "/v1/relays/{relay_id}",
            "unmatched",
            "request_id",
            "202",
            "404",
            "latency_ms",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        if format == LogFormat::Json {
            let line = text
                .lines()
                .find(|line| line.contains("\"status\":202"))
                .unwrap();
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["level"], "INFO");
            assert_eq!(event["span"]["method"], "POST");
            assert_eq!(event["span"]["route"], "/v1/relays/{relay_id}");
            assert_eq!(event["span"]["request_id"].as_str().unwrap().len(), 36);
            assert!(event["latency_ms"].is_u64(), "{line}");
        }
    }

    #[rstest]
    #[case("/v1/relays/1", 200, " INFO ")]
    #[case("/v1/relays/1", 422, " INFO ")]
    #[case("/v1/relays/1", 503, " WARN ")]
    #[case("/v1/relays/1", 500, "ERROR ")]
    #[case("/livez", 200, "")]
    #[case("/livez", 503, "")]
    #[actix_web::test]
    async fn the_level_says_whether_someone_must_act(
        #[case] uri: &str,
        #[case] status: u16,
        #[case] level: &str,
    ) {
        let lines = Lines::default();
        let _guard = log_to(&lines, LogFormat::Pretty, "");
        one_request(uri, status).await;
        let text = lines.text();
        if level.is_empty() {
            assert_eq!(text, "");
        } else {
            assert!(text.contains(level) && text.lines().count() == 1, "{text}");
        }
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
