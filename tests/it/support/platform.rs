//! The platforms that the sandbox simulates, for tests that run on any.

use std::time::Duration;

use relaykeeper::config::{IvsSettings, Settings};
use relaykeeper::platforms::{EnsuredIngest, NewIngest, Platforms};
use relaykeeper::relay::ResourceTag;
use relaykeeper::sandbox::{LiveInputSnapshot, SimulatedVendors, VendorCall};
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use strum::IntoEnumIterator as _;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum TestPlatform {
    Cloudflare,
    Mux,
    Ivs,
}

impl TestPlatform {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Mux => "mux",
            Self::Ivs => "ivs",
        }
    }

    /// It is on. The vendors' clock is 20 times as fast as the quotas'.
    pub fn put_on(self, vendors: &SimulatedVendors, settings: &mut Settings) {
        match self {
            Self::Cloudflare => {}
            Self::Mux => {
                let mux = &mut settings.mux;
                mux.token_id = vendors.mux_token_id().into();
                mux.token_secret = vendors.mux_token_secret().into();
                mux.api_base_url = vendors.mux_api_base_url();
                mux.playback_base_url = vendors.mux_playback_base_url();
                mux.ingest_url = vendors.mux_ingest_url().into();
                mux.webhook_secrets = vec!["rotated".into(), vendors.mux_webhook_secret().into()];
                (mux.reads_per_second, mux.writes_per_second) = (20, 20);
                mux.recordings_interval = Duration::from_millis(300);
            }
            Self::Ivs => {
                let ivs = &mut settings.ivs;
                ivs_of(vendors, ivs);
                ivs.webhook_secret = vendors.ivs_webhook_secret().into();
                ivs.requests_per_second = 50;
                ivs.recordings_interval = Duration::from_millis(300);
            }
        }
    }

    /// Starts that name no platform are on it.
    pub fn make_default(self, vendors: &SimulatedVendors, settings: &mut Settings) {
        self.put_on(vendors, settings);
        settings.platforms.default = self.name().into();
    }

    /// The same in the environment of a process.
    pub fn environment(self, vendors: &SimulatedVendors) -> Vec<(&'static str, String)> {
        let (mut of_vendor, of_test): (Vec<_>, &[(&'static str, &str)]) = match self {
            Self::Cloudflare => (Vec::new(), &[]),
            Self::Mux => (
                vendors.mux_environment(),
                &[
                    ("RELAYKEEPER__MUX__READS_PER_SECOND", "20"),
                    ("RELAYKEEPER__MUX__WRITES_PER_SECOND", "20"),
                    ("RELAYKEEPER__MUX__RECORDINGS_INTERVAL", "300ms"),
                ],
            ),
            Self::Ivs => (
                vendors.ivs_environment(),
                &[
                    ("RELAYKEEPER__IVS__REQUESTS_PER_SECOND", "50"),
                    ("RELAYKEEPER__IVS__RECORDINGS_INTERVAL", "300ms"),
                ],
            ),
        };
        let of_test = of_test.iter();
        of_vendor.extend(of_test.map(|(name, value)| (*name, (*value).to_owned())));
        of_vendor
    }

    /// With it as the default.
    pub fn environment_as_default(self, vendors: &SimulatedVendors) -> Vec<(&'static str, String)> {
        let mut environment = self.environment(vendors);
        let default = "RELAYKEEPER__PLATFORMS__DEFAULT";
        environment.push((default, self.name().to_owned()));
        environment
    }

    /// Whose call it is; `None`: Agora's.
    pub fn of(call: VendorCall) -> Option<Self> {
        let (host, _) = call.name().split_once('.').unwrap();
        match host {
            "cloudflare" | "customer" => Some(Self::Cloudflare),
            "mux" | "mux_playback" => Some(Self::Mux),
            "ivs" | "ivs_playback" | "s3" => Some(Self::Ivs),
            "agora" => None,
            other => panic!("{other}: whose host is it?"),
        }
    }

    pub fn calls(self) -> impl Iterator<Item = VendorCall> {
        VendorCall::iter().filter(move |call| Self::of(*call) == Some(self))
    }

    pub fn playback_base_url(self, vendors: &SimulatedVendors) -> String {
        match self {
            Self::Cloudflare => vendors.customer_base_url(),
            Self::Mux => vendors.mux_playback_base_url(),
            Self::Ivs => vendors.ivs_playback_base_url(),
        }
    }

    /// The call that creates an ingest.
    pub fn create(self) -> VendorCall {
        match self {
            Self::Cloudflare => VendorCall::LiveInputCreate,
            Self::Mux => VendorCall::MuxStreamCreate,
            Self::Ivs => VendorCall::IvsChannelCreate,
        }
    }

    /// The call that polls the feed.
    pub fn poll(self) -> VendorCall {
        match self {
            Self::Cloudflare => VendorCall::Lifecycle,
            Self::Mux => VendorCall::MuxManifest,
            Self::Ivs => VendorCall::IvsStreamList,
        }
    }

    pub fn tag_of(self, ingest: &LiveInputSnapshot) -> ResourceTag {
        let key = match self {
            Self::Cloudflare => "relaykeeper",
            Self::Mux => "passthrough",
            Self::Ivs => "name",
        };
        ingest.meta[key].as_str().unwrap().parse().unwrap()
    }

    /// Creates an ingest as another process does.
    pub async fn create_ingest(self, settings: &Settings, tag: &str) -> EnsuredIngest {
        let runtime = tokio::runtime::Handle::current();
        let platforms = Platforms::of_settings(settings, &runtime, &Lease::for_good(), None);
        let platforms = platforms.unwrap();
        let permit = PermitRequest::within(Priority::Start, Duration::from_secs(10));
        let new = NewIngest {
            tag: tag.to_owned(),
            title: "another's".into(),
            feed_timeout_seconds: 180,
            delete_recording_after_days: None,
            latency: relaykeeper::relay::Latency::Normal,
        };
        let platform = platforms.get(self.name()).unwrap();
        platform.ensure_ingest(permit, &new).await.unwrap()
    }
}

/// The tag of a relay of the same database that is not stored.
pub fn orphan_like(tag: &ResourceTag) -> ResourceTag {
    let mut orphan = tag.clone();
    orphan.relay = Uuid::now_v7();
    orphan
}

/// The simulated IVS, and the bucket of its recordings.
pub fn ivs_of(vendors: &SimulatedVendors, ivs: &mut IvsSettings) {
    ivs.region = vendors.ivs_region().into();
    ivs.access_key_id = vendors.ivs_access_key_id().into();
    ivs.secret_access_key = vendors.ivs_secret_access_key().into();
    ivs.api_base_url = vendors.ivs_api_base_url();
    ivs.playback_base_url = vendors.ivs_playback_base_url();
    ivs.recording_configuration_arn = vendors.ivs_recording_configuration_arn().into();
    ivs.recording_bucket = vendors.ivs_recording_bucket().into();
    ivs.s3_endpoint = vendors.ivs_s3_endpoint();
    ivs.vod_base_url = vendors.ivs_vod_base_url();
}
