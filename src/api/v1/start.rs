use std::ops::RangeInclusive;
use std::time::Duration;

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use crate::actors::view::RelayView;
use crate::actors::{RequestError, StartAnswer, StartError, StartRequest};
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::headers::{PREFERENCE_APPLIED, request_key, wait, wait_or};
use crate::api::input::{channel_id, channel_name, whole};
use crate::api::openapi::requests::{ChannelPath, IdempotencyKey, Prefer, StartBody};
use crate::api::problem::{Code, FieldError, Problem};
use crate::relay::Durable;

/// In seconds.
const POLL_AGAIN: &str = "2";
/// Its null means "never".
const DELETE_AFTER: &str = "delete_recording_after_days";

/// Put a channel on air
///
/// Takes the channel's slot, creates an ingest, and asks Agora to push the channel to it. Answers once Agora has accepted
/// the egress and the HLS URL is known, at the latest after `Prefer: wait` seconds (default 10). Buyers can press play once
/// the relay is `live`.
#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/start", tag = "channels", operation_id = "startRelay",
    params(ChannelPath, IdempotencyKey, Prefer), request_body = StartBody,
    responses(
        (status = 201, body = RelayView, description = "Agora has accepted the egress.", headers(
            ("Location" = String, description = "The relay."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the request had a `Prefer: wait`."))),
        (status = 202, body = RelayView, description = "The wait ended first, or the service is shutting down. The start continues.", headers(
            ("Location" = String, description = "The relay."),
            ("Retry-After" = String, description = "Seconds until the next poll."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the request had a `Prefer: wait`."))),
        (status = 200, body = RelayView, description = "The channel already has a relay, which is unchanged. Or: the relay that this \
            idempotency key started, in its current state. Or: the relay was stopped while this start waited.", headers(
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the request had a `Prefer: wait`."))),
    ),
    extensions(("x-problems" = json!(["conflict", "idempotency-mismatch", "unsupported", "vendor-unauthorized", "vendor-rejected", "vendor-rate-limited", "vendor-quota", "vendor-unavailable", "vendor-timeout", "starting", "shutting-down"]))),
)]
pub(in crate::api) async fn start(
    request: HttpRequest,
    path: web::Path<String>,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let channel_id = channel_id(&path)?;
    let body = JsonBody::read(&body)?;
    let route = format!("/v1/channels/{channel_id}/start");
    let preferred = wait(&request);
    let start = StartRequest {
        request_key: request_key(&request, &route, &body.canonical(&[DELETE_AFTER]))?,
        wait: wait_or(preferred, api.start_wait),
        ..start_request(channel_id, body, &api.recorder_uids)?
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

fn start_request(
    channel_id: i64,
    body: JsonBody,
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
        platform: body.platform,
        ingest_owner: body.ingest_owner,
        latency: body.latency,
        request_key: None,
        wait: Duration::ZERO,
    })
}

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
                "The channel has a relay with another channel_name or seller_uid. Stop it first.",
            )
            .about(relay.spec.relay_id, Some(view))
        }
        StartError::Failed(relay) => Problem::failed_start(&relay),
        StartError::Quota { .. } => Problem::new(Code::VendorQuota, error.to_string()),
        StartError::PlatformOff { on } => platform_off(&on),
        StartError::Unsupported { .. } => Problem::new(Code::Unsupported, error.to_string()),
        StartError::ShuttingDown => {
            Problem::new(Code::ShuttingDown, "This process starts no new relays.")
        }
        StartError::Request(error) => request_refusal(error),
    }
}

/// `on`: the platforms that are.
pub(super) fn platform_off(on: &str) -> Problem {
    Problem::invalid(vec![FieldError {
        pointer: "/platform".to_owned(),
        detail: format!("not a platform that is on; there are: {on}"),
    }])
}

pub(super) fn request_refusal(error: RequestError) -> Problem {
    match error {
        RequestError::KeyMismatch => Problem::new(
            Code::IdempotencyMismatch,
            "The Idempotency-Key was already used for another request.",
        ),
        RequestError::Starting => {
            Problem::new(Code::Starting, "This process does not drive relays yet.")
        }
        RequestError::Database(reason) => {
            tracing::warn!(reason, "the database rejected a request");
            Problem::new(
                Code::Database,
                "The database did not accept the request. Nothing was started.",
            )
        }
        // The write takes effect once the database has it.
        RequestError::Unconfirmed(reason) => {
            tracing::warn!(reason, "the database did not confirm a request in time");
            Problem::new(
                Code::Database,
                "The database did not answer in time. The request may still take effect later. Repeat it until it is confirmed.",
            )
        }
        RequestError::Internal(reason) => {
            tracing::error!(reason, "a request failed");
            Problem::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::api::recorder::PAGE_UIDS;

    #[test]
    fn sellers_uids_end_where_the_pages_uids_begin() {
        let schema = serde_json::to_value(StartBody::schema()).unwrap();
        let most = schema["properties"]["seller_uid"]["maximum"].as_u64();
        assert_eq!(most, Some(u64::from(*PAGE_UIDS.start()) - 1));
    }
}
