//! Translates a relay's calls into vendor requests, and the answers back. Secrets stop here: the stream key is kept in memory
//! only, and read from the platform again after a restart.

mod egress;
mod ingest;
mod kept;
mod polls;
mod publish_urls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::publish_urls::PublishUrls;
#[cfg(feature = "sandbox")]
use super::crash::{self, CrashOperation, CrashPoint};
use crate::config::Settings;
use crate::egresses::Egresses;
use crate::platforms::{FeedQuestion, Platform, Platforms};
use crate::relay::{Answer, Call, Class, Durable, Failure, Phase, PlatformName};
use crate::store::Store;
use crate::vendors::agora::page::Links;
use crate::vendors::agora::{Agora, Channels};
use crate::vendors::governor::{self, Governor, Priority};
use crate::vendors::lease::Lease;
use crate::vendors::{Done, VendorError};

/// The longest wait for a permit.
const PATIENCE: Duration = Duration::from_secs(60);

/// The vendors' clients and what they share.
#[derive(Debug)]
pub struct VendorClients {
    /// The platforms that are on.
    pub platforms: Platforms,
    /// Agora.
    pub agora: Agora,
    /// The backends of egresses.
    pub egresses: Egresses,
    /// Who is in a channel.
    pub(super) presence: Channels,
    /// Links to the recorder's page; `None` without `server.public_url`.
    pub links: Option<Links>,
    pub(super) lease: Lease,
    pub(super) publish_urls: PublishUrls,
    runtime: tokio::runtime::Handle,
}

impl VendorClients {
    /// Fails on invalid settings. The clients call only while `lease` is held; relays' calls run on `runtime`.
    pub fn new(
        settings: Arc<Settings>,
        runtime: tokio::runtime::Handle,
        lease: Lease,
        platforms: Platforms,
    ) -> anyhow::Result<Self> {
        let agora = Agora::new(&settings.agora, &settings.vendors, &lease)?;
        let links = Links::new(&settings.agora, &settings.server.public_url).ok();
        Ok(Self {
            platforms,
            egresses: Egresses::of_settings(&settings, &agora, links.as_ref()),
            presence: agora.channel().clone(),
            agora,
            links,
            lease,
            publish_urls: PublishUrls::default(),
            runtime,
        })
    }

    /// Fails if the platform is switched off.
    pub(super) fn platform(&self, name: &str) -> Result<&dyn Platform, Failure> {
        let platform = self.platforms.get(name).map(AsRef::as_ref);
        platform.ok_or_else(|| Failure {
            class: Class::Unavailable,
            maybe_done: false,
            ..unexpected(
                name,
                "platform",
                "the platform is off: it has no credentials",
            )
        })
    }

    pub(super) fn governors(&self) -> impl Iterator<Item = &Governor> {
        let platforms = self.platforms.iter();
        platforms
            .flat_map(|platform| platform.governors())
            .chain(self.agora.governors())
    }
}

/// Makes the vendor calls of one relay actor.
#[derive(Clone)]
pub(super) struct VendorCalls {
    vendors: Arc<VendorClients>,
    store: Store,
    platform: PlatformName,
    /// The ingest's URL with the stream key.
    publish_url: Arc<Mutex<Option<SecretString>>>,
    /// Closed when no more calls may be made. A restarted actor waits until it is empty.
    in_flight: TaskTracker,
    cancel: CancellationToken,
}

impl VendorCalls {
    pub(super) fn new(vendors: Arc<VendorClients>, store: Store, platform: PlatformName) -> Self {
        Self {
            vendors,
            store,
            platform,
            publish_url: Arc::default(),
            in_flight: TaskTracker::new(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn in_flight(&self) -> &TaskTracker {
        &self.in_flight
    }

    pub(super) fn is_closed(&self) -> bool {
        self.in_flight.is_closed()
    }

    /// Refuses further calls and cancels those in flight. The next owner looks up their outcome.
    pub(super) fn abandon(&self) {
        self.in_flight.close();
        self.cancel.cancel();
    }

    /// Refuses further calls, and cancels those still in flight after `limit`.
    pub(super) async fn wind_up(&self, limit: Duration) {
        self.in_flight.close();
        let _ = tokio::time::timeout(limit, self.in_flight.wait()).await;
        self.abandon();
        self.in_flight.wait().await;
    }

    /// Calls `done` exactly once, even after a panic, unless closed or cancelled.
    pub(super) fn call(
        &self,
        durable: Arc<Durable>,
        call: Call,
        done: impl FnOnce(Result<Answer, Failure>) + Send + 'static,
    ) {
        if self.is_closed() {
            return;
        }
        let calls = self.clone();
        let cancel = self.cancel.clone();
        let runtime = self.vendors.runtime.clone();
        let work = self.in_flight.track_future(async move {
            let name = call.to_string();
            #[cfg(feature = "sandbox")]
            let operation = CrashOperation::of(&call);
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::Before(operation));
            let made = std::panic::AssertUnwindSafe(calls.make(&durable, call))
                .catch_unwind()
                .await;
            let result = made.unwrap_or_else(|_| Err(panicked(&name)));
            if let Err(failure) = &result {
                tracing::debug!(
                    call = name,
                    class = %failure.class,
                    error = failure.message,
                    "vendor call failed"
                );
            }
            #[cfg(feature = "sandbox")]
            crash::point(CrashPoint::After(operation));
            done(result);
        });
        let work = async move { cancel.run_until_cancelled(work).await };
        runtime.spawn(work.in_current_span());
    }

    async fn make(&self, durable: &Durable, call: Call) -> Result<Answer, Failure> {
        match call {
            Call::ClaimIngest => self.claim_ingest(durable).await,
            Call::EndBroadcast { ingest } => self.end_broadcast(durable, &ingest).await,
            Call::CreateIngest { attempt } => self.create_ingest(durable, attempt).await,
            Call::FindIngest { attempt } => self.find_ingest(durable, attempt).await,
            Call::RenewIngestKey { ingest } => self.renew_key(durable, &ingest).await,
            Call::CloseIngest { ingest, urgent } => self.close_ingest(&ingest, urgent).await,
            Call::RemoveIngest { ingest } => self.remove_ingest(&ingest).await,
            Call::PrepareEgress { attempt } => self.prepare_egress(durable, attempt).await,
            Call::StartEgress {
                attempt,
                preparation,
                ingest,
            } => {
                self.start_egress(durable, attempt, preparation.as_ref(), &ingest)
                    .await
            }
            Call::UpdateEgress { egress, ingest } => {
                self.update_egress(durable, &egress, &ingest).await
            }
            Call::StopEgress(egress) => self.stop_egress(&egress).await,
            Call::PollFeed {
                ingest,
                probe_manifest,
                manifest_first,
            } => {
                let question = match (probe_manifest, manifest_first) {
                    (_, true) => FeedQuestion::WatchableFirst,
                    (true, false) => FeedQuestion::Both,
                    (false, false) => FeedQuestion::Publishing,
                };
                self.poll_feed(durable, &ingest, question).await
            }
            Call::PollEgress(egress) => self.poll_egress(&egress).await,
            Call::PollHosts => self.poll_hosts(durable).await,
            Call::PollRecordings { ingest, thorough } => {
                self.poll_recordings(durable, &ingest, thorough).await
            }
        }
    }

    fn platform(&self) -> Result<&dyn Platform, Failure> {
        self.vendors.platform(self.platform.as_str())
    }

    async fn publish_url(
        &self,
        durable: &Durable,
        ingest: &str,
        permit: governor::PermitRequest,
    ) -> Result<SecretString, Failure> {
        if let Some(url) = self.known_publish_url(durable, ingest) {
            return Ok(url);
        }
        let platform = self.platform()?;
        let read = platform.read_ingest(permit, ingest).await;
        let url = read.map_err(failure)?.publish_url;
        let url = url.ok_or_else(|| lacks(platform.name(), "read_ingest", "a publish URL"))?;
        let kept = durable.ingest.kept.as_ref();
        self.keep_publish_url(ingest, kept.map(|kept| kept.key_version), url.clone());
        Ok(url)
    }
}

pub(super) fn permit_request(priority: Priority) -> governor::PermitRequest {
    governor::PermitRequest::within(priority, PATIENCE)
}

/// A permit is useless after the provisioning timeout. While the relay is stopping, the call only looks up a lost answer.
fn start_permit_request(durable: &Durable) -> governor::PermitRequest {
    match durable.phase {
        Phase::Stopping => permit_request(Priority::Stop),
        Phase::Provisioning
        | Phase::AwaitingLive
        | Phase::Live
        | Phase::Interrupted
        | Phase::Finalizing
        | Phase::Ended => governor::PermitRequest {
            priority: Priority::Start,
            until: Instant::now() + durable.spec.timing.provisioning_timeout.min(PATIENCE),
        },
    }
}

pub(super) fn failure(error: VendorError) -> Failure {
    Failure {
        vendor: error.vendor.to_string(),
        call: error.call.to_owned(),
        class: error.class,
        maybe_done: error.done == Done::Unknown,
        status: error.status,
        message: error.message,
        retry_after_ms: error
            .retry_after
            .and_then(|wait| u64::try_from(wait.as_millis()).ok()),
    }
}

/// An answer lacks a required part: the call may have been carried out.
fn lacks(vendor: &str, call: &str, part: &str) -> Failure {
    unexpected(vendor, call, &format!("the answer lacks {part}"))
}

fn unexpected(vendor: &str, call: &str, message: &str) -> Failure {
    Failure {
        vendor: vendor.into(),
        call: call.into(),
        class: Class::Unexpected,
        maybe_done: true,
        status: None,
        message: message.into(),
        retry_after_ms: None,
    }
}

fn panicked(call: &str) -> Failure {
    unexpected("relaykeeper", call, "the call panicked")
}
