//! Options of the simulated vendors. The defaults are the documented behaviour.

use std::time::Duration;

use super::fault::VendorFault;

/// What happens when `start` comes too late after `acquire` (`agora.md §2.3`: within 2 s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRule {
    /// Nothing.
    Ignore,
    /// The start succeeds, with the violation `start_too_late`.
    Record,
    /// The start fails with 400, code 2, and the violation.
    Refuse,
}

/// The vendors' limits. Windows are simulated time.
///
/// They may change while the vendors run. A changed rate limit starts a new window and lifts a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Cloudflare API calls in any window of `cloudflare_window` (`cloudflare-stream.md §1.4`).
    pub cloudflare_requests: u32,
    /// Cloudflare's window, and how long exceeding the limit blocks every call.
    pub cloudflare_window: Duration,
    /// Cloud Recording calls per second (`agora.md §2.7`).
    pub cloud_recording_per_second: u32,
    /// Media Push calls per second (`agora.md §4.10`).
    pub media_push_per_second: u32,
    /// Queries of a channel's hosts per second (`agora.md §5.2`).
    pub hosts_per_second: u32,
    /// Concurrent Cloud Recording tasks; above it `acquire` answers 400/406.
    pub max_egresses: usize,
    /// Concurrent Media Push converters; above it `create` answers 429.
    pub max_converters: usize,
    /// Of these, converters above 1280×720 (`agora.md §4.10`: none outside China).
    pub max_full_hd_converters: usize,
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
        }
    }
}

/// Where the vendors' webhooks go. Without a URL none are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookUrls {
    /// Cloudflare's live notifications, besides those of the alerting API.
    pub cloudflare_live: Option<String>,
    /// Cloudflare's Stream webhook, as set by `PUT …/stream/webhook`.
    pub cloudflare_stream: Option<String>,
    /// Agora's notifications, all products.
    pub agora: Option<String>,
    /// Deliver twice.
    pub duplicates: bool,
    /// Delay each delivery by up to 5 simulated seconds.
    pub reordered: bool,
}

/// Which answers about the Stream webhook contain its secret: all in the documentation's examples, none in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSecret {
    /// All.
    Shown,
    /// The one to GET.
    OnlyRead,
    /// None.
    Hidden,
}

/// Options at the start. Durations are simulated time unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much faster than the wall clock the simulated clock runs.
    pub speed: f64,
    /// The same for durations in requests and a video's `duration`; `None`: same as `speed`.
    pub wire_speed: Option<f64>,
    /// Port of Cloudflare's API; 0: any free port. The second Agora address and the control address always use free ports.
    pub cloudflare_port: u16,
    /// Port of the customer host.
    pub customer_port: u16,
    /// Port of Agora's primary address.
    pub agora_port: u16,
    /// Faults to start with.
    pub faults: Vec<VendorFault>,
    /// Whether a seller that no control call has named is present.
    pub sellers_present: bool,
    /// The uid of such a seller, unless a converter or a page gave another.
    pub seller_uid: u32,
    /// The vendors' limits.
    pub quotas: Quotas,
    /// Latency of creating a live input.
    pub create_latency: Duration,
    /// Latency of `acquire`.
    pub acquire_latency: Duration,
    /// Latency of Cloud Recording's `start` and Media Push's `create`.
    pub start_latency: Duration,
    /// Latency of every other call.
    pub latency: Duration,
    /// Seed of ids and credentials; `None`: random.
    pub seed: Option<u64>,
    /// From an encoder's connection to playable (`cloudflare-stream.md §3.7`).
    pub playable_after: Duration,
    /// From the end of a broadcast to a `ready` video (`cloudflare-stream.md §4.5`).
    pub recording_ready_after: Duration,
    /// `timeoutSeconds` if it is null (unverified at the vendor: `cloudflare-stream.md §2.6`).
    pub default_timeout: Duration,
    /// Whether `/lifecycle` says `live` while a lost feed is held (unverified at the vendor).
    pub lifecycle_holds: bool,
    /// The customer host's URL in answers; `None`: the simulated one.
    pub customer_host_in_answers: Option<String>,
    /// Which answers about the Stream webhook contain its secret.
    pub stream_secret: StreamSecret,
    /// Whether a live input has `playback` (`cloudflare-stream.md §3.2`: now yes, before no).
    pub playback_in_answers: bool,
    /// Whether a live input that never had an encoder has `status: null` (else no such key).
    pub status_null: bool,
    /// Whether a live input's `status` is a string, as in the official types, or an object.
    pub status_as_text: bool,
    /// Whether the Cloudflare token is account-owned (then only `/accounts/{a}/tokens/verify` accepts it).
    pub account_owned_token: bool,
    /// Whether the Agora app has a certificate and so verifies tokens.
    pub certificate: bool,
    /// What happens on a late `start`.
    pub start_rule: StartRule,
    /// Limit from `acquire` to `start`, in *wall-clock* time.
    pub start_within: Duration,
    /// Lifetime of a resource id.
    pub resource_lifetime: Duration,
    /// From the start of a task to its first push.
    pub push_after: Duration,
    /// From the creation of a converter to its first push.
    pub converter_push_after: Duration,
    /// How often the page reports the seller's presence.
    pub heartbeat: Duration,
    /// Whether the app may use Media Push (else 403).
    pub media_push_enabled: bool,
    /// Whether `GET` answers a converter as `{"converter":{…}}`, or unwrapped.
    pub converter_wrapped: bool,
    /// Whether a converter's `GET` has `state`, `createTs` and `updateTs` (in one of three examples, not in the schema).
    pub converter_state_in_answers: bool,
    /// Converters per page of a list.
    pub converter_page_size: usize,
    /// Whether lists also contain malformed entries.
    pub odd_entries: bool,
    /// The vendors' webhooks.
    pub webhooks: WebhookUrls,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            speed: 1.0,
            wire_speed: None,
            cloudflare_port: 0,
            customer_port: 0,
            agora_port: 0,
            faults: Vec::new(),
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
            odd_entries: false,
            webhooks: WebhookUrls::default(),
        }
    }
}
