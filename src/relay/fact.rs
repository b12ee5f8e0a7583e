//! The entries of a relay's journal, and how each changes the durable state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::announcement::Announcement;
use super::cleanup_job::{Cleanup, CleanupJob};
use super::cost::Cost;
use super::egress::{EgressHandle, Preparation};
use super::event::{FeedSession, Hint};
use super::outcome::Outcome;
use super::phase::{IllegalTransition, Move, Phase};
use super::spec::Spec;
use super::state::{
    Durable, Egress, EgressStage, IngestStage, KeptIngest, Recording, RecordingState,
    seconds_between,
};

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Fact {
    /// Always the first fact, and only the first.
    Requested {
        spec: Box<Spec>,
    },
    /// The intent to create the ingest: stored before the call is made.
    IngestRequested {
        attempt: u32,
    },
    IngestReady {
        id: String,
        hls_url: String,
        dash_url: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        settings_refused: Vec<String>,
        /// If the channel keeps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<KeptIngest>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        key_stale: bool,
    },
    /// An earlier show's broadcast, which was still open.
    BroadcastEnded {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// The intent to start an egress: stored before the call is made.
    EgressStarting {
        attempt: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preparation: Option<Preparation>,
    },
    /// The egress, under the same tag, is started on a new preparation. That settles a start in doubt whose preparation
    /// expired.
    EgressReprepared {
        preparation: Preparation,
        /// Whether the start on the previous preparation is in doubt.
        #[serde(default)]
        in_doubt: bool,
    },
    /// The egress runs on an earlier preparation, which its handle belongs to (`agora.md §7.1`, 1003).
    EgressElsewhere,
    EgressAccepted {
        /// If known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<EgressHandle>,
    },
    /// A notification gave the handle of an egress whose start got no answer.
    EgressDiscovered {
        handle: EgressHandle,
    },
    /// A hint led to a poll. Changes no state.
    Notified {
        hint: Hint,
    },
    /// The egress is stopped so that another can replace it.
    EgressRetiring,
    EgressGone {
        /// How that is known.
        proof: String,
    },
    /// Another egress will replace the one that is gone.
    EgressReplacing,
    /// The intent to renew the key while the egress is open: half done, the renewal may leave the ingest without a key.
    KeyRenewing,
    KeyRenewed,
    Live,
    /// A broadcast of the ingest was seen at the platform, or its recording.
    SessionSeen {
        session: FeedSession,
    },
    FeedLost {
        /// The first bad reading.
        since: DateTime<Utc>,
    },
    FeedRestored,
    SellerAway {
        /// The first `Absent` reading.
        since: DateTime<Utc>,
    },
    SellerBack,
    Ending {
        outcome: Box<Outcome>,
    },
    IngestClosed,
    IngestGone,
    /// The channel has its ingest back.
    IngestReleased,
    /// The channel keeps it no longer: an egress may still publish, and its key cannot be renewed.
    IngestGivenUp,
    /// The relay goes on and leaves this to a cleanup job.
    CleanupAdded {
        cleanup_job: Box<CleanupJob>,
    },
    TakenDown,
    /// The first answer to a poll for recordings.
    RecordingsAnswered,
    /// A recording was found or changed.
    Recording {
        recording: Box<Recording>,
    },
    RecordingsSettled {
        /// Whether a recording was expected and not found.
        missing: bool,
    },
    Ended {
        /// `None` if it never went live and left no recording.
        cost: Option<Cost>,
    },
}

impl Durable {
    /// Applies a fact and returns the message it causes.
    pub fn apply(
        &mut self,
        fact: &Fact,
        at: DateTime<Utc>,
    ) -> Result<Option<Announcement>, IllegalTransition> {
        let before = self.phase;
        let mut announcement = None;
        match fact {
            Fact::Requested { .. } | Fact::Notified { .. } => announcement = None,
            Fact::IngestRequested { attempt } => {
                self.ingest.stage = IngestStage::Requested;
                self.ingest.attempt = *attempt;
                self.ingest.requested_at = Some(at);
            }
            Fact::IngestReady {
                id,
                hls_url,
                dash_url,
                settings_refused,
                kept,
                key_stale,
            } => {
                self.ingest.settings_refused.clone_from(settings_refused);
                self.ingest.kept.clone_from(kept);
                self.ingest.key_stale = *key_stale;
                self.ingest.stage = IngestStage::Ready;
                self.ingest.id = Some(id.clone());
                self.ingest.hls_url = Some(hls_url.clone());
                self.ingest.dash_url.clone_from(dash_url);
            }
            Fact::EgressStarting {
                attempt,
                preparation,
            } => {
                self.egress = Some(Egress {
                    attempt: *attempt,
                    stage: EgressStage::Starting,
                    preparation: preparation.clone(),
                    earlier_preparations: Vec::new(),
                    handle: None,
                    handle_is_guess: false,
                    accepted_at: None,
                });
            }
            Fact::EgressReprepared {
                preparation,
                in_doubt,
            } => {
                if let Some(egress) = &mut self.egress {
                    let before = egress.preparation.replace(preparation.clone());
                    let in_doubt = before.filter(|_| *in_doubt).map(|before| before.handle);
                    egress.earlier_preparations.extend(in_doubt);
                }
            }
            Fact::EgressElsewhere => {
                if let Some(egress) = &mut self.egress
                    && let Some(preparation) = &mut egress.preparation
                    && !egress.earlier_preparations.is_empty()
                {
                    preparation.handle = egress.earlier_preparations.remove(0);
                }
            }
            Fact::EgressAccepted { handle } => {
                if let Some(egress) = &mut self.egress {
                    egress.stage = EgressStage::Running;
                    if handle.is_some() {
                        egress.handle.clone_from(handle);
                        egress.handle_is_guess = false;
                    }
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
            Fact::EgressDiscovered { handle } => {
                if let Some(egress) = &mut self.egress {
                    egress.handle = Some(handle.clone());
                    egress.handle_is_guess = !egress.earlier_preparations.is_empty();
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
                self.ingest.key_stale = self.spec.capabilities.renews_key;
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
            }
            Fact::KeyRenewing => self.ingest.key_stale = true,
            Fact::KeyRenewed => self.key_renewed(),
            Fact::BroadcastEnded { session } => {
                if let Some(kept) = &mut self.ingest.kept {
                    kept.broadcast_open = false;
                    kept.foreign_sessions.extend(session.clone());
                }
            }
            Fact::Live => {
                self.phase = self.phase.after(Move::Playable)?;
                self.live_at = Some(at);
                announcement = Some(Announcement::Live);
            }
            Fact::SessionSeen { session } => {
                if !self.sessions.contains(&session.id) {
                    match self.sessions.is_empty() {
                        true => self.broadcast_began_at = session.began_at,
                        // An interruption too short for a poll.
                        false => self.was_interrupted = true,
                    }
                    self.sessions.push(session.id.clone());
                }
                let recording = session.recording_id.iter();
                let unknown = recording.filter(|id| self.recordings.iter().all(|r| r.id != **id));
                let unknown: Vec<_> = unknown.cloned().map(Recording::in_progress).collect();
                self.recordings.extend(unknown);
            }
            Fact::FeedLost { since } => {
                self.feed_gone_since = Some(*since);
                self.feed_patience_from = Some(*since);
                announcement = self.interrupt()?;
            }
            Fact::FeedRestored => {
                self.feed_gone_since = None;
                self.feed_patience_from = None;
                announcement = self.resume()?;
            }
            Fact::SellerAway { since } => {
                self.seller_away_since = Some(*since);
                announcement = self.interrupt()?;
            }
            Fact::SellerBack => {
                self.seller_away_since = None;
                announcement = self.resume()?;
            }
            Fact::Ending { outcome } => {
                self.phase = self.phase.after(Move::Ending)?;
                self.stopped_at = Some(at);
                self.feed_gone_since = None;
                self.feed_patience_from = None;
                self.seller_away_since = None;
                announcement = Some(if outcome.code.ended_well() {
                    Announcement::Stopped
                } else {
                    Announcement::Failed
                });
                self.outcome = Some((**outcome).clone());
            }
            Fact::IngestClosed => self.ingest.stage = IngestStage::Closed,
            Fact::IngestGone => self.ingest_gone(),
            Fact::IngestReleased => self.ingest.stage = IngestStage::Released,
            Fact::IngestGivenUp => self.ingest.kept = None,
            Fact::CleanupAdded { cleanup_job } => self.defer(&cleanup_job.cleanup, at),
            Fact::TakenDown => self.phase = self.phase.after(Move::TakenDown)?,
            Fact::RecordingsAnswered => self.recordings_answered_at = Some(at),
            Fact::Recording { recording } => {
                // Without `enable_recording` it is deleted, and not announced.
                let ready = recording.state == RecordingState::Ready && self.spec.enable_recording;
                match self
                    .recordings
                    .iter_mut()
                    .find(|known| known.id == recording.id)
                {
                    Some(known) => {
                        announcement = (ready && known.state != RecordingState::Ready)
                            .then_some(Announcement::RecordingReady);
                        *known = (**recording).clone();
                    }
                    None => {
                        announcement = ready.then_some(Announcement::RecordingReady);
                        self.recordings.push((**recording).clone());
                    }
                }
            }
            Fact::RecordingsSettled { missing } => {
                self.recordings_settled = true;
                announcement = missing.then_some(Announcement::RecordingMissing);
            }
            Fact::Ended { cost } => {
                self.phase = self.phase.after(Move::Closed)?;
                self.cost = *cost;
                self.ended_at = Some(at);
                announcement = Some(Announcement::Ended);
            }
        }
        if self.phase != before {
            self.phase_since = at;
        }
        if announcement.is_some() {
            self.announced += 1;
        }
        Ok(announcement)
    }

    /// Replays a journal. `None` if it does not begin with [`Fact::Requested`].
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

    fn key_renewed(&mut self) {
        self.ingest.key_stale = false;
        if let Some(kept) = &mut self.ingest.kept {
            kept.key_version += 1;
            kept.sealed = self.phase == Phase::Stopping;
        }
    }

    /// A start whose channel kept an ingest that is gone creates another.
    fn ingest_gone(&mut self) {
        let was_kept = self.ingest.kept.take().is_some();
        let starts_anew = was_kept && self.phase == Phase::Provisioning && self.egress.is_none();
        if !starts_anew {
            self.ingest.stage = IngestStage::Settled;
            return;
        }
        self.ingest.stage = IngestStage::Unrequested;
        self.ingest.key_stale = false;
        self.ingest.id = None;
        self.ingest.hls_url = None;
        self.ingest.dash_url = None;
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

    fn defer(&mut self, cleanup: &Cleanup, at: DateTime<Utc>) {
        match cleanup {
            Cleanup::StopEgress(_) | Cleanup::FindEgress(_) => {
                if self.open_egress().is_some() {
                    self.settle_egress(at);
                }
                if let Some(egress) = &mut self.egress {
                    egress.stage = EgressStage::InCleanup;
                }
                // It may still publish.
                self.ingest.key_stale |= self.ingest.kept.as_ref().is_some_and(|kept| !kept.sealed);
            }
            Cleanup::FindIngest { tag } => {
                if *tag == self.spec.tag(self.ingest.attempt).to_string() {
                    self.ingest.stage = IngestStage::Settled;
                }
            }
            Cleanup::RemoveIngest { id } => {
                if self.ingest.id.as_ref() == Some(id) {
                    self.ingest.stage = IngestStage::Settled;
                }
            }
            Cleanup::CloseIngest { .. } => self.ingest.stage = IngestStage::Closed,
            Cleanup::DeleteRecording { id } => {
                if let Some(recording) = self
                    .recordings
                    .iter_mut()
                    .find(|recording| recording.id == *id)
                {
                    recording.state = RecordingState::Deleted;
                }
            }
            Cleanup::RenewIngestKey { .. } => self.ingest.stage = IngestStage::Released,
            Cleanup::FindRecordings { .. } | Cleanup::CloseStray { .. } => {}
        }
    }
}
