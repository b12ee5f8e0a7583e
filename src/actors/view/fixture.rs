//! Relays for unit tests.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::actors::{Clock, RelaySnapshot};
use crate::relay::{
    Backend, Capabilities, CreateRepeat, Durable, Egress, EgressCapabilities, EgressHandle,
    EgressSpec, EgressStage, FeedPollCost, IngestLimits, IngestStage, Namespace, Phase,
    PlatformName, Preparation, Presence, Prices, Reconnect, RecordingsKept, Spec, Timing,
};

pub(crate) const INGEST: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-22T{time}Z").parse().unwrap()
}

fn capabilities() -> Capabilities {
    Capabilities {
        create_repeat: CreateRepeat::LookUp,
        feed_poll: FeedPollCost::Each,
        manifest_first: false,
        removes_live_ingest: true,
        renews_key: true,
        reconnect: Reconnect::Anew,
        recordings: RecordingsKept::Platform,
        ingest_limits: IngestLimits {
            max_kbps: None,
            max_sd_kbps: None,
            max_pixels: None,
        },
        low_latency: crate::relay::LowLatency::OnRequest,
    }
}

fn spec(backend: &str) -> Spec {
    let short = Duration::from_secs(5);
    Spec {
        relay_id: Uuid::from_u128(0x0192_f0c4_0000_7000_8000_0000_0000_0001),
        namespace: Namespace {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show68".into(),
        seller_uid: 12345,
        enable_recording: true,
        delete_recording_after_days: Some(30),
        keep_ingest: false,
        ingest_owner: crate::relay::IngestOwner::Relay,
        latency: crate::relay::Latency::Normal,
        platform: PlatformName::new("platform"),
        capabilities: capabilities(),
        egress: EgressSpec {
            backend: Backend::new(backend, &json!({"region": "na"})),
            capabilities: EgressCapabilities {
                prepare: None,
                updates: false,
                max_hours: None,
            },
        },
        timing: Timing {
            poll_interval: short,
            provisioning_timeout: short,
            live_timeout: short,
            live_check_interval: short,
            reconnect_window: short,
            feed_timeout: short,
            max_duration: short,
            recording_timeout: short,
            recordings_interval: short,
            query_interval: short,
            not_found_backoff: Vec::new(),
        },
        prices: Prices {
            stored: 5_000_000,
            egress: 14_000_000,
        },
        requested_at: at("10:00:00.000"),
        egress_not_before: None,
    }
}

pub(crate) fn requested() -> Durable {
    Durable::new(spec("cloud_recording"))
}

pub(crate) fn live() -> Durable {
    let mut relay = on_air(requested());
    relay.egress = Some(Egress {
        preparation: Some(Preparation {
            handle: EgressHandle::new(
                &json!({"resource_id": "resource", "recording_uid": 900_000_001}),
            ),
            at: at("10:00:01.000"),
        }),
        handle: Some(EgressHandle::of_id("sid", "session")),
        ..egress()
    });
    relay
}

pub(crate) fn live_by_media_push() -> Durable {
    let mut relay = on_air(Durable::new(spec("media_push")));
    relay.egress = Some(Egress {
        handle: Some(EgressHandle::of_id("converter_id", "abcdef")),
        ..egress()
    });
    relay
}

fn egress() -> Egress {
    Egress {
        attempt: 1,
        stage: EgressStage::Running,
        preparation: None,
        earlier_preparations: Vec::new(),
        handle: None,
        handle_is_guess: false,
        accepted_at: Some(at("10:00:01.250")),
    }
}

fn on_air(mut relay: Durable) -> Durable {
    relay.phase = Phase::Live;
    relay.phase_since = at("10:00:10.500");
    relay.started_at = Some(at("10:00:01.250"));
    relay.live_at = Some(at("10:00:10.500"));
    relay.ingest.stage = IngestStage::Ready;
    relay.ingest.id = Some(INGEST.into());
    let host = "https://play.example";
    relay.ingest.hls_url = Some(format!("{host}/{INGEST}/manifest/video.m3u8"));
    relay.ingest.dash_url = Some(format!("{host}/{INGEST}/manifest/video.mpd"));
    relay
}

pub(crate) fn snapshot(durable: Durable) -> Arc<RelaySnapshot> {
    Arc::new(RelaySnapshot {
        clock: Clock::of(&durable),
        durable: Arc::new(durable),
        presence: Presence::Unknown,
        page_is_fresh: false,
        last_event_at: at("10:00:11.000"),
        next_wake_at: None,
        last_error: None,
        restarts: 0,
        egress_is_down: false,
    })
}
