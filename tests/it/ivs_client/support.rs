//! A client and the simulated IVS.

use std::time::{Duration, Instant};

use relaykeeper::config::{IvsSettings, Settings};
use relaykeeper::platforms::EnsuredIngest;
use relaykeeper::platforms::ivs::IvsPlatform;
use relaykeeper::relay::FeedReading;
use relaykeeper::sandbox::{Options, SimulatedVendors};
use relaykeeper::vendors::lease::Lease;

use crate::support::bench::PlatformBench;
use crate::support::platform::ivs_of;

pub(crate) type IvsBench = PlatformBench<IvsPlatform>;

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

impl IvsBench {
    pub(crate) fn start(options: Options) -> Self {
        Self::with(options, |_| {})
    }

    pub(crate) fn with(options: Options, change: impl FnOnce(&mut IvsSettings)) -> Self {
        let vendors = SimulatedVendors::start(options).unwrap();
        let platform = client(|ivs| {
            ivs_of(&vendors, ivs);
            change(ivs);
        });
        Self { vendors, platform }
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
