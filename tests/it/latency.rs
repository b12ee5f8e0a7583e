//! A start chooses how far buyers are behind.
#![cfg(feature = "sandbox")]

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use rstest::rstest;
use serde_json::{Value, json};

use crate::kept_ingests::{kept, long_after, until_released};
use crate::support::service::{Stage, options, show, until_nothing_is_left, violations};
use crate::three_platforms::all_on;

fn on(platform: &str, latency: Option<&str>) -> Value {
    let mut body = show("show68");
    body["platform"] = platform.into();
    body["latency"] = latency.into();
    body
}

/// Whether the relay's ingest has low latency.
fn is_low(vendors: &SimulatedVendors, relay: &Value) -> bool {
    let inputs = vendors.state().live_inputs.into_iter();
    let mut own = inputs.filter(|input| relay["stream_key_id"] == input.uid.as_str());
    own.next().expect("an ingest").low_latency
}

/// Where it is played with low latency, if its HLS URL is this.
fn low_latency_url(platform: &str, hls_url: &Value) -> Value {
    match platform {
        "cloudflare" => format!("{}?protocol=llhls", hls_url.as_str().unwrap()).into(),
        "mux" => hls_url.clone(),
        _ => Value::Null,
    }
}

#[rstest]
#[case("cloudflare", None, "normal")]
#[case("cloudflare", Some("low"), "low")]
#[case("mux", None, "normal")]
#[case("mux", Some("low"), "low")]
#[case("ivs", None, "low")]
#[case("ivs", Some("normal"), "normal")]
#[tokio::test]
async fn a_relay_has_the_latency_of_its_start_or_the_platforms_own(
    #[case] platform: &str,
    #[case] asked: Option<&str>,
    #[case] expected: &str,
) {
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), all_on).await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let (status, relay) = service.start_channel(42, &on(platform, asked)).await;
    assert_eq!(status, 201, "{relay:#}");
    assert_eq!(relay["latency"], expected);
    assert_eq!(is_low(vendors, &relay), expected == "low");
    let playback = service.get("/v1/channels/42/playback").await;
    let url = match expected {
        "low" => low_latency_url(platform, &relay["hls_playback_url"]),
        _ => Value::Null,
    };
    assert_eq!(playback["ll_hls_url"], url, "{playback:#}");
    let health = service.get("/v1/health").await;
    assert_eq!(health["alarms"], json!([]), "a setting was not taken");
    service.come_down(42).await;
    until_nothing_is_left(vendors).await;
    assert_eq!(violations(vendors), [""; 0]);
}

#[rstest]
#[tokio::test]
async fn an_ingest_that_a_channel_keeps_takes_the_latency_of_each_show(
    #[values("cloudflare", "mux", "ivs")] platform: &str,
) {
    let stage = Stage::with_vendors(AgoraBackend::MediaPush, options(), |vendors, settings| {
        all_on(vendors, settings);
        kept(settings);
    })
    .await;
    let (vendors, service) = (&stage.vendors, &stage.service);
    let mut urls = Vec::new();
    for latency in ["normal", "low", "normal"] {
        let relay = service.go_live(42, &on(platform, Some(latency))).await;
        assert_eq!(is_low(vendors, &relay), latency == "low", "{latency}");
        urls.push(relay["hls_playback_url"].clone());
        service.come_down(42).await;
        until_released(service).await;
        long_after(&stage.database).await;
    }
    assert_eq!(urls[0], urls[1]);
    assert_eq!(urls[0], urls[2]);
    assert_eq!(violations(vendors), [""; 0]);
}
