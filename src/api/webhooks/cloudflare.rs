use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::signature::{is_secret, is_signed_by_cloudflare};
use super::stray::StrayNotice;
use super::{
    CLOUDFLARE_LIVE, CLOUDFLARE_STREAM, NoticeEffect, Received, accept, header, json_of, text,
    unverified,
};
use crate::actors::RelaySnapshot;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::relay::Hint;

/// In characters.
const REASON: usize = 300;

/// Cloudflare: live input events
///
/// The encoder connected, disconnected or was refused.
#[utoipa::path(
    post, path = "/webhooks/cloudflare/live", tag = "webhooks", operation_id = "cloudflareLive",
    security(("cloudflare_live_secret" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn live(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let secret = api.webhooks.cloudflare_live.as_ref();
    let given = request.headers().get("cf-webhook-auth");
    let proven = secret
        .zip(given)
        .is_some_and(|(secret, given)| is_secret(given.as_bytes(), secret));
    if !proven {
        return unverified(&body, secret.is_some(), is_destination_test);
    }
    let notice = json_of(&body)?;
    // The notification has no id (`cloudflare-stream.md §5.5, §5.7`).
    let of = |name| text(&notice, name);
    let (input, event, at) = (
        of("/data/input_id"),
        of("/data/event_type"),
        of("/data/updated_at"),
    );
    let id = format!("{input}\n{event}\n{at}");
    let id = if at.is_empty() { &body } else { id.as_bytes() };
    accept(&api, CLOUDFLARE_LIVE, id, &notice, |relays| {
        live_effects(&notice, relays)
    })
    .await
}

/// Cloudflare sends a test message when a destination is created.
fn is_destination_test(notice: &Value) -> bool {
    text(notice, "/text").starts_with("Hello World! This is a test message")
        && notice.get("data").is_none()
}

pub(super) fn live_effects(notice: &Value, relays: &[Arc<RelaySnapshot>]) -> Vec<NoticeEffect> {
    let ingest = text(notice, "/data/input_id");
    if ingest.is_empty() {
        return Vec::new();
    }
    let relay = of_ingest(relays, ingest);
    let holder = relay.filter(|relay| relay.durable.phase.holds_slot());
    let hint = match text(notice, "/data/event_type") {
        "live_input.connected" if holder.is_none() => {
            return vec![NoticeEffect::Stray(StrayNotice::FeedConnected {
                ingest: ingest.to_owned(),
                relay_id: relay.map(|relay| relay.durable.spec.relay_id),
                at: time(text(notice, "/data/updated_at")),
            })];
        }
        "live_input.connected" => Hint::FeedConnected,
        "live_input.disconnected" => Hint::FeedDisconnected,
        "live_input.errored" => Hint::FeedErrored {
            reason: reason(notice),
        },
        _ => return Vec::new(),
    };
    let relay = relay.map(|relay| relay.durable.spec.relay_id);
    relay
        .map(|relay| NoticeEffect::Hint(relay, hint))
        .into_iter()
        .collect()
}

fn of_ingest<'a>(relays: &'a [Arc<RelaySnapshot>], uid: &str) -> Option<&'a Arc<RelaySnapshot>> {
    relays
        .iter()
        .find(|relay| relay.durable.ingest.uid.as_deref() == Some(uid))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
}

fn reason(notice: &Value) -> String {
    let of = |name| text(notice, name).trim();
    let code = of("/data/live_input_errored/error/code");
    let message = of("/data/live_input_errored/error/message");
    let words = [code, message]
        .into_iter()
        .filter(|words| !words.is_empty());
    words
        .collect::<Vec<_>>()
        .join(": ")
        .chars()
        .take(REASON)
        .collect()
}

/// Cloudflare: video events
///
/// A video is ready, or its processing failed.
#[utoipa::path(
    post, path = "/webhooks/cloudflare/stream", tag = "webhooks", operation_id = "cloudflareStream",
    security(("cloudflare_stream_signature" = [])),
    request_body(content = serde_json::Value, description = "The vendor's notification."),
    responses((status = 200, body = Received, description = "Received; also answers unknown notifications and tests.")),
    extensions(("x-problems" = json!(["unauthorized", "not-found", "starting", "database"]))),
)]
pub(in crate::api) async fn stream(
    request: HttpRequest,
    body: web::Bytes,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let secret = api.webhooks.cloudflare_stream.as_ref();
    let signature = header(&request, "webhook-signature");
    let proven =
        secret.is_some_and(|secret| is_signed_by_cloudflare(signature, &body, secret, Utc::now()));
    if !proven {
        // Cloudflare documents no test of this address.
        return unverified(&body, secret.is_some(), |_| false);
    }
    let video = json_of(&body)?;
    accept(&api, CLOUDFLARE_STREAM, &body, &video, |relays| {
        video_effects(&video, relays)
    })
    .await
}

pub(super) fn video_effects(video: &Value, relays: &[Arc<RelaySnapshot>]) -> Vec<NoticeEffect> {
    let ingest = match text(video, "/liveInput") {
        "" => text(video, "/liveInput/uid"),
        uid => uid,
    };
    if ingest.is_empty() {
        return Vec::new();
    }
    let relay = of_ingest(relays, ingest);
    relay
        .map(|relay| NoticeEffect::Hint(relay.durable.spec.relay_id, Hint::RecordingDone))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::view::fixture;
    use crate::relay::Phase;

    fn notice(input: &str, event: &str) -> Value {
        json!({"name": "n", "text": "t", "ts": 1_642_074_233, "data": {
            "notification_name": "Stream Live Input", "input_id": input, "event_type": event,
            "updated_at": "2022-01-13T11:43:41.855717910Z",
            "live_input_errored": {"error": {"code": "ERR_GOP_OUT_OF_RANGE", "message": "GOP of 12 s"}},
        }})
    }

    fn relays(phase: Phase) -> Vec<Arc<RelaySnapshot>> {
        let mut relay = fixture::live();
        relay.phase = phase;
        vec![fixture::snapshot(relay)]
    }

    #[test]
    fn each_event_is_recognized_by_its_exact_name() {
        let relays = relays(Phase::Live);
        let id = relays[0].durable.spec.relay_id;
        let effects = |event: &str| live_effects(&notice(fixture::LIVE_INPUT, event), &relays);
        assert_eq!(
            effects("live_input.connected"),
            [NoticeEffect::Hint(id, Hint::FeedConnected)]
        );
        assert_eq!(
            effects("live_input.disconnected"),
            [NoticeEffect::Hint(id, Hint::FeedDisconnected)]
        );
        let reason = "ERR_GOP_OUT_OF_RANGE: GOP of 12 s".to_owned();
        assert_eq!(
            effects("live_input.errored"),
            [NoticeEffect::Hint(id, Hint::FeedErrored { reason })]
        );
        for unknown in [
            "live_input.reconnected",
            "connected",
            "LIVE_INPUT.CONNECTED",
            "",
        ] {
            assert_eq!(effects(unknown), [], "{unknown}");
        }
    }

    #[test]
    fn a_feed_that_connects_to_a_relay_that_is_stopping_or_to_no_relay_is_a_stray() {
        let at = time("2022-01-13T11:43:41.855717910Z");
        assert!(at.is_some());
        let relays = relays(Phase::Finalizing);
        let effects = |input| live_effects(&notice(input, "live_input.connected"), &relays);
        let stray = |ingest: &str, relay_id| {
            let ingest = ingest.to_owned();
            [NoticeEffect::Stray(StrayNotice::FeedConnected {
                ingest,
                relay_id,
                at,
            })]
        };
        let id = relays[0].durable.spec.relay_id;
        assert_eq!(
            effects(fixture::LIVE_INPUT),
            stray(fixture::LIVE_INPUT, Some(id))
        );
        assert_eq!(effects("another"), stray("another", None));
    }

    #[test]
    fn the_test_message_of_a_new_destination_has_no_effect() {
        let hello = json!({"text": "Hello World! This is a test message sent from Cloudflare."});
        assert_eq!(live_effects(&hello, &relays(Phase::Live)), []);
    }

    #[test]
    fn a_video_belongs_to_the_relay_of_its_ingest() {
        let relays = relays(Phase::Finalizing);
        let id = relays[0].durable.spec.relay_id;
        let video = json!({"uid": "v", "readyToStream": true, "liveInput": fixture::LIVE_INPUT});
        assert_eq!(
            video_effects(&video, &relays),
            [NoticeEffect::Hint(id, Hint::RecordingDone)]
        );
        assert_eq!(video_effects(&json!({"uid": "v"}), &relays), []);
        assert_eq!(video_effects(&json!({"liveInput": "other"}), &relays), []);
    }
}
