//! Whose pages may call from a browser (Fetch's CORS protocol): nobody's, unless the settings name them.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, LOCATION, RETRY_AFTER};

/// How long a browser may keep an answer, in seconds.
const KEPT: usize = 3600;

/// What is answered to pages of these origins. They send their token themselves: no cookies. They may send any header: which
/// ones tracing libraries add (`baggage`, `sentry-trace`, …) is no closed list, and a header that is not read changes nothing.
pub(super) fn of(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
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
        .max_age(KEPT);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
