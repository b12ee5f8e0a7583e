//! Settings: `config.toml` < environment < flags. Secrets cannot be printed.

mod settings;

pub use settings::*;

use std::time::Duration;

use serde::Deserialize;

/// Reads a list of humantime strings.
fn durations<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| humantime::parse_duration(text).map_err(serde::de::Error::custom))
        .collect()
}
