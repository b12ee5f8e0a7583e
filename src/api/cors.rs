use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, LOCATION, RETRY_AFTER};

/// In seconds.
const MAX_AGE: usize = 3600;

/// No cookies: callers send a bearer token. All request headers, since tracing libraries add theirs (`baggage`).
pub(super) fn of(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_any_header()
        .expose_headers([LOCATION, RETRY_AFTER])
        .expose_headers(
            [
                "preference-applied",
                "ratelimit",
                "ratelimit-policy",
                "x-request-id",
            ]
            .map(HeaderName::from_static),
        )
        .max_age(MAX_AGE);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
