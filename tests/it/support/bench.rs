//! A client of a platform and its simulated vendor.

use std::time::{Duration, Instant};

use relaykeeper::platforms::{EnsuredIngest, FeedQuestion, NewIngest, Platform, WatchedIngest};
use relaykeeper::relay::FeedReading;
use relaykeeper::sandbox::{LiveInputSnapshot, Options, Quotas, SimulatedVendors, VendorCall};
use relaykeeper::vendors::governor::{PermitRequest, Priority};
use secrecy::ExposeSecret as _;

pub struct PlatformBench<P> {
    pub vendors: SimulatedVendors,
    pub platform: P,
}

/// 50 times the wall clock, also for durations in requests, and without a rate limit.
pub fn fast() -> Options {
    Options {
        speed: 50.0,
        wire_speed: Some(50.0),
        quotas: Quotas {
            mux_posts_per_second: 1000,
            mux_others_per_second: 1000,
            ivs_per_second: 1000,
            ..Quotas::default()
        },
        ..Options::default()
    }
}

pub fn permit() -> PermitRequest {
    PermitRequest::within(Priority::Start, Duration::from_secs(10))
}

pub fn new(tag: &str) -> NewIngest {
    NewIngest {
        tag: tag.to_owned(),
        title: "show68 (channel 42)".to_owned(),
        feed_timeout_seconds: 180,
        delete_recording_after_days: Some(30),
        latency: relaykeeper::relay::Latency::Normal,
    }
}

impl<P: Platform> PlatformBench<P> {
    pub async fn create(&self, tag: &str) -> EnsuredIngest {
        let created = self.platform.ensure_ingest(permit(), &new(tag)).await;
        created.unwrap()
    }

    pub fn publish(&self, ingest: &EnsuredIngest) -> Result<u64, &'static str> {
        let url = ingest.publish_url.expose_secret();
        self.vendors.publish(url, "encoder")
    }

    pub fn snapshot(&self, id: &str) -> LiveInputSnapshot {
        let ingests = self.vendors.state().live_inputs;
        let mut ingests = ingests.into_iter();
        ingests.find(|ingest| ingest.uid == id).unwrap()
    }

    pub fn encoders(&self, id: &str) -> usize {
        self.snapshot(id).encoders.len()
    }

    pub fn calls(&self, call: VendorCall) -> usize {
        let calls = self.vendors.state().calls;
        calls.iter().filter(|made| made.call == call.name()).count()
    }

    pub async fn observe(
        &self,
        ingest: &EnsuredIngest,
        question: FeedQuestion,
    ) -> Option<FeedReading> {
        let watched = WatchedIngest {
            id: &ingest.id,
            hls_url: Some(&ingest.playback.hls_url),
        };
        let observed = self.platform.observe(permit(), watched, question).await;
        observed.unwrap()
    }

    /// Until the answer is as wanted.
    pub async fn observed(
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
}
