//! SeaORM entities, one table per file. The models are the rows that other rooms read and write.

#![expect(
    unreachable_pub,
    reason = "SeaORM's derive makes public items; the module is private"
)]

pub mod alarm;
pub mod cleanup_job;
pub mod cost;
pub mod ended_session;
pub mod idempotency_key;
pub mod instance;
pub mod kept_ingest;
pub mod node;
pub mod outbox;
pub mod outbox_head;
pub mod recording;
pub mod relay;
pub mod relay_event;
pub mod webhook_delivery;

use super::StoreError;

/// JSON is stored as text: PostgreSQL's `jsonb` would not return what was written.
fn from_text(text: &str, what: &'static str) -> Result<serde_json::Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}
