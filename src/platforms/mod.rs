//! The platform port: a streaming platform that receives an egress's RTMPS and serves HLS. Each platform is a room of its own;
//! the rest of the program knows [`Platform`] alone.

mod api;
pub mod cloudflare;
pub mod ivs;
mod limits;
pub mod mux;
mod public_host;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::config::{AgoraSettings, Settings, SettingsProblem, VideoProfile};
use crate::relay::{Capabilities, FeedReading, Latency, Recording};
use crate::store::Store;
use crate::vendors::governor::{BudgetSnapshot, Governor, PermitRequest};
use crate::vendors::lease::Lease;
use crate::vendors::{Class, LastError, Notification, Refused, VendorError};
use cloudflare::CloudflarePlatform;
use ivs::IvsPlatform;
use mux::MuxPlatform;

/// A client of one platform. Calls wait for a permit of the platform's own governors, and fail with
/// [`Class::NotFound`] for an id that the platform does not know.
#[async_trait]
pub trait Platform: std::fmt::Debug + Send + Sync {
    /// Its name in settings, on the wire, in metrics and in errors.
    fn name(&self) -> &'static str;

    /// Its facts.
    fn capabilities(&self) -> Capabilities;

    /// Creates an ingest, or finds the one that an earlier try created with the same tag.
    ///
    /// # Errors
    /// [`Class::Conflict`] if the tag was used for an ingest that is removed.
    async fn ensure_ingest(
        &self,
        permit: PermitRequest,
        new: &NewIngest,
    ) -> Result<EnsuredIngest, VendorError>;

    /// Lists the ingests that bear a tag, anybody's.
    async fn list_tagged(&self, permit: PermitRequest) -> Result<TaggedIngests, VendorError>;

    /// Lists the ingests that bear this tag, and perhaps others.
    async fn find_tagged(
        &self,
        permit: PermitRequest,
        _tag: &str,
    ) -> Result<TaggedIngests, VendorError> {
        self.list_tagged(permit).await
    }

    /// Reads an ingest with its publish URL.
    async fn read_ingest(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<IngestAccess, VendorError>;

    /// Replaces the key: an earlier publisher cannot come back. The playback URLs stay. Returns the publish URL.
    async fn renew_key(
        &self,
        permit: PermitRequest,
        ingest: &str,
    ) -> Result<SecretString, VendorError>;

    /// Reads whether something publishes and whether it can be watched. `None`: the ingest does not exist.
    async fn observe(
        &self,
        permit: PermitRequest,
        ingest: WatchedIngest<'_>,
        question: FeedQuestion,
    ) -> Result<Option<FeedReading>, VendorError>;

    /// Ends the broadcast, with these settings from then on, and takes publishers again. May be repeated from any point.
    /// Returns the session that it ended, if that is known.
    async fn end_broadcast(
        &self,
        permit: PermitRequest,
        ingest: &str,
        settings: &NewIngest,
    ) -> Result<Option<String>, VendorError>;

    /// Ends the broadcast and refuses publishers. May be repeated.
    async fn close(&self, permit: PermitRequest, ingest: &str) -> Result<(), VendorError>;

    /// Removes the ingest; its recordings stay. An ingest that the platform does not know is [`Removal::Gone`].
    async fn remove(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError>;

    /// Removes an ingest that no relay uses. Ends its broadcast first where the platform asks for that; then try again.
    async fn discard(&self, permit: PermitRequest, ingest: &str) -> Result<Removal, VendorError> {
        let removal = self.remove(permit, ingest).await?;
        if let Removal::StillLive { .. } = removal {
            match self.close(permit, ingest).await {
                Err(error) if error.class != Class::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(removal)
    }

    /// Reads the recordings of an ingest.
    async fn recordings(
        &self,
        ingest: &str,
        search: RecordingsSearch,
    ) -> Result<Vec<Recording>, VendorError>;

    /// Deletes a recording. Succeeds if it is already gone.
    async fn delete_recording(
        &self,
        permit: PermitRequest,
        recording: &str,
    ) -> Result<(), VendorError>;

    /// Counts the viewers of a broadcast. `None`: the platform does not tell.
    async fn viewers(&self, permit: PermitRequest, ingest: &str) -> Option<u64>;

    /// Verifies and reads a notification. `source`: which of the platform's webhooks, empty if its address names none; `None`: it has
    /// no such one.
    fn verify_event(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>>;

    /// Makes the cheapest call that proves reachability and credentials.
    async fn check(&self, permit: PermitRequest) -> Result<(), VendorError>;

    /// Reads what [`Platform::capabilities`] depends on. Each process calls it until it succeeds.
    async fn read_capabilities(&self, _: PermitRequest) -> Result<(), VendorError> {
        Ok(())
    }

    /// What the last calls returned.
    fn health(&self) -> PlatformHealth;

    /// The budgets of its quotas; the first one serves [`Platform::read_ingest`].
    fn governors(&self) -> Vec<&Governor>;

    /// The budget from which feeds are polled.
    fn feed_polls(&self) -> FeedPolls;

    /// The codes of all complaints that it can have.
    fn complaint_codes(&self) -> &'static [&'static str];

    /// The conditions of this platform that need an operator.
    fn complaints(&self) -> Vec<Complaint>;

    /// The LL-HLS manifest of a broadcast of low latency, from its HLS manifest. `None`: the platform has none.
    fn low_latency_url(&self, _hls_url: &str) -> Option<String> {
        None
    }

    /// The hosts of players, manifests and pictures, as a content security policy names them.
    fn playback_hosts(&self) -> Vec<String>;

    /// Between two polls for recordings.
    fn recordings_interval(&self) -> Duration;

    /// The price of storage, in millionths of a US dollar per 1,000 minutes.
    fn stored_micros(&self) -> u64;
}

/// A request's header by its name in lower case.
pub type HeaderOf<'a, 'h> = &'a (dyn Fn(&str) -> Option<&'h [u8]> + 'a);

/// The settings of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIngest {
    /// Our tag, which the ingest bears.
    pub tag: String,
    /// For people, in the platform's own console.
    pub title: String,
    /// How long the broadcast waits for a publisher to come back.
    pub feed_timeout_seconds: u32,
    /// When recordings are deleted; `None`: never.
    pub delete_recording_after_days: Option<u16>,
    /// How far buyers are behind.
    pub latency: Latency,
}

/// The result of [`Platform::ensure_ingest`].
#[derive(Debug, Clone)]
pub struct EnsuredIngest {
    /// Its id.
    pub id: String,
    /// Where to publish, with the key.
    pub publish_url: SecretString,
    /// Where to watch.
    pub playback: PlaybackLinks,
    /// The settings that the platform did not take. They raise an alarm.
    pub ignored_settings: Vec<String>,
}

/// Where a broadcast can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackLinks {
    /// The HLS manifest.
    pub hls_url: String,
    /// The DASH manifest, if there is one.
    pub dash_url: Option<String>,
}

/// An ingest as read.
#[derive(Debug, Clone)]
pub struct IngestAccess {
    /// Where to publish, with the key, if the answer has one.
    pub publish_url: Option<SecretString>,
    /// Where to watch, if known.
    pub playback: Option<PlaybackLinks>,
    /// The tag it bears.
    pub tag: Option<String>,
    /// Whether it refuses publishers.
    pub is_closed: bool,
}

/// An ingest in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedIngest {
    /// Its id.
    pub id: String,
    /// The tag it bears.
    pub tag: String,
    /// When it was created, if the platform tells.
    pub created: Option<DateTime<Utc>>,
}

/// The tagged ingests of an account.
#[derive(Debug, Clone)]
pub struct TaggedIngests {
    /// In no order.
    pub ingests: Vec<TaggedIngest>,
    /// Whether there may be more.
    pub may_be_cut: bool,
}

impl TaggedIngests {
    /// The ingests with this tag, oldest first: where creations cannot be repeated there may be several.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Vec<&TaggedIngest> {
        let tagged = self.ingests.iter().filter(|ingest| ingest.tag == tag);
        let mut tagged: Vec<_> = tagged.collect();
        tagged.sort_by_key(|ingest| (ingest.created.is_none(), ingest.created, &ingest.id));
        tagged
    }
}

/// An ingest to observe.
#[derive(Debug, Clone, Copy)]
pub struct WatchedIngest<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its playback URL, as the platform once named it.
    pub hls_url: Option<&'a str>,
}

/// What to observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedQuestion {
    /// Whether something publishes.
    Publishing,
    /// Also whether the broadcast can be watched.
    Both,
    /// Whether the broadcast can be watched; unless it can be, whether something publishes may stay unknown.
    WatchableFirst,
}

/// The answer to a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It does not exist any more.
    Gone,
    /// Its broadcast has not ended: try again.
    StillLive {
        /// After this time.
        retry_after: Duration,
    },
}

/// How to search for recordings.
#[derive(Debug, Clone, Copy)]
pub enum RecordingsSearch {
    /// Ready ones only; one call may serve many relays.
    Shared {
        /// When the relay was requested.
        since: DateTime<Utc>,
    },
    /// All of this ingest.
    Thorough(PermitRequest),
    /// All of this ingest, which is removed.
    AfterRemoval(PermitRequest),
    /// All of this ingest since a time: one that a channel keeps has those of every show.
    Since(PermitRequest, DateTime<Utc>),
}

/// The budget of feed polls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeedPolls {
    /// Calls per second.
    pub calls_per_second: f64,
    /// Whether starts and stops use the same budget.
    pub is_shared_with_calls: bool,
    /// The calls of one poll before the broadcast can be watched.
    pub calls_until_live: f64,
}

/// What the last calls to a platform returned.
#[derive(Debug, Clone, Default)]
pub struct PlatformHealth {
    /// When a call last proved reachability and credentials.
    pub last_success: Option<DateTime<Utc>>,
    /// The last failure of the platform, the credentials or the network, even if a success followed.
    pub last_error: Option<LastError>,
    /// The last refusal of the credentials since the last success.
    pub refusal: Option<LastError>,
}

/// A condition that needs an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The alarm's code.
    pub code: &'static str,
    /// What it is about; may be empty.
    pub subject: String,
    /// What is wrong and what to do, in sentences.
    pub detail: String,
}

/// The platforms that are on.
#[derive(Debug, Clone)]
pub struct Platforms {
    by_name: BTreeMap<&'static str, Arc<dyn Platform>>,
    default: String,
}

impl Platforms {
    /// The platforms of the settings: the default one, and those with credentials. They call only while `lease` is held. `fleet`: the
    /// store of a fleet, whose nodes share polls.
    pub fn of_settings(
        settings: &Settings,
        runtime: &tokio::runtime::Handle,
        lease: &Lease,
        fleet: Option<Store>,
    ) -> anyhow::Result<Self> {
        let default = settings.platforms.default.clone();
        let mut platforms = Self {
            by_name: BTreeMap::new(),
            default,
        };
        if platforms.default == cloudflare::NAME || settings.cloudflare.has_credentials() {
            let cloudflare = CloudflarePlatform::new(settings, runtime, lease, fleet)?;
            platforms = platforms.with(Arc::new(cloudflare));
        }
        if platforms.default == mux::NAME || settings.mux.has_credentials() {
            platforms = platforms.with(Arc::new(MuxPlatform::new(settings, lease)?));
        }
        if platforms.default == ivs::NAME || settings.ivs.has_credentials() {
            platforms = platforms.with(Arc::new(IvsPlatform::new(settings, lease)?));
        }
        Ok(platforms)
    }

    /// These and another.
    #[must_use]
    pub fn with(mut self, platform: Arc<dyn Platform>) -> Self {
        self.by_name.insert(platform.name(), platform);
        self
    }

    /// A platform that is on.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Platform>> {
        self.by_name.get(name)
    }

    /// The platform of a start that names this or none.
    #[must_use]
    pub fn choose(&self, name: Option<&str>) -> Option<&Arc<dyn Platform>> {
        self.get(name.unwrap_or(&self.default))
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// The names of all, as text.
    #[must_use]
    pub fn names_of_all(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// Why not all platforms take the video of new egresses.
    #[must_use]
    pub fn video_problems(&self, settings: &AgoraSettings) -> Vec<SettingsProblem> {
        let video = settings.video();
        let each = |video: VideoProfile| {
            self.iter().flat_map(move |platform| {
                let limits = platform.capabilities().ingest_limits;
                limits::exceeded(&video, platform.name(), limits)
            })
        };
        video.into_iter().flat_map(each).collect()
    }

    /// [`Platform::playback_hosts`] of all.
    #[must_use]
    pub fn playback_hosts(&self) -> Vec<String> {
        self.iter()
            .flat_map(|platform| platform.playback_hosts())
            .collect()
    }

    /// The budgets of all.
    pub fn budgets(&self) -> impl Iterator<Item = BudgetSnapshot> {
        self.iter()
            .flat_map(|platform| platform.governors())
            .map(Governor::snapshot)
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Platform>> {
        self.by_name.values()
    }
}
