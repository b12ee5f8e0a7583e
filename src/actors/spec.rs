//! Builds a relay's spec from the start request and the settings.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::requests::StartRequest;
use crate::config::{DefaultIngestOwner, IngestRetention, Settings};
use crate::egresses::EgressBackend;
use crate::platforms::Platform;
use crate::relay::{IngestOwner, Namespace, PlatformName, Prices, Spec, Timing};

pub(super) fn spec(
    settings: &Settings,
    platform: &dyn Platform,
    egress: &dyn EgressBackend,
    namespace: Namespace,
    request: &StartRequest,
    now: DateTime<Utc>,
    egress_not_before: Option<DateTime<Utc>>,
) -> Spec {
    let rules = &settings.relay;
    let capabilities = platform.capabilities();
    let max_duration = request.max_duration.unwrap_or(rules.max_duration);
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
        ingest_owner: request.ingest_owner.unwrap_or(match settings.ingest.owner {
            DefaultIngestOwner::Relay => IngestOwner::Relay,
            DefaultIngestOwner::Channel => IngestOwner::Channel,
        }),
        latency: capabilities
            .low_latency
            .choose(request.latency)
            .unwrap_or_default(),
        keep_ingest: rules.ingest_retention == IngestRetention::Keep,
        platform: PlatformName::new(platform.name()),
        capabilities,
        egress: egress.spec(rules.live_timeout, max_duration),
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
            query_interval: egress.query_interval(),
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
