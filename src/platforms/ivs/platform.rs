//! Amazon IVS as a [`Platform`].

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::api::{IvsApi, IvsOperation};
use super::bucket::Bucket;
use super::channels::{ChannelList, ChannelSettings, PAGE, lacks};
use super::events::EventSecret;
use super::playback::IvsPlaybackHost;
use super::recordings::RecordingsInBucket;
use super::streams::LiveStreams;
use super::wire::Channel;
use super::{NAME, capabilities};
use crate::config::{IvsSettings, Settings};
use crate::platforms::wire::{count, lenient};
use crate::platforms::{
    Complaint, EnsuredIngest, FeedPolls, FeedQuestion, HeaderOf, IngestAccess, NewIngest, Platform,
    PlatformHealth, PlaybackLinks, RecordingsSearch, Removal, TaggedIngest, TaggedIngests,
    WatchedIngest,
};
use crate::relay::{Capabilities, FeedReading, FeedSession, Recording};
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Notification, Refused, VendorError};

/// A channel that is not live is read again after this time: the list of live ones does not show that it is gone.
const CHECKED_EVERY: Duration = Duration::from_secs(15);
const MOST_CHECKED: usize = 10_000;
/// Between two tries to delete a channel whose broadcast has been stopped.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A quota or the state of the account refuses channels.
const ACCOUNT_REFUSES: &str = "ivs-account-refuses";
/// The bucket of recordings cannot be read.
const BUCKET_REFUSES: &str = "ivs-bucket-refuses";
/// The recording configuration does not record.
const NOT_RECORDING: &str = "ivs-not-recording";

/// An account in a region.
#[derive(Debug)]
pub struct IvsPlatform {
    api: IvsApi,
    host: IvsPlaybackHost,
    streams: LiveStreams,
    /// `None`: recordings are not searched for.
    recordings: Option<RecordingsInBucket>,
    events: EventSecret,
    channels: ChannelSettings,
    settings: IvsSettings,
    stored_micros: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By channel that is not live: when it was last read.
    checked: HashMap<String, Instant>,
    configuration: Option<RecordingConfigurationState>,
    /// By the code of a complaint: what was answered last, if it was a refusal.
    refusals: HashMap<&'static str, String>,
}

/// A recording configuration as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingConfigurationState {
    /// `ACTIVE`, `CREATING`, `CREATE_FAILED`.
    pub state: String,
    /// An encoder that comes back within this time continues the recording.
    pub window: Duration,
    /// Where it writes, if known.
    pub bucket: Option<String>,
}

impl RecordingConfigurationState {
    /// Whether channels with it record.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationAnswer {
    recording_configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default, deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(default, deserialize_with = "count")]
    recording_reconnect_window_seconds: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    destination_configuration: Option<Destination>,
}

#[derive(Deserialize)]
struct Destination {
    #[serde(default, deserialize_with = "lenient")]
    s3: Option<S3Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Destination {
    bucket_name: String,
}

impl IvsPlatform {
    /// Calls only while `lease` is held.
    pub fn new(settings: &Settings, lease: &Lease) -> anyhow::Result<Self> {
        let (ivs, vendors) = (&settings.ivs, &settings.vendors);
        let bucket = Bucket::of_settings(ivs, vendors, lease)?;
        Ok(Self {
            api: IvsApi::of_settings(ivs, vendors, lease)?,
            host: IvsPlaybackHost::new(ivs, vendors, lease)?,
            streams: LiveStreams::new(),
            recordings: bucket.map(|bucket| RecordingsInBucket::new(bucket, &ivs.vod_base_url)),
            events: EventSecret::new(&ivs.webhook_secret),
            channels: ChannelSettings::new(ivs),
            settings: ivs.clone(),
            stored_micros: settings.pricing.ivs_micros(ivs.channel_type),
            known: Mutex::default(),
        })
    }

    /// Reads the recording configuration of the settings; `None`: there is none.
    pub async fn recording_configuration(
        &self,
        permit: PermitRequest,
    ) -> Result<Option<RecordingConfigurationState>, VendorError> {
        if !self.settings.records() {
            return Ok(None);
        }
        let body = json!({ "arn": self.settings.recording_configuration_arn });
        let operation = IvsOperation::GetRecordingConfiguration;
        let answer: ConfigurationAnswer = self.api.data(permit, operation, body, |_| None).await?;
        let read = answer.recording_configuration;
        let destination = read.destination_configuration.and_then(|all| all.s3);
        let window = read.recording_reconnect_window_seconds.unwrap_or_default();
        let state = RecordingConfigurationState {
            state: read.state.unwrap_or_default(),
            window: Duration::from_secs(window),
            bucket: destination.map(|s3| s3.bucket_name),
        };
        self.known.lock().configuration = Some(state.clone());
        Ok(Some(state))
    }

    /// Tries to list the bucket; `None`: the settings name none.
    pub async fn check_bucket(&self) -> Option<Result<(), VendorError>> {
        let listed = self.recordings.as_ref()?.check().await;
        Some(self.of_bucket(listed))
    }

    /// No API returns the URL (`ivs.md §2.3`).
    fn publish_url(channel: &Channel, key: &SecretString) -> Option<SecretString> {
        let endpoint = channel.ingest_endpoint()?;
        let host = match endpoint.contains(':') {
            true => endpoint.to_owned(),
            false => format!("{endpoint}:443"),
        };
        let key = key.expose_secret();
        (!key.is_empty()).then(|| SecretString::from(format!("rtmps://{host}/app/{key}")))
    }

    fn playback(&self, channel: &Channel) -> Option<PlaybackLinks> {
        self.host.links(channel.playback_url()?)
    }

    /// Whether a channel that is not live exists. `None`: it does not.
    async fn off_air(
        &self,
        permit: PermitRequest,
        channel: &str,
    ) -> Result<Option<FeedReading>, VendorError> {
        let off = Ok(Some(FeedReading {
            publishing: Some(false),
            watchable: Some(false),
            session: None,
        }));
        if !self.is_check_due(channel) {
            return off;
        }
        let at_once = PermitRequest::within(permit.priority, Duration::ZERO);
        match self.api.stream(at_once, channel).await {
            Ok(Some(stream)) => Ok(Some(FeedReading {
                publishing: Some(true),
                watchable: None,
                session: stream.stream_id.map(session),
            })),
            Err(error) if error.class == Class::NotFound => Ok(None),
            // The list tells enough.
            Ok(None) | Err(_) => off,
        }
    }

    fn is_check_due(&self, channel: &str) -> bool {
        let checked = &mut self.known.lock().checked;
        if checked.len() >= MOST_CHECKED {
            checked.retain(|_, at| at.elapsed() < CHECKED_EVERY);
        }
        // Not at first: what is new may not be found everywhere yet.
        match checked.get_mut(channel) {
            Some(at) if at.elapsed() < CHECKED_EVERY => false,
            Some(at) => {
                *at = Instant::now();
                true
            }
            None => {
                checked.insert(channel.to_owned(), Instant::now());
                false
            }
        }
    }

    /// Keeps a refusal that needs an operator, until a call of the same kind succeeds.
    fn note(&self, code: &'static str, refusal: Option<&VendorError>) {
        let refusals = &mut self.known.lock().refusals;
        match refusal {
            Some(refusal) => refusals.insert(code, refusal.message.clone()),
            None => refusals.remove(code),
        };
    }

    fn of_bucket<T>(&self, result: Result<T, VendorError>) -> Result<T, VendorError> {
        match &result {
            Ok(_) => self.note(BUCKET_REFUSES, None),
            Err(error) if matches!(error.class, Class::Unauthorized | Class::Rejected) => {
                self.note(BUCKET_REFUSES, Some(error));
            }
            Err(_) => {}
        }
        result
    }

    async fn stop(&self, permit: PermitRequest, channel: &str) -> Result<(), VendorError> {
        let stopped = self.api.stop_stream(permit, channel).await;
        self.streams.change();
        stopped
    }

    async fn tagged(
        &self,
        permit: PermitRequest,
        tag: Option<&str>,
    ) -> Result<TaggedIngests, VendorError> {
        let ChannelList {
            channels,
            may_be_cut,
        } = self.api.channels(permit, tag).await?;
        let tagged = channels.into_iter().filter_map(|channel| {
            Some(TaggedIngest {
                tag: channel.tag()?.to_owned(),
                created: channel.created(),
                id: channel.arn,
            })
        });
        Ok(TaggedIngests {
            ingests: tagged.collect(),
            may_be_cut,
        })
    }
}

/// Its recording is not named by it: the reconnect window merges those of several (`ivs.md §4.4`).
fn session(id: String) -> FeedSession {
    FeedSession {
        id,
        recording_id: None,
    }
}

#[async_trait]
impl Platform for IvsPlatform {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let known = self.known.lock();
        let window = known.configuration.as_ref().map(|known| known.window);
        capabilities(&self.settings, window)
    }

    async fn ensure_ingest(
        &self,
        permit: PermitRequest,
        new: &NewIngest,
    ) -> Result<EnsuredIngest, VendorError> {
        const CALL: IvsOperation = IvsOperation::CreateChannel;
        let created = self
            .api
            .create_channel(permit, &self.channels, new)
            .await
            .inspect_err(|error| {
                if error.class == Class::Quota {
                    self.note(ACCOUNT_REFUSES, Some(error));
                }
            });
        let (channel, key, ignored_settings) = created?;
        self.note(ACCOUNT_REFUSES, None);
        let publish_url = Self::publish_url(&channel, &key);
        Ok(EnsuredIngest {
            publish_url: publish_url.ok_or_else(|| lacks(CALL, "an ingest endpoint"))?,
            playback: self
                .playback(&channel)
                .ok_or_else(|| lacks(CALL, "a playback URL"))?,
            id: channel.arn,
            ignored_settings,
        })
    }

    async fn list_tagged(&self, permit: PermitRequest) -> Result<TaggedIngests, VendorError> {
        self.tagged(permit, None).await
    }

    async fn find_tagged(
        &self,
        permit: PermitRequest,
        tag: &str,
    ) -> Result<TaggedIngests, VendorError> {
        self.tagged(permit, Some(tag)).await
    }

    async fn read_ingest(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<IngestAccess, VendorError> {
        let channel = self.api.channel(permit, ingest).await?;
        let key = self.api.key(permit, ingest).await?;
        Ok(IngestAccess {
            is_closed: key.is_none(),
            publish_url: key.and_then(|key| Self::publish_url(&channel, &key)),
            playback: self.playback(&channel),
            tag: channel.tag().map(str::to_owned),
        })
    }

    /// A deleted key does not disconnect who publishes with it (`ivs.md §2.4`).
    async fn renew_key(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<SecretString, VendorError> {
        let channel = self.api.channel(permit, ingest).await?;
        let key = self.api.new_key(permit, ingest).await?;
        self.stop(permit, ingest).await?;
        Self::publish_url(&channel, &key)
            .ok_or_else(|| lacks(IvsOperation::GetChannel, "an ingest endpoint"))
    }

    async fn observe(
        &self,
        permit: PermitRequest,
        ingest: WatchedIngest<'_>,
        question: FeedQuestion,
    ) -> Result<Option<FeedReading>, VendorError> {
        let live = self.streams.of(&self.api, permit, ingest.id).await?;
        let Some(live) = live else {
            return self.off_air(permit, ingest.id).await;
        };
        self.known.lock().checked.remove(ingest.id);
        let watchable = match (question, ingest.hls_url) {
            (FeedQuestion::Publishing, _) => None,
            (FeedQuestion::Both | FeedQuestion::WatchableFirst, None) => Some(true),
            (FeedQuestion::Both | FeedQuestion::WatchableFirst, Some(url)) => {
                Some(self.host.is_playable(permit, url).await?)
            }
        };
        Ok(Some(FeedReading {
            publishing: Some(true),
            watchable,
            session: Some(session(live.id)).filter(|session| !session.id.is_empty()),
        }))
    }

    /// The key stays: who still has an earlier one is the affair of [`Platform::renew_key`]. There is nothing to change: the settings
    /// of a recording are those of its configuration.
    async fn end_broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        _: &NewIngest,
    ) -> Result<Option<String>, VendorError> {
        let stream = self.api.stream(permit, ingest).await?;
        self.stop(permit, ingest).await?;
        if !self.api.has_key(permit, ingest).await? {
            self.api.create_key(permit, ingest).await?;
        }
        Ok(stream.and_then(|stream| stream.stream_id))
    }

    /// In this order: an encoder comes back at once (`ivs.md §2.5`).
    async fn close(&self, permit: PermitRequest, ingest: &str) -> Result<(), VendorError> {
        self.api.delete_keys(permit, ingest).await?;
        self.stop(permit, ingest).await
    }

    async fn remove(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError> {
        match self.api.delete_channel(permit, ingest).await {
            Err(error) if error.class == Class::Conflict => Ok(Removal::StillLive {
                retry_after: ENDS_WITHIN,
            }),
            removed => {
                removed?;
                self.known.lock().checked.remove(ingest);
                Ok(Removal::Gone)
            }
        }
    }

    /// The bucket keeps what a channel recorded: all searches are one.
    async fn recordings(
        &self,
        ingest: &str,
        search: RecordingsSearch,
    ) -> Result<Vec<Recording>, VendorError> {
        let Some(recordings) = &self.recordings else {
            return Ok(Vec::new());
        };
        let since = match search {
            RecordingsSearch::Shared { since } | RecordingsSearch::Since(_, since) => Some(since),
            RecordingsSearch::Thorough(_) | RecordingsSearch::AfterRemoval(_) => None,
        };
        self.of_bucket(recordings.of(ingest, since).await)
    }

    async fn delete_recording(&self, _: PermitRequest, recording: &str) -> Result<(), VendorError> {
        match &self.recordings {
            Some(recordings) => self.of_bucket(recordings.delete(recording).await),
            None => Ok(()),
        }
    }

    async fn viewers(&self, permit: PermitRequest, ingest: &str) -> Option<u64> {
        let live = self.streams.of(&self.api, permit, ingest).await;
        live.ok()??.viewers
    }

    fn verify_event(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        _: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>> {
        source.is_empty().then(|| self.events.verify(header, body))
    }

    /// Reads the recording configuration too, which decides what a kept channel's next show must wait for.
    async fn check(&self, permit: PermitRequest) -> Result<(), VendorError> {
        self.api.read_one(permit).await?;
        if let Err(error) = self.recording_configuration(permit).await {
            tracing::warn!(%error, "the recording configuration cannot be read");
        }
        Ok(())
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
        let api = self.api.governors();
        api.chain([self.host.governor()]).collect()
    }

    fn feed_polls(&self) -> FeedPolls {
        let calls = self.api.governor_of(IvsOperation::ListStreams).rate();
        FeedPolls {
            // A page of the list answers for as many relays.
            calls_per_second: calls * f64::from(PAGE),
            is_shared_with_calls: false,
            calls_until_live: 1.0,
        }
    }

    fn complaint_codes(&self) -> &'static [&'static str] {
        &[ACCOUNT_REFUSES, BUCKET_REFUSES, NOT_RECORDING]
    }

    fn complaints(&self) -> Vec<Complaint> {
        let known = self.known.lock();
        let complaint = |code, detail| Complaint {
            code,
            subject: String::new(),
            detail,
        };
        let account = known.refusals.get(ACCOUNT_REFUSES).map(|why| {
            let detail = format!(
                "AWS refused the last channel ({why}). Starts on IVS fail: ask AWS for a higher quota, or to verify the account."
            );
            complaint(ACCOUNT_REFUSES, detail)
        });
        let bucket = known.refusals.get(BUCKET_REFUSES).map(|why| {
            let detail = format!(
                "The bucket of ivs.recording_bucket cannot be read ({why}). Recordings are not found: check its name, the region and the permissions of the access key."
            );
            complaint(BUCKET_REFUSES, detail)
        });
        let configuration = known.configuration.as_ref();
        let not_recording = configuration
            .filter(|configuration| !configuration.is_active())
            .map(|configuration| {
                let detail = format!(
                    "The recording configuration of ivs.recording_configuration_arn is {}: broadcasts are not recorded. Create another one.",
                    configuration.state
                );
                complaint(NOT_RECORDING, detail)
            });
        account
            .into_iter()
            .chain(bucket)
            .chain(not_recording)
            .collect()
    }

    fn playback_hosts(&self) -> Vec<String> {
        self.host.hosts(&self.settings.vod_base_url)
    }

    fn recordings_interval(&self) -> Duration {
        self.settings.recordings_interval
    }

    fn stored_micros(&self) -> u64 {
        self.stored_micros
    }
}
