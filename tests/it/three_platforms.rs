//! Relays on all platforms at once: of one that is away, the others notice nothing.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::relay::ResourceTag;
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;
use uuid::Uuid;

use crate::support::aws::Aws;
use crate::support::service::{Stage, options, show, until, violations};

pub(crate) const PLATFORMS: [&str; 3] = ["cloudflare", "mux", "ivs"];

pub(crate) fn all_on(vendors: &SimulatedVendors, settings: &mut Settings) {
    let mux = &mut settings.mux;
    mux.token_id = vendors.mux_token_id().into();
    mux.token_secret = vendors.mux_token_secret().into();
    mux.api_base_url = vendors.mux_api_base_url();
    mux.playback_base_url = vendors.mux_playback_base_url();
    mux.ingest_url = vendors.mux_ingest_url().into();
    let ivs = &mut settings.ivs;
    ivs.region = vendors.ivs_region().into();
    ivs.access_key_id = vendors.ivs_access_key_id().into();
    ivs.secret_access_key = vendors.ivs_secret_access_key().into();
    ivs.api_base_url = vendors.ivs_api_base_url();
    ivs.playback_base_url = vendors.ivs_playback_base_url();
    ivs.recording_configuration_arn = vendors.ivs_recording_configuration_arn().into();
    ivs.recording_bucket = vendors.ivs_recording_bucket().into();
    ivs.s3_endpoint = vendors.ivs_s3_endpoint();
    ivs.vod_base_url = vendors.ivs_vod_base_url();
    // The vendors' clock is 20 times as fast.
    (mux.reads_per_second, mux.writes_per_second) = (20, 20);
    ivs.requests_per_second = 50;
    mux.recordings_interval = Duration::from_millis(300);
    ivs.recordings_interval = Duration::from_millis(300);
}

pub(crate) fn calls_of(platform: &str) -> impl Iterator<Item = VendorCall> {
    let rooms = match platform {
        "cloudflare" => ["cloudflare.", "customer."].as_slice(),
        "mux" => &["mux.", "mux_playback."],
        _ => &["ivs.", "ivs_playback.", "s3."],
    };
    VendorCall::iter().filter(|call| rooms.iter().any(|room| call.name().starts_with(room)))
}

#[rstest]
#[tokio::test]
async fn relays_on_other_platforms_notice_nothing_of_one_that_is_away(
    #[values("cloudflare", "mux", "ivs")] away: &str,
) {
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), all_on).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let start = async |channel: i64, platform: &str| {
        let mut body = show(&format!("show{channel}"));
        body["platform"] = platform.into();
        let relay = service.go_live(channel, &body).await;
        assert_eq!(relay["platform"], platform);
        relay
    };
    let mut before = Vec::new();
    for (channel, platform) in (1..).zip(PLATFORMS) {
        before.push((channel, platform, start(channel, platform).await));
    }
    for call in calls_of(away) {
        vendors.fault(VendorFault::forever(call, FaultKind::Refuse));
    }
    let others = || PLATFORMS.into_iter().filter(|platform| *platform != away);
    for (channel, platform) in (11..).zip(others()) {
        start(channel, platform).await;
        let ended = service.come_down(channel).await;
        assert_eq!(ended["outcome"]["code"], "stopped_by_request", "{ended:#}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (_, platform, relay) in &before {
        let relay = service.in_phase(relay, "live").await;
        assert_eq!(
            relay["is_live"], true,
            "{platform}: a failed poll is no reading"
        );
    }
    let health = service.get("/v1/health").await;
    for platform in others() {
        assert_eq!(health["platforms"][platform]["healthy"], true, "{health:#}");
    }
    vendors.clear_faults();
    for (channel, _, _) in before {
        let ended = service.come_down(channel).await;
        assert_eq!(ended["recordings"][0]["state"], "ready", "{ended:#}");
    }
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}

#[tokio::test]
async fn the_janitor_removes_a_channel_of_ivs_that_no_relay_knows_and_no_other() {
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), |vendors, settings| {
        all_on(vendors, settings);
        settings.platforms.default = "ivs".into();
        settings.janitor.grace = Duration::from_secs(1);
    })
    .await;
    let Stage {
        vendors, service, ..
    } = stage;
    let relay = service.go_live(42, &show("show68")).await;
    let known = relay["stream_key_id"].as_str().unwrap();
    let made = vendors.state().live_inputs;
    let tag = made[0].meta["name"].as_str().unwrap();
    let mut orphan: ResourceTag = tag.parse().unwrap();
    orphan.relay = Uuid::now_v7();
    let tags = |mark: &str| -> Value {
        let mut tags = made[0].meta["tags"].clone();
        tags["relaykeeper"] = mark.into();
        tags
    };
    let aws = Aws::of(vendors);
    let create = async |mark: &str| {
        let body = json!({"name": mark.replace(' ', "-"), "tags": tags(mark)});
        aws.create(body).await.arn
    };
    let (orphan, foreign) = (create(&orphan.to_string()).await, create("anothers").await);
    let is_deleted = |arn: &str| {
        let channels = aws.vendors.state().live_inputs;
        channels.iter().any(|one| one.uid == arn && one.deleted)
    };
    until("without the orphan", async || is_deleted(&orphan)).await;
    assert!(!is_deleted(&foreign) && !is_deleted(known));
}
