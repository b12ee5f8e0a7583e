//! Amazon IVS as a [`Platform`].

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};

use super::api::{IvsApi, IvsOperation};
use super::bucket::RecordingsBucket;
use super::channels::{ChannelList, ChannelSettings, PAGE, lacks};
use super::complaints::{ACCOUNT_REFUSES, CODES, Complaints};
use super::configuration::RecordingConfigurationState;
use super::events::EventSecret;
use super::off_air::OffAirChecks;
use super::playback::IvsPlaybackHost;
use super::recordings::RecordingsInBucket;
use super::streams::LiveStreams;
use super::wire::Channel;
use super::{NAME, capabilities};
use crate::config::{IvsSettings, Settings};
use crate::platforms::{
    Complaint, EnsuredIngest, FeedPolls, FeedQuestion, HeaderOf, IngestAccess, NewIngest, Platform,
    PlatformHealth, PlaybackLinks, RecordingsSearch, Removal, TaggedIngest, TaggedIngests,
    WatchedIngest,
};
use crate::relay::{Capabilities, FeedReading, FeedSession, Recording};
use crate::vendors::governor::{Governor, PermitRequest};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, Notification, Refused, VendorError};

/// Between two tries to delete a channel whose broadcast has been stopped.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

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
    off_air: OffAirChecks,
    /// As last read.
    configuration: Mutex<Option<RecordingConfigurationState>>,
    complaints: Complaints,
}

impl IvsPlatform {
    /// Calls only while `lease` is held.
    pub fn new(settings: &Settings, lease: &Lease) -> anyhow::Result<Self> {
        let (ivs, vendors) = (&settings.ivs, &settings.vendors);
        let bucket = RecordingsBucket::of_settings(ivs, vendors, lease)?;
        Ok(Self {
            api: IvsApi::of_settings(ivs, vendors, lease)?,
            host: IvsPlaybackHost::new(ivs, vendors, lease)?,
            streams: LiveStreams::new(),
            recordings: bucket.map(|bucket| RecordingsInBucket::new(bucket, &ivs.vod_base_url)),
            events: EventSecret::new(&ivs.webhook_secret),
            channels: ChannelSettings::new(ivs),
            settings: ivs.clone(),
            stored_micros: settings.pricing.ivs_micros(ivs.channel_type),
            off_air: OffAirChecks::default(),
            configuration: Mutex::default(),
            complaints: Complaints::default(),
        })
    }

    /// Reads the recording configuration of the settings; `None`: they name no configuration.
    pub async fn recording_configuration(
        &self,
        permit: PermitRequest,
    ) -> Result<Option<RecordingConfigurationState>, VendorError> {
        if !self.settings.records() {
            return Ok(None);
        }
        let arn = &self.settings.recording_configuration_arn;
        let state = self.api.recording_configuration(permit, arn).await?;
        *self.configuration.lock() = Some(state.clone());
        Ok(Some(state))
    }

    /// Tries to list the bucket; `None`: the settings name none.
    pub async fn check_bucket(&self) -> Option<Result<(), VendorError>> {
        let listed = self.recordings.as_ref()?.check().await;
        Some(self.complaints.of_bucket(listed))
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
        if !self.off_air.is_due(channel) {
            return off;
        }
        let at_once = PermitRequest::within(permit.priority, Duration::ZERO);
        match self.api.stream(at_once, channel).await {
            Ok(Some(stream)) => Ok(Some(FeedReading {
                publishing: Some(true),
                watchable: None,
                session: stream
                    .stream_id
                    .clone()
                    .map(|id| session(id, stream.began_at())),
            })),
            Err(error) if error.class == Class::NotFound => Ok(None),
            // The list tells enough.
            Ok(None) | Err(_) => off,
        }
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
fn session(id: String, began_at: Option<DateTime<Utc>>) -> FeedSession {
    FeedSession {
        id,
        recording_id: None,
        began_at,
    }
}

#[async_trait]
impl Platform for IvsPlatform {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let configuration = self.configuration.lock();
        let window = configuration.as_ref().map(|known| known.window);
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
                    self.complaints.note(ACCOUNT_REFUSES, Some(error));
                }
            });
        let (channel, key, ignored_settings) = created?;
        self.complaints.note(ACCOUNT_REFUSES, None);
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
        let not_yet = FeedReading {
            watchable: Some(false),
            ..FeedReading::default()
        };
        let live = self.streams.of(&self.api, permit, ingest.id).await?;
        let Some(live) = live else {
            return match question {
                FeedQuestion::WatchableFirst => Ok(Some(not_yet)),
                FeedQuestion::Publishing | FeedQuestion::Both => {
                    self.off_air(permit, ingest.id).await
                }
            };
        };
        self.off_air.forget(ingest.id);
        let watchable = match (question, ingest.hls_url) {
            (FeedQuestion::Publishing, _) => None,
            (FeedQuestion::Both | FeedQuestion::WatchableFirst, None) => Some(true),
            (FeedQuestion::Both | FeedQuestion::WatchableFirst, Some(url)) => {
                Some(self.host.is_playable(permit, url).await?)
            }
        };
        if question == FeedQuestion::WatchableFirst && watchable == Some(false) {
            return Ok(Some(not_yet));
        }
        Ok(Some(FeedReading {
            publishing: Some(true),
            watchable,
            session: Some(session(live.id, live.began_at)).filter(|session| !session.id.is_empty()),
        }))
    }

    /// The key stays: who still has an earlier one is the affair of [`Platform::renew_key`]. The settings of a recording are those of
    /// its configuration.
    async fn end_broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        settings: &NewIngest,
    ) -> Result<Option<String>, VendorError> {
        let stream = self.api.stream(permit, ingest).await?;
        self.stop(permit, ingest).await?;
        // A broadcast that is stopped still counts as one for a while.
        let updated = self.api.update_channel(permit, ingest, settings).await;
        updated.map_err(|mut error| {
            if error.class == Class::Conflict {
                error.class = Class::Unavailable;
            }
            error
        })?;
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

    /// Stops what an encoder began that had connected just before its key was deleted: then there was no broadcast to stop
    /// (`ivs.md §2.5`).
    async fn remove(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError> {
        match self.api.delete_channel(permit, ingest).await {
            Err(error) if error.class == Class::Conflict => {
                self.stop(permit, ingest).await?;
                Ok(Removal::StillLive {
                    retry_after: ENDS_WITHIN,
                })
            }
            removed => {
                removed?;
                self.off_air.forget(ingest);
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
        self.complaints
            .of_bucket(recordings.of(ingest, since).await)
    }

    async fn delete_recording(&self, _: PermitRequest, recording: &str) -> Result<(), VendorError> {
        match &self.recordings {
            Some(recordings) => self
                .complaints
                .of_bucket(recordings.delete(recording).await),
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

    /// Reads the recording configuration too.
    async fn check(&self, permit: PermitRequest) -> Result<(), VendorError> {
        self.api.read_one(permit).await?;
        if let Err(error) = self.recording_configuration(permit).await {
            tracing::warn!(%error, "the recording configuration cannot be read");
        }
        Ok(())
    }

    /// The recording configuration decides what a kept channel's next show, and the search for its recordings, must wait for.
    async fn read_capabilities(&self, permit: PermitRequest) -> Result<(), VendorError> {
        self.recording_configuration(permit).await.map(|_| ())
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
        &CODES
    }

    fn complaints(&self) -> Vec<Complaint> {
        let configuration = self.configuration.lock();
        self.complaints.all(configuration.as_ref())
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
