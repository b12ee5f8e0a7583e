//! `relaykeeper sandbox --demo-fleet N`: shows on N channels, some with failures, as data for the console.

use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt as _;
use relaykeeper::config::Settings;
use relaykeeper::sandbox::{Quotas, SimulatedVendors};
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Endpoint;

const FIRST_CHANNEL: u32 = 1000;
const FIRST_SELLER: u32 = 50_000;
/// Time per 100 channels in which the first shows start.
const RAMP: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Well,
    /// The seller comes back.
    Interrupted,
    /// The seller leaves for good.
    Left,
    NoSeller,
    EgressDies,
}

impl Show {
    fn draw() -> Self {
        match rand::rng().random_range(0..20) {
            0 | 1 => Self::Interrupted,
            2 => Self::Left,
            3 => Self::NoSeller,
            4 => Self::EgressDies,
            _ => Self::Well,
        }
    }
}

/// Sets timers for shows of about a minute, and rate budgets for this many channels.
pub(super) fn quicken(settings: &mut Settings, channels: u32) {
    settings.relay.live_timeout = Duration::from_secs(25);
    settings.relay.reconnect_window = Duration::from_secs(15);
    settings.relay.live_check_interval = Duration::from_secs(10);
    settings.agora.not_found_backoff = [1, 2, 3].map(Duration::from_secs).to_vec();
    let quotas = quotas(channels);
    settings.cloudflare.requests_per_5_minutes = quotas.cloudflare_requests;
    settings.agora.cloud_recording.requests_per_second = quotas.cloud_recording_per_second;
    settings.agora.media_push.requests_per_second = quotas.media_push_per_second;
    settings.agora.channel_requests_per_second = quotas.hosts_per_second;
}

/// Quotas above an ordinary account's, for this many starts per minute.
pub(super) fn quotas(channels: u32) -> Quotas {
    let usual = Quotas::default();
    let tasks = usize::try_from(channels)
        .unwrap_or(usize::MAX)
        .saturating_mul(2);
    Quotas {
        cloudflare_requests: usual.cloudflare_requests.max(channels.saturating_mul(60)),
        cloud_recording_per_second: usual.cloud_recording_per_second.max(channels / 2),
        media_push_per_second: usual.media_push_per_second.max(channels / 2),
        hosts_per_second: usual.hosts_per_second.max(channels / 2),
        max_egresses: usual.max_egresses.max(tasks),
        max_converters: usual.max_converters.max(tasks),
        ..usual
    }
}

pub(super) async fn run(
    http: &Client,
    endpoint: &Endpoint,
    vendors: &SimulatedVendors,
    channels: u32,
) {
    let ramp = RAMP * channels / 100;
    let channel = |number: u32| FleetChannel {
        http,
        endpoint,
        vendors,
        id: FIRST_CHANNEL + number,
        name: format!("show{}", FIRST_CHANNEL + number),
        seller: FIRST_SELLER + number,
    };
    let all = (0..channels).map(|number| channel(number).come_and_go(ramp));
    join_all(all).await;
}

struct FleetChannel<'a> {
    http: &'a Client,
    endpoint: &'a Endpoint,
    vendors: &'a SimulatedVendors,
    id: u32,
    name: String,
    seller: u32,
}

impl FleetChannel<'_> {
    async fn come_and_go(self, ramp: Duration) {
        sleep(random(Duration::ZERO, ramp)).await;
        loop {
            let show = Show::draw();
            self.seller_is(show != Show::NoSeller);
            let body = json!({"channel_name": self.name, "seller_uid": self.seller});
            let start = self.post("start").header("Prefer", "wait=0").json(&body);
            if self.answer(start).await.is_some() {
                self.play(show).await;
                self.answer(self.post("stop")).await;
            }
            sleep(random(Duration::from_secs(3), Duration::from_secs(15))).await;
        }
    }

    async fn play(&self, show: Show) {
        sleep(random(Duration::from_secs(15), Duration::from_secs(45))).await;
        match show {
            Show::Well | Show::NoSeller => {}
            Show::Interrupted => {
                self.seller_is(false);
                sleep(random(Duration::from_secs(4), Duration::from_secs(10))).await;
                self.seller_is(true);
            }
            Show::Left => self.seller_is(false),
            Show::EgressDies => self.kill_egress().await,
        }
        sleep(random(Duration::from_secs(20), Duration::from_secs(45))).await;
    }

    fn seller_is(&self, present: bool) {
        self.vendors
            .set_seller(&self.name, Some(self.seller), present);
    }

    async fn kill_egress(&self) {
        let channel = self.http.get(self.url(""));
        let Some(channel) = self.answer(channel).await else {
            return;
        };
        let id = |name| channel.pointer(name).and_then(Value::as_str);
        let egress = id("/relay/agora/sid").or_else(|| id("/relay/agora/converter_id"));
        if let Some(egress) = egress {
            self.vendors.kill(egress, None);
        }
    }

    fn url(&self, call: &str) -> String {
        format!("{}/v1/channels/{}{call}", self.endpoint.url, self.id)
    }

    fn post(&self, call: &str) -> RequestBuilder {
        self.http.post(self.url(&format!("/{call}")))
    }

    async fn answer(&self, request: RequestBuilder) -> Option<Value> {
        let request = request.bearer_auth(self.endpoint.api_token.expose_secret());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(channel = self.id, %error, "no answer");
                return None;
            }
        };
        let status = answer.status();
        if !status.is_success() {
            tracing::warn!(channel = self.id, %status, "refused");
            return None;
        }
        answer.json().await.ok()
    }
}

fn random(least: Duration, most: Duration) -> Duration {
    least + most.saturating_sub(least).mul_f64(rand::rng().random())
}
