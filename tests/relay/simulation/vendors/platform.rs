//! The platform: it does what its capabilities promise, and no more.

use std::time::Duration;

use relaykeeper::relay::{
    Answer, Class, CreateRepeat, Failure, FeedReading, FeedSession, Hint, Reconnect, Recording,
    RecordingState, RecordingsKept,
};

use super::{Vendors, failure};
use crate::simulation::objects::{Input, Ms, News, Recorded};

fn millis(duration: Duration) -> Ms {
    u64::try_from(duration.as_millis()).unwrap()
}

impl Vendors {
    pub fn input(&mut self, id: &str) -> Option<&mut Input> {
        self.inputs.iter_mut().find(|input| input.id == id)
    }

    /// Those that the list shows, oldest first.
    pub fn inputs_by_tag(&self, tag: &str, now: Ms) -> Vec<usize> {
        let listed = |input: &Input| input.tag == tag && !input.deleted && input.listed_from <= now;
        let inputs = self.inputs.iter().enumerate();
        inputs
            .filter_map(|(at, input)| listed(input).then_some(at))
            .collect()
    }

    pub(super) fn find(&self, attempt: u32, now: Ms) -> Answer {
        let tag = self.spec.tag(attempt).to_string();
        match self.inputs_by_tag(&tag, now)[..] {
            [oldest, ref others @ ..] => self.ingest_answer(oldest, others),
            [] => Answer::NotFound,
        }
    }

    fn ingest_answer(&self, input: usize, others: &[usize]) -> Answer {
        let id = |input: usize| self.inputs[input].id.clone();
        Answer::Ingest {
            id: id(input),
            hls_url: String::new(),
            dash_url: None,
            settings_refused: Vec::new(),
            others: others.iter().copied().map(id).collect(),
        }
    }

    pub fn create_input(&mut self, attempt: u32, other: &str, now: Ms) -> Result<Answer, Failure> {
        let tag = format!("{}{other}", self.spec.tag(attempt));
        let mut listed_from = now;
        match self.spec.capabilities.create_repeat {
            CreateRepeat::IdempotencyKey { key_life } => {
                let life = millis(key_life);
                let same = |input: &Input| input.tag == tag && now - input.created < life;
                if let Some(known) = self.inputs.iter().position(same) {
                    if self.inputs[known].deleted {
                        return Err(failure(Class::Conflict, "the key's ingest was removed"));
                    }
                    return Ok(self.ingest_answer(known, &[]));
                }
            }
            CreateRepeat::LookUp if self.dice.chance(300) => {
                listed_from += self.dice.between(0, 8_000);
            }
            CreateRepeat::LookUp => {}
        }
        self.add_input(tag, listed_from, now);
        Ok(self.ingest_answer(self.inputs.len() - 1, &[]))
    }

    pub(in crate::simulation) fn add_input(&mut self, tag: String, listed_from: Ms, created: Ms) {
        let number = self.number();
        self.inputs.push(Input {
            id: format!("in{number}"),
            tag,
            key: 1,
            enabled: true,
            deleted: false,
            created,
            listed_from,
            streaming_since: None,
            broadcast_until: 0,
            sessions: 0,
            told_until: 0,
            recordings: Vec::new(),
        });
    }

    /// A creation without an answer is carried out twice.
    pub fn create_twin(&mut self) {
        if let Some(Input {
            tag,
            listed_from,
            created,
            ..
        }) = self.inputs.last()
        {
            self.add_input(tag.clone(), *listed_from, *created);
        }
    }

    pub(super) fn renew_key(&mut self, ingest: &str) -> Answer {
        assert!(
            self.spec.capabilities.renews_key,
            "the key cannot be renewed"
        );
        match self.input(ingest) {
            Some(input) if !input.deleted => {
                input.key += 1;
                Answer::KeyRenewed
            }
            _ => Answer::NotFound,
        }
    }

    pub(super) fn close(&mut self, ingest: &str) -> Answer {
        match self.input(ingest) {
            Some(input) if !input.deleted => {
                input.enabled = false;
                Answer::Closed
            }
            _ => Answer::NotFound,
        }
    }

    pub(super) fn remove(&mut self, ingest: &str, now: Ms) -> Answer {
        let waits = !self.spec.capabilities.removes_live_ingest;
        let Some(input) = self.input(ingest).filter(|input| !input.deleted) else {
            return Answer::NotFound;
        };
        if waits && (input.streaming_since.is_some() || now < input.broadcast_until) {
            let retry_after = Duration::from_secs(self.dice.one_of(&[0, 2, 8, 30]));
            return Answer::StillLive { retry_after };
        }
        input.deleted = true;
        Answer::Removed
    }

    pub(super) fn feed(&mut self, ingest: &str, probe: bool, now: Ms) -> FeedReading {
        let lag = self.dice.between(0, 4_000);
        let blind = !self.quirks.tells_publishing && self.dice.chance(50);
        let Some(input) = self.inputs.iter().find(|input| input.id == ingest) else {
            return FeedReading {
                publishing: Some(false),
                ..FeedReading::default()
            };
        };
        let publishing = input.streaming_since.is_some();
        let watchable = input.streaming_since.is_some_and(|at| at + lag <= now);
        let recording = input.recordings.last();
        let session = recording
            .filter(|_| publishing)
            .map(|recording| FeedSession {
                id: self.session_name(input, recording),
                recording_id: match self.spec.capabilities.recordings {
                    RecordingsKept::Platform => Some(recording.id.clone()),
                    RecordingsKept::Elsewhere
                    | RecordingsKept::Unread
                    | RecordingsKept::Nowhere => None,
                },
                began_at: recording.created_at(),
            });
        let told = self.told_of_earlier(input, now);
        if let Some(session) = told {
            return FeedReading {
                publishing: self.quirks.tells_publishing.then_some(true),
                watchable: Some(true),
                session: Some(session),
            };
        }
        if self.quirks.tells_publishing {
            return FeedReading {
                publishing: Some(publishing),
                watchable: probe.then_some(watchable),
                session,
            };
        }
        // What is held goes on without a publisher.
        let held = match self.spec.capabilities.reconnect {
            Reconnect::Held { .. } => recording.is_some_and(|last| last.closed.is_none()),
            Reconnect::RecordingsMerged { .. } | Reconnect::Anew => false,
        };
        FeedReading {
            publishing: None,
            watchable: (!blind).then_some(watchable || held && !publishing),
            session,
        }
    }

    fn session_name(&self, input: &Input, recording: &Recorded) -> String {
        match self.spec.capabilities.reconnect {
            Reconnect::Held { .. } => recording.id.clone(),
            Reconnect::RecordingsMerged { .. } | Reconnect::Anew => {
                format!("{}s{}", input.id, input.sessions)
            }
        }
    }

    /// The last broadcast's session.
    pub(in crate::simulation) fn session_of(&self, input: usize) -> String {
        let input = &self.inputs[input];
        let name = |recording| self.session_name(input, recording);
        input.recordings.last().map_or(String::new(), name)
    }

    fn told_of_earlier(&self, input: &Input, now: Ms) -> Option<FeedSession> {
        let recording = input
            .recordings
            .first()
            .filter(|_| now < input.told_until)?;
        let id = match self.spec.capabilities.reconnect {
            Reconnect::Held { .. } => recording.id.clone(),
            Reconnect::RecordingsMerged { .. } | Reconnect::Anew => format!("{}s1", input.id),
        };
        let plays = self.spec.capabilities.recordings == RecordingsKept::Platform;
        Some(FeedSession {
            id,
            recording_id: plays.then(|| recording.id.clone()),
            began_at: recording.created_at(),
        })
    }

    pub(super) fn recordings(&mut self, ingest: &str, thorough: bool, now: Ms) -> Vec<Recording> {
        let kept = self.spec.capabilities.recordings;
        assert!(kept.are_found(), "there are no recordings");
        let Some(input) = self.inputs.iter().find(|input| input.id == ingest) else {
            return Vec::new();
        };
        let listed = input
            .recordings
            .iter()
            .filter(|recording| !recording.deleted);
        let early = self.quirks.ready_early;
        listed
            .map(|recording| recording.reading(kept, early, now))
            .filter(|recording| thorough || recording.state == RecordingState::Ready)
            .collect()
    }

    /// How long a publisher may be away until its recording ends.
    pub(in crate::simulation) fn window(&self) -> Ms {
        let timeout = self.spec.timing.feed_timeout;
        match self.spec.capabilities.reconnect {
            Reconnect::Held { longest } | Reconnect::RecordingsMerged { longest } => {
                millis(timeout.min(longest))
            }
            Reconnect::Anew => 0,
        }
    }

    pub(super) fn refresh_inputs(&mut self, now: Ms) {
        let window = self.window();
        let waits = !self.spec.capabilities.removes_live_ingest;
        for at in 0..self.inputs.len() {
            let input = &self.inputs[at];
            let streams = self
                .tasks
                .iter()
                .any(|task| task.input == at && task.publishes(input, now));
            let over = input.deleted || !input.enabled;
            let fate = (
                self.dice.between(2_000, 40_000),
                self.dice.chance(self.vendor_faults.bad_recordings),
                self.dice.chance(self.vendor_faults.bad_recordings),
            );
            let input = &mut self.inputs[at];
            if let Some(recording) = input.recordings.last_mut()
                && let Some(gap) = recording.gap_since
                && recording.closed.is_none()
                && (over || gap + window <= now)
            {
                let closed = now.min(gap + window);
                recording.closed = Some(closed);
                self.news
                    .push(News::At(closed + recording.processing, Hint::RecordingDone));
            }
            match (input.streaming_since, streams) {
                (None, true) => {
                    input.streaming_since = Some(now);
                    input.sessions += 1;
                    match input.recordings.last_mut().filter(|v| v.closed.is_none()) {
                        Some(recording) => recording.gap_since = None,
                        None => {
                            let id = format!("{}v{}", input.id, input.recordings.len());
                            input.recordings.push(Recorded {
                                id,
                                created: now,
                                streamed: 0,
                                gap_since: None,
                                closed: None,
                                processing: if fate.1 { 5_000_000 } else { fate.0 },
                                fails: fate.2,
                                deleted: false,
                            });
                        }
                    }
                    self.news.push(News::At(now, Hint::FeedConnected));
                }
                (Some(since), false) => {
                    input.streaming_since = None;
                    if waits {
                        let lingers = self.dice.one_of(&[0, 2_000, 15_000, 90_000]);
                        input.broadcast_until = now + lingers;
                    }
                    if let Some(recording) = input.recordings.last_mut() {
                        recording.streamed += now - since;
                        recording.gap_since = Some(now);
                        if over || window == 0 {
                            recording.closed = Some(now);
                            self.news
                                .push(News::At(now + recording.processing, Hint::RecordingDone));
                        }
                    }
                    self.news.push(News::Edge(now + window));
                    self.news.push(News::At(now, Hint::FeedDisconnected));
                }
                (None, false) | (Some(_), true) => {}
            }
        }
    }
}
