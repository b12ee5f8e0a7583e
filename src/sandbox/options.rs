//! Options of the simulated vendors. The defaults are the documented behaviour.
#![allow(missing_docs, reason = "a comment says only what the name does not")]

use std::time::Duration;

use super::fault::VendorFault;

/// What happens when `start` comes too late after `acquire` (`agora.md §2.3`: within 2 s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRule {
    Ignore,
    /// The start succeeds, with the violation `start_too_late`.
    Record,
    /// The start fails with 400, code 2, and the violation.
    Refuse,
}

/// The vendors' limits. A changed rate limit starts a new window and lifts a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Cloudflare API calls per window (`cloudflare-stream.md §1.4`).
    pub cloudflare_requests: u32,
    /// The sliding window, and how long exceeding the limit blocks every call.
    pub cloudflare_window: Duration,
    /// Cloud Recording calls per second (`agora.md §2.7`).
    pub cloud_recording_per_second: u32,
    /// Media Push calls per second (`agora.md §4.10`).
    pub media_push_per_second: u32,
    /// Queries of a channel's hosts per second (`agora.md §5.2`).
    pub hosts_per_second: u32,
    /// Concurrent Cloud Recording tasks; above: `acquire` answers 400/406.
    pub max_egresses: usize,
    /// Concurrent Media Push converters; above: `create` answers 429.
    pub max_converters: usize,
    /// Converters above 1280×720 among them (`agora.md §4.10`: none outside China).
    pub max_full_hd_converters: usize,
    /// Mux's POST calls per second, after 4 at once (`mux.md §1.3`).
    pub mux_posts_per_second: u32,
    /// Mux's other calls per second, after 20 at once.
    pub mux_others_per_second: u32,
    /// Calls of each of IVS's operations per second, after as many at once (`ivs.md §1.3`).
    pub ivs_per_second: u32,
    /// The same for operations on tags.
    pub ivs_tags_per_second: u32,
    /// IVS's channels; above: 402.
    pub ivs_channels: usize,
    /// IVS's concurrent broadcasts; above: the encoder is refused.
    pub ivs_streams: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            cloudflare_requests: 1200,
            cloudflare_window: Duration::from_secs(300),
            cloud_recording_per_second: 10,
            media_push_per_second: 50,
            hosts_per_second: 20,
            max_egresses: 200,
            max_converters: 25,
            max_full_hd_converters: 0,
            mux_posts_per_second: 1,
            mux_others_per_second: 1,
            ivs_per_second: 5,
            ivs_tags_per_second: 10,
            ivs_channels: 5000,
            ivs_streams: 100,
        }
    }
}

/// Where the vendors send webhooks; `None`: nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookUrls {
    /// Live notifications, besides those of the alerting API.
    pub cloudflare_live: Option<String>,
    /// The Stream webhook; `PUT …/stream/webhook` sets it too.
    pub cloudflare_stream: Option<String>,
    /// Notifications of all products.
    pub agora: Option<String>,
    /// All events of the environment, besides the webhooks of the API.
    pub mux: Option<String>,
    /// All events of IVS.
    pub ivs: Option<String>,
    /// Whether each is delivered twice.
    pub duplicates: bool,
    /// Whether each is delayed by up to 5 simulated seconds.
    pub reordered: bool,
}

/// Which answers about the Stream webhook contain its secret: in the documentation's examples all, in the schema none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSecret {
    Shown,
    /// In the answer to GET.
    OnlyRead,
    Hidden,
}

/// Durations are simulated time unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much faster than the wall clock the simulated clock runs.
    pub speed: f64,
    /// The same for durations in requests and a video's `duration`; `None`: `speed`.
    pub wire_speed: Option<f64>,
    /// 0: any free port.
    pub cloudflare_port: u16,
    /// 0: any free port.
    pub customer_port: u16,
    /// 0: any free port.
    pub mux_port: u16,
    /// 0: any free port.
    pub mux_playback_port: u16,
    /// For the primary address; 0: any free port.
    pub agora_port: u16,
    pub faults: Vec<VendorFault>,
    /// Whether encoders publish by RTMP, egresses too, and viewers see what they send. Needs `ffmpeg`, and the speed 1.
    pub media: bool,
    /// Whether sellers that no control call has named are present.
    pub sellers_present: bool,
    /// The uid of such a seller, unless a converter or a page gave another.
    pub seller_uid: u32,
    pub quotas: Quotas,
    /// For creating a live input.
    pub create_latency: Duration,
    pub acquire_latency: Duration,
    /// For Cloud Recording's `start` and Media Push's `create`.
    pub start_latency: Duration,
    /// For every other call.
    pub latency: Duration,
    /// For ids and credentials; `None`: random.
    pub seed: Option<u64>,
    /// From an encoder's connection to playable (`cloudflare-stream.md §3.7`). With `media`: when its first segment has come.
    pub playable_after: Duration,
    /// From the end of a broadcast to a `ready` video (`cloudflare-stream.md §4.5`).
    pub recording_ready_after: Duration,
    /// What a null `timeoutSeconds` means (unverified at the vendor: `cloudflare-stream.md §2.6`).
    pub default_timeout: Duration,
    /// Whether `/lifecycle` says `live` while a lost feed is held (unverified at the vendor).
    pub lifecycle_holds: bool,
    /// A URL; `None`: the simulated host's.
    pub customer_host_in_answers: Option<String>,
    pub stream_secret: StreamSecret,
    /// Whether a live input has `playback` (`cloudflare-stream.md §3.2`: now yes, before no).
    pub playback_in_answers: bool,
    /// Whether a live input that never had an encoder has `status: null`, or no such key.
    pub status_null: bool,
    /// Whether a live input's `status` is a string, as in the official types, or an object.
    pub status_as_text: bool,
    /// Whether only `/accounts/{a}/tokens/verify` accepts the Cloudflare token, or only `/user/tokens/verify`.
    pub account_owned_token: bool,
    /// Whether the Agora app has a certificate, and so verifies tokens.
    pub certificate: bool,
    pub start_rule: StartRule,
    /// From `acquire` to `start`, in *wall-clock* time.
    pub start_within: Duration,
    /// From `acquire` until the resource id expires.
    pub resource_lifetime: Duration,
    /// From the start of a task to its first push.
    pub push_after: Duration,
    /// From the creation of a converter to its first push.
    pub converter_push_after: Duration,
    /// Between two reports of presence by the page.
    pub heartbeat: Duration,
    /// If not, Media Push answers 403.
    pub media_push_enabled: bool,
    /// Whether `GET` answers a converter as `{"converter":{…}}`, or unwrapped.
    pub converter_wrapped: bool,
    /// Whether a converter's `GET` has `state`, `createTs` and `updateTs` (in one of three examples, not in the schema).
    pub converter_state_in_answers: bool,
    pub converter_page_size: usize,
    /// From a broadcast's going live until answers have its `active_asset_id` (`mux.md §2.5`).
    pub mux_asset_id_after: Duration,
    /// Whether the plan has no live streams: then `create` answers 400 (`mux.md §1.4`).
    pub mux_free_plan: bool,
    /// From an encoder's disconnection to the end of IVS's stream (`Session Ended` precedes `Stream End`).
    pub ivs_ends_after: Duration,
    /// From a channel's creation until lists have it (unverified at the vendor: `ivs.md §1.5`).
    pub ivs_listed_after: Duration,
    /// From a stream's start until the list of streams has it, which a read of the one stream finds before.
    pub ivs_streams_listed_after: Duration,
    /// Whether a second encoder replaces the first, or is refused (unverified at the vendor: `ivs.md §3.4`).
    pub ivs_new_encoder_replaces: bool,
    /// Whether the account is too new to change channels: 403 `PendingVerification`.
    pub ivs_pending_verification: bool,
    /// Whether the AWS credentials need a session token.
    pub ivs_temporary_credentials: bool,
    /// The recording configuration's `recordingReconnectWindowSeconds`.
    pub ivs_recording_window_seconds: u64,
    /// The recording configuration's `state`.
    pub ivs_recording_state: &'static str,
    /// Whether recordings end with a failure.
    pub ivs_recordings_fail: bool,
    /// Whether lists also contain malformed entries.
    pub odd_entries: bool,
    pub webhooks: WebhookUrls,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            speed: 1.0,
            wire_speed: None,
            cloudflare_port: 0,
            customer_port: 0,
            mux_port: 0,
            mux_playback_port: 0,
            agora_port: 0,
            faults: Vec::new(),
            media: false,
            sellers_present: true,
            seller_uid: 12345,
            quotas: Quotas::default(),
            create_latency: Duration::from_millis(300),
            acquire_latency: Duration::from_millis(300),
            start_latency: Duration::from_millis(800),
            latency: Duration::from_millis(50),
            seed: None,
            playable_after: Duration::from_secs(3),
            recording_ready_after: Duration::from_secs(8),
            default_timeout: Duration::from_secs(60),
            lifecycle_holds: false,
            customer_host_in_answers: None,
            stream_secret: StreamSecret::Shown,
            playback_in_answers: true,
            status_null: true,
            status_as_text: false,
            account_owned_token: false,
            certificate: true,
            start_rule: StartRule::Refuse,
            start_within: Duration::from_secs(2),
            resource_lifetime: Duration::from_secs(300),
            push_after: Duration::from_secs(5),
            converter_push_after: Duration::from_secs(2),
            heartbeat: Duration::from_secs(30),
            media_push_enabled: true,
            converter_wrapped: true,
            converter_state_in_answers: true,
            converter_page_size: 500,
            mux_asset_id_after: Duration::from_secs(2),
            mux_free_plan: false,
            ivs_ends_after: Duration::from_secs(2),
            ivs_listed_after: Duration::ZERO,
            ivs_streams_listed_after: Duration::ZERO,
            ivs_new_encoder_replaces: false,
            ivs_pending_verification: false,
            ivs_temporary_credentials: false,
            ivs_recording_window_seconds: 0,
            ivs_recording_state: "ACTIVE",
            ivs_recordings_fail: false,
            odd_entries: false,
            webhooks: WebhookUrls::default(),
        }
    }
}
