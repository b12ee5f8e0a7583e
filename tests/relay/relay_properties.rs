//! What holds for every relay, whatever events it gets and in whatever order.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use relaykeeper::relay::*;
use strum::IntoEnumIterator;
use uuid::Uuid;

use crate::egresses::{self, handle};
use crate::platforms::{Lack, Platform};

/// The next event: which one, and its details.
type Draw = (u8, u16);

fn egress(prepare: bool, updates: bool) -> EgressSpec {
    let mut egress = if prepare {
        egresses::two_steps()
    } else {
        egresses::by_name()
    };
    egress.capabilities.updates = updates;
    egress
}

fn spec(egress: EgressSpec, recording: bool, keep: bool, lacks: u16) -> Spec {
    let secs = Duration::from_secs;
    Spec {
        relay_id: Uuid::from_u128(1),
        namespace: Namespace {
            deployment: "shop".into(),
            database: "0a1b2c3d".into(),
        },
        channel_id: 42,
        channel_name: "show".into(),
        seller_uid: 7,
        enable_recording: recording,
        delete_recording_after_days: None,
        keep_ingest: keep,
        ingest_owner: match lacks >> 15 {
            0 => IngestOwner::Relay,
            _ => IngestOwner::Channel,
        },
        latency: Latency::Normal,
        platform: PlatformName::new("platform"),
        capabilities: platform(lacks).capabilities,
        egress,
        timing: Timing {
            poll_interval: secs(5),
            provisioning_timeout: secs(120),
            live_timeout: secs(120),
            live_check_interval: secs(30),
            reconnect_window: secs(60),
            feed_timeout: secs(180),
            max_duration: secs(1200),
            recording_timeout: secs(600),
            recordings_interval: secs(20),
            query_interval: secs(15),
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

/// A platform that lacks what the bits say.
fn platform(bits: u16) -> Platform {
    let lacks = Lack::iter().enumerate();
    let lacks: Vec<_> = lacks
        .filter_map(|(at, lack)| (bits >> at & 1 == 1).then_some(lack))
        .collect();
    Platform::without(&lacks)
}

struct Life {
    relay: Relay,
    now: DateTime<Utc>,
    incarnation: u32,
    open: Vec<Action>,
    journal: Vec<(DateTime<Utc>, Fact)>,
    announced: u32,
    /// Calls that may have been carried out and were not looked up.
    doubts: Vec<(&'static str, u32)>,
}

/// What a call creates, if that must not happen twice.
fn identity(call: &Call) -> Option<(&'static str, u32)> {
    match call {
        Call::CreateIngest { attempt } | Call::FindIngest { attempt } => Some(("ingest", *attempt)),
        Call::StartEgress { attempt, .. } => Some(("egress", *attempt)),
        _ => None,
    }
}

impl Life {
    fn begin(spec: Spec) -> Self {
        let now = spec.requested_at;
        let (relay, step) = Relay::request(spec, 1).unwrap();
        let mut life = Self {
            relay,
            now,
            incarnation: 1,
            open: Vec::new(),
            journal: Vec::new(),
            announced: 0,
            doubts: Vec::new(),
        };
        life.check(&step);
        life
    }

    fn handle_event(&mut self, event: Event) {
        let before = self.relay.durable().clone();
        let stop = event == Event::Stop;
        let step = self.relay.handle(event, self.now).unwrap();
        assert!(
            before.phase != Phase::Ended || step.actions.is_empty(),
            "an action after the end"
        );
        assert!(
            !stop || !self.relay.durable().phase.holds_slot(),
            "a stop is honoured from {}",
            before.phase
        );
        // A hint in the journal changes nothing.
        let is_hint = |fact: &Fact| matches!(fact, Fact::Notified { .. });
        assert_eq!(
            step.facts.iter().any(|fact| !is_hint(fact)),
            before != *self.relay.durable(),
            "what changes is stored, and nothing else: {:?}",
            step.facts
        );
        self.check(&step);
    }

    fn check(&mut self, step: &Step) {
        for (number, _) in &step.announcements {
            self.announced += 1;
            assert_eq!(*number, self.announced, "announcements are gapless");
        }
        for fact in &step.facts {
            let gone = match fact {
                Fact::EgressGone { .. } => "egress",
                Fact::IngestGone => "ingest",
                _ => continue,
            };
            let doubt = self.doubts.iter().find(|(kind, _)| *kind == gone);
            assert_eq!(doubt, None, "it is not known to be gone: {fact:?}");
        }
        let now = self.now;
        let facts = step.facts.iter().cloned();
        self.journal.extend(facts.map(|fact| (now, fact)));
        for action in &step.actions {
            if let Some((kind, attempt)) = identity(&action.call) {
                let other = self
                    .doubts
                    .iter()
                    .find(|(k, a)| *k == kind && *a != attempt);
                assert_eq!(other, None, "{kind} {attempt} is asked for meanwhile");
            }
            self.open.push(action.clone());
        }
        let wake = self.relay.wake_at(self.now);
        assert!(
            wake.is_none_or(|at| at > self.now),
            "wakes at {wake:?}, now {now}"
        );
        let durable = self.relay.durable();
        let text = serde_json::to_string(durable).unwrap();
        assert_eq!(serde_json::from_str::<Durable>(&text).unwrap(), **durable);
    }

    fn jitter(how: u16) -> Jitter {
        Jitter::new(how)
    }

    /// Answers a call with an expected or an odd answer.
    fn answer(&mut self, at: usize, how: u16) {
        let Action { id, call } = self.open.remove(at);
        let odd = how % 7;
        let id_of = |attempt: u32| format!("{attempt}-{}", self.incarnation);
        let state = match how % 3 {
            0 => RecordingState::Processing,
            1 => RecordingState::Ready,
            _ => RecordingState::Failed,
        };
        let recording = Recording {
            id: format!("recording{}", how % 2),
            state,
            is_final: !how.is_multiple_of(7),
            duration_ms: Some(u64::from(how)),
            place: None,
            created_at: None,
        };
        let answer = match &call {
            Call::FindIngest { .. } if odd < 3 => Answer::NotFound,
            Call::CreateIngest { .. } | Call::FindIngest { .. } => Answer::Ingest {
                id: "input".into(),
                hls_url: String::new(),
                dash_url: None,
                others: vec!["other".into(); usize::from(odd == 3)],
                settings_refused: Vec::new(),
            },
            Call::ClaimIngest if odd < 2 => Answer::NothingKept,
            Call::ClaimIngest => Answer::Claimed {
                id: "kept".into(),
                hls_url: String::new(),
                dash_url: None,
                key_stale: how.is_multiple_of(3)
                    && self.relay.durable().spec.capabilities.renews_key,
                kept: KeptIngest {
                    broadcast_open: how.is_multiple_of(2),
                    foreign_sessions: vec!["session1".into()],
                    ..KeptIngest::fresh(self.now)
                },
            },
            Call::EndBroadcast { .. } if odd == 0 => Answer::NotFound,
            Call::EndBroadcast { .. } => Answer::BroadcastEnded { session: None },
            Call::PrepareEgress { .. } => {
                Answer::EgressPrepared(handle(format!("{}.{}", id.incarnation, id.number)))
            }
            Call::StartEgress {
                attempt,
                preparation,
                ..
            } => match (preparation, odd) {
                (Some(_), 0) => Answer::PreparationExpired,
                (Some(_), 1) => Answer::EgressRunning(None),
                (Some(_), 2) => Answer::EgressElsewhere,
                _ => Answer::EgressRunning(Some(handle(id_of(*attempt)))),
            },
            Call::RenewIngestKey { .. } if odd == 0 => Answer::NotFound,
            Call::RenewIngestKey { .. } => Answer::KeyRenewed,
            Call::PollFeed { .. } => Answer::Feed(FeedReading {
                publishing: Some(!how.is_multiple_of(4)),
                watchable: Some(!how.is_multiple_of(5)),
                session: (how.is_multiple_of(2)).then(|| FeedSession {
                    id: format!("session{}", usize::from(how.is_multiple_of(3))),
                    recording_id: Some("video0".into()),
                    began_at: None,
                }),
            }),
            Call::PollEgress(_) => Answer::Egress(match how % 12 {
                0 => EgressReading::Failed,
                1 => EgressReading::Exited,
                2 | 3 => EgressReading::NotFound,
                4 => EgressReading::Disconnected,
                5 => EgressReading::Connecting,
                _ => EgressReading::Publishing,
            }),
            Call::PollHosts => Answer::Hosts {
                present: !how.is_multiple_of(3),
            },
            Call::UpdateEgress { .. } => Answer::Updated,
            Call::StopEgress(_) | Call::CloseIngest { .. } if odd == 0 => Answer::NotFound,
            Call::StopEgress(_) => Answer::Stopped,
            Call::CloseIngest { .. } => Answer::Closed,
            Call::RemoveIngest { .. } if odd < 2 => Answer::StillLive {
                retry_after: Duration::from_secs(u64::from(how)),
            },
            Call::RemoveIngest { .. } => Answer::Removed,
            Call::PollRecordings { .. } if odd < 2 => Answer::Recordings(Vec::new()),
            Call::PollRecordings { .. } => Answer::Recordings(vec![recording]),
        };
        if answer != Answer::PreparationExpired {
            let settled = identity(&call);
            self.doubts.retain(|doubt| Some(*doubt) != settled);
        }
        self.handle_event(Event::Answered {
            action: id,
            answer,
            jitter: Self::jitter(how),
        });
    }

    fn fail(&mut self, at: usize, how: u16) {
        let Action { id, call } = self.open.remove(at);
        let classes = [
            Class::Unavailable,
            Class::Timeout,
            Class::RateLimited,
            Class::Unexpected,
            Class::Unavailable,
            Class::Timeout,
            Class::Rejected,
            Class::NotFound,
            Class::Conflict,
            Class::Quota,
            Class::Unauthorized,
        ];
        let class = classes[usize::from(how) % classes.len()];
        let maybe_done = class.is_transient() && how.is_multiple_of(2);
        let conflict = class == Class::Conflict && matches!(call, Call::CreateIngest { .. });
        match identity(&call) {
            Some(identity) if maybe_done => self.doubts.push(identity),
            Some(identity) if conflict => self.doubts.retain(|doubt| *doubt != identity),
            _ => {}
        }
        self.handle_event(Event::Failed {
            action: id,
            failure: Failure {
                vendor: "agora".into(),
                call: "call".into(),
                class,
                maybe_done,
                status: None,
                message: String::new(),
                retry_after_ms: (class == Class::RateLimited).then_some(u64::from(how)),
            },
            jitter: Self::jitter(how),
        });
    }

    fn crash(&mut self, how: u16) {
        for action in std::mem::take(&mut self.open) {
            self.doubts.extend(identity(&action.call));
        }
        // The journal as a database returns it.
        let stored: Vec<(DateTime<Utc>, Fact)> = self
            .journal
            .iter()
            .map(|(at, fact)| {
                let text = serde_json::to_string(fact).unwrap();
                (*at, serde_json::from_str(&text).unwrap())
            })
            .collect();
        let replayed = Durable::replay(stored.iter().map(|(at, fact)| (*at, fact)));
        let replayed = replayed.unwrap().unwrap();
        assert_eq!(
            replayed,
            **self.relay.durable(),
            "the journal adds up to the state"
        );
        self.incarnation += 1;
        self.relay = Relay::load(replayed, self.incarnation);
        self.now += Duration::from_millis(u64::from(how) * 20);
        self.handle_event(Event::Recovered {
            jitter: Self::jitter(how),
        });
    }

    fn hint(&mut self, how: u16) {
        let attempt = u32::from(how % 3) + 1;
        let hint = match how % 9 {
            0 => Hint::FeedConnected,
            1 | 2 => Hint::FeedDisconnected,
            3 => Hint::SellerJoined,
            4 | 5 => Hint::SellerLeft,
            6 => Hint::RecordingDone,
            7 => Hint::EgressChanged,
            _ => Hint::EgressNamed {
                tag: self.relay.durable().spec.tag(attempt).to_string(),
                handle: handle(format!("{attempt}-session")),
            },
        };
        if let Hint::EgressNamed { .. } = &hint {
            // The hint names the egress: that settles the doubt.
            self.doubts.retain(|doubt| *doubt != ("egress", attempt));
        }
        self.handle_event(Event::Hint(hint));
    }

    fn draw(&mut self, (what, how): Draw) {
        let some = |open: &Vec<Action>| usize::from(how / 8) % open.len().max(1);
        match what {
            0..110 if !self.open.is_empty() => self.answer(some(&self.open), how),
            110..150 if !self.open.is_empty() => self.fail(some(&self.open), how),
            150..165 => self.hint(how),
            165..172 => self.handle_event(Event::Page {
                attempt: u32::from(how % 3) + 1,
                report: match how {
                    240.. => PageReport::CannotJoin(PageTrouble::Timeout),
                    _ => PageReport::Seller {
                        seq: u64::from(how / 3),
                        present: how.is_multiple_of(2),
                    },
                },
            }),
            172..176 => self.crash(how),
            176 => self.handle_event(Event::Stop),
            177 => self.handle_event(Event::PredecessorDown),
            178..182 => {
                self.now += Duration::from_millis(u64::from(how));
                self.handle_event(Event::Tick);
            }
            _ => self.tick(),
        }
    }

    fn tick(&mut self) {
        if let Some(at) = self.relay.wake_at(self.now) {
            self.now = at;
            self.handle_event(Event::Tick);
        } else if !self.open.is_empty() {
            self.answer(0, 1);
        }
    }

    /// Answers everything until the relay ends.
    fn finish(&mut self) {
        for round in 0..4_000u16 {
            if self.relay.durable().phase == Phase::Ended {
                return;
            }
            if self.open.is_empty() {
                self.tick();
            } else {
                self.answer(0, round);
            }
        }
        panic!("it does not end: {:?}", self.relay.durable());
    }

    /// A channel's ingest is given back, or gone, once and never closed; an egress starts only into a broadcast of its own.
    fn check_kept(&self) {
        let (mut held, mut open, mut stale) = (false, false, false);
        let mut foreign = Vec::new();
        for (_, fact) in &self.journal {
            match fact {
                Fact::IngestReady {
                    kept: Some(kept),
                    key_stale,
                    ..
                } => {
                    (held, open, stale) = (true, kept.broadcast_open, *key_stale);
                    foreign.clone_from(&kept.foreign_sessions);
                }
                Fact::BroadcastEnded { .. } => open = false,
                Fact::KeyRenewed => stale = false,
                Fact::EgressStarting { attempt, .. } if held => {
                    assert!(!open, "egress {attempt} starts into an earlier broadcast");
                    assert!(!stale, "egress {attempt} starts on an old key");
                }
                Fact::IngestReleased | Fact::IngestGivenUp | Fact::IngestGone => held = false,
                Fact::CleanupAdded { cleanup_job } => {
                    let cleanup = &cleanup_job.cleanup;
                    let removes = matches!(
                        cleanup,
                        Cleanup::CloseIngest { id } | Cleanup::RemoveIngest { id } if id == "kept"
                    );
                    assert!(!held || !removes, "a kept ingest is removed: {cleanup:?}");
                    held &= !matches!(cleanup, Cleanup::RenewIngestKey { .. });
                }
                Fact::IngestClosed => assert!(!held, "a kept ingest is closed"),
                Fact::SessionSeen { session } => {
                    assert!(
                        !foreign.contains(&session.id),
                        "an earlier show's broadcast"
                    );
                }
                Fact::Ended { .. } => assert!(!held, "a kept ingest is not given back"),
                _ => {}
            }
        }
    }

    /// A second egress starts only behind new keys, when the first is gone or left to a cleanup job.
    fn check_replacements(&self) {
        let renews_key = self.relay.durable().spec.capabilities.renews_key;
        let mut gone = true;
        let mut renewed = true;
        for (_, fact) in &self.journal {
            match fact {
                Fact::EgressStarting { attempt, .. } => {
                    assert!(gone, "egress {attempt} starts beside another");
                    assert!(renewed, "egress {attempt} starts on an old key");
                    (gone, renewed) = (false, !renews_key);
                }
                Fact::EgressGone { .. } => gone = true,
                Fact::KeyRenewed => {
                    assert!(renews_key, "the key cannot be renewed");
                    renewed = gone;
                }
                _ => {}
            }
        }
        let starts = self
            .journal
            .iter()
            .filter(|(_, fact)| matches!(fact, Fact::EgressStarting { .. }));
        assert!(starts.count() <= 3, "at most two replacements");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_relay_ends_and_breaks_no_rule_on_its_way(
        prepare: bool,
        updates: bool,
        recording: bool,
        keep: bool,
        lacks: u16,
        draws in prop::collection::vec(any::<Draw>(), 0..250),
    ) {
        let mut life = Life::begin(spec(egress(prepare, updates), recording, keep, lacks));
        for draw in draws {
            life.draw(draw);
        }
        life.finish();
        life.crash(0);
        life.handle_event(Event::Tick);
        life.check_replacements();
        life.check_kept();
        let durable = life.relay.durable();
        prop_assert!(durable.outcome.is_some());
        let costs = durable.live_at.is_some() || !durable.recordings.is_empty();
        prop_assert_eq!(durable.cost.is_some(), costs);
        prop_assert_eq!(life.relay.wake_at(life.now), None);
    }

    #[test]
    fn a_stop_ends_every_relay_wherever_it_is(
        prepare: bool,
        updates: bool,
        lacks: u16,
        draws in prop::collection::vec(any::<Draw>(), 0..120),
    ) {
        let mut life = Life::begin(spec(egress(prepare, updates), true, false, lacks));
        for draw in draws {
            life.draw(draw);
        }
        let from = life.now;
        life.handle_event(Event::Stop);
        while life.relay.durable().phase == Phase::Stopping {
            match life.open.is_empty() {
                true => life.tick(),
                false => life.fail(0, 0),
            }
        }
        // Without answers, it takes at most half a minute and the back-off of the last call.
        prop_assert!((life.now - from).num_seconds() <= 60);
        life.finish();
    }
}
