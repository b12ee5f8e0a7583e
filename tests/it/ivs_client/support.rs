//! A client and the simulated IVS.

use std::time::{Duration, Instant};

use relaykeeper::config::{IvsSettings, Settings};
use relaykeeper::platforms::ivs::IvsPlatform;
use relaykeeper::platforms::{
    EnsuredIngest, FeedQuestion, NewIngest, Platform as _, WatchedIngest,
};
use relaykeeper::relay::FeedReading;
use relaykeeper::sandbox::{LiveInputSnapshot, Options, Quotas, SimulatedVendors, VendorCall};
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use relaykeeper::vendors::lease::Lease;
use secrecy::ExposeSecret as _;

pub(crate) struct IvsBench {
    pub(crate) vendors: SimulatedVendors,
    pub(crate) ivs: IvsPlatform,
}

/// 50 times the wall clock, except for durations in requests, and without a rate limit.
pub(crate) fn fast() -> Options {
    Options {
        speed: 50.0,
        wire_speed: Some(50.0),
        quotas: Quotas {
            ivs_per_second: 1000,
            ..Quotas::default()
        },
        ..Options::default()
    }
}

pub(crate) fn permit() -> PermitRequest {
    PermitRequest::within(Priority::Start, Duration::from_secs(10))
}

pub(crate) fn new(tag: &str) -> NewIngest {
    NewIngest {
        tag: tag.to_owned(),
        title: "show68 (channel 42)".to_owned(),
        feed_timeout_seconds: 180,
        delete_recording_after_days: Some(30),
    }
}

pub(crate) fn client(change: impl FnOnce(&mut IvsSettings)) -> IvsPlatform {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = Settings::default();
    settings.vendors.read_timeout = Duration::from_secs(2);
    settings.vendors.write_timeout = Duration::from_secs(2);
    settings.ivs.region = "eu-west-1".into();
    settings.ivs.access_key_id = "AKIDEXAMPLE".into();
    settings.ivs.secret_access_key = "secret".into();
    settings.ivs.requests_per_second = 1000;
    change(&mut settings.ivs);
    IvsPlatform::new(&settings, &Lease::for_good()).unwrap()
}

pub(crate) fn of(vendors: &SimulatedVendors, ivs: &mut IvsSettings) {
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

impl IvsBench {
    pub(crate) fn start(options: Options) -> Self {
        Self::with(options, |_| {})
    }

    pub(crate) fn with(options: Options, change: impl FnOnce(&mut IvsSettings)) -> Self {
        let vendors = SimulatedVendors::start(options).unwrap();
        let ivs = client(|ivs| {
            of(&vendors, ivs);
            change(ivs);
        });
        Self { vendors, ivs }
    }

    pub(crate) async fn create(&self, tag: &str) -> EnsuredIngest {
        self.ivs.ensure_ingest(permit(), &new(tag)).await.unwrap()
    }

    pub(crate) fn publish(&self, ingest: &EnsuredIngest) -> Result<u64, &'static str> {
        let url = ingest.publish_url.expose_secret();
        self.vendors.publish(url, "encoder")
    }

    /// While the last broadcast ends, another encoder may be refused.
    pub(crate) async fn publish_again(&self, url: &str) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.vendors.publish(url, "again") {
                Ok(connection) => return connection,
                Err(why) => assert!(Instant::now() < deadline, "{why}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn snapshot(&self, id: &str) -> LiveInputSnapshot {
        let channels = self.vendors.state().live_inputs;
        let mut channels = channels.into_iter();
        channels.find(|channel| channel.uid == id).unwrap()
    }

    pub(crate) fn encoders(&self, id: &str) -> usize {
        self.snapshot(id).encoders.len()
    }

    pub(crate) fn calls(&self, call: VendorCall) -> usize {
        let calls = self.vendors.state().calls;
        calls.iter().filter(|made| made.call == call.name()).count()
    }

    pub(crate) async fn observe(
        &self,
        ingest: &EnsuredIngest,
        question: FeedQuestion,
    ) -> Option<FeedReading> {
        let watched = WatchedIngest {
            id: &ingest.id,
            hls_url: Some(&ingest.playback.hls_url),
        };
        self.ivs.observe(permit(), watched, question).await.unwrap()
    }

    /// Until the answer is as wanted.
    pub(crate) async fn observed(
        &self,
        ingest: &EnsuredIngest,
        what: &str,
        wanted: impl Fn(&FeedReading) -> bool,
    ) -> FeedReading {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let reading = self.observe(ingest, FeedQuestion::Both).await.unwrap();
            if wanted(&reading) {
                return reading;
            }
            assert!(Instant::now() < deadline, "never {what}: {reading:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_live(&self, ingest: &EnsuredIngest) -> String {
        let live = |reading: &FeedReading| reading.watchable == Some(true);
        let reading = self.observed(ingest, "live", live).await;
        reading.session.unwrap().id
    }

    pub(crate) async fn until_over(&self, ingest: &EnsuredIngest) {
        let over = |reading: &FeedReading| reading.publishing == Some(false);
        self.observed(ingest, "over", over).await;
    }
}
