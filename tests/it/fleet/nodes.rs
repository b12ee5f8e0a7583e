use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use relaykeeper::config::AgoraBackend;
use relaykeeper::sandbox::SimulatedVendors;
use reqwest::Method;
use serde_json::Value;

use crate::support::database::{Raw, TestDatabase};
use crate::support::program::Program;
use crate::support::service::{Answer, PATIENCE, show};

const AT_ONCE: usize = 16;

/// Runs a test on its own database, which is dropped also if the test panics.
pub async fn on_postgres(test: impl AsyncFnOnce(TestDatabase)) {
    let database = TestDatabase::postgres().await;
    let ran = std::panic::AssertUnwindSafe(test(database.clone()))
        .catch_unwind()
        .await;
    database.remove().await;
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

pub struct Nodes {
    pub vendors: SimulatedVendors,
    pub database: TestDatabase,
    pub raw: Raw,
    pub all: Vec<Program>,
    pub backend: AgoraBackend,
    /// Settings of the nodes to come.
    pub settings: Vec<(&'static str, String)>,
}

impl Nodes {
    pub async fn start(
        vendors: SimulatedVendors,
        database: TestDatabase,
        count: usize,
        settings: Vec<(&'static str, String)>,
    ) -> Self {
        let raw = database.raw().await;
        let mut nodes = Self {
            vendors,
            database,
            raw,
            all: Vec::new(),
            backend: AgoraBackend::MediaPush,
            settings,
        };
        for _ in 0..count {
            nodes.add().await;
        }
        nodes
    }

    pub async fn add(&mut self) {
        let url = self.database.url.clone();
        self.add_at(&url).await;
    }

    pub async fn add_at(&mut self, url: &str) {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut node = Program::serve(&self.vendors, self.backend, url, &settings);
        node.wait_until_ready().await;
        self.all.push(node);
    }

    pub async fn go_live(&self, channels: std::ops::Range<i64>) {
        stream::iter(channels.clone())
            .map(|channel| self.start_at(usize::try_from(channel).unwrap(), channel))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let wanted = channels.end - channels.start;
        self.until("all live", async || {
            self.number("phase = 'live'").await == wanted
        })
        .await;
    }

    async fn start_at(&self, turn: usize, channel: i64) {
        let node = &self.all[turn % self.all.len()];
        let (status, relay) = node
            .service
            .start_channel(channel, &show(&format!("show{channel}")))
            .await;
        assert!(status == 201 || status == 202, "{status} {relay:#}");
    }

    /// Makes the database read-only, or writable again, and closes open sessions.
    pub async fn read_only(&self, only: bool) {
        let name = self.raw.texts("SELECT current_database()").await;
        let name = name[0].as_deref().unwrap();
        let changed = format!("ALTER DATABASE {name} SET default_transaction_read_only = {only}");
        self.raw.execute(&changed).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.raw.execute(cut).await;
    }

    pub async fn number(&self, of_which: &str) -> i64 {
        let count = format!("SELECT count(*) FROM relays WHERE {of_which}");
        self.raw.number(&count).await
    }

    /// Returns how long it took.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
        let began = Instant::now();
        while !is_so().await {
            assert!(
                began.elapsed() < 2 * PATIENCE,
                "never {what}\n{}",
                self.state().await
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        began.elapsed()
    }

    async fn state(&self) -> String {
        let relays = "SELECT phase || ' ' || epoch || ': ' || count(*) FROM relays GROUP BY phase, epoch ORDER BY 1";
        let nodes = "SELECT 'node ' || epoch || ' ' || name || ' ' || lease_until FROM nodes";
        let shares =
            "SELECT name || ' of ' || epoch || ': ' || permits FROM quota_shares ORDER BY 1";
        let mut lines = Vec::new();
        for sql in [relays, nodes, shares] {
            lines.extend(self.raw.texts(sql).await.into_iter().flatten());
        }
        for node in &self.all {
            let log = node.log();
            let from = log.len().saturating_sub(3000);
            let from = (from..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(0);
            lines.push(format!("--- {}\n{}", node.id(), &log[from..]));
        }
        lines.join("\n")
    }

    /// The number of unfinished relays by their living owner's epoch; 0 for the unowned ones.
    pub async fn driven(&self) -> BTreeMap<i64, i64> {
        let mut driven = BTreeMap::new();
        let epochs = "SELECT epoch || ':' || (SELECT count(*) FROM relays r WHERE r.epoch = n.epoch \
            AND ended_at IS NULL) FROM nodes n WHERE lease_until > clock_timestamp()";
        for line in self.raw.texts(epochs).await.into_iter().flatten() {
            let (epoch, count) = line.split_once(':').unwrap();
            driven.insert(epoch.parse().unwrap(), count.parse().unwrap());
        }
        let free = self
            .number("ended_at IS NULL AND epoch NOT IN (SELECT epoch FROM nodes WHERE lease_until > clock_timestamp())")
            .await;
        driven.insert(0, free);
        driven
    }

    /// Waits until this many nodes own about as many relays each.
    pub async fn until_spread(&self, nodes: usize) -> Duration {
        self.until("spread", async || {
            let mut driven = self.driven().await;
            let free = driven.remove(&0).unwrap_or_default();
            let total: i64 = driven.values().sum();
            let share = total / i64::try_from(nodes).unwrap() + 1;
            let most = driven.values().max().copied().unwrap_or(0);
            free == 0 && driven.len() == nodes && most <= share + share / 5 + 5
        })
        .await
    }

    pub async fn until_driven(&self) -> Duration {
        self.until("driven", async || self.driven().await.get(&0) == Some(&0))
            .await
    }

    pub async fn assert_all_list_the_fleet(&self, relays: i64) {
        for node in &self.all {
            let asked = node
                .service
                .as_admin(Method::GET, "/admin/actors?limit=200");
            let page = Answer::to(asked).await;
            assert_eq!(page.body["total"], relays, "{:#?}", page.body);
            let names: BTreeSet<&str> = page.body["actors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|actor| actor["node"].as_str().unwrap())
                .collect();
            assert!(names.len() <= self.all.len(), "{names:?}");
        }
    }

    /// Stops channels, each on another node than started it. Returns the sorted latencies.
    pub async fn stop(&self, channels: std::ops::Range<i64>) -> Vec<Duration> {
        let mut took: Vec<Duration> = stream::iter(channels)
            .map(|channel| self.stop_at(usize::try_from(channel).unwrap() + 1, channel))
            .buffer_unordered(4)
            .collect()
            .await;
        took.sort();
        took
    }

    async fn stop_at(&self, turn: usize, channel: i64) -> Duration {
        let asked = Instant::now();
        let node = &self.all[turn % self.all.len()];
        let (status, relay): (_, Value) = node.service.stop_channel(channel).await;
        assert_eq!(status, 202, "{relay:#}");
        assert_ne!(relay["phase"], "live", "not stopping: {relay:#}");
        asked.elapsed()
    }
}
