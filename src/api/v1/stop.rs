use actix_web::{HttpRequest, HttpResponse, web};

use super::start::request_refusal;
use crate::actors::view::RelayView;
use crate::actors::{StopAnswer, StopError, StopRequest};
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::headers::request_key;
use crate::api::input::channel_id;
use crate::api::openapi::requests::{ChannelPath, IdempotencyKey, StopBody};
use crate::api::problem::Problem;

/// Take a channel off the air
///
/// The channel is free for its next start at once; the vendors' objects are removed after the response. With a `relay_id`
/// only that relay is stopped, so that a late repeat never ends the next broadcast.
#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/stop", tag = "channels", operation_id = "stopRelay",
    params(ChannelPath, IdempotencyKey), request_body = Option<StopBody>,
    responses(
        (status = 202, body = RelayView, description = "The relay is stopping."),
        (status = 200, body = RelayView, description = "Nothing to stop. The channel's last relay, or the requested one."),
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
    let mut body = JsonBody::read_optional(&body)?;
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
        StopError::NotFound => Problem::not_found("The relay does not exist."),
        StopError::Request(error) => request_refusal(error),
    }
}
