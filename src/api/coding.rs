use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use actix_web::middleware::Next;

use super::problem::Problem;
use super::routes::route_path;
use super::trpc;

/// Codings that change a body. Others (`utf-8`, `identity`) are ignored.
const CODINGS: [&str; 7] = [
    "gzip",
    "x-gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "x-compress",
];

/// Answers 415 (RFC 9110 §15.5.16) to a body with a content coding.
pub(super) async fn refuse(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let named = request.headers().get_all(CONTENT_ENCODING);
    let coding = named
        .filter_map(|named| named.to_str().ok())
        .flat_map(|named| named.split(','))
        .find_map(|name| {
            CODINGS
                .iter()
                .find(|coding| coding.eq_ignore_ascii_case(name.trim()))
        });
    let Some(coding) = coding else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let problem = Problem::coded(coding);
    let mut answer = if route_path(&request).starts_with("/trpc/") {
        request.into_response(trpc::refusal(&problem))
    } else {
        request.error_response(problem)
    };
    let plain = HeaderValue::from_static("identity");
    answer.headers_mut().insert(ACCEPT_ENCODING, plain);
    Ok(answer)
}
