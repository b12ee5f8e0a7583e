//! Bringing many relays on air, and settling them at the settings the service is delivered with.
//!
//! Relays start at raised budgets. A relay keeps for its life how often it looks; while others start, those on air would take
//! most of two processors with looks no quota would let through. So they are started with long intervals, and before a
//! measurement the stored intervals become the delivered ones.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};

use crate::results::sorted;
use crate::service::{Service, Settings, raised};
use crate::support::database::TestDatabase;

/// Starts under way at once.
const AT_ONCE: usize = 32;
/// How often a relay on air looks while others start, in milliseconds.
const SELDOM: u32 = 3_600_000;

/// The intervals of `config.toml`: between looks until live, while live, and at the converter.
const DELIVERED: [u32; 3] = [5_000, 30_000, 15_000];

/// Settings for bringing relays on air quickly.
pub fn settings() -> Settings {
    let mut settings = raised();
    settings.extend(
        [
            ("RELAYKEEPER__RELAY__POLL_INTERVAL", "500ms"),
            ("RELAYKEEPER__RELAY__LIVE_CHECK_INTERVAL", "1h"),
            ("RELAYKEEPER__AGORA__MEDIA_PUSH__QUERY_INTERVAL", "1h"),
            ("RELAYKEEPER__SERVER__SHUTDOWN_GRACE", "2s"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    settings
}

/// Starts these channels and waits until `live` are on air; how long each start took to be answered, in milliseconds, sorted.
pub async fn go_live(service: &Service, channels: Range<usize>, live: usize) -> Vec<f64> {
    let took = stream::iter(channels)
        .map(async |channel| service.start(channel, None).await.took.as_secs_f64() * 1000.0)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    service.until_live(live).await;
    sorted(took)
}

/// From now on the stored relays look seldom; no service may run on the database.
pub async fn poll_seldom(database: &TestDatabase) {
    set(database, [500, SELDOM, SELDOM]).await;
}

/// From now on they look as those of a service as it is delivered.
pub async fn poll_as_delivered(database: &TestDatabase) {
    set(database, DELIVERED).await;
}

async fn set(database: &TestDatabase, [until_live, live, egress]: [u32; 3]) {
    let raw = database.raw().await;
    let sql = format!(
        "UPDATE relays SET state = json_set(state, '$.spec.timing.poll_interval_ms', {until_live}, \
         '$.spec.timing.live_check_interval_ms', {live}, '$.spec.timing.query_interval_ms', {egress})"
    );
    raw.execute(&sql).await;
    raw.0.close().await.expect("a good-bye");
}
