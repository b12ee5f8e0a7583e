//! The baseline of the reads: an actix-web process that returns constant JSON, optionally with the service's middleware except
//! rate limit, CORS and error handling.

use std::io::BufRead as _;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use actix_web::middleware::{Condition, DefaultHeaders, Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use relaykeeper::api::RequestSpan;
use relaykeeper::telemetry;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing_actix_web::TracingLogger;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Ends with its standard input, whose first lines are the address, whether to use middleware, and the body.
pub fn serve() {
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let mut line = || lines.next().expect("a line");
    let (address, with_middleware, body) = (line(), line() == "true", line());
    telemetry::init(relaykeeper::config::LogFormat::Pretty).expect("a log");
    std::thread::spawn(|| {
        while std::io::stdin().lines().next().is_some() {}
        std::process::exit(0);
    });
    let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let served = actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            let value = value.clone();
            App::new()
                .route(
                    "/v1/channels/{channel_id}",
                    web::get().to(move || {
                        let value = value.clone();
                        async move { HttpResponse::Ok().json(value) }
                    }),
                )
                .wrap(Condition::new(with_middleware, from_fn(authenticate)))
                .wrap(Condition::new(with_middleware, headers()))
                .wrap(Condition::new(
                    with_middleware,
                    TracingLogger::<RequestSpan>::new(),
                ))
                .wrap(Condition::new(with_middleware, from_fn(add_request_id)))
        })
        .workers(std::thread::available_parallelism().map_or(1, usize::from))
        .bind(address)?
        .run()
        .await
    });
    served.expect("it serves");
}

fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("x-content-type-options", "nosniff"))
        .add(("referrer-policy", "no-referrer"))
        .add(("x-frame-options", "DENY"))
        .add((
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ))
        .add(("cache-control", "no-store"))
}

async fn add_request_id(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).expect("plain text");
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let mut response = next.call(request).await?;
    response.headers_mut().insert(X_REQUEST_ID, id);
    Ok(response)
}

async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shown = request.headers().get(AUTHORIZATION);
    let shown = shown.map(HeaderValue::as_bytes).unwrap_or_default();
    let expected = crate::service::authorization();
    let expected = expected.trim_start_matches("Authorization: ").as_bytes();
    let (shown, expected) = (Sha256::digest(shown), Sha256::digest(expected));
    if !bool::from(shown.ct_eq(&expected)) {
        return Err(actix_web::error::ErrorUnauthorized("no token"));
    }
    next.call(request).await
}
