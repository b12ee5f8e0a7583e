//! A client, the simulated Mux, and direct calls to it.

use std::time::{Duration, Instant};

use relaykeeper::config::Settings;
use relaykeeper::platforms::mux::MuxPlatform;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use relaykeeper::vendors::lease::Lease;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::bench::PlatformBench;

pub(crate) type MuxBench = PlatformBench<MuxPlatform>;

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
        let platform = client(
            &vendors.mux_api_base_url(),
            &vendors.mux_playback_base_url(),
            vendors.mux_token_id(),
            vendors.mux_token_secret(),
        );
        Self { vendors, platform }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.vendors.mux_api_base_url());
        let request = reqwest::Client::new().request(method, url);
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
