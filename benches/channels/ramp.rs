//! Brings many relays on air quickly.
//!
//! At raised limits the polls of live relays would use up the CPU while others start, and a relay keeps its intervals. So relays
//! start with long ones, which are changed in the store before a measurement.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};

use crate::results::sorted;
use crate::service::{Service, Settings, raised};
use crate::support::database::TestDatabase;

const AT_ONCE: usize = 32;
/// In milliseconds.
const SELDOM: u32 = 3_600_000;

/// The intervals of `config.toml` in milliseconds: until live, while live, converter.
const DELIVERED: [u32; 3] = [5_000, 30_000, 15_000];

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

/// Returns the starts' sorted latencies in milliseconds, once `live` relays are on air.
pub async fn go_live(service: &Service, channels: Range<usize>, live: usize) -> Vec<f64> {
    let took = stream::iter(channels)
        .map(async |channel| service.start(channel, None).await.took.as_secs_f64() * 1000.0)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    service.until_live(live).await;
    sorted(took)
}

/// No service may be running.
pub async fn poll_seldom(database: &TestDatabase) {
    set(database, [500, SELDOM, SELDOM]).await;
}

/// No service may be running.
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
