//! Relays on all platforms at once: of one that is away, the others notice nothing.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use relaykeeper::config::{AgoraBackend, Settings};
use relaykeeper::sandbox::{FaultKind, SimulatedVendors, VendorFault};
use rstest::rstest;
use strum::IntoEnumIterator as _;

use crate::support::platform::TestPlatform;
use crate::support::service::{Stage, options, show, violations};

pub(crate) fn all_on(vendors: &SimulatedVendors, settings: &mut Settings) {
    for platform in TestPlatform::iter() {
        platform.put_on(vendors, settings);
    }
}

#[rstest]
#[tokio::test]
async fn relays_on_other_platforms_notice_nothing_of_one_that_is_away(
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)] away: TestPlatform,
) {
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), all_on).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let start = async |channel: i64, platform: TestPlatform| {
        let mut body = show(&format!("show{channel}"));
        body["platform"] = platform.name().into();
        let relay = service.go_live(channel, &body).await;
        assert_eq!(relay["platform"], platform.name());
        relay
    };
    let mut before = Vec::new();
    for (channel, platform) in (1..).zip(TestPlatform::iter()) {
        before.push((channel, platform, start(channel, platform).await));
    }
    for call in away.calls() {
        vendors.fault(VendorFault::forever(call, FaultKind::Refuse));
    }
    let others = || TestPlatform::iter().filter(|platform| *platform != away);
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
            "{platform:?}: a failed poll is no reading"
        );
    }
    let health = service.get("/v1/health").await;
    for platform in others() {
        assert_eq!(
            health["platforms"][platform.name()]["healthy"],
            true,
            "{health:#}"
        );
    }
    vendors.clear_faults();
    for (channel, _, _) in before {
        let ended = service.come_down(channel).await;
        assert_eq!(ended["recordings"][0]["state"], "ready", "{ended:#}");
    }
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}
