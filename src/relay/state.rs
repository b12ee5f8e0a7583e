//! The durable state of a relay: saved, journaled, replayed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::outcome::{Outcome, RelayStatus};
use super::phase::Phase;
use super::spec::{Backend, Spec};

/// How far the ingest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestStage {
    /// Nothing was asked for.
    Unrequested,
    /// Its creation was asked for; whether it came about is open.
    Requested,
    /// It is there.
    Ready,
    /// It is disabled: nobody can publish.
    Disabled,
    /// It is not there, or a cleanup job takes care of it.
    Settled,
}

/// The Cloudflare ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    /// How far it is.
    pub stage: IngestStage,
    /// Which try at creating one, from 1: part of its tag.
    pub attempt: u32,
    /// When its creation was first asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// Cloudflare's uid.
    pub uid: Option<String>,
    /// Where buyers watch, over HLS.
    pub hls_url: Option<String>,
    /// The same over DASH.
    pub dash_url: Option<String>,
    /// Settings Cloudflare did not take over as sent: a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub echo_differs: Vec<String>,
    /// Its keys must be rotated before an egress may be started.
    pub keys_stale: bool,
}

/// How far an egress is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressStage {
    /// Its start was asked for; whether it runs is open.
    Starting,
    /// It was accepted.
    Running,
    /// It is being stopped so that another can take its place.
    Retiring,
    /// A cleanup job takes care of it: it may still run.
    InCleanup,
    /// It is proved gone.
    Settled,
}

impl EgressStage {
    /// Whether the relay itself has to take care of it.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Retiring => true,
            Self::InCleanup | Self::Settled => false,
        }
    }
}

/// The Agora task that pushes the channel to the ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress {
    /// Which of this relay, from 1: part of its tag, which is its `cname` or name.
    pub attempt: u32,
    /// How far it is.
    pub stage: EgressStage,
    /// Cloud Recording: the resource it was last started on.
    pub resource_id: Option<String>,
    /// Cloud Recording: when that was acquired; it lives 5 minutes (`agora.md §2.3`).
    pub acquired_at: Option<DateTime<Utc>>,
    /// Cloud Recording: resources of before on which it may have been started, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_resources: Vec<String>,
    /// Cloud Recording: its session. An egress may run without our knowing it.
    pub sid: Option<String>,
    /// A notification named the session while several resources were possible: it may be an earlier start's, which has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sid_is_guess: bool,
    /// Media Push: the converter's id.
    pub converter_id: Option<String>,
    /// When its start was answered well.
    pub accepted_at: Option<DateTime<Utc>>,
}

/// What is known of a video.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecordingState {
    /// Being recorded or processed.
    Processing,
    /// It can be watched.
    Ready,
    /// Cloudflare could not make it.
    Failed,
    /// It is owed as a deletion: recordings were not wanted.
    Deleted,
}

/// A recording Cloudflare keeps of this relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Cloudflare's uid.
    pub uid: String,
    /// What is known of it.
    pub state: RecordingState,
    /// How long it is, in milliseconds; none while that is unknown.
    pub duration_ms: Option<u64>,
    /// Where it is watched over HLS.
    pub hls_url: Option<String>,
    /// The same over DASH.
    pub dash_url: Option<String>,
    /// A picture of it.
    pub thumbnail_url: Option<String>,
}

impl Recording {
    /// Whether more is to be learnt of it: it is being made, or its length is not known yet (`cloudflare-stream.md §4.3, §4.4`).
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            RecordingState::Processing => true,
            RecordingState::Ready => self.duration_ms.is_none(),
            RecordingState::Failed | RecordingState::Deleted => false,
        }
    }
}

/// The state of a relay that survives a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durable {
    /// What it is asked to do.
    pub spec: Spec,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub phase_since: DateTime<Utc>,
    /// The ingest.
    pub ingest: Ingest,
    /// The egress: at most one that is not settled.
    pub egress: Option<Egress>,
    /// How many egresses have taken another's place, the one under way included.
    pub replacements: u32,
    /// How long the settled egresses ran.
    pub egress_seconds: u64,
    /// When the first egress was accepted.
    pub started_at: Option<DateTime<Utc>>,
    /// When a buyer could first press play.
    pub live_at: Option<DateTime<Utc>>,
    /// Since when the feed is gone.
    pub feed_gone_since: Option<DateTime<Utc>>,
    /// From when the patience with a feed that is gone counts: it starts anew with a replacement.
    pub feed_patience_from: Option<DateTime<Utc>>,
    /// Since when the seller is away.
    pub seller_away_since: Option<DateTime<Utc>>,
    /// Whether it was ever interrupted: then there may be more recordings than were seen.
    pub was_interrupted: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When the outcome was decided.
    pub stopped_at: Option<DateTime<Utc>>,
    /// What Cloudflare keeps of it.
    pub recordings: Vec<Recording>,
    /// When a poll for recordings was first answered.
    pub recordings_answered_at: Option<DateTime<Utc>>,
    /// Whether the search for recordings is over.
    pub recordings_settled: bool,
    /// What it cost.
    pub cost: Option<Cost>,
    /// When everything was accounted for.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many events the marketplace was told, or will be.
    pub announced: u32,
}

impl Durable {
    /// A relay that was just requested.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self {
            phase: Phase::Provisioning,
            phase_since: spec.requested_at,
            ingest: Ingest {
                stage: IngestStage::Unrequested,
                attempt: 1,
                requested_at: None,
                uid: None,
                hls_url: None,
                dash_url: None,
                echo_differs: Vec::new(),
                keys_stale: false,
            },
            egress: None,
            replacements: 0,
            egress_seconds: 0,
            started_at: None,
            live_at: None,
            feed_gone_since: None,
            feed_patience_from: None,
            seller_away_since: None,
            was_interrupted: false,
            outcome: None,
            stopped_at: None,
            recordings: Vec::new(),
            recordings_answered_at: None,
            recordings_settled: false,
            cost: None,
            ended_at: None,
            announced: 1,
            spec,
        }
    }

    /// The egress that is neither settled nor owed.
    #[must_use]
    pub fn open_egress(&self) -> Option<&Egress> {
        self.egress.as_ref().filter(|egress| egress.stage.is_open())
    }

    /// The egress's uid in the channel (Cloud Recording): never the same for two attempts (`agora.md §8.1`).
    #[must_use]
    pub fn recording_uid(&self, attempt: u32) -> Option<u32> {
        match &self.spec.backend {
            Backend::CloudRecording {
                recording_uid_base, ..
            } => Some(recording_uid_base.saturating_add(attempt)),
            Backend::MediaPush { .. } => None,
        }
    }

    /// The attempt an egress started now would be.
    #[must_use]
    pub fn next_attempt(&self) -> u32 {
        self.egress.as_ref().map_or(1, |egress| egress.attempt + 1)
    }

    /// The sum of the known durations of its recordings, rounded up; none when none is known.
    #[must_use]
    pub fn recorded_seconds(&self) -> Option<u64> {
        let durations = self
            .ready_recordings()
            .filter_map(|recording| recording.duration_ms);
        let sum = durations.reduce(u64::saturating_add)?;
        Some(sum.div_ceil(1000))
    }

    /// Whether more is to be learnt of a recording: the sum of their durations is not the whole.
    #[must_use]
    pub fn has_open_recordings(&self) -> bool {
        self.recordings.iter().any(Recording::is_open)
    }

    /// Its phase in fewer words.
    #[must_use]
    pub fn relay_status(&self) -> RelayStatus {
        let outcome = self.outcome.as_ref().map(|outcome| outcome.code);
        RelayStatus::of(self.phase, outcome)
    }

    /// The recording to show: the longest that is ready.
    #[must_use]
    pub fn main_recording(&self) -> Option<&Recording> {
        self.ready_recordings()
            .max_by_key(|recording| recording.duration_ms)
    }

    /// The recordings that can be watched.
    pub fn ready_recordings(&self) -> impl Iterator<Item = &Recording> {
        self.recordings
            .iter()
            .filter(|recording| recording.state == RecordingState::Ready)
    }

    /// How long it was live up to `now`, interruptions included.
    #[must_use]
    pub fn live_seconds(&self, now: DateTime<Utc>) -> u64 {
        self.live_at.map_or(0, |from| {
            seconds_between(from, self.stopped_at.unwrap_or(now))
        })
    }
}

/// Whole seconds from one time to another, rounded down; none when it lies before.
pub(super) fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or(0)
}
