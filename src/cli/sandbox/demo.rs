//! `relaykeeper sandbox --demo`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use relaykeeper::config::{AgoraBackend, RelaySettings, Settings, VendorsSettings};
use relaykeeper::relay::Phase;
use relaykeeper::sandbox::{EgressSnapshot, LiveInputSnapshot, SimulatedVendors};
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::timeline::Timeline;
use super::{Endpoint, backend_name};

const CHANNEL: u64 = 42;
const CHANNEL_NAME: &str = "show68";
const SELLER: u32 = 12345;

const POLL_EVERY: Duration = Duration::from_millis(100);
/// Between two actions of the demo.
const PAUSE: Duration = Duration::from_secs(2);
/// For the whole demo, which usually takes a third of it.
const DEADLINE: Duration = Duration::from_secs(55);
/// For cleanup after the relay's end.
const CLEANUP_WITHIN: Duration = Duration::from_secs(3);

const PHASES: [Phase; 8] = [
    Phase::Provisioning,
    Phase::AwaitingLive,
    Phase::Live,
    Phase::Interrupted,
    Phase::Live,
    Phase::Stopping,
    Phase::Finalizing,
    Phase::Ended,
];

/// Timers that keep the demo short, also when the relay fails.
pub(super) fn quicken(settings: &mut Settings) {
    settings.relay = RelaySettings {
        poll_interval: Duration::from_millis(500),
        provisioning_timeout: Duration::from_secs(15),
        live_timeout: Duration::from_secs(15),
        live_check_interval: Duration::from_secs(1),
        reconnect_window: Duration::from_secs(15),
        feed_timeout: Duration::from_secs(10),
        recording_timeout: Duration::from_secs(10),
        ..settings.relay.clone()
    };
    settings.vendors = VendorsSettings {
        read_timeout: Duration::from_secs(2),
        write_timeout: Duration::from_secs(4),
        ..settings.vendors
    };
    settings.cloudflare.recordings_interval = Duration::from_millis(500);
    settings.mux.recordings_interval = Duration::from_millis(500);
    // The simulated clock's seconds are shorter.
    settings.mux.reads_per_second = 4;
    settings.mux.writes_per_second = 4;
    settings.ivs.recordings_interval = Duration::from_millis(500);
    settings.ivs.requests_per_second = 20;
    settings.agora.not_found_backoff = [500, 500, 1000, 1000, 2000]
        .map(Duration::from_millis)
        .to_vec();
    settings.agora.cloud_recording.query_interval = Duration::from_secs(1);
    settings.agora.media_push.query_interval = Duration::from_secs(1);
    settings.server.shutdown_grace = Duration::from_millis(100);
}

/// Fails if the relay does not take its ordinary course.
pub(super) async fn run(
    http: Client,
    endpoint: &Endpoint,
    vendors: &SimulatedVendors,
    backend: AgoraBackend,
) -> anyhow::Result<()> {
    let timeline = Timeline::begin(&format!(
        "One relay on simulated vendors ({}), through the API at {}:",
        backend_name(backend),
        endpoint.url
    ));
    let mut demo = Demo {
        http,
        endpoint,
        vendors,
        timeline,
        relay: String::new(),
        printed: 0,
    };
    let played = tokio::time::timeout(DEADLINE, demo.play()).await;
    demo.timeline.close();
    played.with_context(|| format!("the demo did not end within {DEADLINE:?}"))?
}

struct Demo<'a> {
    http: Client,
    endpoint: &'a Endpoint,
    vendors: &'a SimulatedVendors,
    timeline: Timeline,
    relay: String,
    /// Sequence number of the last printed journal entry.
    printed: i64,
}

impl Demo<'_> {
    async fn play(&mut self) -> anyhow::Result<()> {
        let start = self
            .http
            .post(self.url(&format!("/v1/channels/{CHANNEL}/start")))
            .header("Prefer", "wait=0")
            .json(&json!({"channel_name": CHANNEL_NAME, "seller_uid": SELLER}));
        let relay = self.ask(start, "the start").await?;
        self.relay = text(&relay, "id");
        self.until(Phase::Live).await?;
        self.rest().await?;

        self.timeline.say("the seller leaves the channel");
        self.vendors.set_seller(CHANNEL_NAME, Some(SELLER), false);
        self.until(Phase::Interrupted).await?;
        self.rest().await?;

        self.timeline.say("the seller comes back");
        self.vendors.set_seller(CHANNEL_NAME, Some(SELLER), true);
        self.until(Phase::Live).await?;
        self.rest().await?;

        self.timeline.say("the marketplace says stop");
        let stop = self
            .http
            .post(self.url(&format!("/v1/channels/{CHANNEL}/stop")));
        self.ask(stop, "the stop").await?;
        self.until(Phase::Ended).await?;
        self.conclude().await
    }

    async fn until(&mut self, wanted: Phase) -> anyhow::Result<()> {
        loop {
            let relay = self.poll().await?;
            let phase: Phase = text(&relay, "phase").parse().context("an unknown phase")?;
            if phase == wanted {
                return Ok(());
            }
            if phase == Phase::Ended {
                bail!(
                    "the relay ended before it was {wanted}: {}",
                    how_it_ended(&relay)
                );
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn rest(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            self.poll().await?;
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Polls the relay, and prints its new journal entries.
    async fn poll(&mut self) -> anyhow::Result<Value> {
        let relay = self
            .http
            .get(self.url(&format!("/v1/relays/{}", self.relay)));
        let relay = self.ask(relay, "a poll of the relay").await?;
        let journal = self
            .http
            .get(self.url(&format!("/v1/relays/{}/events", self.relay)));
        let journal = self.ask(journal, "a poll of its journal").await?;
        for event in list(&journal, "events") {
            let sequence = event
                .get("sequence")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            if sequence > self.printed {
                self.printed = sequence;
                self.timeline.tell(event);
            }
        }
        Ok(relay)
    }

    async fn conclude(&mut self) -> anyhow::Result<()> {
        let relay = self.poll().await?;
        let code = relay.pointer("/outcome/code").and_then(Value::as_str);
        if code != Some("stopped_by_request") {
            bail!(
                "something other than the stop ended the relay: {}",
                how_it_ended(&relay)
            );
        }
        let phases = self.timeline.phases();
        if phases != PHASES.map(|phase| phase.to_string()) {
            bail!(
                "the relay went through unexpected phases: {}",
                phases.join(", ")
            );
        }
        let Some(recording) = list(&relay, "recordings")
            .iter()
            .find(|one| text(one, "state") == "ready")
        else {
            bail!("no recording was found");
        };
        let Some(cost) = relay.get("cost").filter(|cost| !cost.is_null()) else {
            bail!("no cost was recorded");
        };
        let left = self.what_is_left().await;
        let hls = text(&relay, "hls_playback_url");
        let seconds = number(recording, "duration_seconds");
        let minutes = number(cost, "minutes");
        let plural = if minutes == 1 { "" } else { "s" };
        self.timeline.close();
        self.timeline.sum_up(&[
            ("HLS URL", hls),
            (
                "recording",
                format!("{} ({seconds} s)", text(&relay, "recording_url")),
            ),
            (
                "cost",
                format!(
                    "{} for {minutes} minute{plural} at {}, {} for Agora's egress",
                    dollars(number(cost, "cost_micros")),
                    platform_name(&text(&relay, "platform")),
                    dollars(number(cost, "agora_cost_micros"))
                ),
            ),
            (
                "left behind",
                if left.is_empty() {
                    "nothing, at either vendor".to_owned()
                } else {
                    left.join(", ")
                },
            ),
        ]);
        match self.vendors.state().violations.first() {
            Some(violation) => bail!(
                "invalid vendor calls: {}: {}",
                violation.kind,
                violation.subject
            ),
            None if left.is_empty() => Ok(()),
            None => bail!("objects remain at the vendors: {}", left.join(", ")),
        }
    }

    /// Billable objects that the vendors still have after the deadline for cleanup.
    async fn what_is_left(&self) -> Vec<String> {
        let until = Instant::now() + CLEANUP_WITHIN;
        loop {
            let state = self.vendors.state();
            let inputs = state.live_inputs.iter().filter(|input| !input.deleted);
            let inputs = inputs.map(|LiveInputSnapshot { uid, .. }| format!("ingest {uid}"));
            let egresses = state.egresses.iter().filter(|egress| egress.is_alive());
            let egresses = egresses.map(|EgressSnapshot { id, .. }| format!("egress {id}"));
            let left: Vec<String> = inputs.chain(egresses).collect();
            if left.is_empty() || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.url)
    }

    async fn ask(&self, request: RequestBuilder, what: &str) -> anyhow::Result<Value> {
        let answer = request
            .bearer_auth(self.endpoint.api_token.expose_secret())
            .send()
            .await
            .with_context(|| format!("no response to {what}"))?;
        let status: StatusCode = answer.status();
        let body: Value = answer
            .json()
            .await
            .with_context(|| format!("{what}: status {status}, no JSON"))?;
        if !status.is_success() {
            bail!("{what}: status {status}: {}", text(&body, "detail"));
        }
        Ok(body)
    }
}

fn platform_name(name: &str) -> &str {
    match name {
        "cloudflare" => "Cloudflare",
        "mux" => "Mux",
        "ivs" => "Amazon IVS",
        other => other,
    }
}

fn how_it_ended(relay: &Value) -> String {
    let outcome = relay.get("outcome").unwrap_or(&Value::Null);
    let detail = outcome
        .get("detail")
        .filter(|detail| detail.as_object().is_some_and(|known| !known.is_empty()));
    let detail = detail
        .map(|detail| format!(" {detail}"))
        .unwrap_or_default();
    format!(
        "{} ({}){detail}",
        text(outcome, "code"),
        text(outcome, "message")
    )
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn dollars(micros: u64) -> String {
    format!("${}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
