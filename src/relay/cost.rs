//! The cost of a relay in integers.

use serde::{Deserialize, Serialize};

/// Prices in millionths of a US dollar per 1,000 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// Storage at the platform.
    pub stored: u64,
    /// The egress (14,000,000 for web mode in HD: `agora.md §3.11, §4.11`).
    pub egress: u64,
}

/// Where a duration comes from.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    /// The sum of the recordings' known durations.
    Recording,
    /// The time live: no duration is known, or not all are and this is longer.
    Observed,
}

/// A row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Cost {
    /// Rounded up.
    pub duration_seconds: u64,
    /// Rounded up.
    pub minutes: u64,
    /// Storage in cents, rounded up.
    pub cost_cents: u64,
    /// Storage in millionths of a dollar, exact.
    pub cost_micros: u64,
    /// Egress in millionths of a dollar.
    pub agora_cost_micros: u64,
    pub source: Source,
}

impl Cost {
    /// From seconds of storage and of egress.
    #[must_use]
    pub fn new(duration_seconds: u64, source: Source, egress_seconds: u64, prices: Prices) -> Self {
        let minutes = duration_seconds.div_ceil(60);
        let cost_micros = (minutes * prices.stored).div_ceil(1000);
        Self {
            duration_seconds,
            minutes,
            cost_cents: (minutes * prices.stored).div_ceil(10_000_000),
            cost_micros,
            agora_cost_micros: (egress_seconds.div_ceil(60) * prices.egress).div_ceil(1000),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Prices = Prices {
        stored: 5_000_000,
        egress: 14_000_000,
    };

    #[test]
    fn half_an_hour_and_thirty_seconds_is_thirty_one_minutes_and_sixteen_cents() {
        let cost = Cost::new(1830, Source::Recording, 1830, DEFAULT);
        assert_eq!(
            (
                cost.minutes,
                cost.cost_cents,
                cost.cost_micros,
                cost.agora_cost_micros
            ),
            (31, 16, 155_000, 434_000)
        );
    }

    #[test]
    fn a_second_is_a_minute_and_nothing_is_nothing() {
        assert_eq!(
            Cost::new(1, Source::Observed, 0, DEFAULT).cost_micros,
            5_000
        );
        assert_eq!(Cost::new(1, Source::Observed, 0, DEFAULT).cost_cents, 1);
        assert_eq!(Cost::new(0, Source::Observed, 0, DEFAULT).cost_cents, 0);
    }
}
