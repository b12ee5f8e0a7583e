//! Prices for the cost ledger.

use serde::Deserialize;

use super::IvsChannelType;
use super::problem::SettingsReport;

/// `[pricing]`: US dollars per 1,000 minutes; of IVS, per hour of input.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricingSettings {
    pub cloudflare_stored: f64,
    pub mux_encoded: f64,
    pub mux_stored: f64,
    pub ivs_basic: f64,
    pub ivs_standard: f64,
    pub ivs_advanced_sd: f64,
    pub ivs_advanced_hd: f64,
    pub agora: f64,
}

impl Default for PricingSettings {
    fn default() -> Self {
        Self {
            cloudflare_stored: 5.0,
            mux_encoded: 25.0,
            mux_stored: 2.4,
            ivs_basic: 0.2,
            ivs_standard: 2.0,
            ivs_advanced_sd: 0.5,
            ivs_advanced_hd: 0.85,
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

    /// Micro-dollars per 1,000 minutes of input of a channel of this type.
    #[must_use]
    pub fn ivs_micros(&self, channel_type: IvsChannelType) -> u64 {
        let hour = match channel_type {
            IvsChannelType::Basic => self.ivs_basic,
            IvsChannelType::Standard => self.ivs_standard,
            IvsChannelType::AdvancedSd => self.ivs_advanced_sd,
            IvsChannelType::AdvancedHd => self.ivs_advanced_hd,
        };
        let hour = micros(hour).unwrap_or_default();
        hour.saturating_mul(1000).div_ceil(60)
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
            ("pricing.ivs_basic", self.ivs_basic),
            ("pricing.ivs_standard", self.ivs_standard),
            ("pricing.ivs_advanced_sd", self.ivs_advanced_sd),
            ("pricing.ivs_advanced_hd", self.ivs_advanced_hd),
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
    fn an_hour_of_input_costs_by_the_type_of_the_channel() {
        let prices = PricingSettings::default();
        assert_eq!(prices.ivs_micros(IvsChannelType::Standard), 33_333_334);
        assert_eq!(prices.ivs_micros(IvsChannelType::Basic), 3_333_334);
    }

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
