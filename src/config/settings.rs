//! The settings and their defaults: the sections, keys and defaults of `config.toml`.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Everything relaykeeper can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How this service is reached.
    pub server: Server,
    /// Where state is kept.
    pub database: Database,
    /// Who may call.
    pub auth: Auth,
    /// The life of a relay.
    pub relay: Relay,
    /// What removes orphans and pays debts.
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
}

/// `[server]`: how this service is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on.
    pub bind: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// How vendors' webhooks and Agora's cloud browser reach this service; empty when they cannot.
    pub public_url: String,
    /// How long requests in flight may take to finish after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1".into(),
            port: 8080,
            public_url: String::new(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// `[database]`: where state is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`. May hold a password, so it is a secret.
    pub url: SecretString,
    /// How long a relay's journal is kept after its end.
    #[serde(with = "humantime_serde")]
    pub journal_retention: Duration,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite://relaykeeper.db?mode=rwc".into(),
            journal_retention: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// `[auth]`: bearer tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Tokens that reach `/v1` and `/trpc`.
    pub api_tokens: Vec<SecretString>,
    /// Tokens that reach those and `/admin`.
    pub admin_tokens: Vec<SecretString>,
}

/// `[relay]`: the life of a relay.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Names this deployment in our mark on vendor objects: `[a-z0-9-]{1,16}`.
    pub deployment: String,
    /// Between looks until live, and while interrupted.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// From accepting a start to the recorder accepting.
    #[serde(with = "humantime_serde")]
    pub provisioning_timeout: Duration,
    /// From the recorder accepting to live.
    #[serde(with = "humantime_serde")]
    pub live_timeout: Duration,
    /// Between looks while live.
    #[serde(with = "humantime_serde")]
    pub live_check_interval: Duration,
    /// How long the seller may be away.
    #[serde(with = "humantime_serde")]
    pub reconnect_window: Duration,
    /// How long the feed may be gone; sent to Cloudflare as `recording.timeoutSeconds`.
    #[serde(with = "humantime_serde")]
    pub feed_timeout: Duration,
    /// The longest a relay stays live, interruptions included, unless its start says otherwise.
    #[serde(with = "humantime_serde")]
    pub max_duration: Duration,
    /// From the first answered look for recordings to giving up.
    #[serde(with = "humantime_serde")]
    pub recording_timeout: Duration,
    /// Cloudflare's `deleteRecordingAfterDays` (30 to 1096) unless a start says otherwise.
    pub delete_recording_after_days: u16,
    /// What becomes of the live input when its relay has ended.
    pub live_input_retention: LiveInputRetention,
    /// How long a start waits for the recorder to accept before it answers 202.
    #[serde(with = "humantime_serde")]
    pub start_wait: Duration,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            deployment: "relaykeeper".into(),
            poll_interval: Duration::from_secs(5),
            provisioning_timeout: Duration::from_secs(120),
            live_timeout: Duration::from_secs(120),
            live_check_interval: Duration::from_secs(30),
            reconnect_window: Duration::from_secs(60),
            feed_timeout: Duration::from_secs(180),
            max_duration: Duration::from_secs(7200),
            recording_timeout: Duration::from_secs(600),
            delete_recording_after_days: 30,
            live_input_retention: LiveInputRetention::Delete,
            start_wait: Duration::from_secs(10),
        }
    }
}

/// What becomes of a live input when its relay has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveInputRetention {
    /// It is deleted; its recordings stay.
    Delete,
    /// It is kept, disabled.
    Keep,
}

/// `[janitor]`: what removes orphans and pays debts.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Janitor {
    /// Between two passes.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// An object younger than this is never an orphan.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Default for Janitor {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            grace: Duration::from_secs(600),
        }
    }
}

/// `[vendors]`: what holds for every vendor call.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vendors {
    /// How long a read may take.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long a call that changes something may take.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
}

impl Default for Vendors {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(15),
        }
    }
}

/// `[cloudflare]`: Cloudflare Stream.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cloudflare {
    /// The account's id.
    pub account_id: String,
    /// A token with Stream:Edit.
    pub api_token: SecretString,
    /// Where the API is.
    pub api_base_url: String,
    /// `https://customer-<code>.cloudflarestream.com`; learnt from the API when empty.
    pub customer_base_url: String,
    /// The account's quota.
    pub requests_per_5_minutes: u32,
    /// The part of the quota that is ours to use, above 0 and at most 1.
    pub budget_share: f64,
    /// Requests a second to the customer host.
    pub customer_requests_per_second: u32,
    /// Between bulk looks for finished recordings.
    #[serde(with = "humantime_serde")]
    pub recordings_interval: Duration,
    /// Verifies live notifications; empty switches their endpoint off.
    pub live_webhook_secret: SecretString,
    /// Verifies the Stream video webhook; empty switches its endpoint off.
    pub stream_webhook_secret: SecretString,
}

impl Default for Cloudflare {
    fn default() -> Self {
        Self {
            account_id: String::new(),
            api_token: SecretString::default(),
            api_base_url: "https://api.cloudflare.com/client/v4".into(),
            customer_base_url: String::new(),
            requests_per_5_minutes: 1200,
            budget_share: 0.8,
            customer_requests_per_second: 200,
            recordings_interval: Duration::from_secs(20),
            live_webhook_secret: SecretString::default(),
            stream_webhook_secret: SecretString::default(),
        }
    }
}

/// `[agora]`: Agora.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agora {
    /// The project's App ID.
    pub app_id: String,
    /// The project's primary certificate; empty for a project without one.
    pub app_certificate: SecretString,
    /// The REST API's customer id.
    pub customer_id: String,
    /// The REST API's customer secret.
    pub customer_secret: SecretString,
    /// Where the API is.
    pub api_base_url: String,
    /// Where it also is, in the order in which they are tried.
    pub fallback_base_urls: Vec<String>,
    /// What carries a channel to the live input.
    pub backend: AgoraBackend,
    /// Verify Agora's notifications: one for each product. Empty switches their endpoint off.
    pub webhook_secrets: Vec<SecretString>,
    /// A 404 means *unknown* until these waits are used up.
    #[serde(deserialize_with = "super::durations")]
    pub not_found_backoff: Vec<Duration>,
    /// Looks at a channel's hosts, per second.
    pub channel_requests_per_second: u32,
    /// `[agora.cloud_recording]`.
    pub cloud_recording: CloudRecording,
    /// `[agora.media_push]`.
    pub media_push: MediaPush,
}

impl Default for Agora {
    fn default() -> Self {
        Self {
            app_id: String::new(),
            app_certificate: SecretString::default(),
            customer_id: String::new(),
            customer_secret: SecretString::default(),
            api_base_url: "https://api.agora.io".into(),
            fallback_base_urls: vec!["https://api.sd-rtn.com".into()],
            backend: AgoraBackend::CloudRecording,
            webhook_secrets: Vec::new(),
            not_found_backoff: [5, 10, 15, 30, 60].map(Duration::from_secs).to_vec(),
            channel_requests_per_second: 20,
            cloud_recording: CloudRecording::default(),
            media_push: MediaPush::default(),
        }
    }
}

/// What carries a channel to the live input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgoraBackend {
    /// A Cloud Recording task in web mode that records our page and pushes it.
    CloudRecording,
    /// A Media Push converter.
    MediaPush,
}

/// `[agora.cloud_recording]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudRecording {
    /// The product's quota per App ID.
    pub requests_per_second: u32,
    /// Recorders at once; 0: not known. A start above it is refused, and the rate is at most 10 % of it.
    pub max_concurrent: u32,
    /// The page the cloud browser opens; empty: ours, under `server.public_url`.
    pub page_url: String,
    /// Between queries, besides those 5, 15 and 45 s after the start.
    #[serde(with = "humantime_serde")]
    pub query_interval: Duration,
    /// The most hours a start asks for (`maxRecordingHour`).
    pub max_recording_hours: u32,
    /// The picture.
    pub video: CloudRecordingVideo,
    /// Where Agora uploads its own copy; web mode has no way without.
    pub storage: Storage,
    /// Recorders' uids start here.
    pub recording_uid_base: u32,
}

impl Default for CloudRecording {
    fn default() -> Self {
        Self {
            requests_per_second: 10,
            max_concurrent: 0,
            page_url: String::new(),
            query_interval: Duration::from_secs(120),
            max_recording_hours: 25,
            video: CloudRecordingVideo::default(),
            storage: Storage::default(),
            recording_uid_base: 900_000_000,
        }
    }
}

/// `agora.cloud_recording.video`: the picture.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudRecordingVideo {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub frame_rate: u32,
    /// kbit/s.
    pub bitrate_kbps: u32,
}

impl Default for CloudRecordingVideo {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            frame_rate: 30,
            bitrate_kbps: 3000,
        }
    }
}

/// `agora.cloud_recording.storage`: Agora's `storageConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Agora's number of the storage vendor (1 is Amazon S3).
    pub vendor: u32,
    /// Agora's number of the vendor's region.
    pub region: u32,
    /// The bucket: give it a 1-day lifecycle rule.
    pub bucket: String,
    /// The bucket's access key.
    pub access_key: SecretString,
    /// The bucket's secret key.
    pub secret_key: SecretString,
}

/// `[agora.media_push]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaPush {
    /// The product's quota.
    pub requests_per_second: u32,
    /// Converters at once; 0: not known. A start above it is refused, and the rate is at most 10 % of it.
    pub max_concurrent: u32,
    /// `cn`, `ap`, `na` or `eu`.
    pub region: String,
    /// A converter whose channel is empty for this long destroys itself.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Between looks at a converter.
    #[serde(with = "humantime_serde")]
    pub query_interval: Duration,
    /// Whether Agora transcodes.
    pub mode: MediaPushMode,
    /// The picture, when it does.
    pub video: MediaPushVideo,
}

impl Default for MediaPush {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            max_concurrent: 0,
            region: "na".into(),
            idle_timeout: Duration::from_secs(240),
            query_interval: Duration::from_secs(15),
            mode: MediaPushMode::Transcoded,
            video: MediaPushVideo::default(),
        }
    }
}

/// Whether Agora transcodes what it pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaPushMode {
    /// `transcodeOptions`: a canvas of fixed size, whatever the seller sends.
    Transcoded,
    /// `rawOptions`: the seller's stream as it is.
    Raw,
}

/// `agora.media_push.video`: the picture of a transcoded converter.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaPushVideo {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub frame_rate: u32,
    /// Between two key frames: 2 to 10 (Cloudflare's limits).
    pub gop_seconds: u32,
    /// kbit/s, at least 2,000 with the audio (Cloudflare's limit).
    pub bitrate_kbps: u32,
}

impl Default for MediaPushVideo {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            frame_rate: 30,
            gop_seconds: 4,
            bitrate_kbps: 3420,
        }
    }
}

/// `[pricing]`: US dollars per 1,000 minutes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pricing {
    /// A minute stored at Cloudflare.
    pub cloudflare_stored: f64,
    /// A minute of the recorder.
    pub agora: f64,
}

impl Default for Pricing {
    fn default() -> Self {
        Self {
            cloudflare_stored: 5.0,
            agora: 14.0,
        }
    }
}

/// `[webhooks]`: to the marketplace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// The marketplace's receiver; empty: none.
    pub endpoint: String,
    /// `whsec_…`; the first signs.
    pub secrets: Vec<SecretString>,
    /// Let the endpoint be a private or loopback address.
    pub allow_private: bool,
}
