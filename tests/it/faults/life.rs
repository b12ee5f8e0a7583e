use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use relaykeeper::config::{AgoraBackend, DefaultIngestOwner, Settings};
use relaykeeper::sandbox::{
    FaultKind, Options, Quotas, SimulatedVendors, VendorCall, VendorFault, WebhookUrls,
    WorldSnapshot,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::fate::{Fate, fate};
use super::gate::Gate;
use super::matrix::{Case, Wrong};
use super::usage::{Life, Use, usage};
use crate::support::database::TestDatabase;
use crate::support::platform::TestPlatform;
use crate::support::service::{Service, UNLISTED, nothing_is_left, options, settings, show};

const PATIENCE: Duration = Duration::from_secs(100);
/// How long the broadcast of a kept ingest stays open, or its recording can go on.
pub const WINDOW: Duration = Duration::from_secs(4);

pub fn at_once<T: Display + Copy + Send>(
    threads: usize,
    cases: Vec<T>,
    body: impl AsyncFn(T) + Sync,
) {
    let only = std::env::var("RELAYKEEPER_TEST_FAULT").unwrap_or_default();
    let cases = cases
        .into_iter()
        .filter(|case| case.to_string().contains(&only));
    let waiting = Mutex::new(cases.collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().unwrap().pop_front() else {
                        return;
                    };
                    let begun = Instant::now();
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    let life = AssertUnwindSafe(|| runtime.block_on(body(case)));
                    if std::panic::catch_unwind(life).is_err() {
                        failed.lock().unwrap().push(case.to_string());
                    }
                    eprintln!("{case}: {:.1} s", begun.elapsed().as_secs_f64());
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

pub struct World {
    pub vendors: SimulatedVendors,
    settings: Settings,
    pub database: TestDatabase,
    pub service: Service,
    /// The recorder's page has one address across restarts.
    page: Gate,
}

pub fn keep_ingests(settings: &mut Settings) {
    settings.ingest.owner = DefaultIngestOwner::Channel;
    settings.relay.feed_timeout = WINDOW;
}

impl World {
    async fn of(case: Case) -> Self {
        let keep = if case.keeps {
            keep_ingests
        } else {
            |_: &mut _| {}
        };
        let window = if case.keeps { WINDOW } else { Duration::ZERO };
        let change = |_: &_, settings: &mut _| keep(settings);
        Self::with(case.platform, case.backend, window, change).await
    }

    /// The shows before the one of the case.
    pub async fn earlier(&mut self, life: Life) {
        for _ in 1..life.shows() {
            let (status, relay) = self.start(life).await;
            assert!(status.is_success(), "{status} {relay:#}");
            self.when("live", |relay| relay["phase"] == "live").await;
            self.stop().await;
            self.when("down", |relay| {
                relay["phase"] == "finalizing" || relay["phase"] == "ended"
            })
            .await;
        }
        if life == Life::AgainAfterRestart {
            self.restart().await;
        }
        if life == Life::AgainWithStaleKey {
            let raw = self.database.raw().await;
            raw.execute("UPDATE kept_ingests SET key_stale = TRUE")
                .await;
        }
    }

    pub async fn with(
        platform: TestPlatform,
        backend: AgoraBackend,
        window: Duration,
        change: impl FnOnce(&SimulatedVendors, &mut Settings),
    ) -> Self {
        // A busy machine may be slow here.
        let patient = Options {
            start_within: PATIENCE,
            ivs_recording_window_seconds: window.as_secs(),
            // Late calls come together.
            quotas: Quotas {
                mux_posts_per_second: 1000,
                mux_others_per_second: 1000,
                ivs_per_second: 1000,
                ..Quotas::default()
            },
            ..options()
        };
        let vendors = SimulatedVendors::start(patient).unwrap();
        let database = TestDatabase::sqlite();
        let mut settings = settings(&vendors, backend, &database.url);
        settings.server.shutdown_grace = Duration::from_millis(100);
        settings.relay.provisioning_timeout = Duration::from_secs(6);
        settings.relay.live_timeout = Duration::from_secs(6);
        settings.relay.recording_timeout = Duration::from_secs(3);
        settings.relay.feed_timeout = Duration::from_secs(8);
        settings.vendors.read_timeout = Duration::from_secs(1);
        settings.vendors.write_timeout = Duration::from_secs(1);
        let page = Gate::to(&vendors.control_url());
        settings.agora.cloud_recording.page_url = page.url("http://127.0.0.1/recorder");
        platform.make_default(&vendors, &mut settings);
        change(&vendors, &mut settings);
        let service = Service::start(settings.clone()).await;
        page.lead_to(&service.url);
        Self {
            vendors,
            settings,
            database,
            service,
            page,
        }
    }

    fn notify(&self) {
        self.vendors.set_webhooks(WebhookUrls {
            agora: Some(format!("{}/webhooks/agora", self.service.url)),
            ..WebhookUrls::default()
        });
    }

    pub async fn start(&self, life: Life) -> (StatusCode, Value) {
        let mut body = show("show68");
        if life == Life::Unrecorded {
            body["enable_recording"] = json!(false);
        }
        self.service.start_channel(42, &body).await
    }

    pub async fn relay(&self) -> Value {
        self.service.get("/v1/channels/42").await["relay"].clone()
    }

    pub async fn when(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let relay = self.relay().await;
            if wanted(&relay) {
                return relay;
            }
            if Instant::now() > deadline {
                panic!(
                    "never {what}: {relay:#}\n{}",
                    journal(&self.vendors.state())
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn live_again_or_over(&self, replacements: i64) -> Value {
        self.when("live again or over", |relay| {
            let again = relay["agora"]["replacements"].as_i64() >= Some(replacements);
            (relay["phase"] == "live" && again) || !relay["outcome"].is_null()
        })
        .await
    }

    /// Returns the relay, which is live or ending.
    async fn happens(&mut self, life: Life) -> Value {
        match life {
            Life::Plain
            | Life::Unrecorded
            | Life::Again
            | Life::AgainAfterRestart
            | Life::AgainWithStaleKey => self.relay().await,
            Life::StopsLate => {
                for call in [VendorCall::Stop, VendorCall::ConverterDelete] {
                    let refused = FaultKind::Status(503, None);
                    self.vendors.fault(VendorFault::once(call, refused));
                }
                self.relay().await
            }
            Life::Replaced => {
                let state = self.vendors.state();
                let egress = state.egresses.iter().find(|egress| egress.is_alive());
                assert!(self.vendors.kill(&egress.unwrap().id, None));
                self.live_again_or_over(1).await
            }
            Life::Meddled => {
                self.restart().await;
                self.enable(false).await;
                self.when("aware that the feed is gone", |relay| {
                    relay["phase"] != "live"
                })
                .await;
                self.enable(true).await;
                self.live_again_or_over(0).await
            }
        }
    }

    async fn restart(&mut self) {
        let before = std::mem::replace(
            &mut self.service,
            Service::start_unready(self.settings.clone()),
        );
        before.shut_down();
        self.page.lead_to(&self.service.url);
        self.service.wait_until_ready().await;
    }

    /// Enables or disables the live input as another client of Cloudflare.
    async fn enable(&self, enabled: bool) {
        let input = self.relay().await["stream_key_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let answer = reqwest::Client::new()
            .put(format!(
                "{}/accounts/{}/stream/live_inputs/{input}",
                self.vendors.cloudflare_api_base_url(),
                self.vendors.account_id()
            ))
            .bearer_auth(self.vendors.cloudflare_api_token())
            .json(&json!({ "enabled": enabled }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    pub async fn stop(&self) {
        let (status, body) = self.service.stop_channel(42).await;
        assert!(status == 202 || status == 200, "{status} {body:#}");
    }

    pub async fn ended(&self) -> Value {
        self.when("ended", |relay| relay["phase"] == "ended").await
    }

    /// The channel gives up its ingest, if it keeps one.
    pub async fn give_up(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self
                .service
                .request(Method::DELETE, "/v1/channels/42/ingest");
            let status = request.send().await.unwrap().status().as_u16();
            match status {
                202 | 404 => return,
                // The last show's recordings are awaited, or its key is being renewed.
                409 => assert!(Instant::now() < deadline, "never given up"),
                _ => panic!("{status}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing is left at the vendors and only cleanup jobs that wait for their time are open.
    pub async fn nothing_is_left(&self) {
        let raw = self.database.raw().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // These jobs wait: for the time limit of an egress without a sid, for the check after a 404, for the search for
            // objects and for late recordings.
            let cleanup_jobs = raw
                .texts(&format!(
                    "SELECT kind || ' ' || target || ' ' || COALESCE(last_error, '') FROM cleanup_jobs \
                     WHERE kind != 'find_recordings' \
                     AND NOT (attempts = 0 AND next_attempt_at > created_at) AND data NOT LIKE '{UNLISTED}' \
                     AND COALESCE(last_error, '') NOT LIKE '%looked for again%'",
                ))
                .await;
            if cleanup_jobs.is_empty() && nothing_is_left(&self.vendors) {
                return;
            }
            let state = self.vendors.state();
            assert!(
                Instant::now() < deadline,
                "left: {:#?}\n{:#?}\ncleanup jobs: {cleanup_jobs:?}\n{}",
                state.live_inputs,
                state.egresses,
                journal(&state)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn check(&self, case: Case, relay: &Value) {
        let mut state = self.vendors.state();
        // After a lost answer the repeated creation finds the converter by its name.
        let is_repeated = case.call == VendorCall::ConverterCreate && case.wrong.is_done();
        state
            .violations
            .retain(|violation| !(is_repeated && violation.kind == "name_conflict"));
        assert!(
            state.violations.is_empty(),
            "{:#?}\n{}",
            state.violations,
            journal(&state)
        );
        for record in &state.calls {
            let call: VendorCall = record.call.parse().unwrap();
            assert!(!matches!(usage(call), Use::Never(_)), "{call} was made");
        }
        if case.wrong != Wrong::Hang {
            let name = case.call.name();
            assert!(
                state.calls.iter().any(|record| record.call == name),
                "{name} was never made"
            );
        }
        let raw = self.database.raw().await;
        let costs = raw.number("SELECT count(*) FROM stream_costs").await;
        let recorded = relay["recordings"]
            .as_array()
            .is_some_and(|videos| !videos.is_empty());
        let earlier = case.life.shows() - 1;
        let expected = !relay["live_at"].is_null() || recorded;
        assert_eq!(
            costs,
            earlier + i64::from(expected),
            "rows of cost: {relay:#}"
        );
        let ended = raw
            .number("SELECT count(*) FROM outbox WHERE type = 'relay.ended'")
            .await;
        assert_eq!(
            ended,
            earlier + 1,
            "the marketplace is told of the end once"
        );
    }
}

fn journal(state: &WorldSnapshot) -> String {
    let line = |record: &relaykeeper::sandbox::CallRecord| {
        format!(
            "{} {} {:?}\n",
            record.at.format("%T%.3f"),
            record.call,
            record.status
        )
    };
    let skip = state.calls.len().saturating_sub(60);
    state.calls.iter().skip(skip).map(line).collect()
}

/// Whether only a notification tells the egress's sid.
pub fn needs_notices(case: Case) -> bool {
    case.call == VendorCall::Start && case.wrong.is_done()
}

/// The call fails the first time.
pub async fn once(case: Case) {
    let mut world = World::of(case).await;
    if needs_notices(case) {
        world.notify();
    }
    world.earlier(case.life).await;
    world.vendors.fault(case.once());
    let (status, relay) = world.start(case.life).await;
    assert!(status.is_success(), "{status} {relay:#}");
    world
        .when("live", |relay| {
            assert!(
                relay["outcome"].is_null(),
                "{relay:#}\n{}",
                journal(&world.vendors.state())
            );
            relay["phase"] == "live"
        })
        .await;
    world.made(case).await;
    let relay = world.happens(case.life).await;
    assert_eq!(
        relay["phase"],
        "live",
        "{relay:#}\n{}",
        journal(&world.vendors.state())
    );
    world.stop().await;
    let relay = world.ended().await;
    assert_eq!(relay["outcome"]["code"], "stopped_by_request", "{relay:#}");
    if case.keeps {
        world.give_up().await;
    }
    world.nothing_is_left().await;
    world.check(case, &relay).await;
}

impl World {
    /// Waits for the case's call, if a timer or a read of the API causes it.
    async fn made(&self, case: Case) {
        let by_a_clock = [
            VendorCall::Query,
            VendorCall::ConverterGet,
            VendorCall::Hosts,
            VendorCall::Views,
        ];
        if !by_a_clock.contains(&case.call) || case.wrong == Wrong::Hang {
            return;
        }
        self.when("made", |_| {
            let calls = self.vendors.state().calls;
            calls.iter().any(|record| record.call == case.call.name())
        })
        .await;
    }
}

/// The call fails until the relay has ended.
pub async fn forever(case: Case) {
    let mut world = World::of(case).await;
    if needs_notices(case) {
        world.notify();
    }
    world.earlier(case.life).await;
    world.vendors.fault(case.forever());
    let (status, answer) = world.start(case.life).await;
    let fate = fate(case);
    match fate {
        Fate::NeverUp("live_timeout") | Fate::Lives | Fate::Lost(_) => {
            assert!(status.is_success(), "{status} {answer:#}");
        }
        Fate::NeverUp(_) => {
            let (_, code) = case.wrong.outcome(case.call);
            assert_eq!(answer["code"], code, "{status} {answer:#}");
        }
    }
    let outcome = match fate {
        Fate::NeverUp(outcome) => outcome,
        Fate::Lives | Fate::Lost(_) => {
            world
                .when("live", |relay| {
                    assert!(
                        relay["outcome"].is_null(),
                        "{relay:#}\n{}",
                        journal(&world.vendors.state())
                    );
                    relay["phase"] == "live"
                })
                .await;
            world.made(case).await;
            let relay = world.happens(case.life).await;
            match fate {
                Fate::Lost(outcome) => outcome,
                Fate::Lives | Fate::NeverUp(_) => {
                    assert_eq!(
                        relay["phase"],
                        "live",
                        "{relay:#}\n{}",
                        journal(&world.vendors.state())
                    );
                    world.stop().await;
                    "stopped_by_request"
                }
            }
        }
    };
    let relay = world.ended().await;
    assert_eq!(
        relay["outcome"]["code"],
        outcome,
        "{relay:#}\n{}",
        journal(&world.vendors.state())
    );
    if case.keeps {
        world.give_up().await;
    }
    world.vendors.clear_faults();
    world.nothing_is_left().await;
    world.check(case, &relay).await;
}
