//! An ingest that the channel keeps, as an earlier show left it, and what this show may do with it.

use relaykeeper::relay::{
    Answer, Cleanup, Fact, IngestOwner, IngestUse, KeptIngest, Reconnect, Recording, user_of,
};
use uuid::Uuid;

use super::dice::Dice;
use super::faults::{START, clock};
use super::objects::{Ms, Recorded, Task};
use super::vendors::Vendors;

/// How much longer than its window a broadcast may stay open.
const MARGIN: Ms = 30_000;
/// What the earlier show streamed.
const EARLIER_STREAMED: Ms = 60_000;

/// The row of the kept ingest.
#[derive(Debug)]
pub struct KeptRow {
    /// Its id; `None`: the channel keeps none.
    pub ingest: Option<String>,
    key_stale: bool,
    quiet_since: Ms,
    /// The earlier show's recording and session.
    earlier: Option<(String, String)>,
    /// An egress of that show may come back.
    old_egress: bool,
    /// This relay's use of it.
    claimed_at: Option<chrono::DateTime<chrono::Utc>>,
    began_at: Option<chrono::DateTime<chrono::Utc>>,
    sessions: Vec<String>,
}

impl Vendors {
    /// Draws what an earlier show left.
    pub fn keep(&mut self, seed: u64) {
        if self.spec.ingest_owner == IngestOwner::Relay {
            return;
        }
        let mut dice = Dice::new(seed ^ 0x6b65_7074);
        let mut row = KeptRow {
            ingest: None,
            key_stale: false,
            quiet_since: START,
            earlier: None,
            old_egress: false,
            claimed_at: None,
            began_at: None,
            sessions: Vec::new(),
        };
        if dice.chance(750) {
            let away = dice.one_of(&[1_000, 5_000, 40_000, 100_000, 600_000]);
            row.quiet_since = START - away;
            self.add_input("earlier".into(), 0, START - 200_000 - away);
            let window = self.window();
            let input = self.inputs.last_mut().unwrap();
            let recording = format!("{}v0", input.id);
            let over = away >= window;
            input.sessions = 1;
            input.recordings.push(Recorded {
                id: recording.clone(),
                created: START - EARLIER_STREAMED - away,
                streamed: EARLIER_STREAMED,
                gap_since: Some(row.quiet_since),
                closed: over.then_some(row.quiet_since + window),
                processing: 20_000,
                fails: false,
                deleted: false,
            });
            let id = input.id.clone();
            row.earlier = Some((recording, self.session_of(0)));
            row.ingest = Some(id);
            row.old_egress = self.spec.capabilities.renews_key && dice.chance(300);
            if row.old_egress {
                row.key_stale = true;
                self.tasks.push(old_egress(&mut dice));
            }
        }
        self.kept = Some(row);
    }

    pub fn keeps_earlier(&self) -> bool {
        self.kept.as_ref().is_some_and(|row| row.earlier.is_some())
    }

    pub(super) fn claim(&mut self, now: Ms) -> Answer {
        let window = self.window();
        let gone = |id: &str| {
            let input = self.inputs.iter().find(|input| input.id == id);
            input.is_none_or(|input| input.deleted)
        };
        let Some(row) = &self.kept else {
            return Answer::NothingKept;
        };
        let Some(id) = row.ingest.clone().filter(|id| !gone(id)) else {
            return Answer::NothingKept;
        };
        let holds = matches!(
            self.spec.capabilities.reconnect,
            Reconnect::Held { .. } | Reconnect::RecordingsMerged { .. }
        );
        Answer::Claimed {
            id,
            hls_url: String::new(),
            dash_url: None,
            key_stale: row.key_stale,
            kept: KeptIngest {
                broadcast_open: holds && now < row.quiet_since + window + MARGIN,
                foreign_sessions: row.earlier.iter().map(|(_, id)| id.clone()).collect(),
                ..KeptIngest::fresh(clock(i64::try_from(now).unwrap()))
            },
        }
    }

    /// The platform goes on telling of the broadcast for a while.
    pub(super) fn end_broadcast(&mut self, ingest: &str, now: Ms) -> Answer {
        let lag = self.dice.one_of(&[0, 2_000, 9_000]);
        let at = self.inputs.iter().position(|input| input.id == ingest);
        let Some(at) = at.filter(|at| !self.inputs[*at].deleted) else {
            return Answer::NotFound;
        };
        let session = self.session_of(at);
        let input = &mut self.inputs[at];
        let open = input.recordings.last_mut();
        let open = open.filter(|recording| recording.closed.is_none());
        let ended = open.map(|recording| recording.closed = Some(now));
        if ended.is_some() {
            input.told_until = now + lag;
        }
        Answer::BroadcastEnded {
            session: ended.map(|()| session),
        }
    }

    /// What the service does with a stored fact.
    pub fn note_kept(&mut self, fact: &Fact, key_stale: bool, now: Ms) -> Result<(), String> {
        let Some(row) = &mut self.kept else {
            return Ok(());
        };
        match fact {
            Fact::IngestReady {
                id,
                kept: Some(kept),
                ..
            } => {
                row.ingest = Some(id.clone());
                row.claimed_at = Some(kept.claimed_at);
            }
            Fact::SessionSeen { session } => {
                if row.sessions.is_empty() {
                    row.began_at = session.began_at;
                }
                row.sessions.push(session.id.clone());
                row.sessions.extend(session.recording_id.clone());
            }
            Fact::IngestGone | Fact::IngestGivenUp => row.ingest = None,
            Fact::IngestReleased => {
                if key_stale {
                    return Err("released with a stale key".into());
                }
                let id = row.ingest.clone();
                let publishes = |task: &&Task| {
                    let input = &self.inputs[task.input];
                    Some(&input.id) == id.as_ref() && task.may_publish(input, now)
                };
                if let Some(task) = self.tasks.iter().find(publishes) {
                    return Err(format!("released while {} can publish", task.id));
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn check_kept<'a>(
        &self,
        mut cleanups: impl Iterator<Item = &'a Cleanup>,
    ) -> Result<(), String> {
        let Some(id) = self.kept.as_ref().and_then(|row| row.ingest.as_ref()) else {
            return Ok(());
        };
        let input = self.inputs.iter().find(|input| input.id == *id);
        if input.is_some_and(|input| !input.enabled) {
            return Err(format!("kept {id} is closed"));
        }
        let removes = |cleanup: &Cleanup| {
            let kind = matches!(
                cleanup,
                Cleanup::CloseIngest { .. } | Cleanup::RemoveIngest { .. }
            );
            kind && cleanup.target() == id.as_str()
        };
        match cleanups.any(removes) {
            true => Err(format!("kept {id} is to be removed")),
            false => Ok(()),
        }
    }

    /// The earlier show's recording is neither claimed nor continued.
    pub fn check_earlier(&self, claimed: &[Recording]) -> Result<(), String> {
        let Some(row) = &self.kept else {
            return Ok(());
        };
        let Some((earlier, _)) = &row.earlier else {
            return Ok(());
        };
        if claimed.iter().any(|recording| recording.id == *earlier) {
            return Err("an earlier show's recording is claimed".into());
        }
        let recordings = self.inputs.iter().flat_map(|input| &input.recordings);
        let mut earlier = recordings.filter(|recording| recording.id == *earlier);
        let glued = earlier.any(|recording| recording.streamed != EARLIER_STREAMED);
        match glued && !row.old_egress {
            true => Err("glued to an earlier show's recording".into()),
            false => Ok(()),
        }
    }

    /// As the service tells the relay of recordings.
    pub fn own_recordings(&self, answer: Answer) -> Answer {
        let (Some(row), Answer::Recordings(recordings)) = (&self.kept, &answer) else {
            return answer;
        };
        let (earlier, own) = (Uuid::nil(), self.spec.relay_id);
        let mut uses = Vec::new();
        if let Some((recording, session)) = &row.earlier {
            uses.push(IngestUse {
                relay: earlier,
                claimed_at: clock(i64::try_from(START - 500_000).unwrap()),
                began_at: None,
                known: vec![recording.clone(), session.clone()],
            });
        }
        if let Some(claimed_at) = row.claimed_at {
            uses.push(IngestUse {
                relay: own,
                claimed_at,
                began_at: row.began_at,
                known: row.sessions.clone(),
            });
        }
        let is_own = |recording: &&Recording| {
            uses.is_empty() || user_of(&recording.id, recording.created_at, &uses) == Some(own)
        };
        Answer::Recordings(recordings.iter().filter(is_own).cloned().collect())
    }
}

/// Its backend moves it, and it would publish again.
fn old_egress(dice: &mut Dice) -> Task {
    let back = START + dice.between(0, 100_000);
    Task {
        tag: "earlier".into(),
        id: "s0".into(),
        preparation: None,
        input: 0,
        key: 1,
        attempt: 0,
        publishes_from: 0,
        moves: Some((0, back)),
        ends: back + dice.between(1_000, 100_000),
        exit_is_reported: false,
        cut_from: None,
        fails_from: None,
        stopped: false,
        idle_edge: 0,
    }
}
