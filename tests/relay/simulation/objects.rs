//! The objects at the vendors.

use chrono::{DateTime, Utc};

use super::faults::clock;
use relaykeeper::relay::{Hint, Recording, RecordingPlace, RecordingState, RecordingsKept};

/// Milliseconds of the simulation's own time. A process's clock may be off.
pub type Ms = u64;

#[derive(Debug)]
pub struct Input {
    pub id: String,
    pub tag: String,
    pub key: u32,
    pub enabled: bool,
    pub deleted: bool,
    pub created: Ms,
    /// A list may lag.
    pub listed_from: Ms,
    pub streaming_since: Option<Ms>,
    /// The platform notices the end of a broadcast late.
    pub broadcast_until: Ms,
    pub sessions: u32,
    /// Until then a broadcast that was ended is told of.
    pub told_until: Ms,
    pub recordings: Vec<Recorded>,
}

/// A recording as the platform makes it.
#[derive(Debug)]
pub struct Recorded {
    pub id: String,
    pub created: Ms,
    pub streamed: Ms,
    pub gap_since: Option<Ms>,
    pub closed: Option<Ms>,
    pub processing: Ms,
    pub fails: bool,
    pub deleted: bool,
}

#[derive(Debug)]
pub struct Task {
    /// Our tag: its identity.
    pub tag: String,
    pub id: String,
    pub preparation: Option<usize>,
    pub input: usize,
    pub key: u32,
    pub attempt: u32,
    pub publishes_from: Ms,
    /// Its backend moves it: 404 between these times.
    pub moves: Option<(Ms, Ms)>,
    /// When it ends by itself.
    pub ends: Ms,
    pub exit_is_reported: bool,
    pub cut_from: Option<Ms>,
    pub fails_from: Option<Ms>,
    pub stopped: bool,
    /// When its idleness is checked.
    pub idle_edge: Ms,
}

/// Faults of the vendors, per mille of egresses.
#[derive(Debug, Clone, Copy)]
pub struct VendorFaults {
    pub moves: u64,
    pub exits: u64,
    pub cuts: u64,
    pub fails: u64,
    pub bad_recordings: u64,
}

/// Something that a notification may report.
#[derive(Debug, Clone)]
pub enum News {
    /// To be reported now or at this time.
    At(Ms, Hint),
    /// Refresh at this time.
    Edge(Ms),
}

impl Task {
    pub fn alive(&self, now: Ms) -> bool {
        !self.stopped && now < self.ends
    }

    pub fn hidden(&self, now: Ms) -> bool {
        self.moves
            .is_some_and(|(from, to)| (from..to).contains(&now))
    }

    /// Whether it could publish into this input, now or after it was moved.
    pub fn may_publish(&self, input: &Input, now: Ms) -> bool {
        self.alive(now) && self.key == input.key && input.enabled && !input.deleted
    }

    pub fn publishes(&self, input: &Input, now: Ms) -> bool {
        self.may_publish(input, now)
            && now >= self.publishes_from
            && !self.hidden(now)
            && self.cut_from.is_none_or(|at| now < at)
            && self.fails_from.is_none_or(|at| now < at)
    }
}

impl Recorded {
    /// `early`: it is called ready as soon as something streamed, with a duration that lags.
    pub fn reading(&self, kept: RecordingsKept, early: bool, now: Ms) -> Recording {
        let done = self.closed.is_some_and(|at| at + self.processing <= now);
        let state = match (done, self.fails) {
            (false, _) if early && self.streamed > 0 => RecordingState::Ready,
            (false, _) => RecordingState::Processing,
            (true, false) => RecordingState::Ready,
            (true, true) => RecordingState::Failed,
        };
        let place = match kept {
            RecordingsKept::Platform => RecordingPlace::Platform {
                hls_url: String::new(),
                dash_url: None,
                thumbnail_url: None,
            },
            RecordingsKept::Elsewhere | RecordingsKept::Unread | RecordingsKept::Nowhere => {
                RecordingPlace::Elsewhere {
                    location: String::new(),
                }
            }
        };
        Recording {
            id: self.id.clone(),
            state,
            is_final: done,
            duration_ms: (state == RecordingState::Ready).then_some(match done {
                true => self.streamed,
                false => self.streamed / 2,
            }),
            place: (state == RecordingState::Ready).then_some(place),
            created_at: self.created_at(),
        }
    }

    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        Some(clock(i64::try_from(self.created).unwrap()))
    }
}
