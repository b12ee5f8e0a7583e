//! The writer's operations.

pub(super) mod alarms;
pub(super) mod announce;
pub(super) mod bulk;
pub(super) mod cleanup_jobs;
pub(super) mod create;
pub(super) mod deliveries;
pub(super) mod end_by_force;
pub(super) mod instance;
pub(super) mod kept_ingests;
pub(super) mod many_rows;
pub(super) mod outbox;
pub(super) mod parts;
pub(super) mod projection;
pub(super) mod purge;
pub(super) mod save;
