//! An ingest that a channel keeps at Mux: every show has one URL and its own recording.

use relaykeeper::config::{AgoraBackend, DefaultIngestOwner};
use relaykeeper::sandbox::{FaultKind, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::Value;

use super::stage_with;
use crate::kept_ingests::{give_up, ingests, long_after, recording, until_released};
use crate::support::service::{
    Stage, alive, calls, options, show, until, until_nothing_is_left, violations,
};

async fn stage(backend: AgoraBackend) -> Stage {
    stage_with(backend, options(), |settings| {
        settings.ingest.owner = DefaultIngestOwner::Channel;
    })
    .await
}

/// Calls that change live streams.
fn changes(stage: &Stage) -> Vec<VendorCall> {
    let changes = [
        VendorCall::MuxStreamCreate,
        VendorCall::MuxStreamUpdate,
        VendorCall::MuxStreamDelete,
        VendorCall::MuxStreamComplete,
        VendorCall::MuxStreamDisable,
        VendorCall::MuxStreamEnable,
        VendorCall::MuxStreamResetKey,
    ];
    let made = stage.vendors.state().calls.into_iter();
    let made = made.filter_map(|record| record.call.parse::<VendorCall>().ok());
    made.filter(|call| changes.contains(call)).collect()
}

/// Its own recording, whose length alone its cost counts.
fn cost(relay: &Value) -> String {
    let id = recording(relay);
    let seconds = relay["recordings"][0]["duration_seconds"].as_u64().unwrap();
    let minutes = seconds.div_ceil(60);
    // 25 dollars for encoding and 2.4 for storage, for 1,000 minutes.
    assert_eq!(relay["cost"]["cost_micros"], minutes * 27_400, "{relay:#}");
    id
}

/// `soon`: the second begins inside the reconnect window, in which Mux would go on with the first one's recording.
#[rstest]
#[tokio::test]
async fn two_shows_at_mux_have_one_url_and_each_its_recording_and_cost(
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
    #[values(true, false)] soon: bool,
) {
    let stage = stage(backend).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    assert_eq!(ingests(service).await[0]["platform"], "mux");
    service.stop_channel(42).await;
    until_released(service).await;
    if !soon {
        service.in_phase(&first, "ended").await;
        long_after(&stage.database).await;
    }

    let before = changes(&stage).len();
    let second = service.go_live(42, &show("show68")).await;
    assert_eq!(second["hls_playback_url"], first["hls_playback_url"]);
    assert_eq!(second["stream_key_id"], first["stream_key_id"]);
    let second = service.come_down(42).await;
    let made = changes(&stage).split_off(before);
    let expected: &[VendorCall] = match soon {
        true => &[VendorCall::MuxStreamDisable, VendorCall::MuxStreamEnable],
        false => &[],
    };
    assert_eq!(made, expected);
    let first = service.in_phase(&first, "ended").await;
    assert_ne!(cost(&first), cost(&second));
    assert_eq!(vendors.state().live_inputs.len(), 1);
    assert!(alive(vendors).is_empty());
    assert_eq!(stage.count("SELECT COUNT(*) FROM cleanup_jobs").await, 0);
    assert_eq!(give_up(service).await.status, 202);
    until_nothing_is_left(vendors).await;
    assert_eq!(violations(vendors), [""; 0]);
}

/// Agora answers no stop.
#[tokio::test]
async fn at_mux_an_egress_that_is_not_proved_gone_cannot_publish_into_the_next_show() {
    let stage = stage(AgoraBackend::MediaPush).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let first = service.go_live(42, &show("show68")).await;
    let refused = FaultKind::Status(503, None);
    vendors.fault(VendorFault::forever(VendorCall::ConverterDelete, refused));
    service.stop_channel(42).await;
    until("renewed", async || {
        calls(vendors, VendorCall::MuxStreamEnable).len() == 1
    })
    .await;
    assert!(!alive(vendors).iter().any(|egress| egress.publishing));
    assert_eq!(calls(vendors, VendorCall::MuxStreamResetKey).len(), 1);
    vendors.clear_faults();
    let first = service.in_phase(&first, "ended").await;
    long_after(&stage.database).await;
    let second = service.go_live(42, &show("show68")).await;
    assert_eq!(second["hls_playback_url"], first["hls_playback_url"]);
    let second = service.come_down(42).await;
    assert_ne!(cost(&first), cost(&second));
    assert_eq!(violations(vendors), [""; 0]);
}
