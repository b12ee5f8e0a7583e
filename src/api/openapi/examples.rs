//! Examples of the bodies' schemas, all about the same relay.

use serde_json::{Map, Value, json};

use crate::api::problem::Code;
use crate::config::PlatformsSettings;

const RELAY: &str = "0192f0c4-0000-7000-8000-000000000001";
const HOST: &str = "https://play.example.com";
const INPUT: &str = "66be4bf738797e01e1fca35a7bdecdcd";
const VIDEO: &str = "ea95132c15732412d22c1476fa83f27a";

pub(super) fn of(schema: &str) -> Option<Value> {
    let page = |name: &str, row: Value| json!({name: [row], "next_cursor": null});
    Some(match schema {
        "Start" => {
            json!({"channel_name": "show68", "seller_uid": 12345, "max_duration_seconds": 7200})
        }
        "Stop" => json!({"relay_id": RELAY}),
        "Empty" => json!({}),
        "Relay" => relay(),
        "Recording" => recording(),
        "Channel" => json!({"channel_id": 42, "relay": relay(), "last_recording": recording()}),
        "Playback" => json!({
            "channel_id": 42, "platform": platform(), "hls_url": manifest(INPUT, "m3u8"), "dash_url": manifest(INPUT, "mpd"), "is_live": true,
            "source": "live", "relay_id": RELAY, "relay_status": "active", "video_uid": null, "thumbnail_url": null,
            "duration_seconds": null,
        }),
        "IngestPage" => page("ingests", ingest()),
        "Ingest" => ingest(),
        "RelayPage" => page("relays", relay()),
        "RecordingPage" => page("recordings", recording()),
        "EventPage" => page(
            "events",
            json!({
                "sequence": 7, "at": "2026-11-22T10:09:30.000Z", "event": "live", "phase": "live", "data": {}, "actions": [],
            }),
        ),
        "CostPage" => page(
            "costs",
            json!({
                "channel_id": 42, "relays": 1, "duration_seconds": 1830, "cost_cents": 16, "cost_micros": 155_000,
                "agora_cost_micros": 434_000,
            }),
        ),
        "DeliveryPage" => page("deliveries", delivery()),
        "Delivery" => delivery(),
        "Health" => json!({
            "healthy": true, "platforms": {(platform()): vendor()}, "agora": vendor(), "database": {"healthy": true, "acting": true},
            "budgets": [{"name": platform(), "quota": 960, "used": 12, "left": 948, "waiting": 0, "paused_for_seconds": null}],
            "cleanup_jobs": {"open": 0, "kinds": []}, "alarms": [],
        }),
        "Probe" => json!({"status": "ok"}),
        "ActorPage" => json!({"actors": [{
            "relay_id": RELAY, "channel_id": 42, "channel_name": "show68", "phase": "live", "since": "2026-11-22T10:09:30.000Z",
            "restarts": 0, "last_event_at": "2026-11-22T10:20:00.000Z", "next_wake_at": "2026-11-22T10:20:15.000Z",
            "last_error": null, "node": "relaykeeper-1",
        }], "total": 1, "next_cursor": null}),
        "Sweep" => json!({"dry_run": true, "findings": [{
            "kind": "converter", "id": INPUT, "mark": "shop_0a1b2c3d_0192f0c4000070008000000000000001_1",
            "created": "2026-11-22T10:08:10Z", "verdict": "owned",
        }], "may_be_cut": false}),
        "PageTokenRequest" => json!({"query": "channel=show68&relay=…", "uid": null}),
        "PresenceReport" => {
            json!({"query": "channel=show68&relay=…", "present": true, "seq": 3})
        }
        "TicketOrLeave" | "Leave" => json!({"leave": true}),
        "Received" => json!({"received": true}),
        "Problem" => problem(Code::NotFound, 404, "/v1/channels/{channel_id}"),
        _ => return None,
    })
}

pub(super) fn problem(code: Code, status: u16, path: &str) -> Value {
    let instance = path
        .replace("{channel_id}", "42")
        .replace("{relay_id}", RELAY);
    let common = json!({
        "type": format!("urn:relaykeeper:problem:{code}"), "code": code.to_string(), "title": code.title(), "status": status,
        "detail": "What went wrong in this case.", "instance": instance, "request_id": "0a6f2b1e-7c1d-4b0e-9a51-3f1f0c7a9d52",
    });
    let pointer = if status == 422 {
        "/channel_name"
    } else {
        "/limit"
    };
    let more = if code == Code::InvalidRequest {
        json!({"errors": [{"pointer": pointer, "detail": "is required"}]})
    } else if code == Code::Conflict {
        json!({"relay_id": RELAY, "relay": relay()})
    } else {
        json!({})
    };
    let members = [common, more].into_iter().filter_map(|part| match part {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    });
    members.flatten().collect::<Map<_, _>>().into()
}

fn manifest(uid: &str, ending: &str) -> String {
    format!("{HOST}/{uid}/manifest/video.{ending}")
}

fn ingest() -> Value {
    json!({
        "channel_id": 42, "platform": platform(), "ingest_id": INPUT, "hls_playback_url": manifest(INPUT, "m3u8"),
        "created_at": "2026-11-22T10:08:10.000Z", "relay_id": null,
    })
}

fn relay() -> Value {
    json!({
        "id": RELAY, "channel_id": 42, "channel_name": "show68", "seller_uid": 12345, "phase": "ended", "relay_status": "stopped",
        "is_active": false, "is_live": false, "platform": platform(), "ingest_owner": "relay", "hls_playback_url": manifest(INPUT, "m3u8"),
        "dash_playback_url": manifest(INPUT, "mpd"), "stream_key_id": INPUT,
        "agora": {"backend": "cloud_recording", "resource_id": "qSDYrrttmOxh", "sid": "2778a9b2983ea2caa1565eada7a5bc77",
            "recording_uid": 900_000_001, "converter_id": null, "replacements": 0},
        "recordings": [recording()], "recording_url": manifest(VIDEO, "m3u8"), "live_seconds": 1830, "viewer_count": null,
        "outcome": {"code": "stopped_by_request", "message": "The relay was stopped by request.", "detail": {}},
        "cost": {"duration_seconds": 1830, "minutes": 31, "cost_cents": 16, "cost_micros": 155_000, "agora_cost_micros": 434_000,
            "source": "recording"},
        "requested_at": "2026-11-22T10:08:09.120Z", "started_at": "2026-11-22T10:08:12.400Z", "live_at": "2026-11-22T10:09:30.000Z",
        "stopped_at": "2026-11-22T10:40:00.000Z", "ended_at": "2026-11-22T10:41:10.500Z",
    })
}

fn recording() -> Value {
    json!({
        "id": VIDEO, "state": "ready", "hls_url": manifest(VIDEO, "m3u8"), "dash_url": manifest(VIDEO, "mpd"),
        "thumbnail_url": format!("{HOST}/{VIDEO}/thumbnails/thumbnail.jpg"), "location": null,
        "duration_seconds": 1830,
    })
}

fn delivery() -> Value {
    json!({
        "id": 7, "webhook_id": "6f1f8a52-94c1-8d0e-b6a3-0d3c5e0f7a21", "type": "relay.live", "relay_id": RELAY, "channel_id": 42, "sequence": 2, "status": "delivered", "attempts": 1,
        "created_at": "2026-11-22T10:09:30.000Z", "next_attempt_at": null, "last_attempt_at": "2026-11-22T10:09:30.050Z",
        "delivered_at": "2026-11-22T10:09:30.090Z", "response_status": 204, "last_error": null,
    })
}

fn platform() -> String {
    PlatformsSettings::default().default
}

fn vendor() -> Value {
    json!({"healthy": true, "reachable": true, "credentials": "accepted", "last_success_at": "2026-11-22T10:20:00.000Z",
        "last_error": null})
}
