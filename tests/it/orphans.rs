//! The janitor removes the ingests that no relay knows, at each platform, and no others.
#![cfg(feature = "sandbox")]

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use rstest::rstest;
use secrecy::ExposeSecret as _;

use crate::support::platform::{TestPlatform, orphan_like};
use crate::support::service::{Stage, calls, options, show, until};

#[rstest]
#[tokio::test]
async fn the_janitor_removes_an_ingest_that_no_relay_knows_and_no_other(
    #[values(TestPlatform::Cloudflare, TestPlatform::Mux, TestPlatform::Ivs)]
    platform: TestPlatform,
) {
    let mut copy = None;
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), |vendors, settings| {
        platform.make_default(vendors, settings);
        settings.janitor.grace = Duration::from_secs(1);
        copy = Some(settings.clone());
    })
    .await;
    let (vendors, settings) = (&stage.vendors, copy.unwrap());
    let relay = stage.service.go_live(42, &show("show68")).await;
    let known = relay["stream_key_id"].as_str().unwrap();
    let tag = platform.tag_of(&vendors.state().live_inputs[0]);
    let delete = match platform {
        TestPlatform::Cloudflare => VendorCall::LiveInputDelete,
        TestPlatform::Mux => VendorCall::MuxStreamDelete,
        TestPlatform::Ivs => VendorCall::IvsChannelDelete,
    };
    vendors.fault(VendorFault::once(delete, FaultKind::Status(500, None)));
    let mut of_another_database = tag.clone();
    of_another_database.namespace.database = "ffffffff".into();
    let create = async |tag: String| platform.create_ingest(&settings, &tag).await;
    let foreign = [
        create("anothers".into()).await,
        create(of_another_database.to_string()).await,
    ];
    let mut orphans = Vec::new();
    for _ in 0..3 {
        orphans.push(create(orphan_like(&tag).to_string()).await);
    }
    let published = orphans[2].publish_url.expose_secret();
    vendors.publish(published, "encoder").unwrap();
    let is_deleted = |id: &str| {
        let ingests = vendors.state().live_inputs;
        ingests.iter().any(|one| one.uid == id && one.deleted)
    };
    until("without the orphans", async || {
        orphans.iter().all(|orphan| is_deleted(&orphan.id))
    })
    .await;
    // A call is recorded once it is answered.
    until("one failed", async || {
        calls(vendors, delete).len() > orphans.len()
    })
    .await;
    let kept = foreign.iter().map(|one| one.id.as_str());
    assert!(kept.chain([known]).all(|id| !is_deleted(id)));
    assert_eq!(stage.service.phases(&relay).await.last().unwrap(), "live");
}
