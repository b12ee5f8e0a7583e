//! The marketplace and its sellers.

use std::time::Duration;

use futures_util::future::join_all;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Client;
use super::schedule::{Channel, SHORTEST_LIMIT, Scenario, Show};

const RETRY_EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Marketplace<'a> {
    client: Client,
    vendors: &'a SimulatedVendors,
}

fn name(channel: u64) -> String {
    format!("show-{channel}")
}

fn seller(channel: u64) -> u32 {
    u32::try_from(channel).unwrap_or(0).saturating_add(1000)
}

impl<'a> Marketplace<'a> {
    pub(super) fn new(client: Client, vendors: &'a SimulatedVendors) -> Self {
        Self { client, vendors }
    }

    /// Plays all channels concurrently. Returns the ids of their relays.
    pub(super) async fn play(&self, channels: Vec<Channel>, began: Instant) -> Vec<String> {
        let channels = channels.into_iter().map(|channel| async move {
            let mut started = Vec::new();
            for show in &channel.shows {
                tokio::time::sleep_until(began + show.begins).await;
                started.extend(self.show(channel.id, show, began).await);
            }
            started
        });
        join_all(channels).await.into_iter().flatten().collect()
    }

    /// The id of the show's relay, unless its start was never accepted.
    async fn show(&self, channel: u64, show: &Show, began: Instant) -> Option<String> {
        let seller_is = |present| {
            self.vendors
                .set_seller(&name(channel), Some(seller(channel)), present)
        };
        seller_is(show.scenario != Scenario::Missing);
        let relay = self.start(channel, show).await?;
        let ends = began + show.ends;
        let left = ends.saturating_duration_since(Instant::now());
        match show.scenario {
            Scenario::Plain | Scenario::Unrecorded | Scenario::Limited | Scenario::Missing => {
                tokio::time::sleep_until(ends).await;
            }
            Scenario::Cancelled => {}
            Scenario::Interrupted => {
                tokio::time::sleep(left / 2).await;
                seller_is(false);
                tokio::time::sleep((left / 4).min(Duration::from_secs(3))).await;
                seller_is(true);
                tokio::time::sleep_until(ends).await;
            }
            Scenario::Left => {
                tokio::time::sleep(left / 2).await;
                seller_is(false);
                tokio::time::sleep_until(ends).await;
            }
        }
        self.stop(channel, &relay).await;
        Some(relay)
    }

    async fn start(&self, channel: u64, show: &Show) -> Option<String> {
        let mut body = json!({
            "channel_name": name(channel),
            "seller_uid": seller(channel),
            "ingest_owner": if show.keeps { "channel" } else { "relay" },
        });
        let more = match show.scenario {
            Scenario::Unrecorded => Some(("enable_recording", json!(false))),
            Scenario::Limited => Some(("max_duration_seconds", json!(SHORTEST_LIMIT.as_secs()))),
            Scenario::Plain
            | Scenario::Interrupted
            | Scenario::Left
            | Scenario::Missing
            | Scenario::Cancelled => None,
        };
        if let (Some((key, value)), Some(body)) = (more, body.as_object_mut()) {
            body.insert(key.to_owned(), value);
        }
        let key = format!("start-{}", show.number);
        let path = format!("/v1/channels/{channel}/start");
        let relay = self.until_accepted(&path, &key, &body).await?;
        Some(relay.get("id")?.as_str()?.to_owned())
    }

    async fn stop(&self, channel: u64, relay: &str) {
        let body = json!({ "relay_id": relay });
        let path = format!("/v1/channels/{channel}/stop");
        self.until_accepted(&path, &format!("stop-{relay}"), &body)
            .await;
    }

    async fn until_accepted(&self, path: &str, key: &str, body: &Value) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let answer = self
                .client
                .call(Method::POST, path, Some(key), Some(body))
                .await;
            if let Some((status, relay)) = answer
                && status.is_success()
            {
                return Some(relay);
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
        None
    }

    /// Channels give up the ingests that they keep. Returns those that could not.
    pub(super) async fn give_up(&self, channels: &[u64]) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let channels = channels.iter().map(|channel| async move {
            let path = format!("/v1/channels/{channel}/ingest");
            while Instant::now() < deadline {
                let answer = self.client.call(Method::DELETE, &path, None, None).await;
                // 409: a relay comes down, or the key is being renewed.
                if answer.is_some_and(|(status, _)| [202, 404].contains(&status.as_u16())) {
                    return None;
                }
                tokio::time::sleep(RETRY_EVERY).await;
            }
            Some(format!("channel {channel}"))
        });
        join_all(channels).await.into_iter().flatten().collect()
    }

    /// Without those that cannot be read.
    pub(super) async fn relays(&self, ids: &[String]) -> Vec<Value> {
        let mut relays = Vec::new();
        for id in ids {
            relays.extend(self.client.relay(id).await);
        }
        relays
    }
}
