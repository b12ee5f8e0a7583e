//! `POST /v1/channels/{channel_id}/stop`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::start::{database, internal, key_mismatch, starting, unconfirmed};
use crate::actors::view::RelayView;
use crate::actors::{StopAnswer, StopError, StopRequest};
use crate::api::Api;
use crate::api::body::Body;
use crate::api::headers::request_key;
use crate::api::input::channel_id;
use crate::api::openapi::requests::{ChannelPath, IdempotencyKey, StopBody};
use crate::api::problem::Problem;

/// Take a channel off the air
///
/// The channel is free for its next start at once; what there is at the vendors is taken down behind the answer. With a `relay_id`
/// nothing but that relay is stopped, so that a late duplicate never ends the next show.
#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/stop", tag = "channels", operation_id = "stopRelay",
    params(ChannelPath, IdempotencyKey), request_body = Option<StopBody>,
    responses(
        (status = 202, body = RelayView, description = "Accepted, and going on."),
        (status = 200, body = RelayView, description = "Nothing to stop: the last relay, or the one that was named."),
    ),
    extensions(("x-problems" = json!(["not-found", "idempotency-mismatch", "starting"]))),
)]
pub(in crate::api) async fn stop(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    let mut body = Body::read_optional(&body)?;
    body.ignore_case("relay_id");
    let route = format!("/v1/channels/{channel_id}/stop");
    let request_key = request_key(&request, &route, &body.canonical(&[]))?;
    let StopBody { relay_id } = body.check(&[])?;
    let stop = StopRequest {
        channel_id: Some(channel_id),
        relay_id,
        request_key,
    };
    let answer = api.service.stop(stop).await;
    answered(&api, answer)
}

/// What a stop answers, the marketplace's and an operator's alike.
pub(in crate::api) fn answered(
    api: &Api,
    answer: Result<StopAnswer, StopError>,
) -> Result<HttpResponse, Problem> {
    let (mut status, relay) = match answer {
        Ok(StopAnswer::Accepted(relay)) => (HttpResponse::Accepted(), relay),
        Ok(StopAnswer::NotRunning(relay)) => (HttpResponse::Ok(), relay),
        Err(error) => return Err(refusal(error)),
    };
    Ok(status.json(api.view(&relay)))
}

fn refusal(error: StopError) -> Problem {
    match error {
        StopError::NotFound => Problem::not_found("There is no such relay here."),
        StopError::KeyMismatch => key_mismatch(),
        StopError::Starting => starting(),
        StopError::Database(reason) => database(&reason),
        StopError::Unconfirmed(reason) => unconfirmed(&reason),
        StopError::Internal(reason) => internal(&reason),
    }
}
