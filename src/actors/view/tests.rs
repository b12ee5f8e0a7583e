use super::fixture::{at, live, live_by_media_push, requested};
use super::*;
use crate::relay::{Class, Failure, OutcomeCode, RecordingPlace, Source};

fn text(durable: &Durable, viewers: Option<u64>) -> String {
    let view = RelayView::of(durable, viewers, at("10:30:41.499"));
    serde_json::to_string_pretty(&view).unwrap()
}

#[test]
fn a_relay_reads_as_the_wire_contract_has_it() {
    let mut relay = live();
    relay.phase = Phase::Ended;
    relay.recordings = vec![recording("v1", RecordingState::Ready, Some(1_829_001))];
    relay.outcome = Some(Outcome::of(Failure {
        vendor: "agora".into(),
        call: "cloud_recording.query".into(),
        class: Class::Unavailable,
        maybe_done: false,
        status: Some(500),
        message: "no worker".into(),
        retry_after_ms: None,
    }));
    relay.cost = Some(Cost {
        duration_seconds: 1830,
        minutes: 31,
        cost_cents: 16,
        cost_micros: 155_000,
        agora_cost_micros: 434_000,
        source: Source::Recording,
    });
    relay.stopped_at = Some(at("10:40:40.750"));
    relay.ended_at = Some(at("10:41:00.000"));
    let expected = r#"{
  "id": "0192f0c4-0000-7000-8000-000000000001",
  "channel_id": 42,
  "channel_name": "show68",
  "seller_uid": 12345,
  "phase": "ended",
  "relay_status": "failed",
  "is_active": false,
  "is_live": false,
  "platform": "platform",
  "ingest_owner": "relay",
  "latency": "normal",
  "hls_playback_url": "https://play.example/0123456789abcdef0123456789abcdef/manifest/video.m3u8",
  "dash_playback_url": "https://play.example/0123456789abcdef0123456789abcdef/manifest/video.mpd",
  "stream_key_id": "0123456789abcdef0123456789abcdef",
  "agora": {
    "backend": "cloud_recording",
    "resource_id": "resource",
    "sid": "session",
    "recording_uid": 900000001,
    "converter_id": null,
    "replacements": 0
  },
  "recordings": [
    {
      "id": "v1",
      "state": "ready",
      "hls_url": "https://host/v1.m3u8",
      "dash_url": "https://host/v1.mpd",
      "thumbnail_url": "https://host/v1.jpg",
      "location": null,
      "duration_seconds": 1830
    }
  ],
  "recording_url": "https://host/v1.m3u8",
  "live_seconds": 2430,
  "viewer_count": null,
  "outcome": {
    "code": "vendor_unavailable",
    "message": "A vendor could not be reached or failed.",
    "detail": {
      "failure": {
        "vendor": "agora",
        "call": "cloud_recording.query",
        "class": "unavailable",
        "maybe_done": false,
        "status": 500,
        "message": "no worker"
      }
    }
  },
  "cost": {
    "duration_seconds": 1830,
    "minutes": 31,
    "cost_cents": 16,
    "cost_micros": 155000,
    "agora_cost_micros": 434000,
    "source": "recording"
  },
  "requested_at": "2026-11-22T10:00:00.000Z",
  "started_at": "2026-11-22T10:00:01.250Z",
  "live_at": "2026-11-22T10:00:10.500Z",
  "stopped_at": "2026-11-22T10:40:40.750Z",
  "ended_at": "2026-11-22T10:41:00.000Z"
}"#;
    assert_eq!(text(&relay, None), expected);
}

fn recording(id: &str, state: RecordingState, duration_ms: Option<u64>) -> Recording {
    Recording {
        id: id.into(),
        state,
        is_final: true,
        duration_ms,
        place: Some(RecordingPlace::Platform {
            hls_url: format!("https://host/{id}.m3u8"),
            dash_url: Some(format!("https://host/{id}.mpd")),
            thumbnail_url: Some(format!("https://host/{id}.jpg")),
        }),
        created_at: None,
    }
}

#[test]
fn a_relay_that_was_just_requested_has_no_urls_and_no_outcome() {
    let view = relay_json(&requested(), None, at("10:00:00.000"));
    assert_eq!(view["phase"], "provisioning");
    assert_eq!(view["relay_status"], "starting");
    for name in [
        "hls_playback_url",
        "stream_key_id",
        "recording_url",
        "outcome",
        "cost",
        "started_at",
    ] {
        assert_eq!(view[name], Value::Null, "{name}");
    }
    assert_eq!(view["agora"]["recording_uid"], Value::Null);
    assert_eq!(view["recordings"], serde_json::json!([]));
}

#[test]
fn live_seconds_run_until_the_end_is_decided() {
    let view = relay_json(&live(), Some(113), at("10:30:41.499"));
    assert_eq!(view["live_seconds"], 1830);
    assert_eq!(view["viewer_count"], 113);
    assert_eq!(
        (&view["is_live"], &view["is_active"]),
        (&true.into(), &true.into())
    );
}

#[test]
fn a_converter_shows_its_id_and_no_egress_uid() {
    let view = relay_json(&live_by_media_push(), None, at("10:30:00.000"));
    assert_eq!(view["agora"]["backend"], "media_push");
    assert_eq!(view["agora"]["converter_id"], "abcdef");
    assert_eq!(view["agora"]["recording_uid"], Value::Null);
}

#[test]
fn from_stopping_on_the_outcome_says_whether_it_failed() {
    let status = |phase, code| RelayStatus::of(phase, code).to_string();
    for phase in [Phase::Stopping, Phase::Finalizing, Phase::Ended] {
        assert_eq!(status(phase, Some(OutcomeCode::SellerLeft)), "stopped");
        assert_eq!(status(phase, Some(OutcomeCode::LiveTimeout)), "failed");
    }
    assert_eq!(status(Phase::Interrupted, None), "active");
    assert_eq!(status(Phase::AwaitingLive, None), "starting");
}

#[test]
fn the_main_recording_is_the_longest_that_is_ready_and_a_deleted_one_has_no_address() {
    let mut relay = live();
    relay.recordings = vec![
        recording("short", RecordingState::Ready, Some(1_000)),
        recording("long", RecordingState::Ready, Some(2_000)),
        recording("longer", RecordingState::Processing, Some(3_000)),
        recording("gone", RecordingState::Deleted, Some(4_000)),
    ];
    let view = relay_json(&relay, None, at("10:30:00.000"));
    assert_eq!(view["recording_url"], "https://host/long.m3u8");
    assert_eq!(view["recordings"][3]["hls_url"], Value::Null);
}

#[test]
fn a_recording_in_other_storage_has_its_location_and_no_url() {
    let mut relay = live();
    let place = Some(RecordingPlace::Elsewhere {
        location: "s3://bucket/show".into(),
    });
    let kept = recording("kept", RecordingState::Ready, Some(1_000));
    relay.recordings = vec![Recording { place, ..kept }];
    let view = relay_json(&relay, None, at("10:30:00.000"));
    let shown = &view["recordings"][0];
    assert_eq!(shown["location"], "s3://bucket/show");
    assert_eq!(
        (&shown["hls_url"], &view["recording_url"]),
        (&Value::Null, &Value::Null)
    );
}
