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

pub use agora::{Agora, AgoraBackend};
pub use cloud_recording::{CloudRecording, CloudRecordingVideo, Storage};
pub use cloudflare::Cloudflare;
pub(crate) use database_url::{DatabaseKind, DatabaseUrl};
pub use environment::environment;
pub use fleet::Fleet;
pub use media_push::{MediaPush, MediaPushMode, MediaPushVideo};
pub use network::{Network, NotANetwork};
pub use pricing::Pricing;
pub use problem::{Missing, Origin, Problem, SettingsError};
pub(crate) use reach::is_public;
pub use relay::{Janitor, LiveInputRetention, Relay};
pub use runtime::Runtime;
pub use server::{Auth, Database, Server};
pub use telemetry::{LogFormat, Telemetry};
pub use vendors::Vendors;
pub use webhooks::Webhooks;

use serde::Deserialize;

/// Everything relaykeeper can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How this service is reached.
    pub server: Server,
    /// Where state is kept.
    pub database: Database,
    /// The threads of a process.
    pub runtime: Runtime,
    /// Several processes on one PostgreSQL.
    pub fleet: Fleet,
    /// Who may call.
    pub auth: Auth,
    /// The life of a relay.
    pub relay: Relay,
    /// What removes orphans and pays cleanup jobs.
    pub janitor: Janitor,
    /// What holds for every vendor call.
    pub vendors: Vendors,
    /// Cloudflare Stream.
    pub cloudflare: Cloudflare,
    /// Agora.
    pub agora: Agora,
    /// Prices the cost ledger uses.
    pub pricing: Pricing,
    /// Webhooks to the marketplace.
    pub webhooks: Webhooks,
    /// Logs and traces.
    pub telemetry: Telemetry,
}
