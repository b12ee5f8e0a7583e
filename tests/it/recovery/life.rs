//! Plays one relay from start to cleanup while the process is killed.

use std::time::{Duration, Instant};

use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::{
    FaultKind, Options, SimulatedVendors, VendorCall, VendorFault, WebhookUrls,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::invariants;
use crate::support::database::{Raw, TestDatabase};
use crate::support::platform::TestPlatform;
use crate::support::process::{Life, RestartingService};
use crate::support::service::{API_TOKEN, options, publish_url, show};

/// Includes restarts on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);
const CHANNEL: i64 = 42;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) backend: AgoraBackend,
    postgres: bool,
    webhooks: bool,
    platform: TestPlatform,
    pub(crate) keeps: bool,
}

impl Scene {
    pub(crate) fn sqlite(backend: AgoraBackend) -> Self {
        Self {
            backend,
            postgres: false,
            webhooks: false,
            platform: TestPlatform::Cloudflare,
            keeps: false,
        }
    }

    pub(crate) fn postgres(backend: AgoraBackend) -> Self {
        Self {
            postgres: true,
            ..Self::sqlite(backend)
        }
    }

    pub(crate) fn with_webhooks(self) -> Self {
        Self {
            webhooks: true,
            ..self
        }
    }

    /// On another platform, which has no idempotency keys.
    pub(crate) fn on_mux(self) -> Self {
        Self {
            platform: TestPlatform::Mux,
            ..self
        }
    }

    /// On another platform, which deletes no ingest during a broadcast.
    pub(crate) fn on_ivs(self) -> Self {
        Self {
            platform: TestPlatform::Ivs,
            ..self
        }
    }

    /// The channel keeps its ingest. A show before the one that is watched ends so late that its broadcast is still open, and its
    /// egress is not proved gone at once. After both, something seems to publish.
    pub(crate) fn keeps_ingest(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// Whether the platform holds a broadcast open without its publisher.
    pub(crate) fn holds_broadcasts(self) -> bool {
        self.platform != TestPlatform::Ivs
    }

    /// The next process need not wait for their leases.
    async fn remove_dead_nodes(self, database: &TestDatabase) -> std::convert::Infallible {
        if !self.postgres {
            return std::future::pending().await;
        }
        let raw = database.raw().await;
        let delete = "DO $$ BEGIN IF to_regclass('nodes') IS NOT NULL THEN \
            DELETE FROM nodes WHERE epoch < (SELECT max(epoch) FROM nodes); \
            DELETE FROM quota_shares WHERE epoch NOT IN (SELECT epoch FROM nodes); END IF; END $$";
        loop {
            raw.execute(delete).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the processes, or what was wrong.
    pub(crate) async fn play(self, points: Vec<String>) -> Result<Vec<Life>, String> {
        let database = if self.postgres {
            TestDatabase::postgres().await
        } else {
            TestDatabase::sqlite()
        };
        let stage = Stage::new(self, &database, &points);
        let lived = tokio::select! {
            lived = stage.live() => lived,
            never = self.remove_dead_nodes(&database) => match never {},
        };
        let lives = stage.service.lives();
        let result = lived.map_err(|wrong| {
            let state = stage.vendors.state();
            format!(
                "killed at {points:?}: {wrong}\n{:?}\n{:?}\n{:?}\n{}",
                state.violations,
                state.egresses,
                state.live_inputs,
                stage.service.log()
            )
        });
        drop(stage);
        database.remove().await;
        result.map(|()| lives)
    }
}

/// Whether the process died between the answer with the egress's session and its save: without a notification the egress cannot
/// be queried, and no second one may start beside it.
pub(crate) fn was_lost(relay: &Value) -> bool {
    let (agora, outcome) = (&relay["agora"], &relay["outcome"]["code"]);
    (outcome == "recorder_lost" || outcome == "live_timeout")
        && agora["backend"] == "cloud_recording"
        && agora["sid"].is_null()
}

/// As fast as the vendors' clock.
fn further(scene: Scene, vendors: &SimulatedVendors) -> Vec<(&'static str, String)> {
    let mut further = Vec::new();
    if scene.keeps {
        further.extend([
            ("RELAYKEEPER__INGEST__OWNER", "channel".to_owned()),
            ("RELAYKEEPER__RELAY__FEED_TIMEOUT", "6s".to_owned()),
        ]);
    }
    further.extend(scene.platform.environment_as_default(vendors));
    further
}

pub(crate) struct Stage {
    pub(crate) vendors: SimulatedVendors,
    pub(crate) database: TestDatabase,
    pub(crate) service: RestartingService,
    http: reqwest::Client,
    most_replacements: u64,
    keeps: bool,
    platform: TestPlatform,
}

impl Stage {
    fn new(scene: Scene, database: &TestDatabase, points: &[String]) -> Self {
        let vendors = SimulatedVendors::start(Options {
            speed: 50.0,
            // Mux holds a lost feed for the whole of `feed_timeout`.
            wire_speed: Some(match scene.platform {
                TestPlatform::Mux => 5.0,
                TestPlatform::Cloudflare | TestPlatform::Ivs => 1.0,
            }),
            // A restarted process cannot keep the 2 s limit; its repeated start searches for the first one.
            start_within: PATIENCE,
            ..options()
        })
        .expect("vendors");
        let service = RestartingService::open(
            &vendors,
            scene.backend,
            &database.url,
            points,
            further(scene, &vendors),
        );
        if scene.webhooks {
            let to = |path: &str| Some(format!("{}/webhooks/{path}", service.url));
            vendors.set_webhooks(WebhookUrls {
                cloudflare_live: to("cloudflare/live"),
                cloudflare_stream: to("cloudflare/stream"),
                agora: to("agora"),
                mux: to("mux"),
                ivs: to("ivs"),
                duplicates: true,
                reordered: false,
            });
        }
        // While no process serves the page, an egress may end.
        let most_replacements = match scene.backend {
            AgoraBackend::CloudRecording => 2,
            AgoraBackend::MediaPush => 1,
        };
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            vendors,
            database: database.clone(),
            service,
            http,
            most_replacements,
            keeps: scene.keeps,
            platform: scene.platform,
        }
    }

    async fn live(&self) -> Result<(), String> {
        let earlier = match self.keeps {
            true => Some(self.earlier_show().await?),
            false => None,
        };
        let relay = self.command("start", "start", Some(show("show68"))).await?;
        let id = relay["id"].as_str().ok_or("no id")?.to_owned();
        let relay = self
            .relay_when(&id, "live", |relay| {
                relay["phase"] == "live" || was_lost(relay)
            })
            .await?;
        if !was_lost(&relay) {
            self.egress_dies(&id, &relay).await?;
        }
        self.command("stop", "stop", None).await?;
        let relay = self
            .relay_when(&id, "ended", |relay| relay["phase"] == "ended")
            .await?;
        if relay["outcome"]["code"] != "stopped_by_request" && !was_lost(&relay) {
            return Err(format!("another outcome: {relay:#}"));
        }
        if let Some(earlier) = &earlier {
            self.relay_when(earlier, "ended", |relay| relay["phase"] == "ended")
                .await?;
        }
        let raw = self.database.raw().await;
        if self.keeps {
            if self.platform == TestPlatform::Cloudflare {
                self.stray(&raw).await?;
            }
            self.give_up(&raw).await?;
        }
        self.rest(&raw).await?;
        let state = self.vendors.state();
        let crashes = u64::try_from(self.service.lives().len() - 1).unwrap_or(0);
        let checked = match self.keeps {
            true => invariants::check_kept(&state, &raw, crashes).await,
            false => invariants::check(&state, &raw, &relay, self.most_replacements, crashes).await,
        };
        raw.0.close().await.map_err(|error| error.to_string())?;
        checked
    }

    /// Returns its relay, which is ending.
    async fn earlier_show(&self) -> Result<String, String> {
        let body = Some(show("show68"));
        let relay = self.command("start", "earlier start", body).await?;
        let id = relay["id"].as_str().ok_or("no id")?.to_owned();
        self.relay_when(&id, "live", |relay| {
            relay["phase"] == "live" || was_lost(relay)
        })
        .await?;
        for call in [VendorCall::Stop, VendorCall::ConverterDelete] {
            let refused = FaultKind::Status(503, None);
            self.vendors.fault(VendorFault::once(call, refused));
        }
        self.command("stop", "earlier stop", None).await?;
        Ok(id)
    }

    /// A notification says that something publishes: the key is renewed.
    async fn stray(&self, raw: &Raw) -> Result<(), String> {
        let kept = |column| format!("SELECT CAST({column} AS TEXT) FROM kept_ingests");
        let ingest = raw.texts(&kept("ingest_id")).await.into_iter().flatten();
        let Some(ingest) = ingest.last() else {
            return Ok(());
        };
        let key = publish_url(&self.vendors, &ingest).await;
        let before = raw
            .number("SELECT CAST(key_version AS BIGINT) FROM kept_ingests")
            .await;
        let at_rest = format!(
            "SELECT COUNT(*) FROM kept_ingests WHERE key_version > {before} AND holder IS NULL AND NOT key_stale"
        );
        let deadline = Instant::now() + PATIENCE;
        while raw.number(&at_rest).await == 0 {
            if Instant::now() >= deadline {
                return Err("its key is never renewed".into());
            }
            let url = format!("{}/webhooks/cloudflare/live", self.service.url);
            let connected = json!({ "data": {
                "notification_name": "Stream Live Input",
                "input_id": ingest,
                "event_type": "live_input.connected",
                "updated_at": chrono::Utc::now(),
            }});
            let request = self.http.post(url).json(&connected);
            let secret = self.vendors.live_webhook_secret();
            let _ = request.header("cf-webhook-auth", secret).send().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        match self.vendors.publish(&key, "stray") {
            Ok(_) => Err("what published can publish again".into()),
            Err(_) => Ok(()),
        }
    }

    /// The channel kept one ingest at most.
    async fn give_up(&self, raw: &Raw) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let kept = raw.number("SELECT COUNT(*) FROM kept_ingests").await;
            if kept > 1 {
                return Err(format!("{kept} kept ingests"));
            }
            let url = format!("{}/v1/channels/{CHANNEL}/ingest", self.service.url);
            let request = self.http.request(Method::DELETE, url);
            let answer = request.bearer_auth(API_TOKEN).send().await;
            let status = answer.map(|answer| answer.status().as_u16());
            if matches!(status, Ok(202 | 404)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("never given up: {status:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Another egress replaces it on the same ingest.
    async fn egress_dies(&self, id: &str, relay: &Value) -> Result<(), String> {
        let watched_at = |relay: &Value| {
            (
                relay["stream_key_id"].clone(),
                relay["hls_playback_url"].clone(),
            )
        };
        let state = self.vendors.state();
        let of_relay = id.replace('-', "");
        let running = state.egresses.iter().filter(|one| one.is_alive());
        let (own, earlier): (Vec<_>, Vec<_>) =
            running.partition(|one| one.name.contains(&of_relay));
        // One without a known session is left of the earlier show.
        let ([egress], false) = (&own[..], earlier.iter().any(|one| one.publishing)) else {
            return Err(format!("live, and egresses {:?}", state.egresses));
        };
        self.vendors.kill(&egress.id, None);
        let replacements = &relay["agora"]["replacements"];
        let replaced = self
            .relay_when(id, "live with another egress", |relay| {
                let replaced = relay["agora"]["replacements"] != *replacements;
                (relay["phase"] == "live" && replaced) || was_lost(relay)
            })
            .await?;
        let (before, after) = (watched_at(relay), watched_at(&replaced));
        if before != after && !was_lost(&replaced) {
            return Err(format!(
                "where it is watched has changed: {before:?}, {after:?}"
            ));
        }
        Ok(())
    }

    /// Waits until nothing is left. Makes the later polls of a task that answered 404 (after 30 s, 2 and 4 minutes,
    /// `agora.md §8.1, §8.2`) due now.
    async fn rest(&self, raw: &Raw) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let long_ago = "'2020-01-01T00:00:00+00:00'";
            let an_hour_later = "'2020-01-01T01:00:00+00:00'";
            raw.execute(&format!(
                "UPDATE cleanup_jobs SET created_at = {long_ago}, next_attempt_at = {an_hour_later} \
                 WHERE kind IN ('stop_egress', 'find_egress') AND created_at > {long_ago}"
            ))
            .await;
            let Err(left) = invariants::nothing_is_left(&self.vendors.state(), raw).await else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(format!("never at rest: {left}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// `what`: `start` or `stop`, repeated under one idempotency key.
    async fn command(&self, what: &str, key: &str, body: Option<Value>) -> Result<Value, String> {
        let key = key.replace(' ', "-");
        let path = format!("/v1/channels/{CHANNEL}/{what}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut request = self
                .http
                .request(Method::POST, format!("{}{path}", self.service.url))
                .bearer_auth(API_TOKEN)
                .header("Idempotency-Key", &key)
                .header("Prefer", "wait=0");
            if let Some(body) = &body {
                request = request.json(body);
            }
            let said = match request.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    match answer.json::<Value>().await {
                        Ok(relay) if status.is_success() => return Ok(relay),
                        Ok(problem) => {
                            if status != 503 {
                                return Err(format!("{what}: {status} {problem}"));
                            }
                            problem.to_string()
                        }
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(format!("{what} was never taken: {said}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn relay_when(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = json!(null);
        loop {
            let answer = self
                .http
                .request(Method::GET, format!("{}/v1/relays/{id}", self.service.url))
                .bearer_auth(API_TOKEN)
                .send()
                .await;
            if let Ok(answer) = answer
                && answer.status() == 200
                && let Ok(relay) = answer.json::<Value>().await
            {
                if wanted(&relay) {
                    return Ok(relay);
                }
                last = relay;
            }
            if last["phase"] == "ended" {
                return Err(format!("it ended and was never {what}: {last:#}"));
            }
            if Instant::now() >= deadline {
                return Err(format!("never {what}: {last:#}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
