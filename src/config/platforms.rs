//! Streaming platforms.

use serde::Deserialize;

/// `[platforms]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformsSettings {
    pub default: String,
}
