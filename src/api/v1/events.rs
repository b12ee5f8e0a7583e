use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::actors::view::WireTime;
use crate::api::Api;
use crate::api::input::{self, Query};
use crate::api::openapi::requests::{EventQuery, LastEventId};
use crate::api::problem::Problem;

/// Sent by a browser's `EventSource` when it reconnects.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx and similar proxies not to buffer.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Stream every change of every relay
///
/// Server-sent events: `event` is the type (`relay.live`, …), `data` the body of the webhook, `id` the event's number for
/// resuming. Comments keep a quiet stream alive. `events.missed` says that requested events are no longer kept.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "streamEvents",
    params(EventQuery, LastEventId),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "The stream. It does not end.")),
)]
pub(in crate::api) async fn events(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(request.query_string(), &["channel_id", "last_event_id"])?;
    let channel_id = query.get("channel_id").map(input::channel_id).transpose()?;
    let header = request.headers().get(LAST_EVENT_ID);
    let header = header
        .map(HeaderValue::as_bytes)
        .filter(|id| !id.is_empty());
    let given = header.or(query.get("last_event_id").map(str::as_bytes));
    let after = given.map(event_id).transpose()?;
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        .force_close()
        .insert_header((X_ACCEL_BUFFERING, "no"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let now = WireTime(api.now());
    let listener = api.event_stream.listen(after, channel_id, now).await?;
    Ok(answer.streaming(listener.stream()))
}

fn event_id(text: &[u8]) -> Result<i64, Problem> {
    let id = std::str::from_utf8(text).ok().and_then(|text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain)
    });
    id.ok_or_else(|| Problem::parameter("last_event_id", "the id of an event: an integer"))
}
