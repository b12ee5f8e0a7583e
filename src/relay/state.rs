//! The durable state of a relay.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::egress::{EgressHandle, EgressRef, Preparation};
use super::outcome::{Outcome, RelayStatus};
use super::phase::Phase;
use super::spec::Spec;

/// The progress of the ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestStage {
    /// Not created yet.
    Unrequested,
    /// A creation was issued.
    Requested,
    /// It accepts a publisher.
    Ready,
    /// Nobody can publish into it.
    Closed,
    /// It is gone, or left to a cleanup job.
    Settled,
    /// The channel has it back.
    Released,
}

/// What a relay knows of an ingest that its channel keeps. It neither closes nor removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptIngest {
    /// Counts the renewals of its key.
    pub key_version: u32,
    /// The broadcast of an earlier show may be open: it is ended before the first egress.
    pub broadcast_open: bool,
    /// Since when this relay alone uses it.
    pub claimed_at: DateTime<Utc>,
    /// The last broadcasts of earlier shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_sessions: Vec<String>,
    /// Its key was renewed while stopping: the last egress cannot publish, whatever becomes of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
}

impl KeptIngest {
    /// A new ingest.
    #[must_use]
    pub fn fresh(claimed_at: DateTime<Utc>) -> Self {
        Self {
            key_version: 0,
            broadcast_open: false,
            claimed_at,
            foreign_sessions: Vec::new(),
            sealed: false,
        }
    }

    pub(super) fn is_foreign(&self, session: &str) -> bool {
        self.foreign_sessions.iter().any(|known| known == session)
    }
}

/// The platform's ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Ingest {
    pub stage: IngestStage,
    /// Counts the creations, from 1.
    pub attempt: u32,
    /// When this attempt was requested.
    pub requested_at: Option<DateTime<Utc>>,
    pub id: Option<String>,
    pub hls_url: Option<String>,
    pub dash_url: Option<String>,
    /// Settings that the platform did not take. Raises an alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_refused: Vec<String>,
    /// Whether its key must be renewed before an egress starts, and before a channel gets it back.
    pub key_stale: bool,
    /// If the channel keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptIngest>,
}

/// The progress of an egress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressStage {
    /// A start was issued.
    Starting,
    /// It was accepted.
    Running,
    /// It is stopped so that another can replace it.
    Retiring,
    /// It may still run; a cleanup job stops it.
    InCleanup,
    /// It is gone.
    Settled,
}

impl EgressStage {
    /// Whether the relay itself must stop it.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Retiring => true,
            Self::InCleanup | Self::Settled => false,
        }
    }
}

/// What pushes the channel to the ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Egress {
    /// Counts the relay's egresses, from 1.
    pub attempt: u32,
    pub stage: EgressStage,
    /// The last.
    pub preparation: Option<Preparation>,
    /// Earlier preparations with a start in doubt, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_preparations: Vec<EgressHandle>,
    /// If known.
    pub handle: Option<EgressHandle>,
    /// A notification gave the handle while several preparations were possible: it may be an earlier start's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handle_is_guess: bool,
    pub accepted_at: Option<DateTime<Utc>>,
}

/// The state of a recording.
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
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum RecordingState {
    Processing,
    Ready,
    /// The platform failed to make it.
    Failed,
    /// Left to a cleanup job: recordings are not enabled.
    Deleted,
}

/// A recording of this relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Recording {
    pub id: String,
    pub state: RecordingState,
    /// Whether the platform adds nothing more: some call a recording ready while its broadcast goes on.
    pub is_final: bool,
    /// If known.
    pub duration_ms: Option<u64>,
    /// If known.
    pub place: Option<RecordingPlace>,
    /// When its broadcast began by the platform's clock, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
}

/// Where a recording is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum RecordingPlace {
    /// The platform plays it.
    Platform {
        hls_url: String,
        dash_url: Option<String>,
        thumbnail_url: Option<String>,
    },
    /// In storage that another service plays from: a bucket and a prefix, not a URL.
    Elsewhere { location: String },
}

impl Recording {
    /// A recording whose broadcast goes on.
    #[must_use]
    pub fn in_progress(id: String) -> Self {
        Self {
            id,
            state: RecordingState::Processing,
            is_final: false,
            duration_ms: None,
            place: None,
            created_at: None,
        }
    }

    /// Whether it may change: it is processing, not final, or of unknown duration.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            RecordingState::Processing => true,
            RecordingState::Ready => !self.is_final || self.duration_ms.is_none(),
            RecordingState::Failed | RecordingState::Deleted => false,
        }
    }

    /// Where the platform plays it.
    #[must_use]
    pub fn hls_url(&self) -> Option<&str> {
        match &self.place {
            Some(RecordingPlace::Platform { hls_url, .. }) => Some(hls_url),
            Some(RecordingPlace::Elsewhere { .. }) | None => None,
        }
    }

    /// The same as DASH.
    #[must_use]
    pub fn dash_url(&self) -> Option<&str> {
        match &self.place {
            Some(RecordingPlace::Platform { dash_url, .. }) => dash_url.as_deref(),
            Some(RecordingPlace::Elsewhere { .. }) | None => None,
        }
    }

    /// Where it is in other storage.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match &self.place {
            Some(RecordingPlace::Elsewhere { location }) => Some(location),
            Some(RecordingPlace::Platform { .. }) | None => None,
        }
    }

    /// Its picture at the platform.
    #[must_use]
    pub fn thumbnail_url(&self) -> Option<&str> {
        match &self.place {
            Some(RecordingPlace::Platform { thumbnail_url, .. }) => thumbnail_url.as_deref(),
            Some(RecordingPlace::Elsewhere { .. }) | None => None,
        }
    }
}

/// The state of a relay that survives a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct Durable {
    pub spec: Spec,
    pub phase: Phase,
    pub phase_since: DateTime<Utc>,
    pub ingest: Ingest,
    /// The last egress.
    pub egress: Option<Egress>,
    /// Egresses that replaced another.
    pub replacements: u32,
    /// Running time of the settled egresses.
    pub egress_seconds: u64,
    /// When the first egress was accepted.
    pub started_at: Option<DateTime<Utc>>,
    /// The broadcasts seen at the platform.
    pub sessions: Vec<String>,
    /// When the first of them began, by the platform's clock, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast_began_at: Option<DateTime<Utc>>,
    /// When buyers could first watch.
    pub live_at: Option<DateTime<Utc>>,
    /// When the feed was lost, unless it is back.
    pub feed_gone_since: Option<DateTime<Utc>>,
    /// Start of the feed timeout, restarted by a replacement.
    pub feed_patience_from: Option<DateTime<Utc>>,
    /// When the seller left, unless back.
    pub seller_away_since: Option<DateTime<Utc>>,
    /// Whether there may be more recordings than were seen.
    pub was_interrupted: bool,
    pub outcome: Option<Outcome>,
    /// When the outcome was decided.
    pub stopped_at: Option<DateTime<Utc>>,
    pub recordings: Vec<Recording>,
    pub recordings_answered_at: Option<DateTime<Utc>>,
    /// Whether the search for recordings is over.
    pub recordings_settled: bool,
    pub cost: Option<Cost>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Number of messages to the marketplace.
    pub announced: u32,
}

impl Durable {
    /// The state of a new relay.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self {
            phase: Phase::Provisioning,
            phase_since: spec.requested_at,
            ingest: Ingest {
                stage: IngestStage::Unrequested,
                attempt: 1,
                requested_at: None,
                id: None,
                hls_url: None,
                dash_url: None,
                settings_refused: Vec::new(),
                key_stale: false,
                kept: None,
            },
            egress: None,
            replacements: 0,
            egress_seconds: 0,
            started_at: None,
            sessions: Vec::new(),
            broadcast_began_at: None,
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

    /// The egress that the relay itself must stop.
    #[must_use]
    pub fn open_egress(&self) -> Option<&Egress> {
        self.egress.as_ref().filter(|egress| egress.stage.is_open())
    }

    /// The last egress, with every preparation that it may run on.
    #[must_use]
    pub fn egress_ref(&self) -> Option<EgressRef> {
        let egress = self.egress.as_ref()?;
        let preparation = egress.preparation.iter().map(|known| &known.handle);
        let preparations = preparation.chain(&egress.earlier_preparations);
        Some(EgressRef {
            backend: self.spec.egress.backend.clone(),
            tag: self.spec.tag(egress.attempt).to_string(),
            preparations: preparations.cloned().collect(),
            handle: egress.handle.clone(),
        })
    }

    /// The number of the next egress.
    #[must_use]
    pub fn next_attempt(&self) -> u32 {
        self.egress.as_ref().map_or(1, |egress| egress.attempt + 1)
    }

    /// Sum of the known durations, rounded up. `None` if none is known.
    #[must_use]
    pub fn recorded_seconds(&self) -> Option<u64> {
        let durations = self
            .ready_recordings()
            .filter_map(|recording| recording.duration_ms);
        let sum = durations.reduce(u64::saturating_add)?;
        Some(sum.div_ceil(1000))
    }

    /// Whether the platform was asked for an ingest that it may record, and recordings can be found.
    #[must_use]
    pub fn may_have_recordings(&self) -> bool {
        self.ingest.id.is_some() && self.spec.capabilities.recordings.are_found()
    }

    /// Whether the channel's next relay must wait for the ingest.
    #[must_use]
    pub fn holds_kept_ingest(&self) -> bool {
        self.ingest.kept.is_some() && self.ingest.stage == IngestStage::Ready
    }

    /// How long the platform may hold the broadcast open after the last egress. Closing ends it, but an ingest
    /// that the channel keeps is not closed.
    #[must_use]
    pub fn broadcast_outlives_egress(&self) -> Duration {
        match self.ingest.kept {
            Some(_) => {
                let reconnect = self.spec.capabilities.reconnect;
                reconnect.holds_open(self.spec.timing.feed_timeout)
            }
            None => Duration::ZERO,
        }
    }

    /// Whether a recording may still change.
    #[must_use]
    pub fn has_open_recordings(&self) -> bool {
        self.recordings.iter().any(Recording::is_open)
    }

    /// Summary of phase and outcome.
    #[must_use]
    pub fn relay_status(&self) -> RelayStatus {
        let outcome = self.outcome.as_ref().map(|outcome| outcome.code);
        RelayStatus::of(self.phase, outcome)
    }

    /// The longest recording that is ready.
    #[must_use]
    pub fn main_recording(&self) -> Option<&Recording> {
        self.ready_recordings()
            .max_by_key(|recording| recording.duration_ms)
    }

    /// The recordings that can be played.
    pub fn ready_recordings(&self) -> impl Iterator<Item = &Recording> {
        self.recordings
            .iter()
            .filter(|recording| recording.state == RecordingState::Ready)
    }

    /// Time live until the stop or `now`, interruptions included.
    #[must_use]
    pub fn live_seconds(&self, now: DateTime<Utc>) -> u64 {
        self.live_at.map_or(0, |from| {
            seconds_between(from, self.stopped_at.unwrap_or(now))
        })
    }
}

/// Rounded down; 0 if negative.
pub(super) fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or(0)
}
