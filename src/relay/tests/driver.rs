//! A relay with simulated vendors that do what the test says.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::relay::*;

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn jitter() -> Jitter {
    Jitter::new(500)
}

/// The most convenient platform.
pub(super) fn capabilities() -> Capabilities {
    Capabilities {
        create_repeat: CreateRepeat::IdempotencyKey {
            key_life: secs(6 * 3600),
        },
        feed_poll: FeedPollCost::Public,
        manifest_first: true,
        removes_live_ingest: true,
        renews_key: true,
        reconnect: Reconnect::Held {
            longest: secs(86_400),
        },
        recordings: RecordingsKept::Platform,
        ingest_limits: IngestLimits {
            max_kbps: None,
            max_sd_kbps: None,
            max_pixels: None,
        },
        low_latency: crate::relay::LowLatency::OnRequest,
    }
}

pub(super) fn spec(egress: EgressSpec) -> Spec {
    let query_interval = match egress.capabilities.prepare {
        Some(_) => secs(120),
        None => secs(15),
    };
    Spec {
        relay_id: Uuid::from_u128(0x0192_f0c4_0000_7000_8000_0000_0000_0001),
        namespace: Namespace {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show".into(),
        seller_uid: 7,
        enable_recording: true,
        delete_recording_after_days: Some(30),
        keep_ingest: false,
        ingest_owner: crate::relay::IngestOwner::Relay,
        latency: crate::relay::Latency::Normal,
        platform: PlatformName::new("platform"),
        capabilities: capabilities(),
        egress,
        timing: Timing {
            poll_interval: secs(5),
            provisioning_timeout: secs(120),
            live_timeout: secs(120),
            live_check_interval: secs(30),
            reconnect_window: secs(60),
            feed_timeout: secs(180),
            max_duration: secs(7200),
            recording_timeout: secs(600),
            recordings_interval: secs(20),
            query_interval,
            not_found_backoff: [5, 10, 15, 30, 60].into_iter().map(secs).collect(),
        },
        prices: Prices {
            stored: 5_000_000,
            egress: 14_000_000,
        },
        requested_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        egress_not_before: None,
    }
}

pub(super) fn web() -> Spec {
    spec(EgressSpec {
        backend: Backend::new("two_steps", &()),
        capabilities: EgressCapabilities {
            prepare: Some(Prepare {
                fresh: Duration::from_millis(1500),
                life: secs(270),
                starts: 3,
            }),
            updates: true,
            max_hours: Some(3),
        },
    })
}

pub(super) fn push() -> Spec {
    spec(EgressSpec {
        backend: Backend::new("by_name", &()),
        capabilities: EgressCapabilities {
            prepare: None,
            updates: false,
            max_hours: None,
        },
    })
}

pub(super) fn handle(id: &str) -> EgressHandle {
    EgressHandle::of_id("id", id)
}

pub(super) fn on_both(promise: impl Fn(Spec)) {
    promise(web());
    promise(push());
}

pub(super) fn failure(class: Class, maybe_done: bool) -> Failure {
    Failure {
        vendor: "agora".into(),
        call: "call".into(),
        class,
        maybe_done,
        status: None,
        message: "words".into(),
        retry_after_ms: None,
    }
}

pub(super) fn recording(id: &str, state: RecordingState, seconds: u64) -> Recording {
    Recording {
        id: id.into(),
        state,
        is_final: state == RecordingState::Ready,
        duration_ms: (state == RecordingState::Ready).then_some(seconds * 1000),
        place: None,
        created_at: None,
    }
}

/// The egress publishes, into a session of this recording.
pub(super) fn streaming(watchable: Option<bool>, recording: Option<&str>) -> FeedReading {
    FeedReading {
        publishing: Some(true),
        watchable,
        session: recording.map(|id| FeedSession {
            id: id.into(),
            recording_id: Some(id.into()),
            began_at: None,
        }),
    }
}

pub(super) fn name(call: &Call) -> &'static str {
    call.into()
}

fn is_reading(call: &Call) -> bool {
    matches!(
        call,
        Call::PollFeed { .. } | Call::PollEgress(_) | Call::PollHosts
    )
}

/// A relay and its vendors. Polls are answered from the fields; other calls wait for the test.
pub(super) struct Life {
    pub(super) relay: Relay,
    pub(super) now: DateTime<Utc>,
    pub(super) open: Vec<Action>,
    /// All calls but polls, by name, in order.
    pub(super) called: Vec<&'static str>,
    pub(super) polls: Vec<&'static str>,
    pub(super) journal: Vec<(DateTime<Utc>, Fact)>,
    pub(super) announced: Vec<Announcement>,
    /// The public host's reading. `None`: the host cannot be reached.
    pub(super) feed: Option<bool>,
    pub(super) seller: Option<bool>,
    pub(super) egress: Option<EgressReading>,
    /// The jitter of the answers.
    pub(super) draw: u16,
}

impl Life {
    pub(super) fn begin(spec: Spec) -> Self {
        let now = spec.requested_at;
        let (relay, step) = Relay::request(spec, 1).unwrap();
        let mut life = Self {
            relay,
            now,
            open: Vec::new(),
            called: Vec::new(),
            polls: Vec::new(),
            journal: Vec::new(),
            announced: Vec::new(),
            feed: Some(false),
            seller: Some(true),
            egress: Some(EgressReading::Publishing),
            draw: 500,
        };
        life.take(&step);
        life
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        self.journal
            .extend(step.facts.iter().cloned().map(|fact| (now, fact)));
        self.announced
            .extend(step.announcements.iter().map(|(_, a)| *a));
        for action in &step.actions {
            let name = name(&action.call);
            if is_reading(&action.call) {
                self.polls.push(name);
            } else {
                self.called.push(name);
            }
            self.open.push(action.clone());
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> Step {
        let step = self.relay.handle(event, self.now).unwrap();
        self.take(&step);
        let wake = self.relay.wake_at(self.now);
        assert!(wake.is_none_or(|at| at > self.now), "it wakes in the past");
        step
    }

    pub(super) fn waiting(&self, name: &str) -> Option<&Call> {
        let found = self.open.iter().find(|a| self::name(&a.call) == name);
        found.map(|action| &action.call)
    }

    pub(super) fn land(&mut self, name: &str) -> ActionId {
        let at = self.open.iter().position(|a| self::name(&a.call) == name);
        let at = at.unwrap_or_else(|| panic!("no {name} is open, but {:?}", self.open));
        self.open.remove(at).id
    }

    pub(super) fn answer(&mut self, name: &str, answer: Answer) -> Step {
        let action = self.land(name);
        let jitter = Jitter::new(self.draw);
        self.handle(Event::Answered {
            action,
            answer,
            jitter,
        })
    }

    pub(super) fn fail(&mut self, name: &str, class: Class, maybe_done: bool) -> Step {
        let action = self.land(name);
        let jitter = Jitter::new(self.draw);
        self.handle(Event::Failed {
            action,
            failure: failure(class, maybe_done),
            jitter,
        })
    }

    pub(super) fn poll(&mut self) {
        self.answer_polls(&["poll_feed", "poll_hosts", "poll_egress"]);
    }

    /// All but the feed's.
    pub(super) fn poll_others(&mut self) {
        self.answer_polls(&["poll_hosts", "poll_egress"]);
    }

    fn answer_polls(&mut self, polls: &[&'static str]) {
        for _ in 0..20 {
            let open = polls.iter().find(|name| self.waiting(name).is_some());
            let Some(&open) = open else { return };
            let answer = match open {
                "poll_feed" => self.feed.map(|streams| {
                    Answer::Feed(match streams {
                        true => streaming(Some(true), Some("video")),
                        false => FeedReading {
                            publishing: Some(false),
                            watchable: Some(false),
                            session: None,
                        },
                    })
                }),
                "poll_hosts" => self.seller.map(|present| Answer::Hosts { present }),
                _ => self.egress.map(Answer::Egress),
            };
            match answer {
                Some(answer) => self.answer(open, answer),
                None => self.fail(open, Class::Timeout, false),
            };
        }
        panic!("it polls without end");
    }

    /// Lets time pass: ticks at each wake-up and answers the polls.
    pub(super) fn wait(&mut self, seconds: u64) {
        let until = self.now + secs(seconds);
        self.poll();
        for _ in 0..10_000 {
            let wake = self.relay.wake_at(self.now).filter(|at| *at <= until);
            let Some(at) = wake else {
                self.now = until;
                return;
            };
            self.now = at;
            self.handle(Event::Tick);
            self.poll();
        }
        panic!("it wakes without end");
    }

    pub(super) fn phase(&self) -> Phase {
        self.relay.durable().phase
    }

    pub(super) fn outcome(&self) -> Option<OutcomeCode> {
        self.relay.durable().outcome.as_ref().map(|o| o.code)
    }

    pub(super) fn detail(&self) -> Detail {
        self.relay.durable().outcome.clone().unwrap().detail
    }

    pub(super) fn cleanup_jobs(&self) -> Vec<Cleanup> {
        let cleanup = self.journal.iter().filter_map(|(_, fact)| match fact {
            Fact::CleanupAdded { cleanup_job } => Some(cleanup_job.cleanup.clone()),
            _ => None,
        });
        cleanup.collect()
    }

    pub(super) fn is_web(&self) -> bool {
        let egress = &self.relay.durable().spec.egress;
        egress.capabilities.prepare.is_some()
    }

    /// A notification that gives the handle of the first egress.
    pub(super) fn named(&self, id: &str) -> Event {
        Event::Hint(Hint::EgressNamed {
            tag: self.relay.durable().spec.tag(1).to_string(),
            handle: handle(id),
        })
    }

    pub(super) fn answer_create(&mut self) -> Step {
        self.answer(
            "create_ingest",
            Answer::Ingest {
                id: "input".into(),
                hls_url: "https://platform.example/input.m3u8".into(),
                dash_url: Some("https://platform.example/input.mpd".into()),
                settings_refused: Vec::new(),
                others: Vec::new(),
            },
        )
    }

    pub(super) fn answer_acquire(&mut self, resource: &str) -> Step {
        self.answer("prepare_egress", Answer::EgressPrepared(handle(resource)))
    }

    /// Accepts the start, after its preparation if one is open.
    pub(super) fn accept(&mut self, id: &str) {
        if self.waiting("prepare_egress").is_some() {
            self.answer_acquire(&format!("resource-{id}"));
        }
        self.answer("start_egress", Answer::EgressRunning(Some(handle(id))));
    }

    /// A relay with a start that was not answered.
    pub(super) fn starting(spec: Spec) -> Self {
        let mut life = Self::begin(spec);
        if life.is_web() {
            life.answer_acquire("resource");
        }
        life.answer_create();
        assert!(life.waiting("start_egress").is_some());
        life
    }

    pub(super) fn awaiting(spec: Spec) -> Self {
        let mut life = Self::begin(spec);
        life.answer_create();
        life.accept("first");
        assert_eq!(life.phase(), Phase::AwaitingLive);
        life
    }

    pub(super) fn live(spec: Spec) -> Self {
        let mut life = Self::awaiting(spec);
        life.feed = Some(true);
        life.wait(10);
        assert_eq!(life.phase(), Phase::Live);
        life
    }

    /// The feed is gone, but the egress answers.
    pub(super) fn without_feed(spec: Spec) -> Self {
        let mut life = Self::live(spec);
        life.feed = Some(false);
        life.wait(40);
        assert_eq!(life.phase(), Phase::Interrupted);
        life
    }

    /// The process crashes, and another loads what was stored.
    pub(super) fn crash(&mut self, down_seconds: u64) -> Step {
        let journal = self.journal.iter().map(|(at, fact)| (*at, fact));
        let stored = Durable::replay(journal).unwrap().unwrap();
        assert_eq!(stored, **self.relay.durable());
        self.relay = Relay::load(stored, 2);
        self.open.clear();
        self.called.clear();
        self.polls.clear();
        self.now += secs(down_seconds);
        self.handle(Event::Recovered { jitter: jitter() })
    }

    /// Answers all calls in `stopping` and `finalizing`, with these recordings.
    pub(super) fn take_down(&mut self, recordings: &[Recording]) {
        for _ in 0..40 {
            let Some(action) = self.open.iter().find(|a| !is_reading(&a.call)) else {
                self.poll();
                let Some(at) = self.relay.wake_at(self.now) else {
                    return;
                };
                self.now = at;
                self.handle(Event::Tick);
                continue;
            };
            let answer = match &action.call {
                Call::StopEgress(_) => Answer::Stopped,
                Call::CloseIngest { .. } => Answer::Closed,
                Call::RemoveIngest { .. } => Answer::Removed,
                Call::PollRecordings { .. } => Answer::Recordings(recordings.to_vec()),
                other => panic!("{other:?}"),
            };
            self.answer(name(&action.call.clone()), answer);
        }
        panic!("it does not come down: {:?}", self.relay.durable());
    }

    pub(super) fn since(&self, then: DateTime<Utc>) -> TimeDelta {
        self.now - then
    }
}
