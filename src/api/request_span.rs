use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpMessage, HttpRequest};
use parking_lot::Mutex;
use tracing::field::Empty;
use tracing::{Span, debug, error, error_span, info, warn};
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::telemetry::{adopt, metrics};

const TRACEPARENT: &str = "traceparent";
/// Too frequent for INFO.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// INFO lines for responses that anyone can cause: errors and unauthenticated requests. Further ones are DEBUG.
const LOGGED_PER_SECOND: u32 = 50;

/// The span of a request, its log line and its metrics. The builder of [`tracing_actix_web`] would log the query.
#[derive(Debug, Clone, Copy)]
pub struct RequestSpan;

static UNAUTHENTICATED: LogBudget = LogBudget::new();

#[derive(Debug, Clone, Copy)]
pub(super) struct Authenticated;

#[derive(Clone, Copy)]
struct Arrived(Instant);

/// For logs and metrics, which never have the path.
fn route(pattern: Option<String>) -> String {
    pattern.unwrap_or_else(|| "unmatched".to_owned())
}

fn count(request: &HttpRequest, status: StatusCode, arrived: Option<Arrived>) {
    let method = method(request.method());
    let route = route(request.match_pattern());
    metrics::REQUESTS.add(1, [method, &route, status.as_str()]);
    if let Some(Arrived(at)) = arrived {
        metrics::REQUEST_DURATION.observe(at.elapsed().as_secs_f64(), [&route]);
    }
}

/// The id in the header, which [`super::response::request_id`] checked, else the library's.
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
        // At ERROR level: a filter that drops the span drops its fields from all lines.
        let span = error_span!(
            "request",
            method = method(request.method()),
            route = route(
                request
                    .resource_map()
                    .match_pattern(request.match_info().as_str())
            ),
            request_id = id,
            trace_id = Empty,
        );
        let parent = request.headers().get(TRACEPARENT);
        if let Some(parent) = parent.and_then(|parent| parent.to_str().ok()) {
            adopt(&span, parent);
        }
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
                && !UNAUTHENTICATED.is_logged(Instant::now())
            {
                debug!(status = code, latency_ms, "answered");
            } else {
                info!(status = code, latency_ms, "answered");
            }
        });
    }
}

/// `other` for methods that callers invent.
fn method(method: &Method) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = METHODS.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}

struct LogBudget(Mutex<Option<(Instant, u32)>>);

impl LogBudget {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn is_logged(&self, now: Instant) -> bool {
        let mut second = self.0.lock();
        let (began, count) = second
            .filter(|(began, _)| now.duration_since(*began) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        *second = Some((began, count.saturating_add(1)));
        count < LOGGED_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use rstest::rstest;
    use tracing_actix_web::TracingLogger;

    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::tests::{LogLines, log_to};

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
    async fn a_request_is_logged_by_its_route_and_never_with_query_header_or_body(
        #[case] format: LogFormat,
    ) {
        let lines = LogLines::default();
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
    async fn the_log_level_follows_from_route_and_status(
        #[case] uri: &str,
        #[case] status: u16,
        #[case] level: &str,
    ) {
        let lines = LogLines::default();
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
    fn fifty_unauthenticated_responses_a_second_are_logged() {
        let budget = LogBudget::new();
        let now = Instant::now();
        let logged = (0..1000).filter(|_| budget.is_logged(now)).count();
        assert_eq!(logged, 50);
        assert!(budget.is_logged(now + Duration::from_secs(1)));
    }

    #[test]
    fn an_unknown_method_is_other() {
        assert_eq!(method(&Method::GET), "GET");
        let made_up = Method::from_bytes("X".repeat(10_000).as_bytes()).unwrap();
        assert_eq!(method(&made_up), "other");
    }
}
