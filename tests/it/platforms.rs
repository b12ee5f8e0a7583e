//! A platform that only this test knows serves a relay from start to end.
#![cfg(feature = "sandbox")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use relaykeeper::application::Application;
use relaykeeper::config::{AgoraBackend, MediaPushMode, Settings};
use relaykeeper::platforms::{
    Complaint, EnsuredIngest, FeedPolls, FeedQuestion, HeaderOf, IngestAccess, NewIngest, Platform,
    PlatformHealth, Platforms, PlaybackLinks, RecordingsSearch, Removal, TaggedIngest,
    TaggedIngests, WatchedIngest,
};
use relaykeeper::relay::{
    Capabilities, CreateRepeat, FeedPollCost, FeedReading, Hint, IngestLimits, LowLatency, Notice,
    Reconnect, Recording, RecordingPlace, RecordingState, RecordingsKept, ResourceTag, Subject,
};
use relaykeeper::sandbox::SimulatedVendors;
use relaykeeper::vendors::governor::{Governor, PermitRequest};
use relaykeeper::vendors::{Class, Done, Notification, Refused, Vendor, VendorError};
use reqwest::Method;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::service::{Service, alive, options, settings, show, until};

const NAME: &str = "kiosk";
/// How long a broadcast outlives its publisher.
const ENDS_AFTER: Duration = Duration::from_millis(700);

/// A platform in memory with the worst capabilities: creations have no key, nothing is read in bulk, an ingest is removed only after
/// its broadcast, recordings are elsewhere. It receives RTMPS through an input of the sandbox.
#[derive(Debug)]
struct Kiosk {
    vendors: Arc<SimulatedVendors>,
    http: reqwest::Client,
    ingests: Mutex<Vec<Ingest>>,
    calls: Mutex<Vec<&'static str>>,
    recordings: RecordingsKept,
}

#[derive(Debug, Clone)]
struct Ingest {
    id: String,
    tag: String,
    created: DateTime<Utc>,
    receiver: String,
    publish_url: SecretString,
    /// When its broadcast is over; `None`: it accepts publishers.
    over_at: Option<Instant>,
    removed: bool,
}

fn refusal(call: &'static str, class: Class, done: Done) -> VendorError {
    VendorError {
        vendor: Vendor::Platform(NAME),
        call,
        class,
        done,
        status: None,
        code: None,
        message: "the kiosk says so".into(),
        retry_after: None,
    }
}

impl Kiosk {
    fn new(vendors: Arc<SimulatedVendors>) -> Self {
        Self {
            vendors,
            http: reqwest::Client::new(),
            ingests: Mutex::default(),
            calls: Mutex::default(),
            recordings: RecordingsKept::Elsewhere,
        }
    }

    fn called(&self, call: &'static str) {
        self.calls.lock().push(call);
    }

    fn count(&self, call: &str) -> usize {
        self.calls
            .lock()
            .iter()
            .filter(|made| **made == call)
            .count()
    }

    fn left(&self) -> Vec<Ingest> {
        let ingests = self.ingests.lock().clone();
        ingests
            .into_iter()
            .filter(|ingest| !ingest.removed)
            .collect()
    }

    fn known(&self, call: &'static str, id: &str) -> Result<Ingest, VendorError> {
        let known = self.left().into_iter().find(|ingest| ingest.id == id);
        known.ok_or_else(|| refusal(call, Class::NotFound, Done::No))
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Ingest)) {
        let mut ingests = self.ingests.lock();
        change(ingests.iter_mut().find(|ingest| ingest.id == id).unwrap());
    }

    async fn receiver(&self, method: Method, receiver: &str, body: &Value) -> Value {
        let (base, account) = (
            self.vendors.cloudflare_api_base_url(),
            self.vendors.account_id(),
        );
        let url = format!("{base}/accounts/{account}/stream/live_inputs/{receiver}");
        let request = self.http.request(method, url).json(body);
        let request = request.bearer_auth(self.vendors.cloudflare_api_token());
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Tells the service that something publishes.
    async fn ring(&self, service: &Service, source: &str, key: &str, ingest: &str) -> u16 {
        let path = format!("/webhooks/kiosk/{source}");
        let request = service
            .request(Method::POST, &path)
            .header("kiosk-key", key);
        let answer = request.body(ingest.to_owned()).send().await.unwrap();
        answer.status().as_u16()
    }

    async fn create(&self, tag: &str, created: DateTime<Utc>) {
        let receiver = self.vendors.foreign_live_input();
        let input = self.receiver(Method::GET, &receiver, &Value::Null).await;
        let rtmps = &input["result"]["rtmps"];
        let (url, key) = (
            rtmps["url"].as_str().unwrap(),
            rtmps["streamKey"].as_str().unwrap(),
        );
        let mut ingests = self.ingests.lock();
        let id = format!("arn:kiosk:{}", ingests.len());
        ingests.push(Ingest {
            id,
            tag: tag.to_owned(),
            created,
            receiver,
            publish_url: format!("{url}{key}").into(),
            over_at: None,
            removed: false,
        });
    }
}

fn links(id: &str) -> PlaybackLinks {
    PlaybackLinks {
        hls_url: format!("https://kiosk.example/{id}.m3u8"),
        dash_url: None,
    }
}

#[async_trait]
impl Platform for Kiosk {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create_repeat: CreateRepeat::LookUp,
            feed_poll: FeedPollCost::Each,
            manifest_first: false,
            removes_live_ingest: false,
            renews_key: false,
            reconnect: Reconnect::Anew,
            recordings: self.recordings,
            ingest_limits: IngestLimits {
                max_kbps: Some(8_500),
                max_sd_kbps: None,
                max_pixels: None,
            },
            low_latency: LowLatency::Unavailable,
        }
    }

    async fn ensure_ingest(
        &self,
        _: PermitRequest,
        new: &NewIngest,
    ) -> Result<EnsuredIngest, VendorError> {
        self.called("ensure_ingest");
        self.create(&new.tag, Utc::now()).await;
        let Some(ingest) = self
            .left()
            .into_iter()
            .next_back()
            .filter(|_| self.count("ensure_ingest") > 1)
        else {
            // The answer is lost.
            return Err(refusal("create", Class::Timeout, Done::Unknown));
        };
        Ok(EnsuredIngest {
            playback: links(&ingest.id),
            id: ingest.id,
            publish_url: ingest.publish_url,
            ignored_settings: Vec::new(),
        })
    }

    async fn list_tagged(&self, _: PermitRequest) -> Result<TaggedIngests, VendorError> {
        let ingests = self.left().into_iter().map(|ingest| TaggedIngest {
            id: ingest.id,
            tag: ingest.tag,
            created: Some(ingest.created),
        });
        Ok(TaggedIngests {
            ingests: ingests.collect(),
            may_be_cut: false,
        })
    }

    async fn read_ingest(&self, _: PermitRequest, id: &str) -> Result<IngestAccess, VendorError> {
        let ingest = self.known("read", id)?;
        Ok(IngestAccess {
            publish_url: Some(ingest.publish_url),
            playback: Some(links(id)),
            tag: Some(ingest.tag),
            is_closed: ingest.over_at.is_some(),
        })
    }

    async fn renew_key(&self, _: PermitRequest, _: &str) -> Result<SecretString, VendorError> {
        Err(refusal("renew_key", Class::Rejected, Done::No))
    }

    async fn observe(
        &self,
        _: PermitRequest,
        ingest: WatchedIngest<'_>,
        _: FeedQuestion,
    ) -> Result<Option<FeedReading>, VendorError> {
        self.called("observe");
        let Ok(ingest) = self.known("observe", ingest.id) else {
            return Ok(None);
        };
        let inputs = self.vendors.state().live_inputs;
        let receiver = inputs.iter().find(|input| input.uid == ingest.receiver);
        let publishing = receiver.is_some_and(|input| !input.encoders.is_empty());
        Ok(Some(FeedReading {
            publishing: Some(publishing),
            watchable: Some(publishing),
            session: None,
        }))
    }

    async fn end_broadcast(
        &self,
        _: PermitRequest,
        id: &str,
        _: &NewIngest,
    ) -> Result<Option<String>, VendorError> {
        self.called("end_broadcast");
        let ingest = self.known("end_broadcast", id)?;
        for enabled in [false, true] {
            let body = json!({ "enabled": enabled });
            self.receiver(Method::PUT, &ingest.receiver, &body).await;
        }
        Ok(None)
    }

    async fn close(&self, _: PermitRequest, id: &str) -> Result<(), VendorError> {
        self.called("close");
        let ingest = self.known("close", id)?;
        let off = json!({"enabled": false});
        self.receiver(Method::PUT, &ingest.receiver, &off).await;
        self.change(id, |ingest| {
            ingest.over_at.get_or_insert(Instant::now() + ENDS_AFTER);
        });
        Ok(())
    }

    async fn remove(&self, _: PermitRequest, id: &str) -> Result<Removal, VendorError> {
        self.called("remove");
        let Ok(ingest) = self.known("remove", id) else {
            return Ok(Removal::Gone);
        };
        if ingest.over_at.is_none_or(|at| Instant::now() < at) {
            self.called("still live");
            let retry_after = Duration::from_millis(100);
            return Ok(Removal::StillLive { retry_after });
        }
        self.change(id, |ingest| ingest.removed = true);
        Ok(Removal::Gone)
    }

    async fn recordings(
        &self,
        id: &str,
        _: RecordingsSearch,
    ) -> Result<Vec<Recording>, VendorError> {
        Ok(vec![Recording {
            id: format!("recording of {id}"),
            state: RecordingState::Ready,
            is_final: true,
            duration_ms: Some(61_000),
            place: Some(RecordingPlace::Elsewhere {
                location: format!("s3://bucket/{id}"),
            }),
            created_at: None,
        }])
    }

    async fn delete_recording(&self, _: PermitRequest, _: &str) -> Result<(), VendorError> {
        Ok(())
    }

    async fn viewers(&self, _: PermitRequest, _: &str) -> Option<u64> {
        Some(7)
    }

    fn verify_event(
        &self,
        source: &str,
        header: HeaderOf<'_, '_>,
        body: &[u8],
        _: DateTime<Utc>,
    ) -> Option<Result<Notification, Refused>> {
        (source == "bell").then(|| match header("kiosk-key") {
            Some(b"brass") => Ok(Notification {
                id: None,
                notices: vec![Notice::new(
                    Subject::ingest(NAME, std::str::from_utf8(body).unwrap()),
                    Hint::FeedConnected,
                )],
            }),
            _ => Err(Refused::Unverified),
        })
    }

    async fn check(&self, _: PermitRequest) -> Result<(), VendorError> {
        Ok(())
    }

    fn health(&self) -> PlatformHealth {
        PlatformHealth::default()
    }

    fn governors(&self) -> Vec<&Governor> {
        Vec::new()
    }

    fn feed_polls(&self) -> FeedPolls {
        FeedPolls {
            calls_per_second: 100.0,
            is_shared_with_calls: true,
            calls_until_live: 1.0,
        }
    }

    fn complaint_codes(&self) -> &'static [&'static str] {
        &["kiosk-closed"]
    }

    fn complaints(&self) -> Vec<Complaint> {
        vec![Complaint {
            code: "kiosk-closed",
            subject: "hatch".into(),
            detail: "Open it.".into(),
        }]
    }

    fn playback_hosts(&self) -> Vec<String> {
        vec!["https://kiosk.example".into()]
    }

    fn recordings_interval(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn stored_micros(&self) -> u64 {
        2_000_000
    }
}

struct Fair {
    kiosk: Arc<Kiosk>,
    vendors: Arc<SimulatedVendors>,
    service: Service,
    database: TestDatabase,
}

async fn fair(backend: AgoraBackend) -> Fair {
    fair_with(backend, RecordingsKept::Elsewhere).await
}

async fn fair_with(backend: AgoraBackend, recordings: RecordingsKept) -> Fair {
    let vendors = Arc::new(SimulatedVendors::start(options()).unwrap());
    let kiosk = Arc::new(Kiosk {
        recordings,
        ..Kiosk::new(vendors.clone())
    });
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, backend, &database.url);
    // The janitor must not remove what a relay leaves.
    settings.janitor.grace = Duration::from_secs(3600);
    let further = kiosk.clone();
    let service = Service::start_unready_with(settings, move |on| on.with(further));
    service.wait_until_ready().await;
    Fair {
        kiosk,
        vendors,
        service,
        database,
    }
}

async fn is_raised(service: &Service, code: &str, subject: &str) -> bool {
    let health = service.get("/v1/health").await;
    let alarms = health["alarms"].as_array().expect("the database answers");
    let mut alarms = alarms.iter();
    alarms.any(|alarm| alarm["code"] == code && alarm["subject"] == subject)
}

fn on_the_kiosk() -> Value {
    let mut body = show("show68");
    body["platform"] = NAME.into();
    body
}

#[rstest]
#[case::cloud_recording(AgoraBackend::CloudRecording)]
#[case::media_push(AgoraBackend::MediaPush)]
#[tokio::test]
async fn a_platform_with_the_worst_capabilities_serves_a_relay_from_start_to_end(
    #[case] backend: AgoraBackend,
) {
    let Fair {
        kiosk,
        vendors,
        service,
        database,
    } = fair(backend).await;
    let relay = service.go_live(42, &on_the_kiosk()).await;
    assert_eq!(relay["platform"], NAME);
    let [ingest] = &kiosk.left()[..] else {
        panic!("the lost creation was repeated: {:?}", kiosk.left());
    };
    assert_eq!(relay["stream_key_id"], ingest.id.as_str());
    assert_eq!(relay["hls_playback_url"], links(&ingest.id).hls_url);

    let other = service.go_live(43, &show("show69")).await;
    assert_eq!(other["platform"], "cloudflare");
    let inputs = vendors.state().live_inputs;
    let inputs: Vec<_> = inputs
        .iter()
        .filter(|input| input.uid != ingest.receiver)
        .collect();
    assert_eq!(inputs.len(), 1, "{inputs:#?}");
    assert_eq!(other["stream_key_id"], inputs[0].uid.as_str());

    let ended = service.come_down(42).await;
    assert_eq!(ended["outcome"]["code"], "stopped_by_request", "{ended:#}");
    assert_eq!(ended["platform"], NAME);
    assert_eq!(
        ended["recordings"][0]["id"],
        format!("recording of {}", ingest.id)
    );
    assert_eq!(ended["recordings"][0]["hls_url"], Value::Null);
    let location = format!("s3://bucket/{}", ingest.id);
    assert_eq!(ended["recordings"][0]["location"], location);
    assert_eq!(
        ended["cost"]["cost_micros"], 4_000,
        "two minutes at the kiosk's price"
    );
    service.come_down(43).await;
    until("without ingests", async || kiosk.left().is_empty()).await;
    assert!(kiosk.count("still live") > 0, "{:?}", kiosk.calls.lock());
    assert!(kiosk.count("observe") > 1 && alive(&vendors).is_empty());
    until("without cleanup jobs", async || {
        database
            .raw()
            .await
            .number("SELECT COUNT(*) FROM cleanup_jobs")
            .await
            == 0
    })
    .await;
}

#[tokio::test]
async fn the_janitor_ends_the_broadcast_of_an_orphan_before_it_removes_it() {
    let fair = fair(AgoraBackend::MediaPush).await;
    let Fair { kiosk, service, .. } = &fair;
    let relay = service.go_live(42, &on_the_kiosk()).await;
    let owned = kiosk.left().remove(0);
    let mut tag: ResourceTag = owned.tag.parse().unwrap();
    tag.relay = Uuid::now_v7();
    let old = Utc::now() - TimeDelta::hours(2);
    kiosk.create(&tag.to_string(), old).await;
    until("without the orphan", async || kiosk.left().len() == 1).await;
    assert_eq!(kiosk.left()[0].id, owned.id);
    assert!(kiosk.count("close") > 0 && kiosk.count("still live") > 0);
    assert_eq!(service.in_phase(&relay, "live").await["is_live"], true);
}

#[tokio::test]
async fn a_platform_that_is_not_on_is_refused_at_its_field_and_health_reports_those_that_are() {
    let fair = fair(AgoraBackend::MediaPush).await;
    let Fair { service, .. } = &fair;
    let mut body = show("show68");
    for unknown in ["mux", "Cloudflare", ""] {
        body["platform"] = unknown.into();
        let (status, problem) = service.start_channel(42, &body).await;
        assert_eq!(status, 422, "{problem:#}");
        assert_eq!(problem["errors"][0]["pointer"], "/platform", "{problem:#}");
    }
    body["platform"] = Value::Null;
    let (status, relay) = service.start_channel(42, &body).await;
    assert!(status == 201 || status == 202, "{relay:#}");
    assert_eq!(relay["platform"], "cloudflare");

    let health = service.get("/v1/health").await;
    for name in [NAME, "cloudflare"] {
        assert_eq!(health["platforms"][name]["healthy"], true, "{health:#}");
    }
    assert_eq!(health["cloudflare"], health["platforms"]["cloudflare"]);
    until("with the platform's complaint", async || {
        is_raised(service, "kiosk-closed", "hatch").await
    })
    .await;
}

#[tokio::test]
async fn a_platforms_notification_is_verified_by_the_platform_and_leads_to_a_poll() {
    let vendors = Arc::new(SimulatedVendors::start(options()).unwrap());
    let kiosk = Arc::new(Kiosk::new(vendors.clone()));
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    settings.relay.live_check_interval = Duration::from_secs(3600);
    let further = kiosk.clone();
    let service = Service::start_unready_with(settings, move |on| on.with(further));
    service.wait_until_ready().await;
    let relay = service.go_live(42, &on_the_kiosk()).await;
    let ingest = relay["stream_key_id"].as_str().unwrap().to_owned();
    let ring = async |source: &str, key: &str| kiosk.ring(&service, source, key, &ingest).await;
    let before = kiosk.count("observe");
    assert_eq!(ring("bell", "tin").await, 401);
    assert_eq!(ring("door", "brass").await, 404);
    let elsewhere = service.post("/webhooks/mux/bell", &[], &Value::Null).await;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(kiosk.count("observe"), before);
    assert_eq!(ring("bell", "brass").await, 200);
    until("with a poll", async || kiosk.count("observe") > before).await;
}

#[tokio::test]
async fn a_relay_outlives_its_platforms_credentials_and_its_cleanup_jobs_wait_for_them() {
    let Fair {
        kiosk,
        vendors,
        service,
        database,
    } = fair(AgoraBackend::MediaPush).await;
    let relay = service.go_live(42, &on_the_kiosk()).await;
    service.shut_down();

    let settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    let service = Service::start(settings.clone()).await;
    until("with an alarm for the relay", async || {
        is_raised(&service, "platform-off", NAME).await
    })
    .await;
    let recovered = service.in_phase(&relay, "live").await;
    assert_eq!(recovered["platform"], NAME);
    assert_eq!(recovered["hls_playback_url"], relay["hls_playback_url"]);
    service.stop_channel(42).await;
    let raw = database.raw().await;
    let jobs =
        "SELECT kind || ' ' || COALESCE(last_error, '') FROM cleanup_jobs WHERE platform = 'kiosk'";
    until("with a cleanup job that waits", async || {
        let jobs = raw.texts(jobs).await;
        let mut jobs = jobs.iter().flatten();
        jobs.any(|job| job == "close_ingest the platform is off: it has no credentials")
    })
    .await;
    assert!(alive(&vendors).is_empty() && !kiosk.left().is_empty());
    until("with an alarm for the cleanup jobs", async || {
        is_raised(&service, "platform-off", NAME).await
    })
    .await;
    service.shut_down();

    let further = kiosk.clone();
    let service = Service::start_unready_with(settings, move |on| on.with(further));
    service.wait_until_ready().await;
    let ended = service.in_phase(&relay, "ended").await;
    assert_eq!(ended["outcome"]["code"], "stopped_by_request", "{ended:#}");
    until("without ingests", async || kiosk.left().is_empty()).await;
    until("without cleanup jobs", async || {
        raw.texts(jobs).await.is_empty()
    })
    .await;
    until("without the alarm", async || {
        !is_raised(&service, "platform-off", NAME).await
    })
    .await;
}

#[tokio::test]
async fn a_start_that_needs_what_the_platform_lacks_is_refused() {
    let fair = fair_with(AgoraBackend::MediaPush, RecordingsKept::Nowhere).await;
    let Fair { kiosk, service, .. } = &fair;
    let path = "/v1/channels/42/start";
    let refused = service.post(path, &[], &on_the_kiosk()).await;
    refused.is_problem(422, "unsupported");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("kiosk") && detail.contains("recordings"),
        "{detail}"
    );
    let mut near = on_the_kiosk();
    near["latency"] = "low".into();
    near["enable_recording"] = false.into();
    let refused = service.post(path, &[], &near).await;
    refused.is_problem(422, "unsupported");
    let detail = refused.body["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "the platform kiosk has no low latency. Leave latency out."
    );
    assert_eq!(kiosk.count("ensure_ingest"), 0);
    let mut unrecorded = on_the_kiosk();
    unrecorded["enable_recording"] = false.into();
    service.go_live(42, &unrecorded).await;
    let ended = service.come_down(42).await;
    assert_eq!(ended["recordings"], json!([]));
    assert_eq!(service.start_channel(43, &show("show69")).await.0, 201);
}

#[tokio::test]
async fn a_video_that_a_platform_would_cut_off_is_refused_before_anything_runs() {
    let vendors = Arc::new(SimulatedVendors::start(options()).unwrap());
    let database = TestDatabase::sqlite();
    let mut settings = settings(&vendors, AgoraBackend::MediaPush, &database.url);
    let build = async |settings: &Settings| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let kiosk = Arc::new(Kiosk::new(vendors.clone()));
        let further = move |on: Platforms| on.with(kiosk);
        Application::with_ports(listener, settings.clone(), further, None).await
    };
    settings.agora.media_push.video.bitrate_kbps = 8_500;
    assert!(build(&settings).await.is_ok());
    settings.agora.media_push.video.bitrate_kbps = 8_501;
    let refused = build(&settings).await.err().unwrap().to_string();
    assert!(
        refused.contains("agora.media_push.video.bitrate_kbps: 8501"),
        "{refused}"
    );
    assert!(refused.contains("[kiosk]"), "{refused}");
    settings.agora.media_push.mode = MediaPushMode::Raw;
    assert!(build(&settings).await.is_ok());
}

#[tokio::test]
async fn stray_activity_is_read_and_ended_at_its_own_platform() {
    let fair = fair(AgoraBackend::MediaPush).await;
    let Fair { kiosk, service, .. } = &fair;
    service.go_live(42, &on_the_kiosk()).await;
    let tag = kiosk.left().remove(0).tag;
    service.come_down(42).await;
    until("without ingests", async || kiosk.left().is_empty()).await;
    kiosk.create(&tag, Utc::now()).await;
    let stray = || kiosk.left().remove(0);
    assert_eq!(kiosk.ring(service, "bell", "brass", &stray().id).await, 200);
    until("closed", async || stray().over_at.is_some()).await;
}
