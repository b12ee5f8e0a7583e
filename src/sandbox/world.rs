//! The state of all vendors, behind one lock.

mod clock;
mod converters;
mod credentials;
mod dice;
mod ingest;
mod ingest_faults;
mod ingest_urls;
mod ivs;
mod ivs_broadcast;
mod ivs_recordings;
mod live_inputs;
mod media;
mod mux;
mod mux_broadcast;
mod quota;
mod sellers;
mod tasks;
mod videos;
mod webhooks;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::calls::VendorCall;
use super::fault::Faults;
use super::listeners::{Addresses, Listener};
use super::options::{Options, Quotas, WebhookUrls};
use super::sigv4::Signer;

pub(super) use clock::{duration_seconds_of, stamp};
pub(super) use converters::{BRIEF, ConverterEvent, Converters, SimConverter};
pub(super) use credentials::Credentials;
pub(super) use dice::Dice;
pub(super) use ingest_faults::IngestFaults;
pub(super) use ingest_urls::{IngestUrls, SimPlatform};
pub(super) use ivs::{
    IvsChannelSettings, REGION as IVS_REGION, SimAwsAccount, SimChannel, SimObject, SimSession,
    SimStreamKey, SimVideoProfile, channel_object as ivs_channel_object,
};
pub(super) use live_inputs::{SimLiveInput, SimRecordingSettings, SimVideo, SimVideoState};
pub(super) use media::Publication;
pub(super) use mux::{
    MuxPlaybackId, MuxState, MuxStatus, MuxStreamSettings, MuxWebhook, SimMuxAsset, SimMuxStream,
    asset_object, stream_object,
};
pub(super) use tasks::{PushState, Resource, SimTask, TaskPhase, Tasks};
pub(super) use videos::{video_name, video_object, video_state};
pub(super) use webhooks::{
    AlertDestination, AlertPolicy, OutgoingWebhook, deliver, notify_live_input, notify_mux,
    test_message_is_delivered,
};

pub(super) use clock::SimClock;
use ivs::IvsState;
use live_inputs::{DueEvents, SimIngest};
use media::ExpectedEncoders;
use quota::{BlockingWindow, QuotaWindow};
use sellers::Sellers;

const MAX_RECORDS: usize = 200_000;

/// A vendor's rule that a client broke.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// Wall-clock time.
    pub at: DateTime<Utc>,
    /// `double_publish`, `quota_passed`, `start_too_late`, `egresses_passed`, `converters_passed`, `token_refused`,
    /// `resource_reused`, `task_conflict` or `name_conflict`.
    pub kind: &'static str,
    /// An id or a call's name.
    pub subject: String,
}

/// A received call.
#[derive(Clone, Debug, Serialize)]
pub struct CallRecord {
    /// Wall-clock time of the answer.
    pub at: DateTime<Utc>,
    /// [`VendorCall::name`], or `unknown` if no route matched.
    pub call: &'static str,
    /// `POST /v1/apps/…`, without the query.
    pub line: String,
    /// `None` if a fault prevented an answer.
    pub status: Option<u16>,
}

pub(super) enum BackgroundJob {
    RunTask(String),
    RunConverter(String),
    Publish(Publication),
    Deliver(OutgoingWebhook),
}

pub(super) struct World {
    pub(super) options: Options,
    pub(super) clock: SimClock,
    pub(super) keys: Credentials,
    pub(super) addresses: Addresses,
    pub(super) ingests: IngestUrls,
    pub(super) http: reqwest::Client,
    pub(super) jobs: UnboundedSender<BackgroundJob>,
    state: Mutex<WorldState>,
}

pub(super) struct WorldState {
    pub(super) dice: Dice,
    pub(super) quotas: Quotas,
    pub(super) webhooks: WebhookUrls,
    pub(super) faults: Faults,
    pub(super) live_inputs: BTreeMap<String, SimLiveInput>,
    pub(super) idempotency: HashMap<String, (String, Duration)>,
    pub(super) videos: BTreeMap<String, SimVideo>,
    pub(super) due: DueEvents,
    pub(super) mux: MuxState,
    pub(super) ivs: IvsState,
    pub(super) next_connection: u64,
    pub(super) connections: HashMap<u64, SimIngest>,
    /// By connection.
    expected: ExpectedEncoders,
    pub(super) ingest_faults: IngestFaults,
    pub(super) destinations: Vec<AlertDestination>,
    pub(super) policies: Vec<AlertPolicy>,
    pub(super) resources: HashMap<String, Resource>,
    pub(super) tasks: Tasks,
    pub(super) converters: Converters,
    pub(super) sellers: Sellers,
    pub(super) cloudflare_quota: BlockingWindow,
    pub(super) recording_quota: QuotaWindow,
    pub(super) push_quota: QuotaWindow,
    pub(super) hosts_quota: QuotaWindow,
    pub(super) violations: VecDeque<Violation>,
    pub(super) calls: VecDeque<CallRecord>,
    pub(super) notices: Vec<OutgoingWebhook>,
    pub(super) next_notice: u64,
    pub(super) delivered: u64,
    pub(super) secrets: Vec<String>,
}

impl WorldState {
    pub(super) fn new(dice: Dice, options: &Options) -> Self {
        let mut faults = Faults::default();
        for fault in &options.faults {
            faults.add(fault.clone());
        }
        Self {
            dice,
            quotas: options.quotas.clone(),
            webhooks: options.webhooks.clone(),
            faults,
            live_inputs: BTreeMap::new(),
            idempotency: HashMap::new(),
            videos: BTreeMap::new(),
            due: DueEvents::default(),
            mux: MuxState::default(),
            ivs: IvsState::default(),
            next_connection: 0,
            connections: HashMap::new(),
            expected: ExpectedEncoders::new(),
            ingest_faults: IngestFaults::default(),
            destinations: Vec::new(),
            policies: Vec::new(),
            resources: HashMap::new(),
            tasks: Tasks::default(),
            converters: Converters::default(),
            sellers: Sellers::new(options.sellers_present, options.seller_uid),
            cloudflare_quota: BlockingWindow::default(),
            recording_quota: QuotaWindow::default(),
            push_quota: QuotaWindow::default(),
            hosts_quota: QuotaWindow::default(),
            violations: VecDeque::new(),
            calls: VecDeque::new(),
            notices: Vec::new(),
            next_notice: 0,
            delivered: 0,
            secrets: Vec::new(),
        }
    }

    pub(super) fn set_quotas(&mut self, new: Quotas) {
        let old = std::mem::replace(&mut self.quotas, new);
        let new = &self.quotas;
        if (old.cloudflare_requests, old.cloudflare_window)
            != (new.cloudflare_requests, new.cloudflare_window)
        {
            self.cloudflare_quota = BlockingWindow::default();
        }
        let mux = |quotas: &Quotas| (quotas.mux_posts_per_second, quotas.mux_others_per_second);
        if mux(&old) != mux(new) {
            self.mux.refill();
        }
        let ivs = |quotas: &Quotas| (quotas.ivs_per_second, quotas.ivs_tags_per_second);
        if ivs(&old) != ivs(new) {
            self.ivs.budgets.clear();
        }
        for (before, after, window) in [
            (
                old.cloud_recording_per_second,
                new.cloud_recording_per_second,
                &mut self.recording_quota,
            ),
            (
                old.media_push_per_second,
                new.media_push_per_second,
                &mut self.push_quota,
            ),
            (
                old.hosts_per_second,
                new.hosts_per_second,
                &mut self.hosts_quota,
            ),
        ] {
            if before != after {
                *window = QuotaWindow::default();
            }
        }
    }

    pub(super) fn violation(&mut self, kind: &'static str, subject: impl Into<String>) {
        let subject = subject.into();
        tracing::debug!(kind, subject, "sandbox: a vendor's rule was violated");
        remember(
            &mut self.violations,
            Violation {
                at: Utc::now(),
                kind,
                subject,
            },
        );
    }

    pub(super) fn called(&mut self, call: Option<VendorCall>, line: String, status: Option<u16>) {
        let call = call.map_or("unknown", VendorCall::name);
        remember(
            &mut self.calls,
            CallRecord {
                at: Utc::now(),
                call,
                line,
                status,
            },
        );
    }
}

fn remember<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == MAX_RECORDS {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl World {
    pub(super) fn new(
        options: Options,
        dice: Dice,
        keys: Credentials,
        addresses: Addresses,
        ingests: IngestUrls,
        http: reqwest::Client,
        jobs: UnboundedSender<BackgroundJob>,
    ) -> Self {
        let state = Mutex::new(WorldState::new(dice, &options));
        Self {
            clock: SimClock::new(options.speed, options.wire_speed),
            keys,
            addresses,
            ingests,
            http,
            jobs,
            state,
            options,
        }
    }

    /// Runs `work` after the changes that are due.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut WorldState, Duration) -> T) -> T {
        let mut state = self.state.lock();
        let now = self.clock.now();
        state.settle(self, now);
        let result = work(&mut state, now);
        for notice in state.notices.drain(..) {
            // Fails only while the sandbox stops.
            let _ = self.jobs.send(BackgroundJob::Deliver(notice));
        }
        result
    }

    pub(super) fn odd_entries(&self) -> Vec<Value> {
        if !self.options.odd_entries {
            return Vec::new();
        }
        let beyond = u64::from(u32::MAX) + 1;
        vec![
            json!("alice"),
            json!(-5),
            Value::Null,
            json!(beyond),
            json!({"state": 7}),
        ]
    }

    pub(super) fn cloudflare_url(&self) -> String {
        format!("{}/client/v4", self.addresses.url(Listener::Cloudflare))
    }

    /// Whose signatures are valid.
    pub(super) fn aws_signer<'a>(&'a self, service: &'a str) -> Signer<'a> {
        let keys = &self.keys.ivs;
        let is_temporary = self.options.ivs_temporary_credentials;
        Signer {
            access_key_id: &keys.access_key_id,
            secret_access_key: &keys.secret_access_key,
            session_token: is_temporary.then_some(&keys.session_token),
            region: IVS_REGION,
            service,
        }
    }

    pub(super) fn named_customer_url(&self) -> String {
        let named = self.options.customer_host_in_answers.clone();
        named.unwrap_or_else(|| self.customer_url())
    }

    pub(super) fn customer_url(&self) -> String {
        self.addresses.url(Listener::Customer)
    }
}
