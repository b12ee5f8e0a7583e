//! Cloudflare Stream as a [`Platform`].

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::time::Instant;

use super::events::WebhookSecrets;
use super::lifecycle::{FeedSource, LifecycleTrust};
use super::recordings::RecordingsPoller;
use super::{
    Cloudflare, CreatedLiveInput, FeedState, Lifecycle, Manifest, NAME, NewLiveInput, PlaybackUrls,
    VENDOR, Video, VideoState, capabilities,
};
use crate::config::Settings;
use crate::platforms::{
    Complaint, EnsuredIngest, FeedPolls, FeedQuestion, HeaderOf, IngestAccess, NewIngest, Platform,
    PlatformHealth, PlaybackLinks, RecordingsSearch, Removal, TaggedIngest, TaggedIngests,
    WatchedIngest,
};
use crate::relay::{
    Capabilities, FeedReading, FeedSession, Latency, Recording, RecordingPlace, RecordingState,
};
use crate::store::Store;
use crate::vendors::governor::{Governor, PermitRequest, Priority};
use crate::vendors::http::failure;
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Done, Notification, Refused, VendorError};

/// The longest wait for the API's permit of a poll that `/lifecycle` could not serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// The customer host differs from Cloudflare's answers.
const HOST_DIFFERS: &str = "customer-host-differs";
/// `/lifecycle` answers otherwise than documented.
const LIFECYCLE_UNDOCUMENTED: &str = "lifecycle-undocumented";

/// Of thumbnails, manifests and the player.
const HOSTS: [&str; 2] = [
    "https://*.cloudflarestream.com",
    "https://*.videodelivery.net",
];

/// The account, and what its relays share.
#[derive(Debug)]
pub struct CloudflarePlatform {
    client: Cloudflare,
    recordings: RecordingsPoller,
    lifecycle: LifecycleTrust,
    webhooks: WebhookSecrets,
    recordings_interval: Duration,
    stored_micros: u64,
}

impl CloudflarePlatform {
    /// See [`crate::platforms::Platforms::of_settings`].
    pub(in crate::platforms) fn new(
        settings: &Settings,
        runtime: &tokio::runtime::Handle,
        lease: &Lease,
        fleet: Option<Store>,
    ) -> anyhow::Result<Self> {
        let client = Cloudflare::new(&settings.cloudflare, &settings.vendors, lease)?;
        let recordings_interval = settings.cloudflare.recordings_interval;
        Ok(Self {
            recordings: RecordingsPoller::new(
                client.clone(),
                recordings_interval,
                runtime.clone(),
                fleet,
            ),
            client,
            lifecycle: LifecycleTrust::new(settings.relay.poll_interval),
            webhooks: WebhookSecrets::of(&settings.cloudflare),
            recordings_interval,
            stored_micros: settings.pricing.cloudflare_stored_micros(),
        })
    }

    /// `None`: the API does not know the live input.
    async fn lifecycle(
        &self,
        permit: PermitRequest,
        uid: &str,
    ) -> Result<Option<Lifecycle>, VendorError> {
        let trust = &self.lifecycle;
        if trust.source(Instant::now()) == FeedSource::Lifecycle {
            let answer = self.client.customer().lifecycle(permit, uid).await;
            match &answer {
                Ok(_) => trust.documented(),
                Err(error) if matches!(error.class, Class::Unexpected | Class::NotFound) => {
                    trust.odd(&error.message);
                }
                Err(_) => {}
            }
            match answer {
                // Undocumented for an unknown live input: ask the API.
                Err(error) if error.class == Class::NotFound => {}
                answer => return answer.map(Some),
            }
        }
        // A poll must not delay starts in the API's budget.
        let permit = PermitRequest::within(Priority::Recover, PATIENCE);
        let state = match self.client.get_live_input(permit, uid).await {
            Err(error) if error.class == Class::NotFound => {
                trust.api_does_not_know();
                return Ok(None);
            }
            found => found?.status.state,
        };
        trust.api_knows(Instant::now());
        if let FeedState::Unknown(word) = state {
            let message = format!("undocumented state: {word}");
            return Err(unexpected("live_inputs.get", message));
        }
        Ok(Some(Lifecycle {
            live: state == FeedState::Connected,
            video_uid: None,
        }))
    }
}

#[async_trait]
impl Platform for CloudflarePlatform {
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
        const CALL: &str = "live_inputs.create";
        let new = NewLiveInput::from(new);
        let CreatedLiveInput {
            live_input,
            echo_differs,
        } = self.client.create_live_input(permit, &new).await?;
        let Some(target) = &live_input.rtmps else {
            return Err(unexpected(CALL, "the live input has no rtmps".to_owned()));
        };
        let publish_url = target.publish_url();
        let Some(playback) = live_input.playback else {
            // Buyers could not watch; only the setting helps.
            let message =
                "no answer names the customer host: set cloudflare.customer_base_url".to_owned();
            return Err(VendorError {
                class: Class::Rejected,
                ..unexpected(CALL, message)
            });
        };
        Ok(EnsuredIngest {
            id: live_input.uid,
            publish_url,
            playback: playback.into(),
            ignored_settings: echo_differs,
        })
    }

    async fn list_tagged(&self, permit: PermitRequest) -> Result<TaggedIngests, VendorError> {
        let list = self.client.list_live_inputs(permit).await?;
        let tagged = list.live_inputs.into_iter().filter_map(|input| {
            Some(TaggedIngest {
                id: input.uid,
                tag: input.tag?,
                created: input.created,
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
        let found = self.client.get_live_input(permit, ingest).await?;
        Ok(IngestAccess {
            publish_url: found.rtmps.map(|target| target.publish_url()),
            playback: found.playback.map(PlaybackLinks::from),
            tag: found.tag,
            is_closed: found.enabled == Some(false),
        })
    }

    async fn renew_key(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<SecretString, VendorError> {
        let renewed = self.client.rotate_keys(permit, ingest).await?;
        let target = renewed
            .rtmps
            .ok_or_else(|| unexpected("live_inputs.rotate_keys", "no rtmps".to_owned()))?;
        Ok(target.publish_url())
    }

    async fn observe(
        &self,
        permit: PermitRequest,
        ingest: WatchedIngest<'_>,
        question: FeedQuestion,
    ) -> Result<Option<FeedReading>, VendorError> {
        let customer = self.client.customer();
        if customer.base_url().is_none() {
            // After a restart only the relay's URL names the host.
            if let Some(url) = ingest.hls_url {
                customer.learn(url);
            }
        }
        let is_playable = async || {
            let manifest = customer.manifest(permit, ingest.id).await?;
            Ok::<_, VendorError>(manifest == Manifest::Playable)
        };
        if question == FeedQuestion::WatchableFirst && !is_playable().await? {
            return Ok(Some(FeedReading {
                watchable: Some(false),
                ..FeedReading::default()
            }));
        }
        let Some(lifecycle) = self.lifecycle(permit, ingest.id).await? else {
            return Ok(None);
        };
        let watchable = match (question, lifecycle.live) {
            (FeedQuestion::Publishing, _) => None,
            (FeedQuestion::Both | FeedQuestion::WatchableFirst, false) => Some(false),
            (FeedQuestion::WatchableFirst, true) => Some(true),
            (FeedQuestion::Both, true) => Some(is_playable().await?),
        };
        Ok(Some(FeedReading {
            publishing: Some(lifecycle.live),
            watchable,
            session: lifecycle.video_uid.map(|video| FeedSession {
                id: video.clone(),
                recording_id: Some(video),
                began_at: None,
            }),
        }))
    }

    async fn end_broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        settings: &NewIngest,
    ) -> Result<Option<String>, VendorError> {
        let customer = self.client.customer();
        let before = customer.lifecycle(permit, ingest).await.ok();
        self.client.disable_live_input(permit, ingest).await?;
        let settings = NewLiveInput::from(settings);
        self.client
            .enable_live_input(permit, ingest, &settings)
            .await?;
        Ok(before.and_then(|before| before.video_uid))
    }

    async fn close(&self, permit: PermitRequest, ingest: &str) -> Result<(), VendorError> {
        self.client.disable_live_input(permit, ingest).await
    }

    async fn remove(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError> {
        self.client.delete_live_input(permit, ingest).await?;
        Ok(Removal::Gone)
    }

    async fn recordings(
        &self,
        ingest: &str,
        search: RecordingsSearch,
    ) -> Result<Vec<Recording>, VendorError> {
        let client = &self.client;
        let videos = match search {
            RecordingsSearch::Shared { since } => self.recordings.poll(ingest, since).await,
            RecordingsSearch::Thorough(permit) => match client.videos_of(permit, ingest).await {
                Err(error) if error.class == Class::NotFound => {
                    client.videos_by_input(permit, ingest, None).await
                }
                found => found,
            },
            RecordingsSearch::AfterRemoval(permit) => {
                client.videos_by_input(permit, ingest, None).await
            }
            RecordingsSearch::Since(permit, since) => {
                client.videos_by_input(permit, ingest, Some(since)).await
            }
        };
        Ok(videos?.into_iter().map(recording).collect())
    }

    async fn delete_recording(
        &self,
        permit: PermitRequest,
        recording: &str,
    ) -> Result<(), VendorError> {
        self.client.delete_video(permit, recording).await
    }

    async fn viewers(&self, permit: PermitRequest, ingest: &str) -> Option<u64> {
        self.client.customer().views(permit, ingest).await.ok()
    }

    fn verify_event(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>> {
        self.webhooks.verify(source, header, body, now)
    }

    async fn check(&self, permit: PermitRequest) -> Result<(), VendorError> {
        self.client.storage_usage(permit).await.map(|_| ())
    }

    fn health(&self) -> PlatformHealth {
        PlatformHealth {
            last_success: self.client.last_success(),
            last_error: self.client.last_error(),
            refusal: self.client.refusal(),
        }
    }

    fn governors(&self) -> Vec<&Governor> {
        self.client.governors().to_vec()
    }

    fn feed_polls(&self) -> FeedPolls {
        let [api, customer] = self.client.governors().map(Governor::rate);
        let is_trusted = self.lifecycle.is_trusted();
        FeedPolls {
            calls_per_second: if is_trusted { customer } else { api },
            is_shared_with_calls: !is_trusted,
            // The manifest is probed too.
            calls_until_live: 2.0,
        }
    }

    fn complaint_codes(&self) -> &'static [&'static str] {
        &[HOST_DIFFERS, LIFECYCLE_UNDOCUMENTED]
    }

    fn complaints(&self) -> Vec<Complaint> {
        let host = self.client.customer().contradiction().map(|what| Complaint {
            code: HOST_DIFFERS,
            subject: String::new(),
            detail: format!(
                "{what}. Buyers are sent to it, and no relay goes live: correct or unset CLOUDFLARE_STREAM_CUSTOMER_BASE_URL."
            ),
        });
        let lifecycle = self.lifecycle.complaint().map(|complaint| Complaint {
            code: LIFECYCLE_UNDOCUMENTED,
            subject: String::new(),
            detail: format!(
                "/lifecycle does not answer as documented ({complaint}). Feeds are polled with GET live_inputs/{{uid}} instead, less \
                 often, within half of the API's budget. /lifecycle is tried again regularly."
            ),
        });
        host.into_iter().chain(lifecycle).collect()
    }

    /// `cloudflare-stream.md §3.1`
    fn low_latency_url(&self, hls_url: &str) -> Option<String> {
        Some(format!("{hls_url}?protocol=llhls"))
    }

    fn playback_hosts(&self) -> Vec<String> {
        let customer = self.client.customer().configured_origin();
        HOSTS
            .map(str::to_owned)
            .into_iter()
            .chain(customer)
            .collect()
    }

    fn recordings_interval(&self) -> Duration {
        self.recordings_interval
    }

    fn stored_micros(&self) -> u64 {
        self.stored_micros
    }
}

impl From<&NewIngest> for NewLiveInput {
    fn from(settings: &NewIngest) -> Self {
        Self {
            tag: settings.tag.clone(),
            name: settings.title.clone(),
            timeout_seconds: settings.feed_timeout_seconds,
            delete_recording_after_days: settings.delete_recording_after_days,
            low_latency: settings.latency == Latency::Low,
        }
    }
}

impl From<PlaybackUrls> for PlaybackLinks {
    fn from(urls: PlaybackUrls) -> Self {
        Self {
            hls_url: urls.hls_url,
            dash_url: Some(urls.dash_url),
        }
    }
}

fn recording(video: Video) -> Recording {
    let state = match video.state {
        VideoState::Ready => RecordingState::Ready,
        VideoState::Error => RecordingState::Failed,
        VideoState::PendingUpload
        | VideoState::Downloading
        | VideoState::Queued
        | VideoState::InProgress
        | VideoState::LiveInProgress
        | VideoState::Unknown => RecordingState::Processing,
    };
    let thumbnail_url = video.thumbnail_url;
    let place = video.playback.map(|playback| RecordingPlace::Platform {
        hls_url: playback.hls_url,
        dash_url: Some(playback.dash_url),
        thumbnail_url,
    });
    Recording {
        id: video.uid,
        state,
        is_final: state == RecordingState::Ready,
        duration_ms: video
            .duration
            .and_then(|duration| u64::try_from(duration.as_millis()).ok()),
        place,
        created_at: video.created,
    }
}

/// A required part is missing: the call may have been carried out.
fn unexpected(call: &'static str, message: String) -> VendorError {
    failure(VENDOR, call, Class::Unexpected, Done::Unknown, message)
}
