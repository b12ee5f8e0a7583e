//! An egress that only this file knows goes through a relay's whole life: it prepares nothing, updates nothing and has no page.
#![cfg(feature = "sandbox")]

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use relaykeeper::config::AgoraBackend;
use relaykeeper::egresses::{
    EgressBackend, EgressFound, EgressList, EgressStart, EgressStarted, EgressStopped, ListedEgress,
};
use relaykeeper::relay::{
    Backend, EgressCapabilities, EgressHandle, EgressReading, EgressRef, EgressSpec,
};
use relaykeeper::sandbox::SimulatedVendors;
use relaykeeper::vendors::governor::PermitRequest;
use relaykeeper::vendors::{Class, Done, Vendor, VendorError};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::service::{Service, options, settings, show, until, until_nothing_is_left};

const NAME: &str = "carrier_pigeon";

/// Flies from the channel to the ingest. One of a tag at most.
#[derive(Debug)]
struct Pigeon {
    id: String,
    connection: u64,
}

#[derive(Debug, Default)]
struct Loft {
    /// By tag.
    flying: BTreeMap<String, Pigeon>,
    called: Vec<&'static str>,
    /// The next of these calls fails after it was carried out.
    lose_answer: HashSet<&'static str>,
}

#[derive(Debug)]
struct CarrierPigeons {
    vendors: Arc<SimulatedVendors>,
    loft: Mutex<Loft>,
}

impl CarrierPigeons {
    fn loft(&self) -> MutexGuard<'_, Loft> {
        self.loft.lock().unwrap()
    }

    fn called(&self, call: &'static str) -> usize {
        let loft = self.loft();
        loft.called.iter().filter(|other| **other == call).count()
    }

    fn lose_answer(&self, call: &'static str) {
        self.loft().lose_answer.insert(call);
    }

    /// A pigeon is lost.
    fn shoot(&self) {
        let (_, pigeon) = self.loft().flying.pop_first().expect("a pigeon");
        self.vendors.unpublish(pigeon.connection);
    }
}

impl Loft {
    fn answer(&mut self, call: &'static str) -> Result<(), VendorError> {
        self.called.push(call);
        match self.lose_answer.remove(call) {
            true => Err(failure(call, Class::Timeout, Done::Unknown)),
            false => Ok(()),
        }
    }

    fn tag_of(&self, egress: &EgressRef) -> Option<String> {
        let mut flying = self.flying.iter();
        let found = flying.find(|(_, pigeon)| egress.handle == Some(ring(&pigeon.id)));
        found.map(|(tag, _)| tag.clone())
    }
}

fn failure(call: &'static str, class: Class, done: Done) -> VendorError {
    VendorError {
        vendor: Vendor::Agora,
        call,
        class,
        done,
        status: None,
        code: None,
        message: "no pigeon came back".into(),
        retry_after: None,
    }
}

fn ring(id: &str) -> EgressHandle {
    EgressHandle::new(&json!({ "ring": id }))
}

#[async_trait]
impl EgressBackend for CarrierPigeons {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spec(&self, _live_timeout: Duration, _max_duration: Duration) -> EgressSpec {
        EgressSpec {
            backend: Backend::new(NAME, &json!({ "breed": "homer" })),
            capabilities: EgressCapabilities {
                prepare: None,
                updates: false,
                max_hours: None,
            },
        }
    }

    fn query_interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn rate(&self) -> f64 {
        100.0
    }

    fn max_concurrent(&self) -> (&'static str, u32) {
        ("pigeons", 0)
    }

    fn max_hours(&self) -> Option<u32> {
        None
    }

    async fn start(
        &self,
        _permit: PermitRequest,
        start: EgressStart<'_>,
    ) -> Result<EgressStarted, VendorError> {
        let breed: Value = start.spec.egress.backend.read().unwrap();
        assert_eq!(breed, json!({ "breed": "homer" }));
        assert_eq!(start.preparation, None);
        let tag = start.spec.tag(start.attempt).to_string();
        let mut loft = self.loft();
        if !loft.flying.contains_key(&tag) {
            let id = format!("GB26-{}", start.attempt);
            let url = start.publish_url.expose_secret();
            let connection = self.vendors.publish(url, &id).expect("an open ingest");
            loft.flying.insert(tag.clone(), Pigeon { id, connection });
        }
        loft.answer("start")?;
        Ok(EgressStarted::Running(Some(ring(&loft.flying[&tag].id))))
    }

    async fn poll(
        &self,
        _permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressReading, VendorError> {
        let mut loft = self.loft();
        loft.answer("poll")?;
        Ok(match loft.tag_of(egress) {
            Some(_) => EgressReading::Publishing,
            None => EgressReading::Exited,
        })
    }

    async fn stop(
        &self,
        _permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressStopped, VendorError> {
        let mut loft = self.loft();
        let Some(tag) = loft.tag_of(egress) else {
            return Ok(EgressStopped::NotFound);
        };
        let pigeon = loft.flying.remove(&tag).unwrap();
        self.vendors.unpublish(pigeon.connection);
        loft.answer("stop")?;
        Ok(EgressStopped::Stopped)
    }

    async fn find(
        &self,
        _permit: PermitRequest,
        egress: &EgressRef,
    ) -> Result<EgressFound, VendorError> {
        let mut loft = self.loft();
        loft.answer("find")?;
        let found = loft.flying.get(&egress.tag);
        Ok(found.map_or(EgressFound::NotFound, |pigeon| {
            EgressFound::Running(ring(&pigeon.id))
        }))
    }

    async fn list(&self, _permit: PermitRequest) -> Result<Option<EgressList>, VendorError> {
        let flying = self.loft();
        let listed = flying.flying.iter().map(|(tag, pigeon)| ListedEgress {
            egress: EgressRef {
                backend: Backend::new(NAME, &json!({ "breed": "homer" })),
                tag: tag.clone(),
                preparations: Vec::new(),
                handle: Some(ring(&pigeon.id)),
            },
            created: Some(chrono::DateTime::UNIX_EPOCH),
        });
        Ok(Some(EgressList {
            egresses: listed.collect(),
            may_be_cut: false,
        }))
    }
}

struct Aviary {
    pigeons: Arc<CarrierPigeons>,
    service: Service,
    database: TestDatabase,
    vendors: Arc<SimulatedVendors>,
}

impl Aviary {
    async fn open() -> Self {
        let vendors = Arc::new(SimulatedVendors::start(options()).expect("vendors"));
        let database = TestDatabase::sqlite();
        let mut settings = settings(&vendors, AgoraBackend::CloudRecording, &database.url);
        settings.relay.feed_timeout = Duration::from_secs(40);
        let pigeons = Arc::new(CarrierPigeons {
            vendors: Arc::clone(&vendors),
            loft: Mutex::default(),
        });
        let service = Service::start_with_egress(settings, pigeons.clone()).await;
        Self {
            pigeons,
            service,
            database,
            vendors,
        }
    }

    /// A seller is in the channel: Agora tells it, whatever the egress is.
    async fn live(&self) -> Value {
        self.vendors.set_seller("show68", Some(12345), true);
        self.service.go_live(42, &show("show68")).await
    }

    async fn is_left_clean(&self) {
        until_nothing_is_left(&self.vendors).await;
        let raw = self.database.raw().await;
        until("without cleanup jobs", async || {
            raw.number("SELECT COUNT(*) FROM cleanup_jobs").await == 0
        })
        .await;
        assert!(self.pigeons.loft().flying.is_empty());
        assert!(self.vendors.state().violations.is_empty());
    }
}

#[tokio::test]
async fn a_third_egress_goes_live_is_replaced_behind_the_same_url_and_leaves_nothing() {
    let aviary = Aviary::open().await;
    let (service, pigeons) = (&aviary.service, &aviary.pigeons);
    let before = aviary.live().await;
    assert_eq!(
        before["agora"],
        json!({"backend": NAME, "resource_id": null, "sid": null, "recording_uid": null,
            "converter_id": null, "replacements": 0})
    );
    pigeons.shoot();
    // The backend tells at once that it exited: perhaps before the feed is missed.
    let after = service
        .relay_when(&before, "replaced", |relay| {
            relay["agora"]["replacements"] == 1 && relay["phase"] == "live"
        })
        .await;
    assert_eq!(after["hls_playback_url"], before["hls_playback_url"]);
    aviary.vendors.set_seller("show68", Some(12345), false);
    service.in_phase(&after, "interrupted").await;
    aviary.vendors.set_seller("show68", Some(12345), true);
    service.in_phase(&after, "live").await;
    let ended = service.come_down(42).await;
    assert_eq!(ended["outcome"]["code"], "stopped_by_request");
    assert!(ended["cost"]["cost_micros"].as_u64() > Some(0));
    assert!(!ended["recordings"].as_array().unwrap().is_empty());
    assert_eq!((pigeons.called("start"), pigeons.called("stop")), (2, 1));
    aviary.is_left_clean().await;
}

#[tokio::test]
async fn a_third_egresss_start_without_an_answer_is_found_again_by_its_tag() {
    let aviary = Aviary::open().await;
    aviary.pigeons.lose_answer("start");
    aviary.live().await;
    assert_eq!(aviary.pigeons.called("start"), 2);
    assert_eq!(aviary.pigeons.loft().flying.len(), 1);
    aviary.pigeons.lose_answer("stop");
    let ended = aviary.service.come_down(42).await;
    assert_eq!(ended["outcome"]["code"], "stopped_by_request");
    aviary.is_left_clean().await;
}

#[tokio::test]
async fn a_third_egress_that_no_relay_owns_is_stopped_by_the_janitor() {
    let aviary = Aviary::open().await;
    aviary.live().await;
    let tag = aviary.pigeons.loft().flying.keys().next().cloned();
    aviary.service.come_down(42).await;
    let strayed = Pigeon {
        id: "GB26-9".into(),
        connection: 0,
    };
    aviary.pigeons.loft().flying.insert(tag.unwrap(), strayed);
    until("stopped by the janitor", async || {
        aviary.pigeons.loft().flying.is_empty()
    })
    .await;
}
