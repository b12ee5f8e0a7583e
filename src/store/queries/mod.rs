//! What can be asked of the store. Reads go past the writer and see what was committed.

mod debts;
mod history;
mod ledger;
mod outbox;
mod recordings;
mod relays;

pub use relays::RelayFilter;
