//! Builds a relay's spec from the start request and the settings.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::requests::StartRequest;
use crate::config::{AgoraBackend, IngestRetention, Settings};
use crate::platforms::Platform;
use crate::relay::{Backend, Namespace, PlatformName, Prices, Spec, Timing};

/// With a longer `live_timeout` the page reports ready on joining: two missed `readyTimeout`s of 60 s end the task
/// (`agora.md §3.7`).
const READY_AT_FIRST_FRAME: Duration = Duration::from_secs(120);
/// How long an egress may outlive the relay's own limits.
const RECORDING_MARGIN: Duration = Duration::from_secs(600);

pub(super) fn spec(
    settings: &Settings,
    platform: &dyn Platform,
    namespace: Namespace,
    request: &StartRequest,
    now: DateTime<Utc>,
    egress_not_before: Option<DateTime<Utc>>,
) -> Spec {
    let rules = &settings.relay;
    let max_duration = request.max_duration.unwrap_or(rules.max_duration);
    let (backend, query_interval) = match settings.agora.backend {
        AgoraBackend::CloudRecording => {
            let product = &settings.agora.cloud_recording;
            let longest = rules
                .live_timeout
                .saturating_add(max_duration)
                .saturating_add(RECORDING_MARGIN);
            let hours = u32::try_from(longest.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
            let backend = Backend::CloudRecording {
                recording_uid_base: product.recording_uid_base,
                page_url: page_url(settings),
                max_recording_hours: hours.min(product.max_recording_hours).max(1),
                ready_at_first_frame: rules.live_timeout <= READY_AT_FIRST_FRAME,
            };
            (backend, product.query_interval)
        }
        AgoraBackend::MediaPush => {
            let product = &settings.agora.media_push;
            (
                Backend::MediaPush {
                    region: product.region.clone(),
                },
                product.query_interval,
            )
        }
    };
    Spec {
        relay_id: Uuid::now_v7(),
        namespace,
        channel_id: request.channel_id,
        channel_name: request.channel_name.clone(),
        seller_uid: request.seller_uid,
        enable_recording: request.enable_recording,
        delete_recording_after_days: request
            .delete_recording_after_days
            .unwrap_or(Some(rules.delete_recording_after_days)),
        keep_ingest: rules.ingest_retention == IngestRetention::Keep,
        platform: PlatformName::new(platform.name()),
        capabilities: platform.capabilities(),
        backend,
        timing: Timing {
            poll_interval: rules.poll_interval,
            provisioning_timeout: rules.provisioning_timeout,
            live_timeout: rules.live_timeout,
            live_check_interval: rules.live_check_interval,
            reconnect_window: rules.reconnect_window,
            feed_timeout: rules.feed_timeout,
            max_duration,
            recording_timeout: rules.recording_timeout,
            recordings_interval: platform.recordings_interval(),
            query_interval,
            not_found_backoff: settings.agora.not_found_backoff.clone(),
        },
        prices: Prices {
            stored: platform.stored_micros(),
            egress: settings.pricing.agora_micros(),
        },
        requested_at: now,
        egress_not_before,
    }
}

fn page_url(settings: &Settings) -> String {
    match settings.agora.cloud_recording.page_url.as_str() {
        "" => format!(
            "{}/recorder",
            settings.server.public_url.trim_end_matches('/')
        ),
        page => page.to_owned(),
    }
}
