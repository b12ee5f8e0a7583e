//! `POST /v1/channels/{channel_id}/stop`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::start::{database, internal, key_mismatch, starting};
use crate::actors::{StopAnswer, StopError, StopRequest};
use crate::api::Api;
use crate::api::headers::keyed_by;
use crate::api::input::{Fields, channel_id, relay_id_field};
use crate::api::problem::Problem;

pub(super) async fn stop(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    let mut fields = Fields::read_optional(&body)?;
    let route = format!("/v1/channels/{channel_id}/stop");
    let keyed_by = keyed_by(&request, &route, &fields.canonical())?;
    let relay_id = fields.optional("relay_id", relay_id_field);
    fields.finish()?;
    let stop = StopRequest {
        channel_id: Some(channel_id),
        relay_id,
        keyed_by,
    };
    let answer = api.keeper.stop(stop).await;
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
        StopError::Internal(reason) => internal(&reason),
    }
}
