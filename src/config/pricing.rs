//! Prices for the cost ledger.

use serde::Deserialize;

use super::problem::SettingsReport;

/// `[pricing]`: US dollars per 1,000 minutes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricingSettings {
    pub cloudflare_stored: f64,
    pub mux_encoded: f64,
    pub mux_stored: f64,
    pub agora: f64,
}

impl Default for PricingSettings {
    fn default() -> Self {
        Self {
            cloudflare_stored: 5.0,
            mux_encoded: 25.0,
            mux_stored: 2.4,
            agora: 14.0,
        }
    }
}

const MAX_PRICE: f64 = 1_000_000.0;

impl PricingSettings {
    /// Micro-dollars per 1,000 minutes.
    #[must_use]
    pub fn cloudflare_stored_micros(&self) -> u64 {
        micros(self.cloudflare_stored).unwrap_or_default()
    }

    /// Micro-dollars per 1,000 minutes of a broadcast: encoded once, stored for a month.
    #[must_use]
    pub fn mux_micros(&self) -> u64 {
        let parts = [self.mux_encoded, self.mux_stored].map(micros);
        parts.into_iter().flatten().sum()
    }

    /// Micro-dollars per 1,000 minutes.
    #[must_use]
    pub fn agora_micros(&self) -> u64 {
        micros(self.agora).unwrap_or_default()
    }

    pub(super) fn check(&self, report: &mut SettingsReport) {
        for (key, price) in [
            ("pricing.cloudflare_stored", self.cloudflare_stored),
            ("pricing.mux_encoded", self.mux_encoded),
            ("pricing.mux_stored", self.mux_stored),
            ("pricing.agora", self.agora),
        ] {
            if micros(price).is_none() {
                report.note(
                    key,
                    "must be 0 to 1000000 US dollars, with at most 6 decimals",
                );
            }
        }
    }
}

/// Converts dollars to micro-dollars by their decimal digits, without binary rounding. `None`: out of range, or more than six
/// decimals.
fn micros(price: f64) -> Option<u64> {
    if !(0.0..=MAX_PRICE).contains(&price) {
        return None;
    }
    let text = format!("{price:.6}");
    if text.parse() != Ok(price) {
        return None;
    }
    text.replace(['.', '-'], "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_in_millionths_of_a_dollar() {
        assert_eq!(micros(5.0), Some(5_000_000));
        assert_eq!(micros(7.99), Some(7_990_000));
        assert_eq!(micros(1.1), Some(1_100_000));
        assert_eq!(micros(0.000_001), Some(1));
        assert_eq!(micros(0.0), Some(0));
        assert_eq!(micros(-0.0), Some(0));
        assert_eq!(micros(0.000_000_1), None);
        assert_eq!(micros(-1.0), None);
        assert_eq!(micros(f64::NAN), None);
        assert_eq!(micros(f64::INFINITY), None);
    }
}
