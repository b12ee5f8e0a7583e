//! A host that refuses connections.

use std::fmt::Display;
use std::time::Duration;

use relaykeeper::config::{AgoraBackend, Settings};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::gate::Gate;
use super::life::{WINDOW, World, keep_ingests};
use super::matrix::everything;
use super::usage::Life;
use crate::kept_ingests::long_after;
use crate::support::platform::TestPlatform;
use crate::support::service::{Answer, BACKENDS, show};

/// A life while a host refuses connections.
#[derive(Debug, Clone, Copy)]
pub struct HostCase {
    host: Host,
    backend: AgoraBackend,
    /// Of a relay that meets it from its start to its end.
    outcome: &'static str,
}

impl Display for HostCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} on {:?}", self.host, self.backend)
    }
}

/// On another platform than the first with one backend.
pub fn hosts() -> Vec<HostCase> {
    let mut cases = Vec::new();
    for (host, outcome) in [
        (Host::Cloudflare, "vendor_unavailable"),
        (Host::Customer, "live_timeout"),
        (Host::Mux, "vendor_unavailable"),
        (Host::MuxPlayback, "live_timeout"),
        (Host::Ivs, "vendor_unavailable"),
        (Host::IvsPlayback, "live_timeout"),
        (Host::Bucket, "stopped_by_request"),
        (Host::Agora, "vendor_unavailable"),
    ] {
        let is_other = host.platform() != TestPlatform::Cloudflare && !everything();
        let backends = if is_other { &BACKENDS[1..] } else { &BACKENDS };
        cases.extend(backends.iter().map(|backend| HostCase {
            host,
            backend: *backend,
            outcome,
        }));
    }
    cases
}

/// A life in which the channel keeps its ingest.
#[derive(Debug, Clone, Copy)]
pub struct KeptHostCase {
    case: HostCase,
    /// The broadcast of an earlier show may still be open.
    soon: bool,
}

impl Display for KeptHostCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, kept, soon: {}", self.case, self.soon)
    }
}

/// Long after the last show the next one needs no call to Cloudflare's API.
pub fn kept_hosts() -> Vec<KeptHostCase> {
    let mut cases = Vec::new();
    for (host, soon, outcome) in [
        (Host::Cloudflare, true, "vendor_unavailable"),
        (Host::Cloudflare, false, "stopped_by_request"),
        (Host::Customer, false, "live_timeout"),
        (Host::Mux, true, "vendor_unavailable"),
        (Host::Mux, false, "live_timeout"),
        (Host::Ivs, true, "vendor_unavailable"),
        (Host::Ivs, false, "live_timeout"),
        (Host::Agora, false, "vendor_unavailable"),
    ] {
        let backends = if everything() {
            &BACKENDS[..]
        } else {
            &BACKENDS[1..]
        };
        cases.extend(backends.iter().map(|backend| KeptHostCase {
            case: HostCase {
                host,
                backend: *backend,
                outcome,
            },
            soon,
        }));
    }
    cases
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Cloudflare,
    Customer,
    Mux,
    MuxPlayback,
    Ivs,
    IvsPlayback,
    Bucket,
    Agora,
}

impl Host {
    fn platform(self) -> TestPlatform {
        match self {
            Self::Cloudflare | Self::Customer | Self::Agora => TestPlatform::Cloudflare,
            Self::Mux | Self::MuxPlayback => TestPlatform::Mux,
            Self::Ivs | Self::IvsPlayback | Self::Bucket => TestPlatform::Ivs,
        }
    }
}

async fn behind_gates(
    case: HostCase,
    window: Duration,
    change: fn(&mut Settings),
) -> (World, Vec<Gate>) {
    let HostCase { host, backend, .. } = case;
    let mut gates = Vec::new();
    let mut gate = |url: &str| {
        let gate = Gate::to(url);
        let through = gate.url(url);
        gates.push(gate);
        through
    };
    let world = World::with(host.platform(), backend, window, |vendors, settings| {
        change(settings);
        match host {
            Host::Cloudflare => {
                settings.cloudflare.api_base_url = gate(&vendors.cloudflare_api_base_url());
            }
            Host::Customer => {
                settings.cloudflare.customer_base_url = gate(&vendors.customer_base_url());
            }
            Host::Mux => settings.mux.api_base_url = gate(&vendors.mux_api_base_url()),
            Host::MuxPlayback => {
                settings.mux.playback_base_url = gate(&vendors.mux_playback_base_url());
            }
            Host::Ivs => settings.ivs.api_base_url = gate(&vendors.ivs_api_base_url()),
            Host::IvsPlayback => {
                settings.ivs.playback_base_url = gate(&vendors.ivs_playback_base_url());
            }
            Host::Bucket => settings.ivs.s3_endpoint = gate(&vendors.ivs_s3_endpoint()),
            Host::Agora => {
                settings.agora.api_base_url = gate(&vendors.agora_base_url());
                settings.agora.fallback_base_urls = vec![gate(&vendors.agora_fallback_base_url())];
            }
        }
    })
    .await;
    (world, gates)
}

/// The host refuses connections for a second at the start and at the stop.
pub async fn refused_for_a_while(case: HostCase) {
    let (world, mut gates) = behind_gates(case, Duration::ZERO, |_| {}).await;
    for stops in [false, true] {
        gates.iter_mut().for_each(Gate::shut);
        if stops {
            world.stop().await;
        } else {
            let (status, relay) = world.start_without_waiting().await;
            assert_eq!(status, 202, "{relay:#}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        gates.iter_mut().for_each(Gate::reopen);
        if !stops {
            world.when("live", |relay| relay["phase"] == "live").await;
        }
    }
    let relay = world.ended().await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    world.nothing_is_left().await;
    assert!(world.vendors.state().violations.is_empty());
}

/// The host refuses connections until the relay has ended.
pub async fn refused_for_good(case: HostCase) {
    let (world, mut gates) = behind_gates(case, Duration::ZERO, |_| {}).await;
    gates.iter_mut().for_each(Gate::shut);
    let relay = world.stopped_if_live().await;
    assert_eq!(relay["outcome"]["code"], case.outcome, "{relay:#}");
    gates.iter_mut().for_each(Gate::reopen);
    world.nothing_is_left().await;
    assert!(world.vendors.state().violations.is_empty());
}

/// The host refuses connections from before a second show to after its end.
pub async fn refused_with_a_kept_ingest(KeptHostCase { case, soon }: KeptHostCase) {
    let (mut world, mut gates) = behind_gates(case, WINDOW, keep_ingests).await;
    world.earlier(Life::Again).await;
    if !soon {
        world.ended().await;
        long_after(&world.database).await;
    }
    let url = world.kept_url().await;
    gates.iter_mut().for_each(Gate::shut);
    let relay = world.stopped_if_live().await;
    assert_eq!(relay["outcome"]["code"], case.outcome, "{relay:#}");
    gates.iter_mut().for_each(Gate::reopen);
    // What the vendors refused is made up for, and the ingest stays.
    let relay = world.after_the_outage(&relay).await;
    assert_eq!(relay["phase"], "live", "{relay:#}");
    assert_eq!(relay["hls_playback_url"], url, "{relay:#}");
    world.stop().await;
    world.ended().await;
    assert_eq!(world.vendors.state().live_inputs.len(), 1);
    world.give_up().await;
    world.nothing_is_left().await;
    assert!(world.vendors.state().violations.is_empty());
}

impl World {
    /// Starts the channel. Returns its relay, ended.
    async fn stopped_if_live(&self) -> Value {
        let (_, started) = self.start_without_waiting().await;
        let id = started["id"].clone();
        let relay = self
            .when("live or over", |relay| {
                relay["id"] == id && (relay["phase"] == "live" || !relay["outcome"].is_null())
            })
            .await;
        if relay["phase"] == "live" {
            self.stop().await;
        }
        self.ended().await
    }

    async fn kept_url(&self) -> Value {
        let ingests = self.service.as_admin(Method::GET, "/v1/ingests");
        let ingests = Answer::to(ingests).await.body;
        ingests["ingests"][0]["hls_playback_url"].clone()
    }

    async fn after_the_outage(&self, before: &Value) -> Value {
        let (status, relay) = self.start_without_waiting().await;
        assert!(status.is_success(), "{status} {relay:#}");
        self.when("live", |relay| {
            assert!(
                relay["id"] == before["id"] || relay["outcome"].is_null(),
                "{relay:#}"
            );
            relay["id"] != before["id"] && relay["phase"] == "live"
        })
        .await
    }

    async fn start_without_waiting(&self) -> (StatusCode, Value) {
        let answer = self
            .service
            .request(reqwest::Method::POST, "/v1/channels/42/start")
            .header("Prefer", "wait=0")
            .json(&show("show68"))
            .send()
            .await
            .unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}
