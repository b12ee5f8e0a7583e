//! Those of Mux and Amazon IVS.

use std::time::Duration;

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::Options;
use rstest::rstest;

use super::life_on;
use crate::support::platform::TestPlatform::{self, Ivs, Mux};
use crate::support::service::{options, violations};

const BACKEND: AgoraBackend = AgoraBackend::MediaPush;

/// Each answers so a few times.
#[rstest]
#[case::a_storm_of_429_at_creations(Mux, "mux.live_streams.create=429,times=3")]
#[case::a_storm_of_429_at_reads(Mux, "mux.live_streams.get=429,times=5")]
#[case::a_storm_of_429_at_lists(Mux, "mux.assets.list=429,times=3")]
#[case::a_storm_of_429_at_stops(Mux, "mux.live_streams.disable=429,times=3")]
#[case::active_and_not_yet_playable(Mux, "mux_playback.manifest=404,times=5")]
#[case::the_manifest_is_a_page(Mux, "mux_playback.manifest=not-json,times=5")]
#[case::the_list_of_streams_is_throttled(Ivs, "ivs.list_streams=429,times=5")]
#[case::the_list_of_streams_fails(Ivs, "ivs.list_streams=500,times=5")]
#[case::creations_are_throttled(Ivs, "ivs.create_channel=429,times=3")]
#[case::live_and_not_yet_playable(Ivs, "ivs_playback.manifest=404,times=5")]
#[case::the_stream_cannot_be_stopped_yet(Ivs, "ivs.stop_stream=503,times=2")]
#[case::the_channel_is_still_live(Ivs, "ivs.delete_channel=409,times=2")]
#[case::the_bucket_is_too_busy(Ivs, "s3.list_objects_v2=503,times=3")]
#[case::an_event_in_the_bucket_is_not_there_yet(Ivs, "s3.get_object=404,times=2")]
#[tokio::test]
async fn a_relay_survives_an_odd_answer_of_another_platform(
    #[case] platform: TestPlatform,
    #[case] fault: &str,
) {
    let stage = life_on(platform, BACKEND, options(), false, &[fault]).await;
    stage.settles().await;
    assert_eq!(violations(&stage.vendors), [""; 0]);
}

#[rstest]
#[case::the_list_of_streams_lags(Options { ivs_streams_listed_after: Duration::from_secs(40), ..options() })]
#[case::a_new_encoder_takes_over(Options { ivs_new_encoder_replaces: true, ..options() })]
#[tokio::test]
async fn a_relay_survives_each_behaviour_of_ivs_that_is_not_documented(#[case] options: Options) {
    let stage = life_on(Ivs, BACKEND, options, false, &[]).await;
    stage.settles().await;
    assert_eq!(violations(&stage.vendors), [""; 0]);
}
