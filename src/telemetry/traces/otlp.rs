//! Exports traces to an OpenTelemetry collector over OTLP/HTTP.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::HeaderInjector;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

const PATIENCE: Duration = Duration::from_secs(10);
const PATH: &str = "/v1/traces";
const OURS: &str = "off,relaykeeper=trace";

/// The exporter could not be built.
#[allow(missing_docs, reason = "each error's text is its documentation")]
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    #[error("the HTTP client for traces could not be made")]
    Client(#[from] reqwest::Error),
    #[error("the exporter of traces could not be made")]
    Exporter(#[from] ExporterBuildError),
}

/// Exports traces in the background until it is shut down.
#[derive(Debug, Clone)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// An exporter to this collector, which need not be reachable yet.
    pub fn to(endpoint: &str) -> Result<Self, ExporterError> {
        // Fails if one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .timeout(PATIENCE)
            .build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name("relaykeeper").build())
            .build();
        Ok(Self(provider))
    }

    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.0.tracer("relaykeeper");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(EnvFilter::new(OURS))
    }

    /// Exports the remaining traces and stops.
    pub fn shut_down(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "exporting the last traces failed");
        }
    }
}

const TRACEPARENT: &str = "traceparent";

/// `parent` is a `traceparent`.
pub(super) fn adopt(span: &Span, parent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), parent.to_owned())]);
    // Fails if nothing is exported.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}

pub(super) fn inject(request: reqwest::RequestBuilder, span: &Span) -> reqwest::RequestBuilder {
    let mut headers = reqwest::header::HeaderMap::new();
    let context = span.context();
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(&mut headers));
    request.headers(headers)
}
