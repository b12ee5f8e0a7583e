//! Calls on live streams (`mux.md §2`).

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::VENDOR;
use super::api::MuxApi;
use super::capabilities::LONGEST_WINDOW;
use super::wire::{LiveStream, Status};
use crate::platforms::NewIngest;
use crate::platforms::api::ApiCall;
use crate::platforms::wire::readable;
use crate::relay::Latency;
use crate::vendors::governor::PermitRequest;
use crate::vendors::http::failure;
use crate::vendors::{Class, Done, VendorError};

const STREAMS: [&str; 3] = ["video", "v1", "live-streams"];
const CREATE: &str = "live_streams.create";

/// The most items of a page.
const PAGE: usize = 100;
/// Mux's default: a smaller page is the last one, whatever the most is.
const SMALLEST_PAGE: usize = 25;
/// The most pages of a list.
const MOST_PAGES: usize = 100;

/// With other settings, or without public playback, buyers could not watch the stream or its recordings (`mux.md §2.1, §3.1`).
fn body(new: &NewIngest) -> Value {
    json!({
        "playback_policies": ["public"],
        "latency_mode": latency_mode(new),
        "reconnect_window": window(new),
        "passthrough": new.tag,
        "new_asset_settings": { "playback_policies": ["public"], "passthrough": new.tag },
    })
}

fn window(new: &NewIngest) -> u64 {
    u64::from(new.feed_timeout_seconds).min(LONGEST_WINDOW)
}

fn latency_mode(new: &NewIngest) -> &'static str {
    match new.latency {
        Latency::Normal => "standard",
        Latency::Low => "low",
    }
}

/// The settings that an answer returns otherwise than requested.
fn differences(new: &NewIngest, echo: &LiveStream) -> Vec<String> {
    let assets = echo.new_asset_settings.as_ref();
    let policies = assets.and_then(|assets| assets.playback_policies.as_deref());
    let passthrough = assets.and_then(|assets| assets.passthrough.as_ref());
    let tag = Some(&new.tag);
    [
        ("passthrough", echo.passthrough.as_ref() != tag),
        (
            "reconnect_window",
            echo.reconnect_window != Some(window(new)),
        ),
        (
            "latency_mode",
            echo.latency_mode.as_deref() != Some(latency_mode(new)),
        ),
        (
            "new_asset_settings.playback_policies",
            policies.is_none_or(|all| all != ["public"]),
        ),
        ("new_asset_settings.passthrough", passthrough != tag),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(field, _)| field.to_owned())
    .collect()
}

/// Live streams of a list, and whether there may be more.
pub(super) struct LiveStreamList {
    pub(super) live_streams: Vec<LiveStream>,
    pub(super) may_be_cut: bool,
}

impl MuxApi {
    /// Creates a live stream. Never repeated here: Mux has no idempotency keys (`mux.md §2.2`). Returns the settings that it did
    /// not take too.
    pub(super) async fn create(
        &self,
        permit: PermitRequest,
        new: &NewIngest,
    ) -> Result<(LiveStream, Vec<String>), VendorError> {
        let call = ApiCall::new(CREATE, Method::POST, STREAMS).body(body(new));
        let created: LiveStream = self
            .data(permit, call, |stream: &LiveStream| stream.flaw(None))
            .await?;
        if created.playback_id().is_none() {
            // Buyers could not watch it.
            let removed = self.delete(permit, &created.id).await;
            let done = match removed {
                Ok(()) => Done::No,
                Err(_) => Done::Unknown,
            };
            let message = "a live stream without a public playback id".to_owned();
            return Err(failure(VENDOR, CREATE, Class::Rejected, done, message));
        }
        let ignored = differences(new, &created);
        Ok((created, ignored))
    }

    /// Sets what may be changed and differs: the latency, and for how long a broadcast waits for its encoder.
    pub(super) async fn update(
        &self,
        permit: PermitRequest,
        stream: &LiveStream,
        settings: &NewIngest,
    ) -> Result<(), VendorError> {
        let (wanted, mode) = (window(settings), latency_mode(settings));
        if stream.reconnect_window == Some(wanted) && stream.latency_mode.as_deref() == Some(mode) {
            return Ok(());
        }
        let path = with(&[&stream.id]);
        let call = ApiCall::new("live_streams.update", Method::PATCH, path);
        // The window's default depends on the latency (`mux.md §2.4`): both are sent.
        let body = json!({ "latency_mode": mode, "reconnect_window": wanted });
        self.send(permit, call.body(body)).await
    }

    pub(super) async fn get(
        &self,
        permit: PermitRequest,
        id: &str,
    ) -> Result<LiveStream, VendorError> {
        let call = ApiCall::new("live_streams.get", Method::GET, with(&[id]));
        self.data(permit, call, |stream: &LiveStream| stream.flaw(Some(id)))
            .await
    }

    /// All live streams of the environment, ours and others'. There is no filter by tag (`mux.md §1.5`).
    pub(super) async fn list(&self, permit: PermitRequest) -> Result<LiveStreamList, VendorError> {
        let mut live_streams: Vec<LiveStream> = Vec::new();
        let mut known = HashSet::new();
        let mut has_unreadable = false;
        for page in 1..=MOST_PAGES {
            let call = ApiCall::new("live_streams.list", Method::GET, STREAMS)
                .query("limit", PAGE.to_string())
                .query("page", page.to_string());
            let items: Vec<Value> = self.data(permit, call, |_| None).await?;
            let count = items.len();
            let read: Vec<LiveStream> = readable(items);
            has_unreadable |= read.len() < count;
            // Streams that are created meanwhile move others to the next page.
            let new = read
                .into_iter()
                .filter(|stream| known.insert(stream.id.clone()));
            live_streams.extend(new);
            if count < SMALLEST_PAGE {
                return Ok(LiveStreamList {
                    live_streams,
                    may_be_cut: has_unreadable,
                });
            }
        }
        Ok(LiveStreamList {
            live_streams,
            may_be_cut: true,
        })
    }

    /// The cheapest call that proves that the token reads live streams.
    pub(super) async fn read_one(&self, permit: PermitRequest) -> Result<(), VendorError> {
        let call = ApiCall::new("live_streams.list", Method::GET, STREAMS).query("limit", "1");
        self.data(permit, call, |_: &Vec<Value>| None)
            .await
            .map(|_| ())
    }

    /// A new key, which the old one's holder does not know; a connected encoder stays (`mux.md §2.7`).
    pub(super) async fn reset_key(
        &self,
        permit: PermitRequest,
        id: &str,
    ) -> Result<LiveStream, VendorError> {
        let path = with(&[id, "reset-stream-key"]);
        let call = ApiCall::new("live_streams.reset_stream_key", Method::POST, path);
        self.data(permit, call, |stream: &LiveStream| stream.flaw(Some(id)))
            .await
    }

    /// Ends the broadcast, disconnects the encoder and refuses others (`mux.md §2.6`). A repeat may be refused: then the status
    /// decides.
    pub(super) async fn disable(&self, permit: PermitRequest, id: &str) -> Result<(), VendorError> {
        self.reach(permit, id, "live_streams.disable", "disable", |status| {
            status == Status::Disabled
        })
        .await
    }

    /// Takes encoders again.
    pub(super) async fn enable(&self, permit: PermitRequest, id: &str) -> Result<(), VendorError> {
        self.reach(permit, id, "live_streams.enable", "enable", |status| {
            status == Status::Idle
        })
        .await
    }

    async fn reach(
        &self,
        permit: PermitRequest,
        id: &str,
        name: &'static str,
        action: &str,
        is_reached: fn(Status) -> bool,
    ) -> Result<(), VendorError> {
        let path = with(&[id, action]);
        let call = ApiCall::new(name, Method::PUT, path);
        match self.send(permit, call).await {
            Err(error) if error.class == Class::Rejected => match self.get(permit, id).await {
                Ok(stream) if is_reached(stream.status()) => Ok(()),
                Ok(_) | Err(_) => Err(error),
            },
            done => done,
        }
    }

    /// Deletes a live stream, also during its broadcast; its assets stay (`mux.md §2.8`). Succeeds if it is already gone.
    pub(super) async fn delete(&self, permit: PermitRequest, id: &str) -> Result<(), VendorError> {
        let call = ApiCall::new("live_streams.delete", Method::DELETE, with(&[id]));
        self.unless_gone(permit, call).await
    }

    pub(super) async fn unless_gone(
        &self,
        permit: PermitRequest,
        call: ApiCall<'_>,
    ) -> Result<(), VendorError> {
        match self.send(permit, call).await {
            Err(error) if error.class != Class::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn with<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    STREAMS.into_iter().chain(rest.iter().copied()).collect()
}
