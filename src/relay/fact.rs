//! What happened to a relay for good: the entries of its journal. The durable state is nothing but their sum.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cleanup_job::{Cleanup, CleanupJob};
use super::cost::Cost;
use super::event::Hint;
use super::outcome::Outcome;
use super::phase::{IllegalTransition, Move, Phase};
use super::spec::Spec;
use super::state::{
    Durable, Egress, EgressStage, IngestStage, Recording, RecordingState, seconds_between,
};

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum Fact {
    /// The start was accepted. Always the first, and only the first.
    Requested {
        /// What is asked for.
        spec: Box<Spec>,
    },
    /// An ingest is about to be asked for.
    IngestRequested {
        /// Which try: part of its tag.
        attempt: u32,
    },
    /// The ingest is there.
    IngestReady {
        /// Cloudflare's uid.
        uid: String,
        /// Where buyers watch, over HLS.
        hls_url: String,
        /// The same over DASH.
        dash_url: String,
        /// Settings Cloudflare did not take over as sent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        echo_differs: Vec<String>,
    },
    /// An egress is about to be started.
    EgressStarting {
        /// Which of this relay.
        attempt: u32,
        /// Cloud Recording: the resource it is started on.
        resource_id: Option<String>,
        /// Cloud Recording: when that was acquired.
        acquired_at: Option<DateTime<Utc>>,
    },
    /// The same egress (same cname, same uid) is about to be started on a new resource: that is how a start whose answer
    /// was lost is looked up after the old resource has expired.
    EgressReacquired {
        /// The new resource.
        resource_id: String,
        /// When it was acquired.
        acquired_at: DateTime<Utc>,
        /// Whether the start on the resource before may have been carried out: then it may run there.
        #[serde(default)]
        in_doubt: bool,
    },
    /// The egress runs on a resource of before: its session belongs to that one (`agora.md §7.1`, 1003).
    EgressElsewhere,
    /// The egress runs.
    EgressAccepted {
        /// Cloud Recording: its session, if we were told.
        sid: Option<String>,
        /// Media Push: its id.
        converter_id: Option<String>,
    },
    /// A notification named the session of an egress that runs without our knowing it.
    EgressDiscovered {
        /// Its session.
        sid: String,
    },
    /// A vendor told something that led to a poll. It is kept for people: by itself it changes nothing.
    Notified {
        /// What.
        hint: Hint,
    },
    /// The egress answers, but must give way to another: it is stopped first.
    EgressRetiring,
    /// The egress is proved gone.
    EgressGone {
        /// What proved it.
        proof: String,
    },
    /// Another egress takes its place: the ingest's keys are rotated first.
    EgressReplacing,
    /// The ingest has new keys: no egress of before can publish.
    KeysRotated,
    /// A buyer can press play.
    Live,
    /// Cloudflare named a recording of this relay.
    RecordingSeen {
        /// Its uid.
        uid: String,
    },
    /// The feed is gone.
    FeedLost {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The feed is back.
    FeedRestored,
    /// The seller is away.
    SellerAway {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The seller is back.
    SellerBack,
    /// How it ends.
    Ending {
        /// How.
        outcome: Box<Outcome>,
    },
    /// The ingest is disabled.
    IngestDisabled,
    /// The ingest is not there.
    IngestGone,
    /// The relay goes on without an answer, and owes.
    CleanupAdded {
        /// What.
        cleanup_job: Box<CleanupJob>,
    },
    /// Egress and ingest are down, or owed.
    TakenDown,
    /// A look for recordings was answered for the first time.
    RecordingsAnswered,
    /// What is known of a recording has changed.
    Recording {
        /// What is known now.
        recording: Box<Recording>,
    },
    /// The search for recordings is over.
    RecordingsSettled {
        /// Whether one was expected and did not turn up.
        missing: bool,
    },
    /// Everything is accounted for.
    Ended {
        /// What it cost, when it went live or left a video.
        cost: Option<Cost>,
    },
}

/// What the marketplace is told.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
pub enum Announcement {
    /// The slot is taken.
    #[strum(serialize = "relay.starting")]
    Starting,
    /// A buyer can press play.
    #[strum(serialize = "relay.live")]
    Live,
    /// The feed is gone or the seller away.
    #[strum(serialize = "relay.interrupted")]
    Interrupted,
    /// Both are back.
    #[strum(serialize = "relay.resumed")]
    Resumed,
    /// It ends well.
    #[strum(serialize = "relay.stopped")]
    Stopped,
    /// It ends badly.
    #[strum(serialize = "relay.failed")]
    Failed,
    /// A recording can be watched.
    #[strum(serialize = "recording.ready")]
    RecordingReady,
    /// No recording turned up.
    #[strum(serialize = "recording.missing")]
    RecordingMissing,
    /// Nothing more will happen.
    #[strum(serialize = "relay.ended")]
    Ended,
}

impl Durable {
    /// Adds a fact, and says what the marketplace is told of it.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the fact cannot follow on this state: a fault of the code, never of a vendor.
    pub fn apply(
        &mut self,
        fact: &Fact,
        at: DateTime<Utc>,
    ) -> Result<Option<Announcement>, IllegalTransition> {
        let before = self.phase;
        let mut told = None;
        match fact {
            Fact::Requested { .. } | Fact::Notified { .. } => told = None,
            Fact::IngestRequested { attempt } => {
                self.ingest.stage = IngestStage::Requested;
                self.ingest.attempt = *attempt;
                self.ingest.requested_at = Some(at);
            }
            Fact::IngestReady {
                uid,
                hls_url,
                dash_url,
                echo_differs,
            } => {
                self.ingest.echo_differs.clone_from(echo_differs);
                self.ingest.stage = IngestStage::Ready;
                self.ingest.uid = Some(uid.clone());
                self.ingest.hls_url = Some(hls_url.clone());
                self.ingest.dash_url = Some(dash_url.clone());
            }
            Fact::EgressStarting {
                attempt,
                resource_id,
                acquired_at,
            } => {
                self.egress = Some(Egress {
                    attempt: *attempt,
                    stage: EgressStage::Starting,
                    resource_id: resource_id.clone(),
                    acquired_at: *acquired_at,
                    earlier_resources: Vec::new(),
                    sid: None,
                    sid_is_guess: false,
                    converter_id: None,
                    accepted_at: None,
                });
            }
            Fact::EgressReacquired {
                resource_id,
                acquired_at,
                in_doubt,
            } => {
                if let Some(egress) = &mut self.egress {
                    let before = egress.resource_id.replace(resource_id.clone());
                    egress
                        .earlier_resources
                        .extend(before.filter(|_| *in_doubt));
                    egress.acquired_at = Some(*acquired_at);
                }
            }
            Fact::EgressElsewhere => {
                if let Some(egress) = &mut self.egress
                    && !egress.earlier_resources.is_empty()
                {
                    egress.resource_id = Some(egress.earlier_resources.remove(0));
                }
            }
            Fact::EgressAccepted { sid, converter_id } => {
                if let Some(egress) = &mut self.egress {
                    egress.stage = EgressStage::Running;
                    if sid.is_some() {
                        egress.sid.clone_from(sid);
                        egress.sid_is_guess = false;
                    }
                    egress.converter_id.clone_from(converter_id);
                    egress.accepted_at = Some(at);
                }
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
                if self.phase == Phase::Provisioning {
                    self.started_at = Some(at);
                    self.phase = self.phase.after(Move::Accepted)?;
                }
            }
            Fact::EgressDiscovered { sid } => {
                if let Some(egress) = &mut self.egress {
                    egress.sid = Some(sid.clone());
                    egress.sid_is_guess = !egress.earlier_resources.is_empty();
                }
            }
            Fact::EgressRetiring => {
                if let Some(egress) = &mut self.egress {
                    egress.stage = EgressStage::Retiring;
                }
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
            }
            Fact::EgressGone { .. } => self.settle_egress(at),
            Fact::EgressReplacing => {
                self.replacements += 1;
                self.ingest.keys_stale = true;
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
            }
            Fact::KeysRotated => self.ingest.keys_stale = false,
            Fact::Live => {
                self.phase = self.phase.after(Move::Playable)?;
                self.live_at = Some(at);
                told = Some(Announcement::Live);
            }
            Fact::RecordingSeen { uid } => {
                if !self
                    .recordings
                    .iter()
                    .any(|recording| recording.uid == *uid)
                {
                    self.recordings.push(Recording {
                        uid: uid.clone(),
                        state: RecordingState::Processing,
                        duration_ms: None,
                        hls_url: None,
                        dash_url: None,
                        thumbnail_url: None,
                    });
                }
            }
            Fact::FeedLost { since } => {
                self.feed_gone_since = Some(*since);
                self.feed_patience_from = Some(*since);
                told = self.interrupt()?;
            }
            Fact::FeedRestored => {
                self.feed_gone_since = None;
                self.feed_patience_from = None;
                told = self.resume()?;
            }
            Fact::SellerAway { since } => {
                self.seller_away_since = Some(*since);
                told = self.interrupt()?;
            }
            Fact::SellerBack => {
                self.seller_away_since = None;
                told = self.resume()?;
            }
            Fact::Ending { outcome } => {
                self.phase = self.phase.after(Move::Ending)?;
                self.stopped_at = Some(at);
                self.feed_gone_since = None;
                self.feed_patience_from = None;
                self.seller_away_since = None;
                told = Some(if outcome.code.ended_well() {
                    Announcement::Stopped
                } else {
                    Announcement::Failed
                });
                self.outcome = Some((**outcome).clone());
            }
            Fact::IngestDisabled => self.ingest.stage = IngestStage::Disabled,
            Fact::IngestGone => self.ingest.stage = IngestStage::Settled,
            Fact::CleanupAdded { cleanup_job } => self.defer(&cleanup_job.owed, at),
            Fact::TakenDown => self.phase = self.phase.after(Move::TakenDown)?,
            Fact::RecordingsAnswered => self.recordings_answered_at = Some(at),
            Fact::Recording { recording } => {
                // One nobody wanted is owed as a deletion, and not told of.
                let ready = recording.state == RecordingState::Ready && self.spec.enable_recording;
                match self
                    .recordings
                    .iter_mut()
                    .find(|known| known.uid == recording.uid)
                {
                    Some(known) => {
                        told = (ready && known.state != RecordingState::Ready)
                            .then_some(Announcement::RecordingReady);
                        *known = (**recording).clone();
                    }
                    None => {
                        told = ready.then_some(Announcement::RecordingReady);
                        self.recordings.push((**recording).clone());
                    }
                }
            }
            Fact::RecordingsSettled { missing } => {
                self.recordings_settled = true;
                told = missing.then_some(Announcement::RecordingMissing);
            }
            Fact::Ended { cost } => {
                self.phase = self.phase.after(Move::Closed)?;
                self.cost = *cost;
                self.ended_at = Some(at);
                told = Some(Announcement::Ended);
            }
        }
        if self.phase != before {
            self.phase_since = at;
        }
        if told.is_some() {
            self.announced += 1;
        }
        Ok(told)
    }

    /// The state a journal adds up to; none when it does not begin with a request.
    ///
    /// # Errors
    /// [`IllegalTransition`] when one of its facts cannot follow on those before it.
    pub fn replay<'a>(
        journal: impl IntoIterator<Item = (DateTime<Utc>, &'a Fact)>,
    ) -> Result<Option<Self>, IllegalTransition> {
        let mut journal = journal.into_iter();
        let Some((_, Fact::Requested { spec })) = journal.next() else {
            return Ok(None);
        };
        let mut durable = Self::new((**spec).clone());
        for (at, fact) in journal {
            durable.apply(fact, at)?;
        }
        Ok(Some(durable))
    }

    fn interrupt(&mut self) -> Result<Option<Announcement>, IllegalTransition> {
        if self.phase == Phase::Interrupted {
            return Ok(None);
        }
        self.phase = self.phase.after(Move::Interrupted)?;
        self.was_interrupted = true;
        Ok(Some(Announcement::Interrupted))
    }

    fn resume(&mut self) -> Result<Option<Announcement>, IllegalTransition> {
        if self.feed_gone_since.is_some() || self.seller_away_since.is_some() {
            return Ok(None);
        }
        self.phase = self.phase.after(Move::Resumed)?;
        Ok(Some(Announcement::Resumed))
    }

    fn settle_egress(&mut self, at: DateTime<Utc>) {
        let Some(egress) = &mut self.egress else {
            return;
        };
        egress.stage = EgressStage::Settled;
        if let Some(accepted_at) = egress.accepted_at {
            self.egress_seconds += seconds_between(accepted_at, at);
        }
    }

    fn defer(&mut self, owed: &Cleanup, at: DateTime<Utc>) {
        match owed {
            Cleanup::StopEgress { .. }
            | Cleanup::UnknownEgress { .. }
            | Cleanup::DeleteConverter { .. }
            | Cleanup::FindConverter { .. } => {
                if self.open_egress().is_some() {
                    self.settle_egress(at);
                }
                if let Some(egress) = &mut self.egress {
                    egress.stage = EgressStage::InCleanup;
                }
            }
            Cleanup::FindIngest { .. } | Cleanup::DeleteIngest { .. } => {
                self.ingest.stage = IngestStage::Settled;
            }
            Cleanup::DisableIngest { .. } => self.ingest.stage = IngestStage::Disabled,
            Cleanup::DeleteRecording { uid } => {
                if let Some(recording) = self
                    .recordings
                    .iter_mut()
                    .find(|recording| recording.uid == *uid)
                {
                    recording.state = RecordingState::Deleted;
                }
            }
            Cleanup::FindRecordings { .. } | Cleanup::DisableStray { .. } => {}
        }
    }
}
