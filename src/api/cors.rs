//! Whose pages may call from a browser (Fetch's CORS protocol): nobody's, unless the settings name them.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};

/// How long a browser may keep an answer, in seconds.
const KEPT: usize = 3600;

/// What is answered to pages of these origins. They send their token themselves: no cookies.
pub(super) fn of(origins: &[String]) -> Cors {
    let name = HeaderName::from_static;
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE])
        .allowed_headers(
            [
                "idempotency-key",
                "last-event-id",
                "prefer",
                "traceparent",
                "trpc-accept",
                "x-request-id",
            ]
            .map(name),
        )
        .expose_headers([LOCATION, RETRY_AFTER])
        .expose_headers(
            [
                "preference-applied",
                "ratelimit",
                "ratelimit-policy",
                "x-request-id",
            ]
            .map(name),
        )
        .max_age(KEPT);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
