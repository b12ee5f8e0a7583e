//! Unusual but documented answers of the vendors.
#![cfg(feature = "sandbox")]

mod other_platforms;

use std::time::{Duration, Instant};

use crate::support::platform::TestPlatform;
use crate::support::service::{
    BACKENDS, Stage, alive, calls, options, show, until, until_nothing_is_left, vendors_when,
    violations,
};
use futures_util::future::join_all;
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{FaultKind, Options, VendorCall, VendorFault};
use rstest::rstest;
use serde_json::Value;

async fn life(backend: AgoraBackend, options: Options, webhooks: bool, faults: &[&str]) -> Stage {
    life_on(TestPlatform::Cloudflare, backend, options, webhooks, faults).await
}

async fn life_on(
    platform: TestPlatform,
    backend: AgoraBackend,
    options: Options,
    webhooks: bool,
    faults: &[&str],
) -> Stage {
    let stage = Stage::with_vendors(backend, options, |vendors, settings| {
        platform.make_default(vendors, settings);
        settings.relay.live_timeout = Duration::from_secs(40);
        settings.relay.feed_timeout = Duration::from_secs(40);
        settings.relay.provisioning_timeout = Duration::from_secs(40);
        settings.relay.start_wait = Duration::from_secs(60);
        settings.relay.recording_timeout = Duration::from_secs(30);
        settings.vendors.read_timeout = Duration::from_secs(1);
        settings.vendors.write_timeout = Duration::from_millis(1500);
    })
    .await;
    if webhooks {
        stage.webhooks_on();
    }
    for fault in faults {
        stage.vendors.fault(fault.parse::<VendorFault>().unwrap());
    }
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let state = vendors.state();
    assert_eq!(
        (state.live_inputs.len(), state.egresses.len()),
        (1, 1),
        "{state:#?}"
    );
    let url = relay["hls_playback_url"].as_str().unwrap();
    assert!(
        url.starts_with(&platform.playback_base_url(vendors)),
        "{url}"
    );
    let polls = calls(vendors, platform.poll()).len();
    vendors_when(vendors, "polled while live", |vendors| {
        (calls(vendors, platform.poll()).len() >= polls + 3).then_some(())
    })
    .await;
    if platform == TestPlatform::Cloudflare {
        assert!(url.contains(&state.live_inputs[0].uid), "{url}");
    }
    let relay = service.come_down(42).await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    assert_eq!(relay["agora"]["replacements"], 0);
    assert_eq!(relay["recordings"].as_array().map(Vec::len), Some(1));
    stage
}

#[rstest]
#[case::the_answer_to_create_is_lost("cloudflare.live_inputs.create=cut-after")]
#[case::create_fails_and_was_done("cloudflare.live_inputs.create=status-after:500")]
#[case::create_answers_a_page("cloudflare.live_inputs.create=not-json")]
#[case::create_hangs("cloudflare.live_inputs.create=hang")]
#[case::lifecycle_fails("customer.lifecycle=503,times=5")]
#[case::lifecycle_answers_a_page("customer.lifecycle=not-json,times=5")]
#[case::connected_and_not_yet_playable("customer.manifest=404,times=5")]
#[case::manifest_without_content("customer.manifest=status:204,times=5")]
#[case::manifest_is_a_page("customer.manifest=not-json,times=5")]
#[case::hosts_never_answer("agora.channel.hosts=500,times=forever")]
#[case::hosts_answer_a_page("agora.channel.hosts=not-json,times=forever")]
#[case::disable_fails_and_was_done("cloudflare.live_inputs.update=status-after:500")]
#[case::disable_is_cut("cloudflare.live_inputs.update=cut-after")]
#[case::disable_answers_a_page("cloudflare.live_inputs.update=not-json")]
#[case::disable_hangs("cloudflare.live_inputs.update=hang")]
#[case::delete_was_done_and_is_then_not_found("cloudflare.live_inputs.delete=status-after:500")]
#[case::delete_answers_a_page("cloudflare.live_inputs.delete=not-json")]
#[case::delete_is_cut("cloudflare.live_inputs.delete=cut-after")]
#[case::delete_hangs("cloudflare.live_inputs.delete=hang")]
#[case::the_list_of_videos_fails("cloudflare.videos.list=500,times=2")]
#[case::the_list_of_videos_is_a_page("cloudflare.videos.list=not-json,times=2")]
#[tokio::test]
async fn a_relay_survives_an_odd_answer_of_cloudflare(#[case] fault: &str) {
    let lives = BACKENDS.map(async |backend| {
        let stage = life(backend, options(), false, &[fault]).await;
        stage.settles().await;
        assert_eq!(violations(&stage.vendors), [""; 0]);
    });
    join_all(lives).await;
}

#[rstest]
#[case::acquire_is_not_completed("agora.cloud_recording.acquire=206")]
#[case::acquire_fails("agora.cloud_recording.acquire=500,times=2")]
#[case::the_answer_to_acquire_is_lost("agora.cloud_recording.acquire=cut-after")]
#[case::acquire_answers_a_page("agora.cloud_recording.acquire=not-json")]
#[case::acquire_hangs("agora.cloud_recording.acquire=hang")]
#[case::start_is_refused_for_now("agora.cloud_recording.start=503")]
#[case::the_resource_of_a_start_is_not_known("agora.cloud_recording.start=code:400:1001")]
#[case::query_is_not_completed("agora.cloud_recording.query=206,times=3")]
#[case::query_answers_a_page("agora.cloud_recording.query=not-json,times=3")]
#[case::query_finds_nothing_for_a_while("agora.cloud_recording.query=not-found-for:4s")]
#[case::stop_is_not_completed("agora.cloud_recording.stop=206,times=2")]
#[case::stop_was_done_and_is_then_invalid("agora.cloud_recording.stop=status-after:504")]
#[case::the_answer_to_stop_is_lost("agora.cloud_recording.stop=cut-after")]
#[case::stop_answers_a_page("agora.cloud_recording.stop=not-json")]
#[case::stop_hangs("agora.cloud_recording.stop=hang")]
#[tokio::test]
async fn a_relay_survives_an_odd_answer_of_cloud_recording(#[case] fault: &str) {
    let stage = life(AgoraBackend::CloudRecording, options(), false, &[fault]).await;
    stage.settles().await;
    assert_eq!(violations(&stage.vendors), [""; 0]);
}

/// After 206/65, a cut or a page the start is repeated on the same resource; 201/7 says that it runs.
#[rstest]
#[case::not_completed_and_not_done("agora.cloud_recording.start=206")]
#[case::not_completed_and_done("agora.cloud_recording.start=status-after:206")]
#[case::timed_out_and_done("agora.cloud_recording.start=status-after:504")]
#[case::not_completed_as_a_refusal("agora.cloud_recording.start=code:400:65")]
#[case::cut("agora.cloud_recording.start=cut-after")]
#[case::a_page("agora.cloud_recording.start=not-json")]
#[case::hung("agora.cloud_recording.start=hang")]
#[tokio::test]
async fn a_start_of_unknown_outcome_is_repeated_on_the_same_resource(#[case] fault: &str) {
    let stage = life(AgoraBackend::CloudRecording, options(), true, &[fault]).await;
    stage.settles().await;
    assert_eq!(
        violations(&stage.vendors),
        [""; 0],
        "no task met another, no resource was used twice"
    );
}

#[tokio::test]
async fn a_task_on_an_earlier_resource_is_found_by_a_conflict() {
    // The first start is executed but never answered until its resource is given up.
    let faults = [
        "agora.cloud_recording.start=cut-after",
        "agora.cloud_recording.start=503,times=2",
    ];
    let stage = life(AgoraBackend::CloudRecording, options(), false, &faults).await;
    let vendors = &stage.vendors;
    assert_eq!(violations(vendors), ["task_conflict"], "400/53");
    assert_eq!(vendors.state().egresses.len(), 1);
    let input = &vendors.state().live_inputs[0];
    assert!(input.deleted && input.encoders.is_empty());
    for egress in alive(vendors) {
        assert!(!egress.publishing, "{egress:#?}");
    }
}

#[tokio::test]
async fn a_stop_before_anything_was_recorded_counts_as_done() {
    let stage = Stage::with(AgoraBackend::CloudRecording, options(), |settings| {
        settings.relay.live_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    vendors.set_seller("show68", None, false);
    let (status, relay) = service.start_channel(42, &show("show68")).await;
    assert_eq!(status, 201);
    assert_eq!(service.stop_channel(42).await.0, 202);
    let relay = service.in_phase(&relay, "ended").await;
    assert_eq!(relay["outcome"]["code"], "cancelled");
    let stops = calls(vendors, VendorCall::Stop);
    assert_eq!(stops.len(), 1, "{stops:#?}");
    assert_eq!(stops[0].status, Some(206), "206/435");
    stage.settles().await;
}

#[rstest]
#[case::the_answer_to_create_is_lost("agora.media_push.create=cut-after", &["name_conflict"])]
#[case::create_fails_and_was_done("agora.media_push.create=status-after:500", &["name_conflict"])]
#[case::create_answers_a_page("agora.media_push.create=not-json", &["name_conflict"])]
#[case::create_hangs("agora.media_push.create=hang", &[])]
#[case::get_fails("agora.media_push.get=500,times=3", &[])]
#[case::get_answers_a_page("agora.media_push.get=not-json,times=3", &[])]
#[case::get_finds_nothing_for_a_while("agora.media_push.get=not-found-for:4s", &[])]
#[case::delete_was_done_and_is_then_not_found("agora.media_push.delete=status-after:500", &[])]
#[case::delete_answers_a_page("agora.media_push.delete=not-json", &[])]
#[case::delete_is_cut("agora.media_push.delete=cut-after", &[])]
#[case::delete_hangs("agora.media_push.delete=hang", &[])]
#[tokio::test]
async fn a_relay_survives_an_odd_answer_of_media_push(
    #[case] fault: &str,
    #[case] expected: &[&str],
) {
    // As in the schema of a GET: without id and state.
    let options = Options {
        converter_state_in_answers: false,
        ..options()
    };
    let stage = life(AgoraBackend::MediaPush, options, false, &[fault]).await;
    // After a 404 the service polls again later: a cleanup job may stay, a converter may not.
    until_nothing_is_left(&stage.vendors).await;
    assert_eq!(violations(&stage.vendors), expected);
}

#[rstest]
#[case::no_playback_in_answers(Options { playback_in_answers: false, ..options() })]
#[case::status_is_a_word(Options { status_as_text: true, ..options() })]
#[case::status_is_missing(Options { status_null: false, ..options() })]
#[case::converters_come_bare_and_without_a_state(Options { converter_wrapped: false, converter_state_in_answers: false, ..options() })]
#[case::lists_have_a_page_of_one(Options { converter_page_size: 1, ..options() })]
#[case::lifecycle_holds_a_lost_feed(Options { lifecycle_holds: true, ..options() })]
#[case::the_token_is_the_accounts(Options { account_owned_token: true, ..options() })]
#[tokio::test]
async fn a_relay_survives_each_documented_shape_of_an_answer(
    #[case] options: Options,
    #[values(AgoraBackend::CloudRecording, AgoraBackend::MediaPush)] backend: AgoraBackend,
    #[values(false, true)] webhooks: bool,
) {
    let stage = life(backend, options, webhooks, &[]).await;
    stage.settles().await;
    assert_eq!(violations(&stage.vendors), [""; 0]);
    let health = stage.service.get("/v1/health").await;
    assert_eq!(health["healthy"], Value::Bool(true), "{health:#}");
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn an_app_without_a_certificate_needs_no_tokens(#[case] backend: AgoraBackend) {
    let options = Options {
        certificate: false,
        ..options()
    };
    let stage = Stage::with(backend, options, |settings| {
        settings.agora.app_certificate = "".into();
    })
    .await;
    stage.service.go_live(42, &show("show68")).await;
    stage.service.come_down(42).await;
    stage.settles().await;
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording, "agora.cloud_recording.acquire=refuse")]
#[case::media_push(AgoraBackend::MediaPush, "agora.media_push.create=refuse")]
#[tokio::test]
async fn a_call_that_agora_refuses_is_repeated_at_its_other_host(
    #[case] backend: AgoraBackend,
    #[case] fault: &str,
) {
    let stage = life(backend, options(), false, &[fault]).await;
    stage.settles().await;
}

/// Two ready recordings; the second has the duration -1.
#[rstest]
#[case::for_good(false)]
#[case::at_first(true)]
#[tokio::test]
async fn a_ready_recording_of_unknown_length_is_awaited_and_never_costs_zero(
    #[case] is_notified_in_time: bool,
) {
    // `timeoutSeconds` is below a second, so that a short feed loss begins another video.
    let options = Options {
        wire_speed: Some(4.0),
        ..options()
    };
    let stage = Stage::with(AgoraBackend::MediaPush, options, |settings| {
        let seconds = if is_notified_in_time { 30 } else { 2 };
        settings.relay.recording_timeout = Duration::from_secs(seconds);
        settings.relay.live_timeout = Duration::from_secs(40);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let relay = service.go_live(42, &show("show68")).await;
    let converter = alive(vendors)[0].id.clone();
    assert!(vendors.drop_feed(&converter, Duration::from_secs(24)));
    let second = vendors_when(vendors, "a second video", |vendors| {
        vendors.state().videos.get(1).map(|video| video.uid.clone())
    })
    .await;
    assert!(vendors.hide_length(&second, true));
    service
        .relay_when(&relay, "live for six seconds", |relay| {
            relay["live_seconds"].as_u64() >= Some(6)
        })
        .await;
    service.stop_channel(42).await;
    if is_notified_in_time {
        service.in_phase(&relay, "finalizing").await;
        vendors_when(vendors, "listed while both are ready", |vendors| {
            let state = vendors.state();
            let ready = state.videos.iter().all(|video| video.state == "ready");
            (ready && calls(vendors, VendorCall::LiveInputVideos).len() > 3).then_some(())
        })
        .await;
        assert!(vendors.hide_length(&second, false));
    }
    let relay = service.in_phase(&relay, "ended").await;
    let cost = &relay["cost"];
    let lengths = vendors.state().videos;
    let lengths: f64 = lengths.iter().map(|video| video.duration_seconds).sum();
    if is_notified_in_time {
        assert_eq!(cost["source"], "recording", "{relay:#}");
        assert_eq!(cost["duration_seconds"].as_f64(), Some(lengths.ceil()));
    } else {
        assert_eq!(cost["source"], "observed", "{relay:#}");
        assert_eq!(cost["duration_seconds"], relay["live_seconds"]);
    }
    let recordings = relay["recordings"].as_array().unwrap();
    assert!(recordings.iter().all(|one| one["state"] == "ready"));
}

#[rstest]
#[case::storage("429:10011", "Storage capacity exceeded", "buy more")]
#[case::not_enabled("403:10005", "Cloudflare Stream not enabled", "subscribe to it")]
#[tokio::test]
async fn a_limit_of_the_cloudflare_account_is_a_quota_and_delays_no_stop(
    #[case] answer: &str,
    #[case] words: &str,
    #[case] remedy: &str,
) {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    service.go_live(41, &show("show41")).await;
    let fault = format!("cloudflare.live_inputs.create=code:{answer},times=forever");
    vendors.fault(fault.parse().unwrap());
    let (status, problem) = service.start_channel(42, &show("show42")).await;
    assert_eq!(status, 503, "{problem:#}");
    assert_eq!(problem["code"], "vendor-quota");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(words) && detail.contains(remedy),
        "{detail}"
    );
    let begun = Instant::now();
    service.come_down(41).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(25), "a pause is 30 s: {took:?}");
    assert_eq!(alarms(&stage).await, [""; 0]);
    stage.settles().await;
}

#[tokio::test]
async fn a_customer_host_that_contains_the_account_id_raises_an_alarm() {
    let stage = Stage::with(AgoraBackend::MediaPush, Options::default(), |settings| {
        let account = &settings.cloudflare.account_id;
        let host = format!("https://customer-{account}.cloudflarestream.com");
        settings.cloudflare.customer_base_url = host;
    })
    .await;
    let code = "customer-host-differs".to_owned();
    until("raised", async || alarms(&stage).await.contains(&code)).await;
}

async fn alarms(stage: &Stage) -> Vec<String> {
    let health = stage.service.get("/v1/health").await;
    let alarms = health["alarms"].as_array().unwrap().iter();
    alarms
        .map(|alarm| alarm["code"].as_str().unwrap().to_owned())
        .collect()
}

/// An alarm stands until the customer host answers as documented again.
#[tokio::test]
async fn polls_of_the_api_replace_an_undocumented_lifecycle() {
    let stage = Stage::new(AgoraBackend::MediaPush).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let code = "lifecycle-undocumented".to_owned();
    vendors.fault(VendorFault::forever(
        VendorCall::Lifecycle,
        FaultKind::NotJson,
    ));
    let relay = service.go_live(42, &show("show68")).await;
    until("raised", async || alarms(&stage).await.contains(&code)).await;
    // Polls of the API still notice a lost feed.
    let gets = calls(vendors, VendorCall::LiveInputGet).len();
    vendors_when(vendors, "polled through the API", |vendors| {
        (calls(vendors, VendorCall::LiveInputGet).len() >= gets + 3).then_some(())
    })
    .await;
    vendors.clear_faults();
    until("cleared", async || !alarms(&stage).await.contains(&code)).await;
    let gets = calls(vendors, VendorCall::LiveInputGet).len();
    let polls = calls(vendors, VendorCall::Lifecycle).len();
    vendors_when(vendors, "polled as before", |vendors| {
        (calls(vendors, VendorCall::Lifecycle).len() >= polls + 3).then_some(())
    })
    .await;
    assert_eq!(calls(vendors, VendorCall::LiveInputGet).len(), gets);
    assert_eq!(service.phases(&relay).await.last().unwrap(), "live");
    service.come_down(42).await;
    stage.settles().await;
    assert_eq!(violations(vendors), [""; 0]);
}
