//! What the service's database says is owed, held against what the vendors have.

use chrono::{TimeDelta, Utc};
use relaykeeper::sandbox::Snapshot;
use relaykeeper::store::{OpenDebt, Store, StoreError};
use serde::Serialize;

/// More debts than a day leaves.
const ALL: u64 = 100_000;

/// What is owed.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Owed {
    /// Debts that are to be paid: kind and target.
    pub(super) open: Vec<String>,
    /// Objects the vendors do not have any more: after a 404 they are looked for again for four minutes.
    pub(super) second_looks: u64,
    /// Recordings that did not turn up: looked for again after an hour and a day.
    pub(super) late_recordings: u64,
    /// Recorders whose session nobody was told: there is nothing to call, and they end by themselves. Their names.
    pub(super) nameless: Vec<String>,
}

impl Owed {
    /// Everything owed, whenever it is due.
    pub(super) async fn read(store: &Store, vendors: &Snapshot) -> Result<Self, StoreError> {
        let mut owed = Self::default();
        for debt in store
            .open_debts(Utc::now() + TimeDelta::days(365), ALL)
            .await?
        {
            owed.add(&debt, vendors);
        }
        Ok(owed)
    }

    fn add(&mut self, open: &OpenDebt, vendors: &Snapshot) {
        let (kind, target) = (open.debt.kind.as_str(), open.debt.target.as_str());
        let alive = |target: &str| {
            let mut recorders = vendors.recorders.iter().filter(|one| one.is_alive());
            recorders.any(|one| one.id == target || one.name == target)
        };
        match kind {
            "find_recordings" => self.late_recordings += 1,
            "unknown_recorder" => self.nameless.push(target.to_owned()),
            "stop_recorder" | "delete_converter" | "find_converter" if !alive(target) => {
                self.second_looks += 1;
            }
            _ => self.open.push(format!("{kind} {target}")),
        }
    }

    /// Whether nothing is to be done any more but to wait for what ends by itself.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.second_looks == 0
    }
}
