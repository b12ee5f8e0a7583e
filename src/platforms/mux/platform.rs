//! Mux Video as a [`Platform`].

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::api::MuxApi;
use super::assets::recording;
use super::events::MuxWebhookSecrets;
use super::playback::{MuxManifest, PlaybackHost, playback_id};
use super::wire::{LiveStream, Status};
use super::{NAME, VENDOR, capabilities};
use crate::config::Settings;
use crate::platforms::{
    Complaint, EnsuredIngest, FeedPolls, FeedQuestion, HeaderOf, IngestAccess, NewIngest, Platform,
    PlatformHealth, RecordingsSearch, Removal, TaggedIngest, TaggedIngests, WatchedIngest,
};
use crate::relay::{Capabilities, FeedReading, FeedSession, Recording};
use crate::vendors::governor::{Governor, PermitRequest, Priority};
use crate::vendors::http::failure;
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, Notification, Refused, VendorError};

/// The longest wait for a permit of a poll for recordings.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before a relay is live, and while it is interrupted, its broadcast's session is read again after this time.
const SESSION_KEPT: Duration = Duration::from_secs(30);
const MOST_SESSIONS: usize = 10_000;

/// The plan or a quota of the account refuses live streams.
const PLAN_REFUSES: &str = "mux-plan-refuses";

/// An environment of a Mux account.
#[derive(Debug)]
pub struct MuxPlatform {
    api: MuxApi,
    host: PlaybackHost,
    ingest_url: String,
    webhooks: MuxWebhookSecrets,
    /// By ingest: the session of the running broadcast, and when it was read.
    sessions: Mutex<HashMap<String, (String, Instant)>>,
    /// Why the last creation was refused, if a plan or a quota refused it.
    plan: Mutex<Option<String>>,
    recordings_interval: Duration,
    stored_micros: u64,
}

impl MuxPlatform {
    /// Calls only while `lease` is held.
    pub fn new(settings: &Settings, lease: &Lease) -> anyhow::Result<Self> {
        let (mux, vendors) = (&settings.mux, &settings.vendors);
        Ok(Self {
            api: MuxApi::of_settings(mux, vendors, lease)?,
            host: PlaybackHost::new(mux, vendors, lease)?,
            ingest_url: mux.ingest_url.trim_end_matches('/').to_owned(),
            webhooks: MuxWebhookSecrets::new(&mux.webhook_secrets),
            sessions: Mutex::default(),
            plan: Mutex::default(),
            recordings_interval: mux.recordings_interval,
            stored_micros: settings.pricing.mux_micros(),
        })
    }

    /// The environment of the token, in words: streams, recordings and webhooks are its own (`mux.md §1.1`).
    pub async fn environment(&self, permit: PermitRequest) -> Result<String, VendorError> {
        self.api.environment(permit).await
    }

    /// The key is not part of what Mux answers as a URL (`mux.md §2.3`).
    fn publish_url(&self, stream: &LiveStream) -> Option<SecretString> {
        let key = stream.stream_key.as_ref()?.expose_secret();
        (!key.is_empty()).then(|| SecretString::from(format!("{}/{key}", self.ingest_url)))
    }

    fn known_session(&self, ingest: &str, longest: Duration) -> Option<FeedSession> {
        let sessions = self.sessions.lock();
        let (id, read_at) = sessions.get(ingest)?;
        (read_at.elapsed() < longest).then(|| session(id))
    }

    /// A live relay's session is read if there is a permit for it now, and only until it is known.
    async fn live_broadcast(&self, ingest: &str) -> Option<FeedReading> {
        if let Some(session) = self.known_session(ingest, Duration::MAX) {
            return Some(on_air(true, Some(session)));
        }
        let at_once = PermitRequest::within(Priority::Recover, Duration::ZERO);
        match self.broadcast(at_once, ingest, true).await {
            Ok(reading) => reading,
            Err(_) => Some(on_air(true, None)),
        }
    }

    fn keep_session(&self, ingest: &str, id: &str) {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MOST_SESSIONS {
            sessions.retain(|_, (_, read_at)| read_at.elapsed() < SESSION_KEPT);
        }
        sessions.insert(ingest.to_owned(), (id.to_owned(), Instant::now()));
    }

    fn forget_session(&self, ingest: &str) {
        self.sessions.lock().remove(ingest);
    }

    /// `None`: the API does not know the live stream.
    async fn found(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<Option<LiveStream>, VendorError> {
        match self.api.get(permit, ingest).await {
            Err(error) if error.class == Class::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Asks the API, where the manifest does not tell enough.
    async fn broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        is_playable: bool,
    ) -> Result<Option<FeedReading>, VendorError> {
        let Some(stream) = self.found(permit, ingest).await? else {
            return Ok(None);
        };
        match stream.status() {
            Status::Active => {
                let active = stream.active_asset();
                if let Some(id) = active {
                    self.keep_session(ingest, id);
                }
                Ok(Some(on_air(is_playable, active.map(session))))
            }
            Status::Idle | Status::Disabled => {
                self.forget_session(ingest);
                Ok(Some(off_air()))
            }
            Status::Unknown => Err(unexpected("live_streams.get", "an undocumented status")),
        }
    }
}

/// During the reconnect window too: only an encoder that is gone for longer shows (`mux.md §2.5`).
fn on_air(watchable: bool, session: Option<FeedSession>) -> FeedReading {
    FeedReading {
        publishing: None,
        watchable: Some(watchable),
        session,
    }
}

fn off_air() -> FeedReading {
    FeedReading {
        publishing: Some(false),
        watchable: Some(false),
        session: None,
    }
}

/// A broadcast's asset is its session and its recording.
fn session(asset: &str) -> FeedSession {
    FeedSession {
        id: asset.to_owned(),
        recording_id: Some(asset.to_owned()),
        began_at: None,
    }
}

#[async_trait]
impl Platform for MuxPlatform {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    async fn ensure_ingest(
        &self,
        permit: PermitRequest,
        new: &NewIngest,
    ) -> Result<EnsuredIngest, VendorError> {
        const CALL: &str = "live_streams.create";
        let created = self.api.create(permit, new).await;
        match &created {
            Ok(_) => *self.plan.lock() = None,
            Err(error) if error.class == Class::Quota => {
                *self.plan.lock() = Some(error.message.clone());
            }
            Err(_) => {}
        }
        let (stream, ignored_settings) = created?;
        let publish_url = self
            .publish_url(&stream)
            .ok_or_else(|| unexpected(CALL, "no stream key"))?;
        let playback = stream
            .playback_id()
            .ok_or_else(|| unexpected(CALL, "no public playback id"))?;
        Ok(EnsuredIngest {
            publish_url,
            playback: self.host.urls().links(&playback),
            id: stream.id,
            ignored_settings,
        })
    }

    async fn list_tagged(&self, permit: PermitRequest) -> Result<TaggedIngests, VendorError> {
        let list = self.api.list(permit).await?;
        let tagged = list.live_streams.into_iter().filter_map(|stream| {
            Some(TaggedIngest {
                created: stream.created(),
                id: stream.id,
                tag: stream.passthrough?,
            })
        });
        Ok(TaggedIngests {
            ingests: tagged.collect(),
            may_be_cut: list.may_be_cut,
        })
    }

    async fn read_ingest(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<IngestAccess, VendorError> {
        let stream = self.api.get(permit, ingest).await?;
        let playback = stream.playback_id();
        Ok(IngestAccess {
            publish_url: self.publish_url(&stream),
            playback: playback.map(|id| self.host.urls().links(&id)),
            is_closed: stream.status() == Status::Disabled,
            tag: stream.passthrough,
        })
    }

    /// A new key does not disconnect who publishes with the old one: closing does (`mux.md §2.6, §2.7`).
    async fn renew_key(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<SecretString, VendorError> {
        let renewed = self.api.reset_key(permit, ingest).await?;
        let url = self
            .publish_url(&renewed)
            .ok_or_else(|| unexpected("live_streams.reset_stream_key", "no stream key"))?;
        self.forget_session(ingest);
        self.api.disable(permit, ingest).await?;
        self.api.enable(permit, ingest).await?;
        Ok(url)
    }

    async fn observe(
        &self,
        permit: PermitRequest,
        ingest: WatchedIngest<'_>,
        question: FeedQuestion,
    ) -> Result<Option<FeedReading>, VendorError> {
        let Some(playback) = ingest.hls_url.and_then(playback_id) else {
            return self.broadcast(permit, ingest.id, true).await;
        };
        match self.host.manifest(permit, &playback).await? {
            MuxManifest::Idle => {
                self.forget_session(ingest.id);
                let mut reading = off_air();
                if question == FeedQuestion::WatchableFirst {
                    reading.publishing = None;
                }
                Ok(Some(reading))
            }
            MuxManifest::Playable if question == FeedQuestion::Publishing => {
                Ok(self.live_broadcast(ingest.id).await)
            }
            MuxManifest::Playable => match self.known_session(ingest.id, SESSION_KEPT) {
                Some(session) => Ok(Some(on_air(true, Some(session)))),
                None => self.broadcast(permit, ingest.id, true).await,
            },
            MuxManifest::Other => self.broadcast(permit, ingest.id, false).await,
        }
    }

    /// Not by `complete`: an encoder that hangs would stay for a minute and begin a recording of its own (`mux.md §2.6`).
    async fn end_broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        settings: &NewIngest,
    ) -> Result<Option<String>, VendorError> {
        let stream = self.api.get(permit, ingest).await?;
        let session = stream.active_asset().map(str::to_owned);
        self.forget_session(ingest);
        if stream.status() != Status::Disabled {
            self.api.disable(permit, ingest).await?;
        }
        self.api.update(permit, &stream, settings).await?;
        self.api.enable(permit, ingest).await?;
        Ok(session)
    }

    async fn close(&self, permit: PermitRequest, ingest: &str) -> Result<(), VendorError> {
        self.forget_session(ingest);
        self.api.disable(permit, ingest).await
    }

    async fn remove(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError> {
        self.forget_session(ingest);
        self.api.delete(permit, ingest).await?;
        Ok(Removal::Gone)
    }

    /// An asset names its live stream for good (`mux.md §4.1`): all searches are one.
    async fn recordings(
        &self,
        ingest: &str,
        search: RecordingsSearch,
    ) -> Result<Vec<Recording>, VendorError> {
        let (permit, since) = match search {
            RecordingsSearch::Shared { since } => {
                let permit = PermitRequest::within(Priority::Finalize, PATIENCE);
                (permit, Some(since))
            }
            RecordingsSearch::Thorough(permit) | RecordingsSearch::AfterRemoval(permit) => {
                (permit, None)
            }
            RecordingsSearch::Since(permit, since) => (permit, Some(since)),
        };
        let assets = self.api.assets(permit, ingest, since).await?;
        let urls = self.host.urls();
        Ok(assets.iter().map(|asset| recording(asset, urls)).collect())
    }

    async fn delete_recording(
        &self,
        permit: PermitRequest,
        recording: &str,
    ) -> Result<(), VendorError> {
        self.api.delete_asset(permit, recording).await
    }

    /// Another product of Mux's counts them.
    async fn viewers(&self, _: PermitRequest, _: &str) -> Option<u64> {
        None
    }

    fn verify_event(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>> {
        source
            .is_empty()
            .then(|| self.webhooks.verify(header, body, now))
    }

    async fn check(&self, permit: PermitRequest) -> Result<(), VendorError> {
        self.api.read_one(permit).await
    }

    fn health(&self) -> PlatformHealth {
        let health = self.api.health();
        PlatformHealth {
            last_success: health.last_success(),
            last_error: health.last_error(),
            refusal: health.refusal(),
        }
    }

    fn governors(&self) -> Vec<&Governor> {
        let [reads, writes] = self.api.governors();
        vec![reads, writes, self.host.governor()]
    }

    fn feed_polls(&self) -> FeedPolls {
        FeedPolls {
            calls_per_second: self.host.governor().rate(),
            is_shared_with_calls: false,
            calls_until_live: 1.0,
        }
    }

    fn complaint_codes(&self) -> &'static [&'static str] {
        &[PLAN_REFUSES]
    }

    fn complaints(&self) -> Vec<Complaint> {
        let plan = self.plan.lock().clone();
        let complaint = plan.map(|why| Complaint {
            code: PLAN_REFUSES,
            subject: String::new(),
            detail: format!(
                "Mux refused the last live stream ({why}). Starts on Mux fail: change the plan, or ask Mux for a higher limit."
            ),
        });
        complaint.into_iter().collect()
    }

    /// The manifest has one URL, whatever the latency (`mux.md §3.1`).
    fn low_latency_url(&self, hls_url: &str) -> Option<String> {
        Some(hls_url.to_owned())
    }

    fn playback_hosts(&self) -> Vec<String> {
        self.host.urls().hosts()
    }

    fn recordings_interval(&self) -> Duration {
        self.recordings_interval
    }

    fn stored_micros(&self) -> u64 {
        self.stored_micros
    }
}

/// A required part is missing: the call may have been carried out.
fn unexpected(call: &'static str, message: &str) -> VendorError {
    let message = message.to_owned();
    failure(VENDOR, call, Class::Unexpected, Done::Unknown, message)
}
