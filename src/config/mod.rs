//! Settings: `config.toml` < environment < flags. Secrets cannot be printed.
//!
//! [`Settings::load`] reads them, [`Settings::validate`] refuses what cannot work, [`Settings::warnings`] tells what
//! looks wrong, and [`Settings::missing_for_serve`] what real vendors need and nobody has set.

mod agora;
mod cloud_recording;
mod cloudflare;
mod database_url;
mod environment;
mod fleet;
mod keys;
mod load;
mod media_push;
mod network;
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

pub use agora::{AgoraBackend, AgoraSettings};
pub use cloud_recording::{CloudRecordingSettings, CloudRecordingVideoSettings, StorageSettings};
pub use cloudflare::CloudflareSettings;
pub(crate) use database_url::{DatabaseKind, DatabaseUrl};
pub use environment::environment;
pub use fleet::FleetSettings;
pub use media_push::{MediaPushMode, MediaPushSettings, MediaPushVideoSettings};
pub use network::{Network, NotANetwork};
pub use pricing::PricingSettings;
pub use problem::{MissingSetting, Origin, SettingsError, SettingsProblem};
pub(crate) use reach::is_public;
pub use relay::{JanitorSettings, LiveInputRetention, RelaySettings};
pub use runtime::RuntimeSettings;
pub use server::{AuthSettings, DatabaseSettings, ServerSettings};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use vendors::VendorsSettings;
pub use webhooks::WebhooksSettings;

use serde::Deserialize;

/// Everything relaykeeper can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How this service is reached.
    pub server: ServerSettings,
    /// Where state is kept.
    pub database: DatabaseSettings,
    /// The threads of a process.
    pub runtime: RuntimeSettings,
    /// Several processes on one PostgreSQL.
    pub fleet: FleetSettings,
    /// Who may call.
    pub auth: AuthSettings,
    /// The life of a relay.
    pub relay: RelaySettings,
    /// What removes orphans and pays cleanup jobs.
    pub janitor: JanitorSettings,
    /// What holds for every vendor call.
    pub vendors: VendorsSettings,
    /// Cloudflare Stream.
    pub cloudflare: CloudflareSettings,
    /// Agora.
    pub agora: AgoraSettings,
    /// Prices the cost ledger uses.
    pub pricing: PricingSettings,
    /// Webhooks to the marketplace.
    pub webhooks: WebhooksSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
}
