//! How the simulated vendors behave: every knob, with the documented behaviour as the default.

use std::time::Duration;

use super::fault::VendorFault;

/// What happens when Cloud Recording's `start` arrives too late after its `acquire` (`agora.md §2.3`: within 2 s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRule {
    /// Nothing.
    Ignore,
    /// The violation `start_too_late` is recorded, the start succeeds.
    Record,
    /// The violation is recorded and the start fails with 400, code 2.
    Refuse,
}

/// The vendors' limits. Windows are simulated time.
///
/// They can be set anew while the vendors run. No vendor does that; it is for callers that bring many things up at raised
/// limits and then hold to the documented ones. A limit per time that is changed starts a new window: what was called before
/// is not counted, and a block it led to is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Cloudflare API calls in any window of `cloudflare_window` (`cloudflare-stream.md §1.4`).
    pub cloudflare_requests: u32,
    /// Cloudflare's window, and for how long everything is blocked once it was passed.
    pub cloudflare_window: Duration,
    /// Cloud Recording calls a second (`agora.md §2.7`).
    pub cloud_recording_per_second: u32,
    /// Media Push calls a second (`agora.md §4.10`).
    pub media_push_per_second: u32,
    /// Looks at a channel's hosts a second (`agora.md §5.2`).
    pub hosts_per_second: u32,
    /// Cloud Recording tasks at once, beyond which `acquire` answers 400/406.
    pub max_egresses: usize,
    /// Media Push converters at once, beyond which `create` answers 429.
    pub max_converters: usize,
    /// Of these, converters of more than 1280×720 (`agora.md §4.10`: none outside China).
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

/// Where the vendors' webhooks go. None are sent to an address that is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookUrls {
    /// Cloudflare's live notifications, beside the destinations made through the alerting API.
    pub cloudflare_live: Option<String>,
    /// Cloudflare's one Stream webhook, as if `PUT …/stream/webhook` had been called.
    pub cloudflare_stream: Option<String>,
    /// Agora's notifications of all products.
    pub agora: Option<String>,
    /// Every delivery is made twice.
    pub duplicates: bool,
    /// Deliveries are delayed by up to 5 simulated seconds each, so that they overtake one another.
    pub reordered: bool,
}

/// Which answers about Cloudflare's Stream webhook hold its secret: the documentation shows it in all, the schema in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSecret {
    /// All.
    Shown,
    /// The one to GET.
    OnlyRead,
    /// None.
    Hidden,
}

/// Everything that can be set before the start. Durations are simulated time unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much faster than the wall clock the simulated clock runs.
    pub speed: f64,
    /// How many seconds of the wire (`timeoutSeconds`, `idleTimeout`, `readyTimeout`, `maxRecordingHour`, a video's
    /// `duration`) pass in a second of the wall clock. `None`: as many as `speed`. 1.0 is for a caller that shortens its own
    /// timers and sends them shortened.
    pub wire_speed: Option<f64>,
    /// Ports of the four servers; 0 takes a free one. The second Agora address and the control address are always free ones.
    pub cloudflare_port: u16,
    /// Port of the customer host.
    pub customer_port: u16,
    /// Port of Agora's first address.
    pub agora_port: u16,
    /// Faults from the start on.
    pub faults: Vec<VendorFault>,
    /// Whether the seller of a channel nobody spoke of is there.
    pub sellers_present: bool,
    /// The uid under which such a seller appears among a channel's hosts, unless a converter or a page named another.
    pub seller_uid: u32,
    /// The vendors' limits.
    pub quotas: Quotas,
    /// How long creating a live input takes.
    pub create_latency: Duration,
    /// How long `acquire` takes.
    pub acquire_latency: Duration,
    /// How long Cloud Recording's `start` and Media Push's `create` take.
    pub start_latency: Duration,
    /// How long every other call takes.
    pub latency: Duration,
    /// Ids and credentials are drawn from this; `None` draws the seed.
    pub seed: Option<u64>,
    /// From an encoder's connection to a picture (`cloudflare-stream.md §3.7`).
    pub playable_after: Duration,
    /// From the end of a broadcast to its video `ready` (`cloudflare-stream.md §4.5`).
    pub recording_ready_after: Duration,
    /// The hold when `timeoutSeconds` is null (unverified at the vendor: `cloudflare-stream.md §2.6`).
    pub default_timeout: Duration,
    /// Whether `/lifecycle` goes on saying `live` while a lost feed is held (unverified at the vendor).
    pub lifecycle_holds: bool,
    /// The customer host that answers name, such as `https://customer-abc.cloudflarestream.com`; `None`: the simulated one.
    pub customer_host_in_answers: Option<String>,
    /// Which answers about Cloudflare's Stream webhook hold its secret.
    pub stream_secret: StreamSecret,
    /// Whether a live input carries `playback` (`cloudflare-stream.md §3.2`: yes now, no before).
    pub playback_in_answers: bool,
    /// Whether `GET` of a live input that never had an encoder carries `status: null` (else the key is missing).
    pub status_null: bool,
    /// Whether a live input's `status` is the bare word of the official types instead of the object of the wire.
    pub status_as_text: bool,
    /// Whether the Cloudflare token is owned by the account (then only `/accounts/{a}/tokens/verify` knows it).
    pub account_owned_token: bool,
    /// Whether the Agora app has a certificate, so that tokens are checked.
    pub certificate: bool,
    /// What a late `start` leads to.
    pub start_rule: StartRule,
    /// How late is late: in *wall-clock* time, because it is the caller's own promptness that is tested.
    pub start_within: Duration,
    /// How long a resource id can be used.
    pub resource_lifetime: Duration,
    /// From the start of an egress to its first attempt to push.
    pub push_after: Duration,
    /// From the creation of a converter to its first attempt to push.
    pub converter_push_after: Duration,
    /// How often the page says whether the seller is there.
    pub heartbeat: Duration,
    /// Whether Media Push is enabled for the app (else 403).
    pub media_push_enabled: bool,
    /// Whether a converter is told as `{"converter":{…}}` (else its fields stand at the top).
    pub converter_wrapped: bool,
    /// Whether the answer to a converter's `GET` has `state`, `createTs` and `updateTs` (one of three examples has them, the
    /// schema does not).
    pub converter_state_in_answers: bool,
    /// How many converters a page of a list has.
    pub converter_page_size: usize,
    /// Whether the lists of hosts, converters, live inputs and videos have entries beside the documented ones that nobody can
    /// read.
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
