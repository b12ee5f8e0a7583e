//! What the writer can do, one operation with what belongs to it a file.

pub(super) mod alarms;
pub(super) mod announce;
pub(super) mod cleanup_jobs;
pub(super) mod create;
pub(super) mod deliveries;
pub(super) mod end_by_force;
pub(super) mod instance;
pub(super) mod many;
pub(super) mod outbox;
pub(super) mod parts;
pub(super) mod pending;
pub(super) mod projection;
pub(super) mod purge;
pub(super) mod relays;
pub(super) mod save;
