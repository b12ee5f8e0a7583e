//! `POST /v1/channels/{channel_id}/start`.

use std::ops::RangeInclusive;
use std::time::Duration;

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use crate::actors::view::RelayView;
use crate::actors::{StartAnswer, StartError, StartRequest};
use crate::api::Api;
use crate::api::body::Body;
use crate::api::headers::{PREFERENCE_APPLIED, request_key, wait, wait_or};
use crate::api::input::{channel_id, channel_name, whole};
use crate::api::openapi::requests::{ChannelPath, IdempotencyKey, Prefer, StartBody};
use crate::api::problem::{Code, Problem};
use crate::relay::Durable;

/// Seconds after which a start that goes on is worth a poll.
const POLL_AGAIN: &str = "2";
/// Its null says "never".
const DELETE_AFTER: &str = "delete_recording_after_days";

/// Put a channel on air
///
/// The channel's slot is taken, an ingest is created and Agora is asked to push the channel into it. The answer waits until the
/// egress has accepted and the HLS URL is known, at most `Prefer: wait` seconds (10 when it is left out). Buyers can press play
/// once the relay is `live`.
#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/start", tag = "channels", operation_id = "startRelay",
    params(ChannelPath, IdempotencyKey, Prefer), request_body = StartBody,
    responses(
        (status = 201, body = RelayView, description = "The egress has accepted.", headers(
            ("Location" = String, description = "The relay."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, when a wait was asked for."))),
        (status = 202, body = RelayView, description = "The wait ran out first, or the service is going down: the start goes on.", headers(
            ("Location" = String, description = "The relay."),
            ("Retry-After" = String, description = "Seconds until a poll is worth it."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, when a wait was asked for."))),
        (status = 200, body = RelayView, description = "The channel has a relay already: that one, unchanged. Or the relay this \
            idempotency key started, as it is now, unless that start failed: then the first refusal is repeated. Or the relay was stopped while this start waited.", headers(
            ("Preference-Applied" = Option<String>, description = "`wait=N`, when a wait was asked for."))),
    ),
    extensions(("x-problems" = json!(["conflict", "idempotency-mismatch", "vendor-unauthorized", "vendor-rejected", "vendor-rate-limited", "vendor-quota", "vendor-unavailable", "vendor-timeout", "starting", "shutting-down"]))),
)]
pub(in crate::api) async fn start(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    let body = Body::read(&body)?;
    let route = format!("/v1/channels/{channel_id}/start");
    let preferred = wait(&request);
    let start = StartRequest {
        request_key: request_key(&request, &route, &body.canonical(&[DELETE_AFTER]))?,
        wait: wait_or(preferred, api.start_wait),
        ..asked_for(channel_id, body, &api.recorder_uids)?
    };
    let mut answer = match api.service.start(start).await {
        Ok(StartAnswer::Started(relay)) => {
            let mut answer = HttpResponse::Created();
            answer.insert_header((LOCATION, location(&relay)));
            answer.json(api.view(&relay))
        }
        Ok(StartAnswer::Pending(relay)) => {
            let mut answer = HttpResponse::Accepted();
            answer
                .insert_header((LOCATION, location(&relay)))
                .insert_header((RETRY_AFTER, POLL_AGAIN));
            answer.json(api.view(&relay))
        }
        Ok(StartAnswer::Existing(relay)) => HttpResponse::Ok().json(api.view(&relay)),
        Err(error) => return Err(refusal(&api, error)),
    };
    if let Some(applied) = preferred.and_then(|wait| format!("wait={wait}").parse().ok()) {
        answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(answer)
}

fn location(relay: &Durable) -> String {
    format!("/v1/relays/{}", relay.spec.relay_id)
}

/// What the body asks for. How long to wait and the key are not in it.
fn asked_for(
    channel_id: i64,
    body: Body,
    recorder_uids: &RangeInclusive<u32>,
) -> Result<StartRequest, Problem> {
    let body: StartBody = body.check(&[
        ("channel_name", &channel_name),
        ("seller_uid", &|uid: &Value| seller_uid(uid, recorder_uids)),
    ])?;
    Ok(StartRequest {
        channel_id,
        channel_name: body.channel_name,
        seller_uid: body.seller_uid,
        enable_recording: body.enable_recording.unwrap_or(true),
        max_duration: body
            .max_duration_seconds
            .map(u64::from)
            .map(Duration::from_secs),
        delete_recording_after_days: body.delete_recording_after_days,
        request_key: None,
        wait: Duration::ZERO,
    })
}

/// No seller has a uid that is given to egresses.
fn seller_uid(uid: &Value, egresses: &RangeInclusive<u32>) -> Result<(), String> {
    let number = uid.as_number().and_then(whole);
    let number = number.and_then(|number| u32::try_from(number).ok());
    if number.is_none_or(|number| !egresses.contains(&number)) {
        return Ok(());
    }
    let (first, last) = (egresses.start(), egresses.end());
    Err(format!(
        "not a uid of egresses: those are {first} to {last}"
    ))
}

fn refusal(api: &Api, error: StartError) -> Problem {
    match error {
        StartError::Conflict(relay) => {
            let view = api.view(&relay);
            Problem::new(
                Code::Conflict,
                "The channel has a relay with another channel_name or seller_uid: stop it first.",
            )
            .about(relay.spec.relay_id, Some(view))
        }
        StartError::Failed(relay) => Problem::failed_start(&relay),
        StartError::KeyMismatch => key_mismatch(),
        StartError::Quota { .. } => Problem::new(Code::VendorQuota, error.to_string()),
        StartError::Starting => starting(),
        StartError::ShuttingDown => {
            Problem::new(Code::ShuttingDown, "No new relay is started here any more.")
        }
        StartError::Database(reason) => database(&reason),
        StartError::Unconfirmed(reason) => unconfirmed(&reason),
        StartError::Internal(reason) => internal(&reason),
    }
}

pub(super) fn key_mismatch() -> Problem {
    Problem::new(
        Code::IdempotencyMismatch,
        "The Idempotency-Key came with another request before.",
    )
}

pub(super) fn starting() -> Problem {
    Problem::new(Code::Starting, "This process does not act yet.")
}

pub(super) fn database(reason: &str) -> Problem {
    tracing::warn!(reason, "the database did not take a request");
    Problem::new(
        Code::Database,
        "The database did not take it: nothing was begun.",
    )
}

/// A write whose outcome is not known, or that waits: it is carried out once the database has it.
pub(super) fn unconfirmed(reason: &str) -> Problem {
    tracing::warn!(reason, "the database did not confirm a request in time");
    Problem::new(
        Code::Database,
        "The database did not answer in time: the request may still be carried out, as soon as the database does. Repeat it until it is confirmed.",
    )
}

pub(super) fn internal(reason: &str) -> Problem {
    tracing::error!(reason, "a request could not be carried out");
    Problem::internal()
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::api::recorder::PAGE_UIDS;

    #[test]
    fn a_sellers_uid_ends_where_the_pages_begin() {
        let schema = serde_json::to_value(StartBody::schema()).unwrap();
        let most = schema["properties"]["seller_uid"]["maximum"].as_u64();
        assert_eq!(most, Some(u64::from(*PAGE_UIDS.start()) - 1));
    }
}
