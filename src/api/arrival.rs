//! A request's body must arrive in time: who sends a byte now and then would hold a handler for ever. The framework sees to
//! the head, and in some cases to the body, with a 408.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONNECTION, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, ResponseError as _};

use super::Api;
use super::problem::Problem;

/// Reads the body of what is posted before anybody handles it, within the limits of size and time.
pub(super) async fn await_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let api = request.app_data::<Data<Api>>().cloned();
    if let Some(api) = api.filter(|_| request.method() == Method::POST) {
        let arrives = tokio::time::timeout(api.request_timeout, request.extract::<Bytes>());
        match arrives.await {
            Ok(Ok(body)) => request.set_payload(Payload::from(body)),
            Ok(Err(error)) => return Ok(request.error_response(error)),
            Err(_) => {
                let problem = Problem::body("it did not arrive in time");
                let mut answer = problem.error_response();
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
                return Ok(request.into_response(answer));
            }
        }
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
