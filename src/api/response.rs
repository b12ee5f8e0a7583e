use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW,
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::{DefaultHeaders, Next};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::problem::{Problem, X_REQUEST_ID};
use crate::telemetry::panic_text;

/// Keeps the caller's request id if it is well-formed, else sets a new one in the request and the response.
pub(super) async fn request_id(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = request
        .headers()
        .get(X_REQUEST_ID)
        .filter(|id| is_well_formed(id.as_bytes()))
        .cloned()
        .or_else(|| HeaderValue::from_str(&Uuid::new_v4().to_string()).ok());
    let Some(id) = id else {
        return Err(Problem::internal().into());
    };
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let mut response = next.call(request).await?.map_into_boxed_body();
    response.headers_mut().insert(X_REQUEST_ID, id);
    Ok(response)
}

fn is_well_formed(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=128).contains(&id.len()) && id.iter().all(plain)
}

/// Turns errors (also the framework's) and panics into problems.
pub(super) async fn problem_responses(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let instance = request.path().to_owned();
    let id = request.headers().get(X_REQUEST_ID);
    let id = id
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let answer = AssertUnwindSafe(async move { next.call(request).await });
    let mut response = match answer.catch_unwind().await {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => return Err(Problem::of(&error).answering(&instance, &id).into()),
        Err(panic) => {
            tracing::error!(panic = panic_text(&*panic), "a handler panicked");
            return Err(Problem::internal().answering(&instance, &id).into());
        }
    };
    if let Some(problem) = problem_of(&response) {
        let kept = KEPT_HEADERS.map(|name| (response.headers().get(&name).cloned(), name));
        response = response.error_response(problem.answering(&instance, &id));
        for (value, name) in kept {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
    }
    add_security_headers(response.headers_mut());
    end_with_the_connection(&mut response);
    Ok(response)
}

/// HTTP/1.0 has no chunked coding (RFC 9112 §6.1).
fn end_with_the_connection(response: &mut ServiceResponse<BoxBody>) {
    let unsized_body = matches!(response.response().body().size(), BodySize::Stream);
    if unsized_body && response.request().version() < Version::HTTP_11 {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
}

const KEPT_HEADERS: [HeaderName; 6] = [
    ACCEPT_ENCODING,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    CONNECTION,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];

fn add_security_headers(headers: &mut HeaderMap) {
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if is_page {
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-store"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

pub(super) fn strict_transport() -> DefaultHeaders {
    DefaultHeaders::new().add((STRICT_TRANSPORT_SECURITY, "max-age=31536000"))
}

/// `None` if the response is no error, or has a body.
fn problem_of(response: &ServiceResponse) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    match response.response().error() {
        Some(error) => Some(Problem::of(error)),
        None if response.headers().contains_key(CONTENT_TYPE) => None,
        None => {
            let allow = response.headers().get(ALLOW);
            let allow = allow
                .and_then(|allow| allow.to_str().ok())
                .map(str::to_owned);
            Some(Problem::of_status(status, allow))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpResponse, web};
    use serde_json::Value;
    use tracing_actix_web::TracingLogger;

    use super::*;
    use crate::api::request_span::RequestSpan;

    #[actix_web::test]
    async fn a_panic_is_a_problem_without_detail() {
        async fn panics() -> HttpResponse {
            panic!("the secret is canary");
        }
        let app = App::new()
            .wrap(from_fn(problem_responses))
            .wrap(from_fn(request_id))
            .route("/", web::get().to(panics));
        let app = init_service(app).await;
        let request = TestRequest::get()
            .uri("/?q=1")
            .insert_header((X_REQUEST_ID, "mine-1"));
        let Err(error) = actix_web::dev::Service::call(&app, request.to_request()).await else {
            panic!("an error is what the server turns into the answer");
        };
        let answer = error.error_response();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers().get(X_REQUEST_ID).unwrap(), "mine-1");
        let body = actix_web::body::to_bytes(answer.into_body())
            .await
            .ok()
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
        assert_eq!(body["instance"], "/");
        assert_eq!(body["request_id"], "mine-1");
        assert!(!body.to_string().contains("canary"));
    }

    #[derive(Clone, Default)]
    struct LogBuffer(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn the_log_has_the_request_id_of_the_response_and_never_the_query() {
        let lines = LogBuffer::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let app = App::new()
            .wrap(from_fn(problem_responses))
            .wrap(TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(request_id));
        let app = init_service(app).await;
        let request = TestRequest::get().uri("/recorder?sig=canary");
        let request = request.insert_header((X_REQUEST_ID, "mine-1"));
        call_service(&app, request.to_request()).await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("mine-1") && !text.contains("canary"),
            "{text}"
        );
    }

    #[actix_web::test]
    async fn a_request_id_with_anything_odd_in_it_is_replaced() {
        let app = App::new()
            .wrap(from_fn(problem_responses))
            .wrap(from_fn(request_id));
        let app = init_service(app).await;
        for odd in ["a b", "x\"y", "", &"a".repeat(129)] {
            let request = TestRequest::get()
                .uri("/nowhere")
                .insert_header((X_REQUEST_ID, odd));
            let answer = call_service(&app, request.to_request()).await;
            let id = answer
                .headers()
                .get(X_REQUEST_ID)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(id.len(), 36, "{odd}");
            let body: Value = read_body_json(answer).await;
            assert_eq!(body["request_id"], id.as_str());
            assert_eq!(body["code"], "not-found");
        }
    }
}
