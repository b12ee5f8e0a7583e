//! The client of IVS against the simulated IVS, which was written apart from it.
#![cfg(feature = "sandbox")]

mod broadcasts;
mod recordings;
mod refusals;
pub(crate) mod support;

use std::time::Duration;

use relaykeeper::platforms::{Platform as _, Removal};
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use relaykeeper::vendors::{Class, Done};
use secrecy::ExposeSecret as _;

use crate::support::bench::{fast, new, permit};
use support::IvsBench;

#[tokio::test]
async fn a_channel_is_public_tagged_recorded_and_takes_rtmps() {
    let bench = IvsBench::start(fast());
    let created = bench.create("tag-1").await;
    assert_eq!(created.ignored_settings, [""; 0]);
    let url = created.publish_url.expose_secret().to_owned();
    let (host, key) = url.rsplit_once(":443/app/").unwrap();
    assert!(host.starts_with("rtmps://") && !key.is_empty(), "{url}");
    let channel = bench.snapshot(&created.id);
    assert_eq!(channel.meta["name"], "tag-1");
    assert_eq!(channel.meta["tags"]["relaykeeper"], "tag-1");
    assert_eq!(
        channel.meta["tags"]["relaykeeper-title"],
        "show68 channel 42"
    );
    assert_eq!(channel.recording_mode, "automatic");
    let base = bench.vendors.ivs_playback_base_url();
    assert!(created.playback.hls_url.starts_with(&base));
    assert_eq!(created.playback.dash_url, None);

    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(read.publish_url.unwrap().expose_secret(), url);
    assert_eq!(read.playback, Some(created.playback));
    assert_eq!(
        (read.tag.as_deref(), read.is_closed),
        (Some("tag-1"), false)
    );
}

/// IVS has no idempotency tokens.
#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_found_by_its_name_and_not_repeated() {
    let bench = IvsBench::start(fast());
    let fault = VendorFault::once(VendorCall::IvsChannelCreate, FaultKind::CutAfter);
    bench.vendors.fault(fault);
    let lost = bench.platform.ensure_ingest(permit(), &new("tag-1")).await;
    assert_eq!(lost.unwrap_err().done, Done::Unknown);
    assert_eq!(bench.calls(VendorCall::IvsChannelCreate), 1);
    bench.create("tag-2").await;
    let list = bench.platform.find_tagged(permit(), "tag-1").await.unwrap();
    assert_eq!((list.ingests.len(), list.may_be_cut), (1, false));
    let [found] = &list.with_tag("tag-1")[..] else {
        panic!("{list:?}");
    };
    let age = chrono::Utc::now() - found.created.unwrap();
    assert!(age.num_seconds().abs() < 60, "{age}");
    let read = bench
        .platform
        .read_ingest(permit(), &found.id)
        .await
        .unwrap();
    assert!(read.publish_url.is_some() && read.playback.is_some());
}

#[tokio::test]
async fn the_list_is_read_to_its_end() {
    let bench = IvsBench::start(fast());
    for number in 0..210 {
        bench.create(&format!("tag-{number}")).await;
    }
    let list = bench.platform.list_tagged(permit()).await.unwrap();
    assert_eq!((list.ingests.len(), list.may_be_cut), (210, false));
    let mut tags: Vec<_> = list.ingests.iter().map(|ingest| &ingest.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 210);
    assert_eq!(bench.calls(VendorCall::IvsChannelList), 3);
}

#[tokio::test]
async fn closing_and_removing_may_be_repeated_and_removing_waits_for_the_end() {
    let bench = IvsBench::start(fast());
    let created = bench.create("tag-1").await;
    bench.publish(&created).unwrap();
    bench.until_live(&created).await;
    let early = bench.platform.remove(permit(), &created.id).await.unwrap();
    assert!(matches!(early, Removal::StillLive { .. }));
    for _ in 0..2 {
        bench.platform.close(permit(), &created.id).await.unwrap();
        assert!(bench.publish(&created).is_err(), "it has no key");
    }
    assert_eq!(bench.encoders(&created.id), 0);
    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert!(read.is_closed && read.publish_url.is_none());
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while bench.platform.remove(permit(), &created.id).await.unwrap() != Removal::Gone {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = bench.platform.remove(permit(), &created.id).await.unwrap();
    assert_eq!(again, Removal::Gone);
    let closed = bench
        .platform
        .close(permit(), &created.id)
        .await
        .unwrap_err();
    assert_eq!(closed.class, Class::NotFound);
    let read = bench.platform.read_ingest(permit(), &created.id).await;
    assert_eq!(read.unwrap_err().class, Class::NotFound);
}

/// Its stream begins when the channel is already closed.
#[tokio::test]
async fn an_encoder_that_had_just_connected_is_thrown_out_by_the_removal() {
    let bench = IvsBench::start(fast());
    let created = bench.create("tag-1").await;
    bench.publish(&created).unwrap();
    bench.platform.close(permit(), &created.id).await.unwrap();
    if bench.encoders(&created.id) > 0 {
        bench.until_live(&created).await;
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while bench.platform.remove(permit(), &created.id).await.unwrap() != Removal::Gone {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Deleting a key leaves a connected encoder where it is.
#[tokio::test]
async fn a_renewed_key_throws_out_who_publishes_with_the_old_one() {
    let bench = IvsBench::start(fast());
    let created = bench.create("tag-1").await;
    bench.publish(&created).unwrap();
    bench.until_live(&created).await;
    assert_eq!(bench.encoders(&created.id), 1);
    let url = bench
        .platform
        .renew_key(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(bench.encoders(&created.id), 0);
    assert!(bench.publish(&created).is_err(), "the old key is dead");
    let read = bench
        .platform
        .read_ingest(permit(), &created.id)
        .await
        .unwrap();
    assert_eq!(read.playback, Some(created.playback.clone()));
    assert!(!read.is_closed);
    let connection = bench.publish_again(url.expose_secret()).await;
    bench.vendors.unpublish(connection);

    // A renewal that failed half-way is repeated whole.
    for call in [
        VendorCall::IvsKeyDelete,
        VendorCall::IvsKeyCreate,
        VendorCall::IvsStreamStop,
    ] {
        bench
            .vendors
            .fault(VendorFault::once(call, FaultKind::CutAfter));
        let half = bench.platform.renew_key(permit(), &created.id).await;
        half.unwrap_err();
        let whole = bench
            .platform
            .renew_key(permit(), &created.id)
            .await
            .unwrap();
        let connection = bench.publish_again(whole.expose_secret()).await;
        bench.vendors.unpublish(connection);
    }
}

#[tokio::test]
async fn each_operation_keeps_its_own_budget() {
    let bench = IvsBench::with(Options::default(), |ivs| ivs.requests_per_second = 5);
    let begun = std::time::Instant::now();
    let creations = (0..10).map(|number| {
        let ivs = &bench.platform;
        async move {
            let tag = format!("tag-{number}");
            ivs.ensure_ingest(permit(), &new(&tag)).await.unwrap()
        }
    });
    let created = futures_util::future::join_all(creations).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Another operation has not waited for it.
    let begun = std::time::Instant::now();
    bench
        .platform
        .close(permit(), &created[0].id)
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(bench.vendors.state().violations.len(), 0);
}
