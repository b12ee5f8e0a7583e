//! What happened to a relay for good: the entries of its journal. The durable state is nothing but their sum.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::debt::{Debt, Owed};
use super::event::Hint;
use super::outcome::Outcome;
use super::phase::{IllegalTransition, Move, Phase};
use super::spec::Spec;
use super::state::{
    Durable, InputStage, Recorder, RecorderStage, Video, VideoState, seconds_between,
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
    /// A live input is about to be asked for.
    LiveInputRequested {
        /// Which try: part of its mark.
        attempt: u32,
    },
    /// The live input is there.
    LiveInputReady {
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
    /// A recorder is about to be started.
    RecorderStarting {
        /// Which of this relay.
        attempt: u32,
        /// Cloud Recording: the resource it is started on.
        resource_id: Option<String>,
        /// Cloud Recording: when that was acquired.
        acquired_at: Option<DateTime<Utc>>,
    },
    /// The same recorder (same cname, same uid) is about to be started on a new resource: that is how a start whose answer
    /// was lost is looked up after the old resource has expired.
    RecorderReacquired {
        /// The new resource.
        resource_id: String,
        /// When it was acquired.
        acquired_at: DateTime<Utc>,
        /// Whether the start on the resource before may have been carried out: then it may run there.
        #[serde(default)]
        in_doubt: bool,
    },
    /// The recorder runs on a resource of before: its session belongs to that one (`agora.md §7.1`, 1003).
    RecorderElsewhere,
    /// The recorder runs.
    RecorderAccepted {
        /// Cloud Recording: its session, if we were told.
        sid: Option<String>,
        /// Media Push: its id.
        converter_id: Option<String>,
    },
    /// A notification named the session of a recorder that runs without our knowing it.
    RecorderLearnt {
        /// Its session.
        sid: String,
    },
    /// A vendor told something that led to a look. It is kept for people: by itself it changes nothing.
    Notified {
        /// What.
        hint: Hint,
    },
    /// The recorder answers, but must give way to another: it is stopped first.
    RecorderRetiring,
    /// The recorder is proved gone.
    RecorderGone {
        /// What proved it.
        proof: String,
    },
    /// Another recorder takes its place: the live input's keys are rotated first.
    RecorderReplacing,
    /// The live input has new keys: no recorder of before can publish.
    KeysRotated,
    /// A buyer can press play.
    Live,
    /// Cloudflare named a video of this relay.
    VideoSeen {
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
    /// The live input is disabled.
    LiveInputDisabled,
    /// The live input is not there.
    LiveInputGone,
    /// The relay goes on without an answer, and owes.
    Owed {
        /// What.
        debt: Box<Debt>,
    },
    /// Recorder and live input are down, or owed.
    TakenDown,
    /// A look for recordings was answered for the first time.
    RecordingsAnswered,
    /// What is known of a video has changed.
    Recording {
        /// What is known now.
        video: Box<Video>,
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
            Fact::LiveInputRequested { attempt } => {
                self.live_input.stage = InputStage::Requested;
                self.live_input.attempt = *attempt;
                self.live_input.requested_at = Some(at);
            }
            Fact::LiveInputReady {
                uid,
                hls_url,
                dash_url,
                echo_differs,
            } => {
                self.live_input.echo_differs.clone_from(echo_differs);
                self.live_input.stage = InputStage::Ready;
                self.live_input.uid = Some(uid.clone());
                self.live_input.hls_url = Some(hls_url.clone());
                self.live_input.dash_url = Some(dash_url.clone());
            }
            Fact::RecorderStarting {
                attempt,
                resource_id,
                acquired_at,
            } => {
                self.recorder = Some(Recorder {
                    attempt: *attempt,
                    stage: RecorderStage::Starting,
                    resource_id: resource_id.clone(),
                    acquired_at: *acquired_at,
                    earlier_resources: Vec::new(),
                    sid: None,
                    sid_is_guess: false,
                    converter_id: None,
                    accepted_at: None,
                });
            }
            Fact::RecorderReacquired {
                resource_id,
                acquired_at,
                in_doubt,
            } => {
                if let Some(recorder) = &mut self.recorder {
                    let before = recorder.resource_id.replace(resource_id.clone());
                    recorder
                        .earlier_resources
                        .extend(before.filter(|_| *in_doubt));
                    recorder.acquired_at = Some(*acquired_at);
                }
            }
            Fact::RecorderElsewhere => {
                if let Some(recorder) = &mut self.recorder
                    && !recorder.earlier_resources.is_empty()
                {
                    recorder.resource_id = Some(recorder.earlier_resources.remove(0));
                }
            }
            Fact::RecorderAccepted { sid, converter_id } => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.stage = RecorderStage::Running;
                    if sid.is_some() {
                        recorder.sid.clone_from(sid);
                        recorder.sid_is_guess = false;
                    }
                    recorder.converter_id.clone_from(converter_id);
                    recorder.accepted_at = Some(at);
                }
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
                if self.phase == Phase::Provisioning {
                    self.started_at = Some(at);
                    self.phase = self.phase.after(Move::Accepted)?;
                }
            }
            Fact::RecorderLearnt { sid } => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.sid = Some(sid.clone());
                    recorder.sid_is_guess = !recorder.earlier_resources.is_empty();
                }
            }
            Fact::RecorderRetiring => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.stage = RecorderStage::Retiring;
                }
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
            }
            Fact::RecorderGone { .. } => self.settle_recorder(at),
            Fact::RecorderReplacing => {
                self.replacements += 1;
                self.live_input.keys_stale = true;
                if self.feed_gone_since.is_some() {
                    self.feed_patience_from = Some(at);
                }
            }
            Fact::KeysRotated => self.live_input.keys_stale = false,
            Fact::Live => {
                self.phase = self.phase.after(Move::Playable)?;
                self.live_at = Some(at);
                told = Some(Announcement::Live);
            }
            Fact::VideoSeen { uid } => {
                if !self.videos.iter().any(|video| video.uid == *uid) {
                    self.videos.push(Video {
                        uid: uid.clone(),
                        state: VideoState::Processing,
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
            Fact::LiveInputDisabled => self.live_input.stage = InputStage::Disabled,
            Fact::LiveInputGone => self.live_input.stage = InputStage::Settled,
            Fact::Owed { debt } => self.owe(&debt.owed, at),
            Fact::TakenDown => self.phase = self.phase.after(Move::TakenDown)?,
            Fact::RecordingsAnswered => self.recordings_answered_at = Some(at),
            Fact::Recording { video } => {
                // One nobody wanted is owed as a deletion, and not told of.
                let ready = video.state == VideoState::Ready && self.spec.enable_recording;
                match self.videos.iter_mut().find(|known| known.uid == video.uid) {
                    Some(known) => {
                        told = (ready && known.state != VideoState::Ready)
                            .then_some(Announcement::RecordingReady);
                        *known = (**video).clone();
                    }
                    None => {
                        told = ready.then_some(Announcement::RecordingReady);
                        self.videos.push((**video).clone());
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

    fn settle_recorder(&mut self, at: DateTime<Utc>) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        recorder.stage = RecorderStage::Settled;
        if let Some(accepted_at) = recorder.accepted_at {
            self.recorder_seconds += seconds_between(accepted_at, at);
        }
    }

    fn owe(&mut self, owed: &Owed, at: DateTime<Utc>) {
        match owed {
            Owed::StopRecorder { .. }
            | Owed::UnknownRecorder { .. }
            | Owed::DeleteConverter { .. }
            | Owed::FindConverter { .. } => {
                if self.open_recorder().is_some() {
                    self.settle_recorder(at);
                }
                if let Some(recorder) = &mut self.recorder {
                    recorder.stage = RecorderStage::Owed;
                }
            }
            Owed::FindLiveInput { .. } | Owed::DeleteLiveInput { .. } => {
                self.live_input.stage = InputStage::Settled;
            }
            Owed::DisableLiveInput { .. } => self.live_input.stage = InputStage::Disabled,
            Owed::DeleteVideo { uid } => {
                if let Some(video) = self.videos.iter_mut().find(|video| video.uid == *uid) {
                    video.state = VideoState::Deleted;
                }
            }
            Owed::FindRecordings { .. } | Owed::DisableGhost { .. } => {}
        }
    }
}
