//! A client, the simulated Mux, and direct calls to it.

use std::time::{Duration, Instant};

use relaykeeper::config::Settings;
use relaykeeper::platforms::mux::MuxPlatform;
use relaykeeper::platforms::{
    EnsuredIngest, FeedQuestion, NewIngest, Platform as _, WatchedIngest,
};
use relaykeeper::relay::FeedReading;
use relaykeeper::sandbox::{Options, Quotas, SimulatedVendors, VendorCall};
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

pub(crate) struct MuxBench {
    pub(crate) vendors: SimulatedVendors,
    pub(crate) mux: MuxPlatform,
    http: reqwest::Client,
}

/// 50 times the wall clock, except for durations in requests, and without a rate limit.
pub(crate) fn fast() -> Options {
    Options {
        speed: 50.0,
        wire_speed: Some(50.0),
        quotas: Quotas {
            mux_posts_per_second: 1000,
            mux_others_per_second: 1000,
            ..Quotas::default()
        },
        ..Options::default()
    }
}

pub(crate) fn permit() -> PermitRequest {
    PermitRequest::within(Priority::Start, Duration::from_secs(10))
}

pub(crate) fn new(tag: &str) -> NewIngest {
    NewIngest {
        tag: tag.to_owned(),
        title: "show68 (channel 42)".to_owned(),
        feed_timeout_seconds: 180,
        delete_recording_after_days: Some(30),
    }
}

pub(crate) fn client(api: &str, playback: &str, id: &str, secret: &str) -> MuxPlatform {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = Settings::default();
    settings.vendors.read_timeout = Duration::from_secs(2);
    settings.vendors.write_timeout = Duration::from_secs(2);
    let mux = &mut settings.mux;
    mux.api_base_url = api.to_owned();
    mux.playback_base_url = playback.to_owned();
    mux.token_id = id.to_owned();
    mux.token_secret = secret.into();
    mux.reads_per_second = 1000;
    mux.writes_per_second = 1000;
    MuxPlatform::new(&settings, &Lease::for_good()).unwrap()
}

impl MuxBench {
    pub(crate) fn start(options: Options) -> Self {
        let vendors = SimulatedVendors::start(options).unwrap();
        let mux = client(
            &vendors.mux_api_base_url(),
            &vendors.mux_playback_base_url(),
            vendors.mux_token_id(),
            vendors.mux_token_secret(),
        );
        Self {
            vendors,
            mux,
            http: reqwest::Client::new(),
        }
    }

    pub(crate) async fn create(&self, tag: &str) -> EnsuredIngest {
        self.mux.ensure_ingest(permit(), &new(tag)).await.unwrap()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.vendors.mux_api_base_url());
        let request = self.http.request(method, url);
        let (id, secret) = (self.vendors.mux_token_id(), self.vendors.mux_token_secret());
        let request = request.basic_auth(id, Some(secret)).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    pub(crate) async fn raw(&self, id: &str) -> Value {
        let path = format!("/video/v1/live-streams/{id}");
        let (status, body) = self.call(Method::GET, &path, &json!({})).await;
        assert_eq!(status, 200, "{body}");
        body["data"].clone()
    }

    pub(crate) async fn raw_create(&self, tag: &str) -> Value {
        let body = json!({"passthrough": tag, "playback_policies": ["public"]});
        let (status, body) = self
            .call(Method::POST, "/video/v1/live-streams", &body)
            .await;
        assert_eq!(status, 201, "{body}");
        body["data"].clone()
    }

    pub(crate) fn publish(&self, ingest: &EnsuredIngest) -> Result<u64, &'static str> {
        let url = ingest.publish_url.expose_secret();
        self.vendors.publish(url, "encoder")
    }

    pub(crate) fn encoders(&self, id: &str) -> usize {
        let streams = self.vendors.state().live_inputs;
        let stream = streams.iter().find(|stream| stream.uid == id).unwrap();
        stream.encoders.len()
    }

    pub(crate) fn calls(&self, call: VendorCall) -> usize {
        let calls = self.vendors.state().calls;
        calls.iter().filter(|made| made.call == call.name()).count()
    }

    pub(crate) async fn observe(
        &self,
        ingest: &EnsuredIngest,
        question: FeedQuestion,
    ) -> Option<FeedReading> {
        let watched = WatchedIngest {
            id: &ingest.id,
            hls_url: Some(&ingest.playback.hls_url),
        };
        self.mux.observe(permit(), watched, question).await.unwrap()
    }

    /// Until the answer is as wanted.
    pub(crate) async fn observed(
        &self,
        ingest: &EnsuredIngest,
        what: &str,
        wanted: impl Fn(&FeedReading) -> bool,
    ) -> FeedReading {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let reading = self.observe(ingest, FeedQuestion::Both).await.unwrap();
            if wanted(&reading) {
                return reading;
            }
            assert!(Instant::now() < deadline, "never {what}: {reading:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_status(&self, id: &str, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.raw(id).await["status"] != status {
            assert!(Instant::now() < deadline, "never {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_active(&self, id: &str) {
        self.until_status(id, "active").await;
    }
}
