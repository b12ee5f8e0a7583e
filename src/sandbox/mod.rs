//! Agora, Cloudflare, Mux and Amazon IVS, simulated over HTTP on loopback: strict as their documents say, and able to fail on request.
//!
//! An independent reading of the vendors' documents, which shares no code with the clients in `vendors` and `platforms`. Where the documents are
//! silent, it takes the stricter reading.
//!
//! ```no_run
//! use relaykeeper::sandbox::{Options, SimulatedVendors};
//! let vendors = SimulatedVendors::start(Options { speed: 50.0, ..Options::default() })?;
//! println!("{} {}", vendors.cloudflare_api_base_url(), vendors.agora_base_url());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Marketplace`] is no vendor: it shows buyers the shows that the service tells of.
//!
//! # Time
//! The simulated clock is the monotonic clock times [`Options::speed`]. Durations in [`Options`], quotas and control calls are
//! simulated; those in requests (`timeoutSeconds`, `idleTimeout`, `readyTimeout`, `maxRecordingHour`) and a video's `duration`
//! follow [`Options::wire_speed`]. Time stamps (`created`, `notifyMs`, a token's expiry), rate-limit headers and the 10 s for a
//! page's answer are wall-clock time.
//!
//! # What happens without a call
//! An egress connects, within the process, to the ingest at its `rtmpUrl`: `rtmps://live.cloudflare.com:443/live/` and the current
//! stream key of an enabled live input. The live input is playable [`Options::playable_after`] later. When the encoder disconnects,
//! the manifest stays 200 without new segments for `timeoutSeconds`, then the broadcast ends. Disabling or deleting the live input
//! ends it at once; rotating keys disconnects the encoder. The video is ready [`Options::recording_ready_after`] after the end. A
//! second encoder is accepted, with the violation `double_publish`.
//!
//! To Mux it connects at `rtmps://global-live.mux.com:443/app/`, with the key of a live stream that is not disabled; a second encoder is
//! refused, with the same violation. The broadcast is recorded half of [`Options::playable_after`] later, and `active` after all of it.
//! When the encoder disconnects, `status` and manifest stay for `reconnect_window`. `complete` ends the recording, and disconnects the
//! encoder 60 s later; `disable` does both at once. The asset is `ready` from going live on, and complete
//! [`Options::recording_ready_after`] after the end.
//!
//! To Amazon IVS it connects at `rtmps://{ingestEndpoint}:443/app/`, with a channel's stream key; a second encoder is refused, with the
//! same violation, unless [`Options::ivs_new_encoder_replaces`]. Each connection is a stream of its own, which is live
//! [`Options::playable_after`] later and ends [`Options::ivs_ends_after`] after the encoder has left. Only then can the channel be deleted.
//! Deleting the key disconnects no encoder; `StopStream` does; so does IVS within a second when the egress's bitrate or canvas exceeds
//! the channel type's limit. A recording ends with the stream, the configuration's reconnect window and
//! [`Options::recording_ready_after`], unless a stream of the same size and bitrate continues it within the window. Its objects are in the
//! bucket, which the simulated S3 has and the playback host serves under `/vod/`.
//!
//! A Cloud Recording task opens its page (`GET`; any status but 200 ends the task with code 5) and acts as the page's script:
//! - `POST {origin}/recorder/token` `{"query":"<the page's query>"}` → `{"app_id","channel","uid","token"}`, retried every 2 s until
//!   2xx. With an invalid token (violation `token_refused`) the page never becomes ready. `seller_uid` in the answer sets the uid
//!   of a seller that no control call has named.
//! - It calls `notifyReady()` when a seller is in the channel; from then on the page is recorded and pushed, even if all leave. With
//!   `readyTimeout` 0 it is ready as soon as it is open.
//! - `POST {origin}/recorder/presence` `{"query","present":bool,"seq":n}` on each change and every [`Options::heartbeat`]; `seq`
//!   starts at 1 on each load.
//! - On `"leave": true` in either answer the page leaves the channel and sends nothing more; its content is still pushed.
//!
//! A Media Push converter connects [`Options::converter_push_after`] after its creation and is `running`, or `failed` if refused or
//! disconnected. It is destroyed after `idleTimeout` without any of its sellers. A raw one pushes only while its seller is present.
//!
//! # Media
//! With [`Options::media`] encoders publish by RTMPS and RTMP on loopback: the simulated Agora's, which is `ffmpeg`, and any other. The
//! same rules accept, refuse and disconnect them. `rtmps` of a live input and a channel's `ingestEndpoint` name that server, and
//! [`SimulatedVendors::mux_ingest_url`] is its URL for Mux. An ingest is playable when the first segment of a connection has come, and at
//! Cloudflare not while a connected encoder sends nothing for 4 s. Manifests and recordings have what was sent, as fragmented MP4 and not
//! transcoded; recordings last as long as it does. Live manifests are low-latency HLS at Mux with `latency_mode` `low`, and at Cloudflare
//! with `preferLowLatency` and `?protocol=llhls`. Another encoder continues a broadcast after a discontinuity. A broadcast keeps its
//! newest 256 MB, in memory.
//!
//! An egress publishes 640x360 with 15 frames a second. The two top rows of bars are the wall clock in milliseconds, and its inverse;
//! below is the channel's colour with a moving block, and a tone of 440 Hz, or black and silence while no seller is present.
//!
//! # Readings where the documents are silent
//! - `/lifecycle` says `live: false` and no video as soon as the encoder is gone, unless [`Options::lifecycle_holds`].
//! - `PUT` with a partial `recording` resets its other keys; a repeated `Idempotency-Key` returns the live input's current state.
//! - Mux: 401 `unauthorized`, 404 `not_found`, 429 `rate_limit_exceeded`; unknown fields and parameters, and `complete`, `disable` and
//!   `enable` without an effect: 400 `invalid_parameters`; an asset of a running broadcast cannot be deleted: 400.
//! - IVS: unknown fields are refused; before its stream is live, a channel is not broadcasting, but cannot be changed or deleted; S3 takes
//!   `UNSIGNED-PAYLOAD`, and checks a body's checksum if it is CRC32, SHA-1 or SHA-256.
//! - Token errors: wrong 403/10000 (verify routes 401/1000), missing 401/10000, malformed 400/6003. Wrong account: 404/7003.
//! - The manifest of a signed live input is 401, hidden views are 403; `/lifecycle` of a video uid says `isInput: false`.
//! - A refused push stays `disconnected` until it is updated; a converter stays `failed`.
//! - `start` with a used resource id: 400/2 (201/7 while the task runs); expired 400/433; unknown 400/1001; later than 2 s after
//!   `acquire` 400/2 and a violation ([`StartRule`]).
//! - `stop` before anything was recorded: 206/435, and the task stops. Again within 30 s: 400/49, later 404.
//! - `query` status: 2 until the page is open, 3 until it is ready, 4 until the push is due, then 5.
//!
//! # Control
//! At [`SimulatedVendors::control_url`], without authentication. JSON in; `{"ok":true}` or 400 `{"ok":false,"error":"…"}` out.
//!
//! | call | body |
//! |---|---|
//! | `GET /control/state` | none; returns a [`WorldSnapshot`] |
//! | `POST /control/sellers` | `{"channel":"show","uid":7,"present":false}`; without `uid`: all sellers; `"by":"role"`: a role switch, not a join or leave |
//! | `POST /control/faults` | `{"fault":"agora.cloud_recording.start=cut-after,times=1"}`; see [`VendorFault`] |
//! | `DELETE /control/faults` | none |
//! | `PUT /control/ingest` | `{"fault":"silent"}`, `{"fault":"refuse-again","after_seconds":8}` or `{}`; see [`IngestFault`] |
//! | `PUT /control/webhooks` | `{"cloudflare_live":url,"cloudflare_stream":url,"agora":url,"mux":url,"ivs":url,"duplicates":bool,"reordered":bool}`; missing means off |
//! | `PUT /control/quotas` | any fields of [`Quotas`], with a number (`cloudflare_window_seconds` for the window) |
//! | `POST /control/egresses/{sid or converter id}/kill` | `{"back_after_seconds":60}`: [`SimulatedVendors::kill`] |
//! | `POST /control/egresses/{sid or converter id}/drop` | `{"seconds":20}`: [`SimulatedVendors::drop_feed`] |
//! | `POST /control/live_inputs` | none: [`SimulatedVendors::foreign_live_input`] |
//! | `POST /control/live_inputs/{uid}/reconnect` | none: [`SimulatedVendors::reconnect`] |
//! | `POST /control/videos/{uid}/length` | `{"known":false}`: [`SimulatedVendors::hide_length`] |

mod agora;
mod calls;
mod cloudflare;
mod control;
mod customer;
mod egress;
mod environment;
mod fault;
mod host;
mod http;
mod ivs;
mod listeners;
mod marketplace;
mod media;
mod mux;
mod options;
mod s3;
mod server;
mod sigv4;
mod simulated_vendors;
mod snapshot;
mod world;

pub use calls::VendorCall;
pub use fault::{FaultError, FaultKind, IngestFault, VendorFault};
pub use marketplace::Marketplace;
pub use options::{Options, Quotas, StartRule, StreamSecret, WebhookUrls};
pub use simulated_vendors::SimulatedVendors;
pub use snapshot::{EgressSnapshot, IngestCounts, LiveInputSnapshot, VideoSnapshot, WorldSnapshot};
pub use world::{CallRecord, Violation};
