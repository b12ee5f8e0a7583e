//! Settings: `config.toml`, overridden by the environment, overridden by flags. Secrets are never printed.
//!
//! The shipped `config.toml` documents each key; a field's comment adds what it does not say.
#![allow(missing_docs, reason = "config.toml documents the keys")]

mod agora;
mod cloud_recording;
mod cloudflare;
mod database_url;
mod environment;
mod fleet;
mod ingest;
mod ivs;
mod keys;
mod load;
mod media_push;
mod mux;
mod network;
mod platforms;
mod postgres_parameters;
mod pricing;
mod problem;
mod reach;
mod relay;
mod runtime;
mod server;
mod telemetry;
mod validate;
mod vendors;
mod webhooks;

pub use agora::{AgoraBackend, AgoraSettings, VideoProfile};
pub use cloud_recording::{CloudRecordingSettings, CloudRecordingVideoSettings, StorageSettings};
pub use cloudflare::CloudflareSettings;
pub(crate) use database_url::{DatabaseKind, DatabaseUrl};
pub use environment::environment;
pub use fleet::FleetSettings;
pub use ingest::{DefaultIngestOwner, IngestSettings};
pub use ivs::{IvsChannelType, IvsCredentials, IvsSettings};
pub use media_push::{MediaPushMode, MediaPushSettings, MediaPushVideoSettings};
pub use mux::MuxSettings;
pub use network::{Network, NotANetwork};
pub use platforms::PlatformsSettings;
pub use pricing::PricingSettings;
pub use problem::{MissingSetting, Origin, SettingsError, SettingsProblem};
pub(crate) use reach::is_public;
pub use relay::{IngestRetention, JanitorSettings, RelaySettings};
pub use runtime::RuntimeSettings;
pub use server::{AuthSettings, DatabaseSettings, ServerSettings};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use vendors::VendorsSettings;
pub use webhooks::WebhooksSettings;

use serde::Deserialize;

/// All settings, one field per section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub runtime: RuntimeSettings,
    pub fleet: FleetSettings,
    pub auth: AuthSettings,
    pub relay: RelaySettings,
    pub janitor: JanitorSettings,
    pub vendors: VendorsSettings,
    pub platforms: PlatformsSettings,
    pub ingest: IngestSettings,
    pub cloudflare: CloudflareSettings,
    pub mux: MuxSettings,
    pub ivs: IvsSettings,
    pub agora: AgoraSettings,
    pub pricing: PricingSettings,
    pub webhooks: WebhooksSettings,
    pub telemetry: TelemetrySettings,
}

const PLATFORMS: [&str; 3] = [cloudflare::NAME, mux::NAME, ivs::NAME];

impl Default for PlatformsSettings {
    fn default() -> Self {
        Self {
            default: cloudflare::NAME.into(),
        }
    }
}

/// The short names of the platforms' settings.
fn platform_short_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = cloudflare::SHORT_NAMES.into_iter();
    all.chain(mux::SHORT_NAMES).chain(ivs::SHORT_NAMES)
}

impl Settings {
    fn check_platforms(&self, report: &mut problem::SettingsReport) {
        if !PLATFORMS.contains(&self.platforms.default.as_str()) {
            let names = PLATFORMS.join(", ");
            report.note("platforms.default", format!("must be one of {names}"));
        }
        self.cloudflare.check(report);
        self.mux.check(report);
        self.ivs.check(report);
    }

    /// What `serve` needs for platforms: whether it is missing, its key, and where to get it. A platform without any credentials is
    /// off, unless it is the default.
    fn needed_for_platforms(&self) -> impl Iterator<Item = (bool, &'static str, &'static str)> {
        let default = self.platforms.default.as_str();
        let [key_id, secret, region] = self.ivs.needed();
        [
            (cloudflare::NAME, self.cloudflare.needed(), None),
            (mux::NAME, self.mux.needed(), None),
            // Many machines at AWS have the region's variable: alone it does not ask for IVS.
            (ivs::NAME, [key_id, secret], Some(region)),
        ]
        .into_iter()
        .filter(move |(name, credentials, _)| {
            *name == default || credentials.iter().any(|(is_missing, ..)| !is_missing)
        })
        .flat_map(|(_, credentials, other)| credentials.into_iter().chain(other))
    }
}
