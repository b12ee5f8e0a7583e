//! Reads. They bypass the writer.

mod cleanup_jobs;
mod deliveries;
mod kept_ingests;
mod ledger;
mod outbox;
mod recordings;
mod relays;

pub use deliveries::DeliveryFilter;
pub use relays::RelayFilter;
