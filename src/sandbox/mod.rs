//! Both vendors, simulated over HTTP on loopback: strict as their documents say, and able to misbehave.
//!
//! An independent reading of `cloudflare-stream.md` and `agora.md`: nothing here knows the clients in `vendors`, and nothing there
//! knows this. Where the documents are silent the harder reading is taken, and named below.
//!
//! ```no_run
//! use relaykeeper::sandbox::{Options, Vendors};
//! let vendors = Vendors::start(Options { speed: 50.0, ..Options::default() })?;
//! println!("{} {}", vendors.cloudflare_api_base_url(), vendors.agora_base_url());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Time
//! The simulated clock is the monotonic clock times [`Options::speed`]. All durations of [`Options`], all quotas and their windows,
//! and all durations given to the control routes are simulated. Exceptions, because a caller's own clock is meant:
//! - every time stamp (`created`, `notifyMs`, a token's expiry, …) is the wall clock's;
//! - durations in a caller's requests (`timeoutSeconds`, `idleTimeout`, `readyTimeout`, `maxRecordingHour`) and a video's `duration`
//!   go by [`Options::wire_speed`];
//! - `Retry-After`, `Ratelimit` and `Ratelimit-Policy` tell wall-clock seconds, since a client sleeps by them;
//! - `start` must follow `acquire` within 2 s ([`Options::start_within`]) of the wall clock, as must a page's answers within 10 s.
//!
//! # What happens by itself
//! An egress connects to the simulated ingest in process, with the `rtmpUrl` it was given: `rtmps://live.cloudflare.com:443/live/` and
//! the current stream key of an enabled live input, else it is refused. [`Options::playable_after`] later there is a picture. When the
//! encoder goes, the manifest stays 200 and does not move for `timeoutSeconds`, then the broadcast is over; disabling or deleting the
//! live input ends it at once, rotating keys throws the encoder out. [`Options::recording_ready_after`] after the end, the video is
//! ready. A second encoder at one live input is let in and noted as the violation `double_publish`.
//!
//! A Cloud Recording task really opens its page (`GET`, anything but 200 ends it with code 5), and does what the page's script does:
//! - `POST {origin}/recorder/token` `{"query":"<the page's query>"}` → `{"app_id","channel","uid","token"}`, repeated every 2 s until it is
//!   answered 2xx; the token is verified (a bad one is noted as `token_refused`, and the page never gets ready). A `seller_uid` in the
//!   answer names the seller nobody spoke of.
//! - when a seller is in the channel: `notifyReady()`, and from then on the page is recorded and pushed, whoever leaves. With
//!   `readyTimeout` 0 it is ready when it is open.
//! - `POST {origin}/recorder/presence` `{"query","present":bool,"seq":n}` on each change and every 30 s; `seq` starts at 1 with each load.
//! - `"leave": true` in either answer: the page leaves the channel and falls silent; what it shows goes on being pushed.
//!
//! A Media Push converter connects 2 s after it was made and is `running`, or `failed` when it is refused or thrown out. It is destroyed when
//! none of its sellers was there for `idleTimeout`. A raw one pushes only while its seller is there.
//!
//! # Readings of our own, where the documents are silent
//! - `/lifecycle` says `live: false` and no video as soon as the encoder is gone ([`Options::lifecycle_holds`] for the opposite).
//! - `PUT` with a partial `recording` resets its other keys; an `Idempotency-Key` seen before answers its input as it is now.
//! - A wrong token: 403/10000 (on the verify routes 401/1000), none: 401/10000, no bearer: 400/6003. A wrong account: 404/7003.
//! - A signed input's manifest is 401, hidden views are 403; by video uid `/lifecycle` says `isInput: false`.
//! - A refused or thrown-out push stays `disconnected` until it is updated; a converter stays `failed`.
//! - `start` with a resource id whose task is over: 400/2 (while it runs 201/7), expired: 400/433, unknown: 400/1001. Later than 2 s after
//!   `acquire`: 400/2 and a violation ([`StartRule`]).
//! - `stop` before anything was recorded: 206/435, and it is stopped. Again within 30 s: 400/49, later 404.
//! - `status` of a task: 2 until its page is open, 3 until it is ready, 4 until its push is due, 5 from then on.
//!
//! # Faults
//! See [`VendorFault`] and [`VendorCall`]. `Status` on a Cloud Recording call carries the documented code (206: 65, 500 and 504: 62, 404: 404).
//!
//! # Control
//! On [`SimulatedVendors::control_url`], without authentication; JSON in, `{"ok":true}` or 400 `{"ok":false,"error":"…"}` out. [`SimulatedVendors`] has the same as
//! methods that need no runtime.
//!
//! | call | body |
//! |---|---|
//! | `GET /control/state` | answers a [`WorldSnapshot`] |
//! | `POST /control/sellers` | `{"channel":"show","uid":7,"present":false}`; without `uid`: every seller nobody spoke of; `"by":"role"`: it switches roles instead of joining or leaving |
//! | `POST /control/faults` | `{"fault":"agora.cloud_recording.start=cut-after,times=1"}` |
//! | `DELETE /control/faults` | takes all away |
//! | `PUT /control/webhooks` | `{"cloudflare_live":url,"cloudflare_stream":url,"agora":url,"duplicates":bool,"reordered":bool}`; what is missing is off |
//! | `PUT /control/quotas` | any of [`Quotas`]' names (`cloudflare_window_seconds` for the window) with a number; one that changes starts a new window, and no block outlasts it |
//! | `POST /control/recorders/{sid or converter id}/kill` | `{"back_after_seconds":60}`; null or missing: it never comes back |
//! | `POST /control/recorders/{sid or converter id}/drop` | `{"seconds":20}`: it does not push for so long |
//! | `POST /control/live_inputs` | answers the `uid` of a live input that somebody else in the account has |
//! | `POST /control/live_inputs/{uid}/reconnect` | its encoder connects and goes again: notified, and nothing else |
//! | `POST /control/videos/{uid}/length` | `{"known":false}`: -1 is told, though it is ready |

mod agora;
mod calls;
mod cloudflare;
mod control;
mod customer;
mod egress;
mod fault;
mod http;
mod options;
mod server;
mod simulated_vendors;
mod snapshot;
mod world;

pub use calls::VendorCall;
pub use fault::{FaultError, FaultKind, VendorFault};
pub use options::{Options, Quotas, StartRule, StreamSecret, WebhookUrls};
pub use simulated_vendors::SimulatedVendors;
pub use snapshot::{EgressSnapshot, LiveInputSnapshot, VideoSnapshot, WorldSnapshot};
pub use world::{CallRecord, Violation};
