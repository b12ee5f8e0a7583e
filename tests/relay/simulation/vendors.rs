//! Both vendors as the documents describe them, for one relay, in virtual time. What is alive here costs money.

use relaykeeper::relay::{
    Answer, Backend, Call, Class, Failure, FeedReading, Hint, RecorderReading, RecorderRef, Spec,
    Video, VideoState,
};

use super::dice::Dice;
pub use super::things::{Input, Ms, News, Recorded, Task, Wear};

/// A resource can be started on for 5 minutes (`agora.md §2.3`).
const RESOURCE_LIFE: Ms = 300_000;
/// An idempotency key is known for 6 hours (`cloudflare-stream.md §2.3`).
const KEY_LIFE: Ms = 6 * 3_600_000;
/// An empty channel ends a converter (`idleTimeout`, `agora.md §4.8`).
const IDLE: Ms = 240_000;

#[derive(Debug)]
struct Resource {
    attempt: u32,
    at: Ms,
    task: Option<usize>,
}

#[derive(Debug)]
pub struct Vendors {
    spec: Spec,
    pub wear: Wear,
    pub dice: Dice,
    pub inputs: Vec<Input>,
    pub tasks: Vec<Task>,
    resources: Vec<Resource>,
    /// When the seller came, left, came …
    pub seller: Vec<Ms>,
    pub news: Vec<News>,
    numbers: u32,
}

fn failure(class: Class, message: &str) -> Failure {
    Failure {
        vendor: String::new(),
        call: String::new(),
        class,
        maybe_done: false,
        status: None,
        message: message.into(),
        retry_after_ms: None,
    }
}

impl Vendors {
    pub fn new(spec: Spec, wear: Wear, seller: Vec<Ms>, dice: Dice) -> Self {
        let mut vendors = Self {
            spec,
            wear,
            dice,
            inputs: Vec::new(),
            tasks: Vec::new(),
            resources: Vec::new(),
            seller,
            news: Vec::new(),
            numbers: 0,
        };
        for (i, at) in vendors.seller.clone().into_iter().enumerate() {
            let joined = i % 2 == 0;
            vendors.news.push(News::At(
                at,
                if joined {
                    Hint::SellerJoined
                } else {
                    Hint::SellerLeft
                },
            ));
        }
        vendors
    }

    pub fn seller_is_there(&self, now: Ms) -> bool {
        self.seller.iter().filter(|at| **at <= now).count() % 2 == 1
    }

    fn seller_away_since(&self, now: Ms) -> Option<Ms> {
        if self.seller_is_there(now) {
            return None;
        }
        Some(
            self.seller
                .iter()
                .copied()
                .filter(|at| *at <= now)
                .max()
                .unwrap_or(0),
        )
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn web(&self) -> bool {
        matches!(self.spec.backend, Backend::CloudRecording { .. })
    }

    /// Carries a call out. `key` is the live input's key as the caller knows it.
    pub fn perform(&mut self, call: &Call, key: u32, now: Ms) -> Result<Answer, Failure> {
        let answer = match call {
            Call::CreateLiveInput { attempt } => self.create_input(*attempt, "", now),
            Call::FindLiveInput { attempt } => {
                let mark = self.spec.mark(*attempt).to_string();
                Ok(match self.input_by_mark(&mark) {
                    Some(input) => self.told_of(input),
                    None => Answer::NotFound,
                })
            }
            Call::Acquire { attempt } => {
                self.resources.push(Resource {
                    attempt: *attempt,
                    at: now,
                    task: None,
                });
                Ok(Answer::Acquired {
                    resource_id: (self.resources.len() - 1).to_string(),
                })
            }
            Call::StartRecorder {
                attempt,
                resource_id,
                live_input,
                ..
            } => self.start(*attempt, resource_id, live_input, key, "", now),
            Call::CreateConverter {
                attempt,
                live_input,
            } => {
                let cname = self.spec.mark(*attempt).to_string();
                let running = self
                    .tasks
                    .iter()
                    .find(|t| t.alive(now) && t.cname == cname)
                    .map(|t| t.sid.clone());
                let converter_id = match running {
                    Some(id) => id,
                    None => self.run(*attempt, None, live_input, key, "", now),
                };
                Ok(Answer::Converting { converter_id })
            }
            Call::RotateKeys { live_input } => Ok(match self.input(live_input) {
                Some(input) if !input.deleted => {
                    input.key += 1;
                    Answer::KeysRotated
                }
                _ => Answer::NotFound,
            }),
            Call::DisableLiveInput { live_input, .. } => Ok(match self.input(live_input) {
                Some(input) if !input.deleted => {
                    input.enabled = false;
                    Answer::Disabled
                }
                _ => Answer::NotFound,
            }),
            Call::DeleteLiveInput { live_input } => Ok(match self.input(live_input) {
                Some(input) if !input.deleted => {
                    input.deleted = true;
                    Answer::Deleted
                }
                _ => Answer::NotFound,
            }),
            Call::StopRecorder(recorder) => Ok(self.stop(recorder, now)),
            Call::UpdateRecorder { recorder, .. } => {
                let mends = self.dice.chance(700);
                Ok(match self.task(recorder) {
                    Some(at) if self.tasks[at].alive(now) && !self.tasks[at].hidden(now) => {
                        let task = &mut self.tasks[at];
                        task.key = key;
                        if mends {
                            task.cut_from = None;
                        }
                        Answer::Updated
                    }
                    _ => Answer::NotFound,
                })
            }
            Call::LookAtFeed {
                live_input,
                probe_manifest,
                manifest_first,
            } => {
                // Whether the host tells of one that is deleted is not documented: by relay, so that no seed's story changes.
                let tells = self.spec.relay_id.as_u128().is_multiple_of(2);
                if tells && self.input(live_input).is_none_or(|input| input.deleted) {
                    return Ok(Answer::NotFound);
                }
                let reading = self.feed(live_input, *probe_manifest, now);
                Ok(match *manifest_first && reading.playable != Some(true) {
                    true => Answer::NotYetPlayable,
                    false => Answer::Feed(reading),
                })
            }
            Call::LookAtRecorder(recorder) => Ok(Answer::Recorder(self.look(recorder, now))),
            Call::LookAtHosts => Ok(Answer::Hosts {
                present: self.seller_is_there(now),
            }),
            Call::LookForRecordings {
                live_input,
                thorough,
            } => Ok(Answer::Recordings(
                self.recordings(live_input, *thorough, now),
            )),
        };
        self.refresh(now);
        answer
    }

    pub fn input(&mut self, uid: &str) -> Option<&mut Input> {
        self.inputs.iter_mut().find(|input| input.uid == uid)
    }

    pub fn input_by_mark(&self, mark: &str) -> Option<usize> {
        self.inputs
            .iter()
            .position(|input| input.mark == mark && !input.deleted)
    }

    fn told_of(&self, input: usize) -> Answer {
        Answer::LiveInput {
            uid: self.inputs[input].uid.clone(),
            hls_url: String::new(),
            dash_url: String::new(),
            echo_differs: Vec::new(),
        }
    }

    pub fn create_input(&mut self, attempt: u32, other: &str, now: Ms) -> Result<Answer, Failure> {
        let mark = format!("{}{other}", self.spec.mark(attempt));
        let known = self
            .inputs
            .iter()
            .position(|input| input.mark == mark && now - input.created < KEY_LIFE);
        if let Some(known) = known {
            if self.inputs[known].deleted {
                return Err(failure(Class::Conflict, "the key's live input was deleted"));
            }
            return Ok(self.told_of(known));
        }
        let number = self.number();
        self.inputs.push(Input {
            uid: format!("in{number}"),
            mark,
            key: 1,
            enabled: true,
            deleted: false,
            created: now,
            streaming_since: None,
            videos: Vec::new(),
        });
        Ok(self.told_of(self.inputs.len() - 1))
    }

    pub fn start(
        &mut self,
        attempt: u32,
        resource_id: &str,
        live_input: &str,
        key: u32,
        other: &str,
        now: Ms,
    ) -> Result<Answer, Failure> {
        let at: usize = resource_id.parse().unwrap();
        let resource = &self.resources[at];
        assert_eq!(resource.attempt, attempt, "a resource of another identity");
        if let Some(task) = resource.task.filter(|_| other.is_empty()) {
            return if self.tasks[task].alive(now) {
                let sid = Some(self.tasks[task].sid.clone()).filter(|_| self.dice.chance(500));
                Ok(Answer::Recording { sid })
            } else {
                Err(failure(Class::Rejected, "the resource was used"))
            };
        }
        if now - resource.at > RESOURCE_LIFE {
            return Ok(Answer::ResourceExpired);
        }
        let cname = format!("{}{other}", self.spec.mark(attempt));
        if self
            .tasks
            .iter()
            .any(|task| task.alive(now) && task.cname == cname)
        {
            return Ok(Answer::RecordingElsewhere);
        }
        let sid = self.run(attempt, Some(at), live_input, key, other, now);
        self.resources[at].task = Some(self.tasks.len() - 1);
        Ok(Answer::Recording { sid: Some(sid) })
    }

    /// A recorder begins to run.
    pub fn run(
        &mut self,
        attempt: u32,
        resource: Option<usize>,
        live_input: &str,
        key: u32,
        other: &str,
        now: Ms,
    ) -> String {
        let number = self.number();
        let sid = format!("s{number}");
        let input = self
            .inputs
            .iter()
            .position(|input| input.uid == live_input)
            .unwrap();
        let limit = match &self.spec.backend {
            Backend::CloudRecording {
                max_recording_hours,
                ..
            } => u64::from(*max_recording_hours) * 3_600_000,
            Backend::MediaPush { .. } => u64::MAX / 2,
        };
        let dice = &mut self.dice;
        let wear = self.wear;
        let mut task = Task {
            cname: format!("{}{other}", self.spec.mark(attempt)),
            sid: sid.clone(),
            resource,
            input,
            key,
            attempt,
            publishes_from: now + dice.between(1_000, 7_000),
            moves: None,
            ends: now + limit,
            exit_is_told: dice.chance(500),
            cut_from: None,
            fails_from: None,
            stopped: false,
            idle_edge: 0,
        };
        if dice.chance(wear.moves) {
            let from = now + dice.between(0, 120_000);
            let away = dice.one_of(&[30_000, 90_000, 100_000, 119_000, 150_000, 230_000]);
            task.moves = Some((from, from + away));
        }
        if dice.chance(wear.exits) {
            task.ends = now + dice.between(1, 180_000);
        }
        if dice.chance(wear.cuts) {
            task.cut_from = Some(now + dice.between(0, 120_000));
        }
        if dice.chance(wear.fails) {
            task.fails_from = Some(now + dice.between(0, 120_000));
        }
        let edges = [Some(task.publishes_from), task.cut_from, task.fails_from]
            .into_iter()
            .flatten()
            .chain(task.moves.into_iter().flat_map(|(from, to)| [from, to]))
            .chain((limit > task.ends - now).then_some(task.ends));
        self.news.extend(edges.map(News::Edge));
        let started = self.changed(&task.cname, &sid);
        self.news.push(News::At(task.publishes_from, started));
        if !self.web() {
            self.news.push(News::Edge(now + IDLE));
        }
        self.tasks.push(task);
        sid
    }

    fn changed(&self, cname: &str, sid: &str) -> Hint {
        if self.web() {
            Hint::RecorderChanged {
                cname: cname.into(),
                sid: sid.into(),
            }
        } else {
            Hint::ConverterChanged
        }
    }

    /// The task a caller means: a session belongs to its resource (`agora.md §7.1`, 1003).
    pub fn task(&self, recorder: &RecorderRef) -> Option<usize> {
        match recorder {
            RecorderRef::CloudRecording(asked) => {
                let resource = asked.resource_id.parse().ok();
                self.tasks
                    .iter()
                    .position(|task| task.sid == asked.sid && task.resource == resource)
            }
            RecorderRef::MediaPush { converter_id, .. } => {
                self.tasks.iter().position(|task| task.sid == *converter_id)
            }
        }
    }

    pub fn stop(&mut self, recorder: &RecorderRef, now: Ms) -> Answer {
        let Some(at) = self.task(recorder) else {
            return Answer::NotFound;
        };
        let over = self.web() && self.dice.chance(500);
        let task = &mut self.tasks[at];
        if !task.alive(now) {
            return if over {
                Answer::Stopped
            } else {
                Answer::NotFound
            };
        }
        if task.hidden(now) {
            return Answer::NotFound;
        }
        task.stopped = true;
        Answer::Stopped
    }

    fn look(&self, recorder: &RecorderRef, now: Ms) -> RecorderReading {
        let Some(at) = self.task(recorder) else {
            return RecorderReading::NotFound;
        };
        let task = &self.tasks[at];
        let past = |at: Option<Ms>| at.is_some_and(|at| at <= now);
        if !task.alive(now) {
            let told = task.exit_is_told && self.web() && now < task.ends + 60_000;
            return if told {
                RecorderReading::Exited
            } else {
                RecorderReading::NotFound
            };
        }
        if task.hidden(now) {
            RecorderReading::NotFound
        } else if past(task.fails_from) {
            RecorderReading::Failed
        } else if now < task.publishes_from {
            RecorderReading::Connecting
        } else if task.publishes(&self.inputs[task.input], now) {
            RecorderReading::Publishing
        } else {
            RecorderReading::Disconnected
        }
    }

    fn feed(&mut self, live_input: &str, probe: bool, now: Ms) -> FeedReading {
        let lag = self.dice.between(0, 4_000);
        let Some(input) = self.inputs.iter().find(|input| input.uid == live_input) else {
            return FeedReading {
                live: false,
                playable: None,
                video_uid: None,
            };
        };
        let live = input.streaming_since.is_some();
        let playable = input.streaming_since.is_some_and(|at| at + lag <= now);
        FeedReading {
            live,
            playable: probe.then_some(playable),
            video_uid: input
                .videos
                .last()
                .filter(|_| live)
                .map(|video| video.uid.clone()),
        }
    }

    fn recordings(&mut self, live_input: &str, thorough: bool, now: Ms) -> Vec<Video> {
        let Some(input) = self.inputs.iter().find(|input| input.uid == live_input) else {
            return Vec::new();
        };
        input
            .videos
            .iter()
            .filter(|video| !video.deleted)
            .map(|video| video.told(now))
            .filter(|video| thorough || video.state == VideoState::Ready)
            .collect()
    }

    /// What time and the last call have changed.
    pub fn refresh(&mut self, now: Ms) {
        let timeout = u64::try_from(self.spec.timing.feed_timeout.as_millis()).unwrap();
        if !self.web() {
            let away = self.seller_away_since(now);
            for task in &mut self.tasks {
                let idle = away.map(|at| at.max(task.publishes_from) + IDLE);
                if let Some(idle) = idle.filter(|at| *at <= now && *at < task.ends) {
                    task.ends = idle;
                } else if let Some(idle) =
                    idle.filter(|at| now < *at && *at < task.ends && *at != task.idle_edge)
                {
                    task.idle_edge = idle;
                    self.news.push(News::Edge(idle));
                }
            }
        }
        for at in 0..self.inputs.len() {
            let input = &self.inputs[at];
            let streams = self
                .tasks
                .iter()
                .any(|task| task.input == at && task.publishes(input, now));
            let over = input.deleted || !input.enabled;
            let fate = (
                self.dice.between(2_000, 40_000),
                self.dice.chance(self.wear.bad_videos),
                self.dice.chance(self.wear.bad_videos),
            );
            let input = &mut self.inputs[at];
            if let Some(video) = input.videos.last_mut()
                && let Some(gap) = video.gap_since
                && video.closed.is_none()
                && (over || gap + timeout <= now)
            {
                let closed = now.min(gap + timeout);
                video.closed = Some(closed);
                self.news
                    .push(News::At(closed + video.processing, Hint::VideoDone));
            }
            match (input.streaming_since, streams) {
                (None, true) => {
                    input.streaming_since = Some(now);
                    match input.videos.last_mut().filter(|v| v.closed.is_none()) {
                        Some(video) => video.gap_since = None,
                        None => {
                            let uid = format!("{}v{}", input.uid, input.videos.len());
                            input.videos.push(Recorded {
                                uid,
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
                    if let Some(video) = input.videos.last_mut() {
                        video.streamed += now - since;
                        video.gap_since = Some(now);
                        if over {
                            video.closed = Some(now);
                            self.news
                                .push(News::At(now + video.processing, Hint::VideoDone));
                        }
                    }
                    self.news.push(News::Edge(now + timeout));
                    self.news.push(News::At(now, Hint::FeedDisconnected));
                }
                (None, false) | (Some(_), true) => {}
            }
        }
    }
}
